/** Giving space back: what is dead goes, what is live stays where and as it is, whatever happens meanwhile. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { SimulatedDisk } from "../../sim/simulated-disk.ts";
import { type SimulatedHost, Simulation } from "../../sim/simulated-host.ts";
import { VolumeHarness } from "../../sim/volume-harness.ts";
import { ticketDataSize, TicketStatus } from "../core/frame.ts";
import { parseId, type TicketId } from "../core/ids.ts";
import { depths, layoutOf, ticketPath, volumeEnd, volumeOf, volumeStart } from "../core/layout.ts";
import type { Run } from "../core/run.ts";
import type { BatchOutcome } from "../core/ticket-store.ts";
import { nodeHost } from "../env/node-host.ts";
import { silentLog } from "../env/node-log.ts";
import { VolumeStore } from "./volume-store.ts";

const base = mkdtempSync(path.join(os.tmpdir(), "reclaim-"));
afterAll(() => rmSync(base, { recursive: true }));
const newRoot = (): string => mkdtempSync(path.join(base, "d"));

const atOnce = (): Promise<void> => Promise.resolve();
const run = (first: number, count: number): Run => ({ first: first as TicketId, count });

/** A volume of placement: what a Datastore has reclaimed as one, whatever the disk's depth. */
const placement = layoutOf(2);
const start = volumeStart(placement, 40);
const end = volumeEnd(placement, 40);

const filesBelow = (root: string): string[] => readdirSync(root, { recursive: true }).map(String).sort(byName);
const byName = (a: string, b: string): number => (a < b ? -1 : 1);
const usedBytes = (root: string): number =>
  filesBelow(root).reduce((sum, name) => sum + statSync(path.join(root, name)).blocks * 512, 0);

describe.each(depths)("at depth %i, on this machine's disk", (depth) => {
  const open = (root: string): Promise<VolumeStore> => harness.open(nodeHost(silentLog), { root, depth });
  const harness = new VolumeHarness();

  it("where nothing is live, files and empty directories go, and neighbours stay", async () => {
    const root = newRoot();
    const store = await open(root);
    await harness.write(store, start - 3, 3, 1);
    await harness.write(store, end, 3, 1);
    const before = filesBelow(root);
    await harness.write(store, start, 5, 1);
    await harness.write(store, end - 5, 5, 1);
    expect(filesBelow(root)).not.toEqual(before);
    const outcome = await store.reclaim(start, end, [], atOnce);
    expect(outcome).toEqual({ volumesUnlinked: depth === 2 ? 1 : depth === 3 ? 2 : 10, volumesRewritten: 0 });
    expect(filesBelow(root)).toEqual(before);
    expect(await harness.versions(store, start - 3, 8)).toEqual([
      1,
      1,
      1,
      ...Array.from({ length: 5 }, () => "absent"),
    ]);
    expect(await harness.versions(store, end, 3)).toEqual([1, 1, 1]);
    expect((await harness.write(store, start, 5, 2)).status).toBe(TicketStatus.saved);
    expect(await harness.versions(store, start, 5)).toEqual([2, 2, 2, 2, 2]);
    await harness.close(store);
  });

  it("live tickets keep their bytes and places, and the space of dead ones is free", async () => {
    const root = newRoot();
    const store = await open(root);
    const count = depth === 4 ? 150 : 1200;
    for (let done = 0; done < count; done += 150) await harness.write(store, start + done, 150, 1);
    const live = [run(start + 10, 3), run(start + 100, 1), run(start + count - 5, 2)];
    const kept = (ticket: number): boolean => live.some((one) => ticket >= one.first && ticket < one.first + one.count);
    const usedBefore = usedBytes(root);
    const sizeBefore = depth === 4 ? 0 : statSync(path.join(root, ticketPath(store.layout, start))).size;
    await store.reclaim(start, end, live, atOnce);
    const wanted = Array.from({ length: 150 }, (_, index) => (kept(start + index) ? 1 : "absent"));
    expect(await harness.versions(store, start, 150)).toEqual(wanted);
    expect(usedBytes(root)).toBeLessThan(usedBefore * 0.2);
    expect(filesBelow(root).filter((name) => name.endsWith(".new"))).toEqual([]);
    // The last live ticket is the fourth but last: what lies after it is cut off.
    if (depth !== 4) {
      expect(statSync(path.join(root, ticketPath(store.layout, start))).size).toBe(sizeBefore - 3 * ticketDataSize);
    }
    const again = await store.reclaim(start, end, live, atOnce);
    expect(again.volumesUnlinked).toBe(0);
    expect((await harness.write(store, start + 20, 1, 2)).status).toBe(TicketStatus.saved);
    expect((await harness.write(store, start + 10, 1, 2)).status).toBe(TicketStatus.otherTicketStored);
    await harness.close(store);
    const reopened = await open(root);
    expect(await harness.versions(reopened, start + 9, 5)).toEqual(["absent", 1, 1, 1, "absent"]);
    await harness.close(reopened);
  });

  it("a dead tail is cut off in place: nothing is copied, so no room is needed", async () => {
    const root = newRoot();
    const store = await open(root);
    for (let done = 0; done < 1200; done += 150) await harness.write(store, start + done, 150, 1);
    const copied: number[] = [];
    const live = [run(start, 150)];
    await store.reclaim(start, end, live, async (bytes) => void copied.push(bytes));
    expect(copied).toEqual([]);
    expect(await harness.versions(store, start + 149, 2)).toEqual([1, "absent"]);
    expect((await harness.write(store, start + 150, 1, 2)).status).toBe(TicketStatus.saved);
    await harness.close(store);
  });

  it("a volume of which nothing is dead is left alone", async () => {
    const root = newRoot();
    const store = await open(root);
    await harness.write(store, start, 5, 1);
    const file = path.join(root, ticketPath(store.layout, start));
    const { ino } = statSync(file);
    expect(await store.reclaim(start, end, [run(start, 5)], atOnce)).toEqual({
      volumesUnlinked: 0,
      volumesRewritten: 0,
    });
    expect(statSync(file).ino).toBe(ino);
    await harness.close(store);
  });

  it("what an interrupted rewriting or unlinking has left goes with the volume", async () => {
    const root = newRoot();
    const store = await open(root);
    await harness.write(store, start, 2, 1);
    await harness.close(store);
    const directory = path.dirname(path.join(root, ticketPath(store.layout, start)));
    rmSync(path.join(directory, "obj"));
    for (const name of ["obj.new", "sum.new"]) writeFileSync(path.join(directory, name), "half a copy");
    const again = await open(root);
    await again.reclaim(start, end, [], atOnce);
    expect(existsSync(directory)).toBe(false);
    await harness.close(again);
  });
});

