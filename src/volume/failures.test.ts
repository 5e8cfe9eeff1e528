/** A disk that fails, is full or turns read-only: what is answered, and what still works. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { type SimulatedHost, type SimulatedMachine, Simulation } from "../../sim/simulated-host.ts";
import { VolumeHarness } from "../../sim/volume-harness.ts";
import { TicketStatus } from "../core/frame.ts";
import { depths, layoutOf, volumeStart } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import { nodeHost } from "../env/node-host.ts";
import { silentLog } from "../env/node-log.ts";
import type { VolumeStore } from "./volume-store.ts";

const root = "/data";
const { saved, notWritten, noSpace } = TicketStatus;

async function begin(
  options: { capacity?: number; direct?: boolean; depth?: 2 | 3 | 4; openVolumesMax?: number } = {},
): Promise<{
  simulation: Simulation;
  machine: SimulatedMachine;
  store: VolumeStore;
  write: (first: number, count: number, version?: number) => Promise<number>;
  versions: (first: number, count: number) => Promise<(number | string)[]>;
  restart: () => Promise<void>;
  host: () => SimulatedHost;
}> {
  const { depth = 3, openVolumesMax = 8, ...disk } = options;
  const simulation = new Simulation(5);
  const machine = simulation.machine("a", disk);
  const harness = new VolumeHarness();
  const open = async (): Promise<{ host: SimulatedHost; store: VolumeStore }> => {
    const host = machine.start();
    const options = { root, depth, spaceReserveSize: 0, openVolumesMax };
    return { host, store: await simulation.clock.run(harness.open(host, options)) };
  };
  let state = await open();
  return {
    simulation,
    machine,
    get store() {
      return state.store;
    },
    write: async (first, count, version = 1) =>
      (await simulation.clock.run(harness.write(state.store, first, count, version))).status,
    versions: (first, count) => simulation.clock.run(harness.versions(state.store, first, count)),
    restart: async () => void (state = await open()),
    host: () => state.host,
  };
}

describe("a sync that fails", () => {
  const layout = layoutOf(3);
  const [one, two] = [volumeStart(layout, 1), volumeStart(layout, 2)];

  it.each(["obj", "sum"])(
    "of %s: status 1, then no more writes to that volume; it can be read, others go on",
    async (file) => {
      const { machine, write, versions, store, restart } = await begin();
      expect(await write(one, 3)).toBe(saved);
      machine.disk.faults.push({ operation: "sync", path: new RegExp(`/0/${file}$`), code: "EIO", count: 1 });
      expect(await write(one + 10, 3)).toBe(notWritten);
      for (let again = 0; again < 3; again++) expect(await write(one + 20 + again, 1)).toBe(notWritten);
      expect(await write(one + 10, 3)).toBe(notWritten);
      expect(store.poisonOf(one)).toContain("EIO");
      expect(await versions(one, 3)).toEqual([1, 1, 1]);
      expect(await write(two, 3)).toBe(saved);
      expect(store.poisonOf(two)).toBeUndefined();
      machine.cutPower("lose");
      await restart();
      expect(await versions(one, 3)).toEqual([1, 1, 1]);
      expect(await versions(two, 3)).toEqual([1, 1, 1]);
      expect(await write(one + 10, 3)).toBe(saved);
    },
  );

  it("is answered 1 to everyone who shared it, and to those who were waiting", async () => {
    const { simulation, machine, store } = await begin();
    const harness = new VolumeHarness();
    machine.disk.faults.push({ operation: "sync", path: /obj$/, code: "EIO", count: 1 });
    const writes = Array.from({ length: 60 }, (_, index) => harness.write(store, one + index, 1, 1));
    const outcomes = await simulation.clock.run(Promise.all(writes));
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set([notWritten]));
  });

  it("of a directory concerns every volume whose entries are in it, and outlives closing the volume", async () => {
    const { simulation, machine, write, store } = await begin({ openVolumesMax: 1 });
    // Both lie below AA, which neither of them has synced yet.
    const base = volumeStart(layout, 1 + 36 + 36 * 36 + 5 * 36 ** 3);
    const size = layout.volumeTicketCount;
    machine.disk.faults.push({ operation: "syncDirectory", path: /^\/data\/[0-9A-Z]{2}$/, code: "EIO", count: 1 });
    expect(await write(base, 1)).toBe(notWritten);
    expect(await write(base + size, 1)).toBe(notWritten);
    expect(store.poisonOf(base)).toContain("EIO");
    expect(await write(one, 1)).toBe(saved);
    expect(await write(base, 1)).toBe(notWritten);
    await simulation.clock.runUntilIdle();
    expect(machine.logged.length).toBeGreaterThan(0);
  });

  it("of more volumes than can be open does not stop the others", async () => {
    const { machine, write, versions } = await begin({ openVolumesMax: 4 });
    expect(await write(volumeStart(layout, 30), 1)).toBe(saved);
    machine.disk.faults.push({ operation: "sync", path: /obj$/, code: "EIO", count: 10 });
    for (let volume = 1; volume <= 10; volume++) expect(await write(volumeStart(layout, volume), 1)).toBe(notWritten);
    expect(await versions(volumeStart(layout, 30), 1)).toEqual([1]);
    expect(await write(volumeStart(layout, 40), 1)).toBe(saved);
    expect(await write(volumeStart(layout, 5), 1)).toBe(notWritten);
  });

  it("because no descriptor was left for a directory is answered 1, and may succeed later", async () => {
    const { machine, write } = await begin();
    machine.disk.faults.push({ operation: "syncDirectory", path: /./, code: "EMFILE", count: 1 });
    expect(await write(one, 1)).toBe(notWritten);
    expect(await write(one, 1)).toBe(saved);
  });
});

describe("a write or read that fails", () => {
  it.each(["obj", "sum"])("of %s is answered 1, and is no more than that", async (file) => {
    const { machine, write, versions } = await begin();
    machine.disk.faults.push({ operation: "write", path: new RegExp(`${file}$`), code: "EIO", count: 1 });
    expect(await write(100, 4)).toBe(notWritten);
    expect(await write(100, 4, 2)).toBe(saved);
    expect(await versions(100, 4)).toEqual([2, 2, 2, 2]);
    machine.disk.faults.push({ operation: "read", path: /obj$/, code: "EIO", count: 1 });
    await expect(versions(100, 4)).rejects.toThrow("EIO");
    expect(await versions(100, 4)).toEqual([2, 2, 2, 2]);
  });

  it("gives memory back only when neither file uses it any more", async () => {
    // The simulated disk reports memory that changed during a write; VolumeHarness overwrites it when it is released.
    for (const depth of depths) {
      const { machine, write, versions } = await begin({ depth });
      machine.disk.delayMaxMs = 20;
      for (const file of ["obj", "sum"]) {
        for (let round = 0; round < 10; round++) {
          machine.disk.faults.push({ operation: "write", path: new RegExp(`${file}$`), code: "EIO", count: 1 });
          expect(await write(5000, 2)).toBe(notWritten);
        }
      }
      expect(await write(5000, 2)).toBe(saved);
      expect(await versions(5000, 2)).toEqual([1, 1]);
    }
  });

  it("opening that fails leaves no file open", async () => {
    for (const operation of ["create", "size"] as const) {
      const { machine, write, host } = await begin({ depth: 2 });
      machine.disk.faults.push({ operation, path: /sum$/, code: "EMFILE", count: 1 });
      expect(await write(100, 1)).toBe(notWritten);
      expect(host().disk.openFileCount).toBe(0);
      expect(await write(100, 1)).toBe(saved);
    }
    const { machine, write, versions, host } = await begin({ openVolumesMax: 1 });
    await write(100, 1);
    await write(3000, 1);
    const open = host().disk.openFileCount;
    machine.disk.faults.push({ operation: "open", path: /sum$/, code: "EMFILE", count: 1 });
    await expect(versions(100, 1)).rejects.toThrow("EMFILE");
    expect(host().disk.openFileCount).toBe(open - 2);
    expect(await versions(100, 1)).toEqual([1]);
  });

  it("direct writing that is refused when it is tried goes through the cache", async () => {
    const { machine, write, versions } = await begin({ depth: 2 });
    machine.disk.faults.push({ operation: "write", path: /obj$/, code: "EINVAL", count: 1 });
    expect(await write(2048, 2048)).toBe(saved);
    expect(await write(4096, 2048)).toBe(saved);
    expect((await versions(2048, 2048)).every((version) => version === 1)).toBe(true);
  });

  it("a disk that turned read-only is read, and says so when written", async () => {
    const { machine, write, versions } = await begin({ openVolumesMax: 1 });
    expect(await write(100, 2)).toBe(saved);
    expect(await write(3000, 2)).toBe(saved);
    machine.disk.readOnly = true;
    expect(await write(3000, 2)).toBe(notWritten);
    expect(await versions(100, 2)).toEqual([1, 1]);
    expect(await write(100, 2)).toBe(notWritten);
    expect(await versions(3000, 2)).toEqual([1, 1]);
    expect(await write(5000, 2)).toBe(notWritten);
  });
});

describe("a full disk", () => {
  it("answers 4; what it has is readable, and it takes more when there is room", async () => {
    const { machine, write, versions } = await begin({ capacity: 40 * 4096 });
    expect(await write(100, 40)).toBe(saved);
    expect(await write(3000, 180)).toBe(noSpace);
    expect(await versions(100, 40)).toEqual(Array.from({ length: 40 }, () => 1));
    machine.disk.capacity = 400 * 4096;
    expect(await write(3000, 180)).toBe(saved);
    expect(await versions(3000, 180)).toEqual(Array.from({ length: 180 }, () => 1));
  });

  it("a reserve is kept free, and the answer says so", async () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("a", { capacity: 100 * 4096 });
    const harness = new VolumeHarness();
    const options = { root, depth: 3, spaceReserveSize: 200 * 4096 } as const;
    const store = await simulation.clock.run(harness.open(machine.start(), options));
    await simulation.clock.run(harness.write(store, 1, 1, 1));
    await simulation.clock.runFor(limits.spaceCheckMs);
    await simulation.clock.run(harness.write(store, 1, 1, 1));
    await simulation.clock.runFor(10);
    const refused = await simulation.clock.run(harness.write(store, 2, 1, 1));
    expect(refused.status).toBe(noSpace);
    expect(refused.reason).toMatch(/bytes are free below \/data, and 819200 are kept free/);
    machine.disk.capacity = 1000 * 4096;
    await simulation.clock.runFor(limits.spaceCheckMs);
    await simulation.clock.run(harness.write(store, 2, 1, 1));
    await simulation.clock.runFor(10);
    expect((await simulation.clock.run(harness.write(store, 2, 1, 1))).status).toBe(saved);
  });
});

const isRoot = process.platform === "linux" && process.getuid?.() === 0;

describe("a real file system that is full", () => {
  it("answers 4; what it has is readable, and it takes more when there is room", async (context) => {
    if (!isRoot) {
      console.warn("SKIPPED: only root on Linux can mount a small file system; a full real disk was not tried");
      context.skip();
    }
    const mount = mkdtempSync(path.join(os.tmpdir(), "full-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", mount]);
    } catch (error) {
      rmSync(mount, { recursive: true });
      throw new Error("root, and yet a tmpfs cannot be mounted", { cause: error });
    }
    try {
      const ballast = path.join(mount, "ballast");
      writeFileSync(ballast, new Uint8Array(4 * 1024 * 1024));
      mkdirSync(path.join(mount, "data"));
      const harness = new VolumeHarness();
      const options = { root: path.join(mount, "data"), depth: 2, spaceReserveSize: 0 } as const;
      const store = await harness.open(nodeHost(silentLog), options);
      expect((await harness.write(store, 2048, 2048, 1)).status).toBe(saved);
      const refused = await harness.write(store, 4096, 2048, 1);
      expect(refused.status).toBe(noSpace);
      expect(refused.reason).toContain("ENOSPC");
      const spread = await Promise.all([0, 1, 2].map((index) => harness.write(store, 9000 + 500 * index, 180, 1)));
      expect(new Set(spread.map(({ status }) => status)).has(notWritten)).toBe(false);
      expect((await harness.versions(store, 2048, 2048)).every((version) => version === 1)).toBe(true);
      unlinkSync(ballast);
      // The same bytes: some of the refused tickets may lie there whole.
      expect((await harness.write(store, 4096, 2048, 1)).status).toBe(saved);
      expect((await harness.versions(store, 4096, 2048)).every((version) => version === 1)).toBe(true);
      await harness.close(store);
    } finally {
      // Lazily: a test that failed may have left files open.
      execFileSync("umount", ["-l", mount]);
      rmSync(mount, { recursive: true });
    }
  });
});
