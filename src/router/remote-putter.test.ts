/** A putter that falls silent, is cut off, or comes back, as a router sees it: under a virtual clock, a simulated network and disk. */
import { beforeEach, describe, expect, it } from "vitest";
import { type SimulatedMachine, Simulation } from "../../sim/simulated-host.ts";
import { testKey } from "../../sim/volume-harness.ts";
import { ticketDataSize, TicketStatus } from "../core/frame.ts";
import type { TicketId } from "../core/ids.ts";
import { Kernel } from "../core/kernel.ts";
import { fingerprintOf } from "../core/key.ts";
import * as limits from "../core/limits.ts";
import { RemotePutter } from "./remote-putter.ts";
import { startServer, type RunningServer } from "../compose/server-process.ts";

const kernel = new Kernel(testKey, { tiny: 2, block: 12, group: 0 });

let simulation: Simulation;
let machine: SimulatedMachine;
let running: RunningServer;
let putter: RemotePutter;

async function start(): Promise<void> {
  running = await simulation.clock.run(
    startServer(machine.start(), {
      root: "/data",
      bind: "putter",
      port: 5000,
      key: testKey,
      depth: 2,
      respondTo: undefined,
      durability: "disk",
      spaceReserveSize: 0,
    }),
  );
}

beforeEach(async () => {
  simulation = new Simulation(11);
  machine = simulation.machine("putter");
  await start();
  const found = RemotePutter.find(
    {
      host: simulation.machine("router").start(),
      kernel,
      fingerprint: fingerprintOf(testKey),
      address: { host: "putter", port: 5000 },
      reclaimRate: 1e9,
    },
    new AbortController().signal,
  );
  putter = (await simulation.clock.run(found))!;
});

/** The status of a write of ten tickets. */
async function write(first: number): Promise<number> {
  const buffer = kernel.take("block")!;
  buffer.data.fill(first & 0xff, 0, 10 * ticketDataSize);
  kernel.makeSums(first, 10, buffer.data, buffer.sums);
  const pending = putter.write({ first: first as TicketId, count: 10, data: buffer.data, sums: buffer.sums });
  const { status } = await simulation.clock.run(pending.saved);
  await simulation.clock.run(pending.released);
  buffer.release();
  return status;
}

async function read(first: number): Promise<number> {
  const data = new Uint8Array(10 * ticketDataSize);
  await simulation.clock.run(putter.read(first as TicketId, 10, data, new Uint8Array(80)));
  return data[9 * ticketDataSize]!;
}

describe("a putter", () => {
  it("takes writes and gives them back", async () => {
    expect(await write(100)).toBe(TicketStatus.saved);
    expect(await read(100)).toBe(100);
    expect(running.putter.counts.received).toBe(10);
  });

  it("that falls silent fails what is under way, is not written to, and is used again when it is heard", async () => {
    expect(await write(100)).toBe(TicketStatus.saved);
    simulation.network.silence("putter");
    expect(await write(200)).toBe(TicketStatus.notWritten);
    expect(putter.available).toBe(false);
    await expect(read(100)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    simulation.network.unsilence("putter");
    // Its old connections stay silent for ever; that must not hold up new ones.
    await simulation.clock.runFor(4 * limits.responseTimeoutMs);
    expect(putter.available).toBe(true);
    expect(await write(300)).toBe(TicketStatus.saved);
    expect(await read(100)).toBe(100);
  });

  it("that falls silent in the middle of a read ends the read in an error", async () => {
    expect(await write(100)).toBe(TicketStatus.saved);
    const reading = putter.read(100 as TicketId, 10, new Uint8Array(10 * ticketDataSize), new Uint8Array(80));
    simulation.network.silence("putter");
    await expect(simulation.clock.run(reading)).rejects.toThrow(/answered nothing for \d+ ms/);
  });

  it("whose connections are cut is there again at once", async () => {
    for (let turn = 0; turn < 5; turn++) {
      simulation.network.cut("putter");
      await simulation.clock.runFor(500);
      expect(await write(100 + turn * 10)).toBe(TicketStatus.saved);
    }
  });

  it("that was idle for long is still there", async () => {
    await simulation.clock.runFor(limits.idleTimeoutMs * 3.5);
    expect(await write(100)).toBe(TicketStatus.saved);
    expect(await read(100)).toBe(100);
  });

  it("that loses power has what it acknowledged, under any choice of the disk", async () => {
    for (let round = 0; round < 5; round++) {
      expect(await write(1000 + round * 10)).toBe(TicketStatus.saved);
      machine.cutPower("random");
      await start();
      await simulation.clock.runFor(2 * limits.reconnectDelayMaxMs);
      for (let before = 0; before <= round; before++) {
        expect(await read(1000 + before * 10)).toBe((1000 + before * 10) & 0xff);
      }
    }
  });
});