/** A simulated machine whose volume 40 holds tickets, some of them live. */
async function prepare(seed: number, depth: 2 | 3 | 4, room: Room = "plenty"): Promise<Prepared> {
  const simulation = new Simulation(seed);
  const machine = simulation.machine("a");
  const random = simulation.random.fork();
  const prepared = { simulation, machine, random, live: [] as Run[], liveTickets: [] as number[] } as Prepared;
  prepared.restart = async () => {
    prepared.harness = new VolumeHarness({ tiny: 100, block: 8, group: 0 });
    prepared.host = machine.start();
    const options = { root: "/data", depth, openVolumesMax: 5 };
    prepared.store = await simulation.clock.run(prepared.harness.open(prepared.host, options));
  };
  await prepared.restart();
  const isTight = room === "tight";
  const count = depth === 4 ? 30 : isTight ? 400 : 100;
  for (let done = 0; done < count; done += 100) {
    await simulation.clock.run(prepared.harness.write(prepared.store, start + done, Math.min(100, count), 1));
  }
  // Far less room than what stays would take once more.
  if (isTight) machine.disk.capacity = (machine.disk.usedPages + tightPages) * 4096;
  for (let at = 0; at < count; at += random.between(2, isTight ? 10 : 40)) {
    const size = Math.min(count - at, random.between(1, isTight ? 30 : 3));
    prepared.live.push(run(start + at, size));
    for (let index = 0; index < size; index++) prepared.liveTickets.push(start + at + index);
    at += size;
  }
  return prepared;
}

type Room = "plenty" | "tight";
/** In a file system of 4 KiB pages; what stays takes a hundred or more. */
const tightPages = 10;

interface Prepared {
  simulation: Simulation;
  machine: ReturnType<Simulation["machine"]>;
  random: Simulation["random"];
  live: Run[];
  liveTickets: number[];
  harness: VolumeHarness;
  host: SimulatedHost;
  store: VolumeStore;
  restart: () => Promise<void>;
}

