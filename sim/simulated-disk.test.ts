/** What the simulated disk keeps, loses and refuses, and that a seed decides it. */
import { describe, expect, it } from "vitest";
import type { DiskFile } from "../src/env/host.ts";
import { Simulation, type SimulatedMachine } from "./simulated-host.ts";

const block = (byte: number, size = 6000): Uint8Array => new Uint8Array(size).fill(byte);

async function makeFile(simulation: Simulation, machine: SimulatedMachine): Promise<DiskFile> {
  const { disk } = machine.start();
  const { file } = await simulation.clock.run(disk.create("/a"));
  await simulation.clock.run(disk.syncDirectory("/"));
  return file;
}

describe("a power cut", () => {
  it("keeps what was synced, whatever else it does", async () => {
    for (let seed = 0; seed < 50; seed++) {
      const simulation = new Simulation(seed);
      const machine = simulation.machine("a");
      const file = await makeFile(simulation, machine);
      await simulation.clock.run(file.write([block(1)], 0));
      await simulation.clock.run(file.sync());
      await simulation.clock.run(file.write([block(2)], 6000));
      machine.cutPower();
      expect(Buffer.compare(machine.disk.contents("/a")!.subarray(0, 6000), block(1))).toBe(0);
    }
  });

  it("keeps, loses or tears what was not", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const simulation = new Simulation(seed);
      const machine = simulation.machine("a");
      const file = await makeFile(simulation, machine);
      await simulation.clock.run(file.write([block(2)], 0));
      machine.cutPower();
      const left = machine.disk.contents("/a")!.reduce((sum, byte) => sum + (byte === 2 ? 1 : 0), 0);
      seen.add(left === 0 ? "lost" : left === 6000 ? "kept" : "torn");
    }
    expect([...seen].sort()).toEqual(["kept", "lost", "torn"]);
  });

  it("loses an entry whose directory was not synced, and with it the synced bytes", async () => {
    const found = new Set<boolean>();
    for (let seed = 0; seed < 40; seed++) {
      const simulation = new Simulation(seed);
      const machine = simulation.machine("a");
      const { disk } = machine.start();
      const { file } = await simulation.clock.run(disk.create("/a"));
      await simulation.clock.run(file.write([block(1)], 0));
      await simulation.clock.run(file.sync());
      machine.cutPower();
      found.add(machine.disk.contents("/a") !== undefined);
    }
    expect(found.size).toBe(2);
  });

  it("gives the same for the same seed", async () => {
    const outcome = async (seed: number): Promise<string> => {
      const simulation = new Simulation(seed);
      const machine = simulation.machine("a");
      const file = await makeFile(simulation, machine);
      await simulation.clock.run(Promise.all([1, 2, 3].map((byte) => file.write([block(byte)], byte * 3000))));
      machine.cutPower();
      return `${simulation.clock.monotonic()} ${Buffer.from(machine.disk.contents("/a")!).toString("hex")}`;
    };
    expect(await outcome(7)).toBe(await outcome(7));
    expect(await outcome(7)).not.toBe(await outcome(8));
  });

  it("ends what was under way: it never resolves, and locks are free", async () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("a");
    const file = await makeFile(simulation, machine);
    const host = machine.start();
    expect(await simulation.clock.run(host.disk.lock("/"))).toBeDefined();
    expect(await simulation.clock.run(machine.start().disk.lock("/"))).toBeUndefined();
    let settled = false;
    void Promise.allSettled([file.sync()]).then(() => (settled = true));
    machine.cutPower();
    await simulation.clock.runUntilIdle();
    expect(settled).toBe(false);
    expect(await simulation.clock.run(machine.start().disk.lock("/"))).toBeDefined();
  });
});

