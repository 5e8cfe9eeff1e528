/** Many more volumes than may be open: everything completes, and descriptors come back. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { Simulation } from "../../sim/simulated-host.ts";
import { VolumeHarness } from "../../sim/volume-harness.ts";
import { checksumSize, ticketDataSize, TicketStatus } from "../core/frame.ts";
import { depths, layoutOf, volumeStart } from "../core/layout.ts";
import { nodeHost } from "../env/node-host.ts";
import { silentLog } from "../env/node-log.ts";
import { Gate } from "./gate.ts";

const descriptorCount = (): number => readdirSync("/proc/self/fd").length;

describe.each(depths)("at depth %i, with four volumes open at most", (depth) => {
  it.runIf(process.platform === "linux")("sixty volumes are written and read, and no descriptor stays", async () => {
    const root = mkdtempSync(path.join(os.tmpdir(), "open-volumes-"));
    const harness = new VolumeHarness();
    const before = descriptorCount();
    const store = await harness.open(nodeHost(silentLog), { root, depth, openVolumesMax: 4 });
    const tickets = Array.from({ length: 60 }, (_, index) => volumeStart(store.layout, 1 + index) + (index % 3));
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, descriptorCount())), 1);
    const outcomes = await Promise.all(tickets.map((ticket) => harness.write(store, ticket, 1, 1)));
    expect(outcomes.every(({ status }) => status === TicketStatus.saved)).toBe(true);
    const found = await Promise.all(tickets.map((ticket) => harness.versions(store, ticket, 1)));
    expect(found.flat()).toEqual(tickets.map(() => 1));
    // Volumes that are not there take a place too, for a moment.
    const none = tickets.map((ticket) => harness.versions(store, ticket + 10_000_000_000, 1));
    expect((await Promise.all(none)).flat()).toEqual(tickets.map(() => "absent"));
    clearInterval(watch);
    // Three to a volume, the lock, the watcher's own, and a directory being synced here and there.
    expect(most).toBeLessThanOrEqual(before + 4 * 3 + 12);
    await harness.close(store);
    expect(descriptorCount()).toBe(before);
    rmSync(root, { recursive: true });
  });
});

describe("on a disk where everything takes its time", () => {
  it("readers and writers of many volumes all come to their end", async () => {
    for (let seed = 0; seed < 15; seed++) {
      const simulation = new Simulation(seed);
      const random = simulation.random.fork();
      const machine = simulation.machine("a");
      const host = machine.start();
      const harness = new VolumeHarness();
      const options = { root: "/data", depth: 3, openVolumesMax: 3 } as const;
      const store = await simulation.clock.run(harness.open(host, options));
      let done = 0;
      const one = async (): Promise<void> => {
        const ticket = volumeStart(store.layout, 1 + random.below(20)) + random.below(3);
        if (random.chance(0.5)) await harness.write(store, ticket, 1, 1);
        else await harness.read(store, ticket, 1);
        done++;
      };
      for (let index = 0; index < 100; index++) simulation.clock.after(random.fraction() * 40, () => void one());
      await simulation.clock.runUntilIdle();
      expect({ seed, done }).toEqual({ seed, done: 100 });
      expect(host.disk.openFileCount).toBeLessThanOrEqual(6);
      await simulation.clock.run(harness.close(store));
      expect(host.disk.openFileCount).toBe(0);
    }
  });
});

describe("a volume that cannot be opened just then", () => {
  it("is not taken for absent by who waited for another one's attempt", async () => {
    const simulation = new Simulation(3);
    const machine = simulation.machine("a");
    const harness = new VolumeHarness();
    const { clock } = simulation;
    const options = { root: "/data", depth: 3 } as const;
    const first = machine.start();
    const written = await clock.run(harness.open(first, options));
    await clock.run(harness.write(written, 5_000_000, 1, 1));
    await clock.run(harness.close(written));
    const store = await clock.run(harness.open(machine.start(), options));
    machine.disk.faults.push({ operation: "open", path: /\/obj$/, code: "EMFILE", count: 1 });
    const reads = [harness.versions(store, 5_000_000, 1), harness.versions(store, 5_000_000, 1)];
    const [one, other] = await clock.run(Promise.allSettled(reads));
    expect(one).toMatchObject({ status: "rejected", reason: { code: "EMFILE" } });
    expect(other).toEqual({ status: "fulfilled", value: [1] });
  });
});

describe("a read of which one part fails", () => {
  it.each([2, 4] as const)("uses its memory no more when it has said so, at depth %i", async (depth) => {
    for (let seed = 0; seed < 20; seed++) {
      const simulation = new Simulation(seed);
      const { clock } = simulation;
      const machine = simulation.machine("a");
      const harness = new VolumeHarness();
      const first = volumeStart(layoutOf(depth), 30);
      const store = await clock.run(harness.open(machine.start(), { root: "/data", depth }));
      await clock.run(harness.write(store, first, 20, 1));
      const data = new Uint8Array(20 * ticketDataSize);
      const sums = new Uint8Array(20 * checksumSize);
      machine.disk.faults.push({ operation: "read", path: /./, code: "EIO", count: 1 });
      const read = store.read(first, 20, data, sums).then(
        () => undefined,
        () => data.fill(0xaa) && sums.fill(0xaa),
      );
      const failed = (await clock.run(read)) !== undefined;
      await clock.runUntilIdle();
      const isKept = [data, sums].every((bytes) => bytes.every((byte) => byte === 0xaa));
      expect({ seed, failed, isKept }).toEqual({ seed, failed, isKept: failed });
    }
  });
});

describe("a gate", () => {
  it("lets so many in, and the others in the order in which they came", async () => {
    const gate = new Gate(2);
    const entered: number[] = [];
    for (let index = 0; index < 5; index++) {
      void gate.enter(() => undefined).then(() => entered.push(index));
    }
    const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
    await settle();
    expect([entered, gate.waitingCount]).toEqual([[0, 1], 3]);
    gate.leave();
    await settle();
    expect(entered).toEqual([0, 1, 2]);
    gate.leave();
    gate.leave();
    gate.leave();
    await settle();
    expect([entered, gate.waitingCount]).toEqual([[0, 1, 2, 3, 4], 0]);
  });
});