/** Still less than what stays would take once more. */
function makeRoomForWrites({ machine }: Prepared): void {
  if (Number.isFinite(machine.disk.capacity)) machine.disk.capacity += 60 * 4096;
}

/** Files other than the marker. */
function filesLeft(disk: SimulatedDisk, directory: string): string[] {
  const inode = disk.find(directory);
  if (inode?.kind !== "directory") return [];
  return [...inode.entries].flatMap(([name, entry]) => {
    if (entry.kind === "directory") return filesLeft(disk, `${directory}/${name}`);
    return name === "data-putter.json" ? [] : [`${directory}/${name}`];
  });
}

async function lostOf({ simulation, harness, store, liveTickets }: Prepared): Promise<number[]> {
  const lost: number[] = [];
  for (const ticket of liveTickets) {
    const [version] = await simulation.clock.run(harness.versions(store, ticket, 1));
    if (version !== 1) lost.push(ticket);
  }
  return lost;
}

const situations = [...depths.map((depth) => [depth, "plenty"] as const), [3, "tight"], [2, "tight"]] as const;

describe.each(situations)("at depth %i, on a simulated disk with %s room", (depth, room) => {
  it("a power cut or a kill at any moment of reclaiming leaves every live ticket", async () => {
    for (let seed = 0; seed < 15; seed++) {
      const prepared = await prepare(seed, depth, room);
      const { simulation, machine, random } = prepared;
      for (let attempt = 0; attempt < 2; attempt++) {
        void prepared.store.reclaim(start, end, prepared.live, atOnce).catch(() => undefined);
        for (let steps = random.below(depth === 4 || room === "tight" ? 150 : 60); steps > 0; steps--)
          await simulation.clock.step();
        if (random.chance(0.3)) machine.kill(prepared.host);
        else machine.cutPower();
        await prepared.restart();
        expect({ seed, attempt, lost: await lostOf(prepared) }).toEqual({ seed, attempt, lost: [] });
      }
      await simulation.clock.run(prepared.store.reclaim(start, end, prepared.live, atOnce));
      expect({ seed, lost: await lostOf(prepared) }).toEqual({ seed, lost: [] });
      machine.cutPower();
      await prepared.restart();
      expect({ seed, lost: await lostOf(prepared) }).toEqual({ seed, lost: [] });
      await simulation.clock.run(prepared.store.reclaim(start, end, [], atOnce));
      await simulation.clock.runUntilIdle();
      // An empty directory above those of the range may have come back with the power.
      expect({ seed, left: filesLeft(machine.disk, "/data") }).toEqual({ seed, left: [] });
      expect({ seed, used: machine.disk.usedPages }).toEqual({ seed, used: 1 });
    }
  });

  it("readers in flight are not disturbed, and what is written meanwhile is written to the new files", async () => {
    for (let seed = 0; seed < 15; seed++) {
      const prepared = await prepare(seed, depth, room);
      const { simulation, machine, random, harness, store } = prepared;
      makeRoomForWrites(prepared);
      const wrong: string[] = [];
      const read = async (): Promise<void> => {
        const ticket = random.pick(prepared.liveTickets);
        const [version] = await harness.versions(store, ticket, 1);
        if (version !== 1) wrong.push(`read ${version}`);
      };
      // Of depth 4 and 3 only the volumes at the end of the range are dead as a whole.
      const fresh = volumeStart(store.layout, volumeOf(store.layout, end - 1));
      const [writeFirst, writeCount] = depth === 2 ? [end - 40, 4] : [fresh, 1];
      await simulation.clock.run(harness.write(store, writeFirst, writeCount, 1));
      // Opened anew now and then, so that opening and reclaiming meet.
      const others = Array.from({ length: 8 }, (_, index) => volumeStart(store.layout, 50_000 + index));
      const disturb = (): Promise<unknown> => harness.write(store, random.pick(others), 1, 1);
      for (let index = 0; index < 40; index++) {
        simulation.clock.after(random.fraction() * 30, () => void (random.chance(0.6) ? read() : disturb()));
      }
      let written: Promise<number> | undefined;
      const directory = path.posix.dirname(`/data/${ticketPath(store.layout, writeFirst as TicketId)}`);
      machine.disk.onEvent = ({ path: at, operation }) => {
        // The volume is being reclaimed: its directory is synced, or its copy is written.
        const isReclaimed = /\.(new|tail)$/.test(at) || (operation === "syncDirectory" && at === directory);
        if (written !== undefined || !isReclaimed || !at.startsWith(directory)) return;
        written = harness.write(store, writeFirst, writeCount, 2).then(({ status }) => status);
      };
      await simulation.clock.run(store.reclaim(start, end, prepared.live, atOnce));
      await simulation.clock.runUntilIdle();
      expect({ seed, wrong }).toEqual({ seed, wrong: [] });
      expect({ seed, status: await written }).toEqual({ seed, status: TicketStatus.saved });
      machine.cutPower("lose");
      await prepared.restart();
      expect({ seed, lost: await lostOf(prepared) }).toEqual({ seed, lost: [] });
      const found = await simulation.clock.run(prepared.harness.versions(prepared.store, writeFirst, writeCount));
      expect({ seed, found }).toEqual({ seed, found: Array.from({ length: writeCount }, () => 2) });
      expect(prepared.host.disk.openFileCount).toBeLessThanOrEqual(15);
    }
  });

  it("what was being written when reclaiming began is kept where it is live", async () => {
    for (let seed = 0; seed < 15; seed++) {
      const prepared = await prepare(seed, depth, room);
      const { simulation, machine, harness, store, random } = prepared;
      makeRoomForWrites(prepared);
      const first = start + (depth === 4 ? 30 : 500);
      const count = depth === 4 ? 1 : 3;
      const writing = harness.write(store, first, count, 1);
      for (let steps = random.below(12); steps > 0; steps--) await simulation.clock.step();
      // What the write asks of the disk from here on takes longer than all of reclaiming may.
      machine.disk.delayMaxMs = 200;
      for (let steps = random.below(3); steps > 0; steps--) await simulation.clock.step();
      machine.disk.delayMaxMs = 1;
      await simulation.clock.run(store.reclaim(start, end, [...prepared.live, run(first, count)], atOnce));
      expect((await simulation.clock.run(writing)).status).toBe(TicketStatus.saved);
      machine.cutPower("lose");
      await prepared.restart();
      const found = await simulation.clock.run(prepared.harness.versions(prepared.store, first, count));
      expect({ seed, found }).toEqual({ seed, found: Array.from({ length: count }, () => 1) });
    }
  });

  it("a rewriting that fails leaves the volume as it was, and no half copy", async () => {
    if (depth === 4 || room === "tight") return expect((await prepare(1, 4)).liveTickets.length).toBeGreaterThan(0);
    for (const operation of ["write", "sync", "truncate", "read", "create"] as const) {
      for (const name of ["obj", "sum"]) {
        const prepared = await prepare(1, depth);
        const { simulation, machine, harness, store } = prepared;
        const pattern = operation === "read" ? new RegExp(`${name}$`) : new RegExp(`${name}\\.new$`);
        machine.disk.faults.push({ operation, path: pattern, code: "EIO", count: 1 });
        const reclaiming = simulation.clock.run(store.reclaim(start, end, prepared.live, atOnce));
        await expect(reclaiming).rejects.toThrow("EIO");
        const directory = path.posix.dirname(`/data/${ticketPath(store.layout, start)}`);
        const names = await simulation.clock.run(prepared.host.disk.list(directory));
        expect(names?.filter((name) => name.endsWith(".new"))).toEqual([]);
        expect(await lostOf(prepared)).toEqual([]);
        expect((await simulation.clock.run(harness.write(store, start + 500, 1, 1))).status).toBe(TicketStatus.saved);
        await simulation.clock.run(store.reclaim(start, end, prepared.live, atOnce));
        expect(await lostOf(prepared)).toEqual([]);
      }
    }
  });
});