describe("faults", () => {
  it("a sync that fails may lose what was written before, although it can still be read", async () => {
    const kept = new Set<boolean>();
    for (let seed = 0; seed < 40; seed++) {
      const simulation = new Simulation(seed);
      const machine = simulation.machine("a");
      const file = await makeFile(simulation, machine);
      await simulation.clock.run(file.write([block(1)], 0));
      machine.disk.faults.push({ operation: "sync", path: /a/, code: "EIO", count: 1 });
      await expect(simulation.clock.run(file.sync())).rejects.toThrow("EIO");
      const cached = new Uint8Array(6000);
      await simulation.clock.run(file.read(cached, 0));
      expect(Buffer.compare(cached, block(1))).toBe(0);
      await simulation.clock.run(file.sync());
      machine.cutPower("lose");
      kept.add(machine.disk.contents("/a")!.length === 6000);
    }
    expect(kept.size).toBe(2);
  });

  it("a directory's sync that fails may lose entries, but for want of a descriptor it has not begun", async () => {
    const kept = { EIO: 0, EMFILE: 0 };
    for (const code of ["EIO", "EMFILE"] as const) {
      for (let seed = 0; seed < 40; seed++) {
        const simulation = new Simulation(seed);
        const machine = simulation.machine("a");
        const { disk } = machine.start();
        await simulation.clock.run(disk.create("/a"));
        machine.disk.faults.push({ operation: "syncDirectory", path: /^/, code, count: 1 });
        await expect(simulation.clock.run(disk.syncDirectory("/"))).rejects.toThrow(code);
        await simulation.clock.run(disk.syncDirectory("/"));
        machine.cutPower();
        if (machine.disk.contents("/a") !== undefined) kept[code]++;
      }
    }
    expect(kept.EMFILE).toBe(40);
    expect(kept.EIO).toBeGreaterThan(0);
    expect(kept.EIO).toBeLessThan(40);
  });

  it("a full disk refuses, and takes again what is removed", async () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("a", { capacity: 8 * 4096 });
    const file = await makeFile(simulation, machine);
    const { disk } = machine.start();
    await expect(simulation.clock.run(file.write([block(1, 9 * 4096)], 0))).rejects.toThrow("ENOSPC");
    expect(await simulation.clock.run(disk.freeSpace("/"))).toBe(0);
    await simulation.clock.run(file.close());
    await simulation.clock.run(disk.unlink("/a"));
    expect(await simulation.clock.run(disk.freeSpace("/"))).toBe(8 * 4096);
  });

  it("memory that changes before a write resolves is found", async () => {
    const simulation = new Simulation(1);
    const file = await makeFile(simulation, simulation.machine("a"));
    const bytes = block(1);
    const written = file.write([bytes], 0);
    bytes[5] = 2;
    await expect(simulation.clock.run(written)).rejects.toThrow("bytes changed");
  });

  it("a read-only disk refuses every change, and still reads", async () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("a");
    const file = await makeFile(simulation, machine);
    const { disk } = machine.start();
    machine.disk.readOnly = true;
    await expect(simulation.clock.run(file.write([block(1)], 0))).rejects.toThrow("EROFS");
    await expect(simulation.clock.run(disk.create("/b"))).rejects.toThrow("EROFS");
    await expect(simulation.clock.run(disk.makeDirectory("/c"))).rejects.toThrow("EROFS");
    await expect(simulation.clock.run(disk.unlink("/a"))).rejects.toThrow("EROFS");
    expect(await simulation.clock.run(disk.open("/a", "read"))).toBeDefined();
  });
});

it("opens no more files than a process may have, and makes none that it cannot open", async () => {
  const simulation = new Simulation(1);
  const machine = simulation.machine("a");
  const { disk } = machine.start();
  const run = <Value>(work: Promise<Value>): Promise<Value> => simulation.clock.run(work);
  machine.disk.openFilesMax = 1;
  const { file } = await run(disk.create("/a"));
  await expect(run(disk.create("/b"))).rejects.toMatchObject({ code: "EMFILE" });
  await expect(run(disk.open("/c", "read"))).rejects.toMatchObject({ code: "EMFILE" });
  await run(file.close());
  expect(await run(disk.list("/"))).toEqual(["a"]);
});
