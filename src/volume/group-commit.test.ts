/** Many writers share a sync, and nobody's "saved" comes before one that began after the bytes were written. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { SimulatedClock } from "../../sim/simulated-clock.ts";
import type { DiskEvent } from "../../sim/simulated-disk.ts";
import { Simulation } from "../../sim/simulated-host.ts";
import { VolumeHarness } from "../../sim/volume-harness.ts";
import { checksumSize, ticketDataSize, TicketStatus } from "../core/frame.ts";
import { slotOf, volumeStart } from "../core/layout.ts";
import { nodeClock } from "../env/node-clock.ts";
import { nodeHost } from "../env/node-host.ts";
import { silentLog } from "../env/node-log.ts";
import { GroupSync } from "./group-sync.ts";

const manyBuffers = { tiny: 1010, block: 2, group: 0 };

describe("group commit", () => {
  it("a thousand writers share few syncs, on this machine's disk", async () => {
    const root = mkdtempSync(path.join(os.tmpdir(), "group-commit-"));
    const harness = new VolumeHarness(manyBuffers);
    const store = await harness.open(nodeHost(silentLog), { root, depth: 3 });
    await harness.write(store, 0, 1, 1);
    const before = store.counts.syncs;
    const outcomes = await Promise.all(
      Array.from({ length: 1000 }, (_, index) => harness.write(store, (index * 7) % 1000, 1, 1)),
    );
    expect(outcomes.every(({ status }) => status === TicketStatus.saved)).toBe(true);
    expect(store.counts.syncs - before).toBeLessThan(20);
    expect(store.counts.syncedWrites).toBe(1001);
    expect(store.counts.ticketsWritten).toBe(1001);
    await harness.close(store);
    rmSync(root, { recursive: true });
  });

  it("saved follows a sync of both files, and of new directories, that began after the bytes were written", async () => {
    for (let seed = 0; seed < 30; seed++) {
      const simulation = new Simulation(seed);
      const machine = simulation.machine("a");
      const harness = new VolumeHarness(manyBuffers);
      const store = await simulation.clock.run(harness.open(machine.start(), { root: "/data", depth: 3 }));
      const start = volumeStart(store.layout, 3);
      const events: DiskEvent[] = [];
      machine.disk.onEvent = (event) => events.push(event);
      const problems: string[] = [];
      const write = async (first: number): Promise<void> => {
        const batch = harness.batch(first, 2, 1);
        await store.write(batch).saved;
        const slot = slotOf(store.layout, first);
        for (const [path, size] of [
          ["/data/2/obj", ticketDataSize],
          ["/data/2/sum", checksumSize],
        ] as const) {
          const written = events.findIndex((event) => endsWriting(event, path, slot * size, 2 * size));
          const begun = events.findIndex((event, index) => index > written && isSync(event, path, "start"));
          const ended = events.findIndex((event, index) => index > begun && isSync(event, path, "end"));
          if (written < 0 || begun < 0 || ended < 0)
            problems.push(`ticket ${first}: no sync of ${path} after its bytes`);
        }
        for (const directory of ["/data", "/data/2"]) {
          const synced = events.some((event) => event.operation === "syncDirectory" && event.path === directory);
          if (!synced) problems.push(`ticket ${first}: ${directory} was never synced`);
        }
        batch.release();
      };
      const writes: Promise<void>[] = [];
      for (let index = 0; index < 60; index++) {
        simulation.clock.after(index * 0.5, () => writes.push(write(start + 10 * index)));
      }
      await simulation.clock.runUntilIdle();
      await Promise.all(writes);
      expect({ seed, problems, count: writes.length }).toEqual({ seed, problems: [], count: 60 });
      expect(store.counts.syncs).toBeLessThan(60);
    }
  });

  it("without durability nothing is ever synced, and everything is answered saved", async () => {
    const simulation = new Simulation(1);
    const machine = simulation.machine("a");
    const harness = new VolumeHarness();
    const options = { root: "/data", depth: 2, durability: "os" } as const;
    const store = await simulation.clock.run(harness.open(machine.start(), options));
    const events: DiskEvent[] = [];
    machine.disk.onEvent = (event) => events.push(event);
    const group = volumeStart(store.layout, 1) + 2048 - (store.layout.firstSlot % 2048);
    for (const [first, count] of [
      [1, 5],
      [group, 2048],
    ] as const) {
      const outcome = await simulation.clock.run(harness.write(store, first, count, 1));
      expect(outcome.status).toBe(TicketStatus.saved);
    }
    expect(events.filter(({ operation }) => operation === "write").length).toBeGreaterThan(0);
    expect(events.filter(({ operation }) => operation.startsWith("sync"))).toEqual([]);
    expect(store.counts.syncs).toBe(0);
  });
});

function endsWriting(event: DiskEvent, path: string, position: number, size: number): boolean {
  if (event.operation !== "write" || event.path !== path || event.phase !== "end") return false;
  return event.position! <= position && event.position! + event.size! >= position + size;
}

function isSync(event: DiskEvent, path: string, phase: DiskEvent["phase"]): boolean {
  return event.operation === "sync" && event.path === path && event.phase === phase;
}

describe("a shared sync", () => {
  it("that all can wait for begins after their patience, or at once for somebody who cannot", async () => {
    const clock = new SimulatedClock();
    const begun: number[] = [];
    const sync = new GroupSync(clock, async () => void begun.push(clock.monotonic()));
    await clock.run(Promise.all([sync.request(50), sync.request(80)]));
    expect(begun).toEqual([50]);
    const patient = sync.request(50);
    await clock.runFor(10);
    await clock.run(Promise.all([patient, sync.request()]));
    expect(begun).toEqual([50, 60]);
    // The timer of the group before has gone with it.
    const next = sync.request(50);
    await clock.run(next);
    expect(begun).toEqual([50, 60, 110]);
  });

  it("never stands for one that began before it was asked for", async () => {
    const begun: (() => void)[] = [];
    const sync = new GroupSync(nodeClock, () => new Promise((resolve) => begun.push(resolve)));
    const log: string[] = [];
    const ask = (name: string): void => void sync.request().then(() => log.push(name));
    const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
    ask("first");
    await settle();
    expect(begun.length).toBe(1);
    ask("second");
    ask("third");
    await settle();
    expect(begun.length).toBe(1);
    begun[0]!();
    await settle();
    expect([log, begun.length]).toEqual([["first"], 2]);
    begun[1]!();
    await settle();
    expect([log, begun.length]).toEqual([["first", "second", "third"], 2]);
  });

  it("fails for those who shared it, and the next group makes its own attempt", async () => {
    let attempts = 0;
    const sync = new GroupSync(nodeClock, async () => {
      if (++attempts === 1) throw new Error("EIO");
    });
    const outcomes = await Promise.allSettled([sync.request(), sync.request()]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await expect(sync.request()).resolves.toBeUndefined();
    expect(attempts).toBe(2);
  });
});