describe("in pieces, where there is not room for what stays", () => {
  it("another process that has the files open reads on, also what is cut off under it", async () => {
    for (let seed = 0; seed < 15; seed++) {
      const prepared = await prepare(seed, 2, "tight");
      const { simulation, harness, store, host, random } = prepared;
      const directory = { root: "/data", depth: 2, id: store.id } as const;
      const other = new VolumeStore({ host, kernel: harness.kernel, directory, durability: "disk" });
      const wrong: string[] = [];
      const read = async (): Promise<void> => {
        const [version] = await harness.versions(other, random.pick(prepared.liveTickets), 1);
        if (version !== 1) wrong.push(`read ${version}`);
      };
      await simulation.clock.run(read());
      for (let index = 0; index < 60; index++) simulation.clock.after(random.fraction() * 60, () => void read());
      await simulation.clock.run(store.reclaim(start, end, prepared.live, atOnce));
      await simulation.clock.runUntilIdle();
      expect({ seed, wrong }).toEqual({ seed, wrong: [] });
      await simulation.clock.run(Promise.all([store.close(), other.close()]));
      expect(host.disk.openFileCount).toBe(0);
    }
  });

  it("what is dead is free afterwards, and the most that it takes is one piece", async () => {
    const { simulation, machine, store, live, liveTickets } = await prepare(1, 2, "tight");
    const before = machine.disk.usedPages;
    let most = 0;
    machine.disk.onEvent = () => (most = Math.max(most, machine.disk.usedPages));
    await simulation.clock.run(store.reclaim(start, end, live, atOnce));
    await simulation.clock.runUntilIdle();
    expect(most).toBeLessThanOrEqual(before + tightPages);
    const pages = (liveTickets.length * (ticketDataSize + 8)) / 4096;
    expect(pages).toBeGreaterThan(3 * tightPages);
    expect(machine.disk.usedPages).toBeLessThan(pages + 2 * live.length + 3);
  });

  it("what a crash has left takes no writes, which would grow over it, until it is reclaimed to the end", async () => {
    const prepared = await prepare(3, 2, "tight");
    const { simulation, machine } = prepared;
    void prepared.store.reclaim(start, end, prepared.live, atOnce).catch(() => undefined);
    const isCut = (): boolean => machine.disk.files().some((name) => name.endsWith("sum.tail"));
    while (!isCut()) await simulation.clock.step();
    for (let step = 0; step < 40; step++) await simulation.clock.step();
    machine.cutPower();
    await prepared.restart();
    machine.disk.capacity = Number.POSITIVE_INFINITY;
    const write = (): Promise<BatchOutcome> =>
      simulation.clock.run(prepared.harness.write(prepared.store, start + 390, 2, 1));
    expect(await write()).toMatchObject({
      status: TicketStatus.notWritten,
      reason: expect.stringContaining("rewritten"),
    });
    expect(await lostOf(prepared)).toEqual([]);
    await simulation.clock.run(prepared.store.reclaim(start, end, prepared.live, atOnce));
    expect((await write()).status).toBe(TicketStatus.saved);
    expect(await lostOf(prepared)).toEqual([]);
  });
});

describe("beside reclaiming", () => {
  it("tickets are written to volumes whose directories are just being removed", async () => {
    for (let seed = 0; seed < 60; seed++) {
      const simulation = new Simulation(seed);
      const machine = simulation.machine("a");
      const harness = new VolumeHarness();
      const open = (): Promise<VolumeStore> =>
        simulation.clock.run(harness.open(machine.start(), { root: "/data", depth: 4 }));
      const store = await open();
      // One beside it, and one whose file lies in the directory above it.
      const [reclaimed, ...neighbours] = ["AABBCCDD", "AABBCCDE", "AABBCC"].map((id) => parseId<TicketId>(id)!);
      const statuses: number[] = [];
      const begin = (neighbour: number): void => {
        void harness.write(store, neighbour, 1, 1).then(({ status }) => statuses.push(status));
      };
      await simulation.clock.run(harness.write(store, reclaimed!, 1, 1));
      const reclaiming = store.reclaim(reclaimed!, (reclaimed! + 1) as TicketId, [], atOnce);
      for (const neighbour of neighbours)
        simulation.clock.after(simulation.random.fraction() * 6, () => begin(neighbour));
      await simulation.clock.run(reclaiming);
      await simulation.clock.runUntilIdle();
      expect({ seed, statuses }).toEqual({ seed, statuses: [TicketStatus.saved, TicketStatus.saved] });
      machine.cutPower("lose");
      const after = await open();
      for (const neighbour of neighbours) {
        expect(await simulation.clock.run(harness.versions(after, neighbour, 1))).toEqual([1]);
      }
    }
  });
});
