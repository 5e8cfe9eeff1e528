/** What the sending side of WriteTickets believes of the answers, under a virtual clock. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Simulation, type SimulatedHost } from "../../sim/simulated-host.ts";
import { responseSize, ticketDataSize, TicketStatus, writeTicketSize } from "../core/frame.ts";
import { readId, type TicketId, writeId } from "../core/ids.ts";
import { Kernel, type TicketBuffer } from "../core/kernel.ts";
import { parseKey } from "../core/key.ts";
import * as limits from "../core/limits.ts";
import type { BatchOutcome, PendingWrite } from "../core/ticket-store.ts";
import type { Connection } from "../env/host.ts";
import { TicketClient } from "./ticket-client.ts";

const kernel = new Kernel(parseKey("000102030405060708090a0b0c0d0e0f", "test"), { tiny: 0, block: 24, group: 2 });

let simulation: Simulation;
let host: SimulatedHost;
let putter: FakePutter;
let client: TicketClient;
let closedReasons: string[];
let buffers: TicketBuffer[];

/** Takes frames and answers only what a test tells it to. */
class FakePutter {
  readonly tickets: TicketId[] = [];
  connection: Connection | undefined;
  onTickets: () => void = () => undefined;
  #rest: Uint8Array = new Uint8Array(0);

  accept(connection: Connection): void {
    this.connection = connection;
    connection.start({
      bytes: (chunk) => {
        const all = new Uint8Array(Buffer.concat([this.#rest, chunk]));
        let at = 0;
        for (; at + writeTicketSize <= all.length; at += writeTicketSize) {
          if (!kernel.checkFrame(kernel.adopt(all.subarray(at, at + writeTicketSize)))) throw new Error("a bad frame");
          this.tickets.push(readId<TicketId>(all, at)!);
        }
        this.#rest = all.slice(at);
        this.onTickets();
        return chunk.length;
      },
      end: () => connection.destroy(),
      closed: () => undefined,
    });
  }

  answer(responses: readonly (readonly [ticket: number, status: number])[]): void {
    const bytes = new Uint8Array(responses.length * responseSize);
    responses.forEach(([ticket, status], index) => {
      writeId(ticket as TicketId, bytes, index * responseSize);
      bytes[index * responseSize + 8] = status;
    });
    void this.connection!.write(bytes).catch(() => undefined);
  }
}

beforeEach(async () => {
  await setUp(5);
});

afterEach(async () => {
  await tearDown();
});

async function setUp(seed: number): Promise<void> {
  simulation = new Simulation(seed);
  host = simulation.machine("router").start();
  putter = new FakePutter();
  closedReasons = [];
  buffers = [];
  await simulation
    .machine("putter")
    .start()
    .network.listen(
      { host: "putter", port: 5000, receiveBuffer: new Uint8Array(65_536), connectionsMax: 9, waitingSizeMax: 1e6 },
      (connection) => putter.accept(connection),
    );
  const connecting = TicketClient.connect({
    host,
    kernel,
    address: { host: "putter", port: 5000 },
    onClosed: (reason) => closedReasons.push(reason),
  });
  client = await simulation.clock.run(connecting);
}

async function tearDown(): Promise<void> {
  client.close("the test is over");
  await simulation.clock.runUntilIdle();
  for (const buffer of buffers) buffer.release();
  expect(kernel.freeCount("block") + kernel.freeCount("group")).toBe(26);
}

function send(first: number, count: number): PendingWrite {
  const buffer = kernel.take(count > 180 ? "group" : "block")!;
  buffers.push(buffer);
  buffer.data.fill(first & 0xff, 0, count * ticketDataSize);
  kernel.makeSums(first, count, buffer.data, buffer.sums);
  return client.write({ first: first as TicketId, count, data: buffer.data, sums: buffer.sums });
}

async function arrived(count: number): Promise<void> {
  while (putter.tickets.length < count) await simulation.clock.step();
}

/** The outcome, if it is known after a while. */
async function settled(pending: PendingWrite): Promise<BatchOutcome | undefined> {
  let outcome: BatchOutcome | undefined;
  void pending.saved.then((value) => (outcome = value));
  await simulation.clock.runFor(2_000);
  return outcome;
}

const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, index) => first + index);
const allAnswered = (first: number, count: number, status: number): [number, number][] =>
  range(first, count).map((ticket) => [ticket, status]);

describe("a batch", () => {
  it("is saved when every one of its tickets was answered so, and not before the last", async () => {
    const pending = send(100, 300);
    await arrived(300);
    expect(putter.tickets).toEqual(range(100, 300));
    putter.answer(allAnswered(100, 299, TicketStatus.saved));
    expect(await settled(pending)).toBeUndefined();
    putter.answer([[399, TicketStatus.saved]]);
    expect(await settled(pending)).toMatchObject({ status: TicketStatus.saved, each: undefined });
  });

  it("is saved whatever the order of the answers and wherever the network cuts them", async () => {
    for (let seed = 0; seed < 8; seed++) {
      await tearDown();
      await setUp(seed);
      const pendings = [send(100, 40), send(5000, 40), send(140, 40)];
      await arrived(120);
      simulation.network.pieceSizeMax = 1 + 2 * seed;
      const answers = pendings.flatMap((_, index) => allAnswered([100, 5000, 140][index]!, 40, TicketStatus.saved));
      for (let index = answers.length - 1; index > 0; index--) {
        const other = simulation.random.between(0, index);
        [answers[index], answers[other]] = [answers[other]!, answers[index]!];
      }
      putter.answer(answers.slice(0, 119));
      const early = await Promise.all(pendings.map((pending) => settled(pending)));
      expect(early.filter((outcome) => outcome === undefined)).toHaveLength(1);
      putter.answer(answers.slice(119));
      for (const pending of pendings) expect(await settled(pending)).toMatchObject({ status: TicketStatus.saved });
      expect(client.droppedCount).toBe(0);
    }
  });

  it("tells which tickets were not saved, and why", async () => {
    const pending = send(100, 5);
    await arrived(5);
    putter.answer([
      [100, TicketStatus.saved],
      [101, TicketStatus.saved],
      [103, TicketStatus.noSpace],
      [102, TicketStatus.saved],
      [104, TicketStatus.saved],
    ]);
    const outcome = await settled(pending);
    expect(outcome).toMatchObject({ status: TicketStatus.noSpace, reason: "no space left on the disk" });
    expect([...outcome!.each!]).toEqual([0, 0, 0, TicketStatus.noSpace, 0]);
  });

  it("with an answer of unknown status is not saved", async () => {
    for (const status of [7, 0x7f, 0xff]) {
      const pending = send(100 + status, 2);
      await arrived(putter.tickets.length + 2);
      putter.answer([
        [100 + status, status],
        [101 + status, TicketStatus.saved],
      ]);
      expect(await settled(pending)).toMatchObject({ status: TicketStatus.notWritten });
    }
  });

  it("is saved exactly when each ticket's first answer is 0, for any answers", async () => {
    const answer = fc.tuple(fc.integer({ min: 98, max: 107 }), fc.constantFrom(0, 0, 0, 0, 1, 4, 6, 0xff));
    await fc.assert(
      fc.asyncProperty(fc.array(answer, { maxLength: 40 }), fc.integer({ min: 1, max: 20 }), async (answers, piece) => {
        await tearDown();
        await setUp(piece);
        const pending = send(100, 5);
        await arrived(5);
        simulation.network.pieceSizeMax = piece;
        putter.answer(answers);
        const first = new Map<number, number>();
        for (const [ticket, status] of answers) if (!first.has(ticket)) first.set(ticket, status);
        const own = range(100, 5).map((ticket) => first.get(ticket));
        const outcome = await settled(pending);
        const isSaved = own.every((status) => status === 0);
        expect(outcome?.status === TicketStatus.saved).toBe(isSaved);
        if (own.every((status) => status !== undefined)) expect(outcome).toBeDefined();
      }),
      { numRuns: 30 },
    );
  });
});

describe("answers that nobody awaits", () => {
  it("are dropped and counted: doubled ones, and those for tickets that were never sent", async () => {
    const pending = send(100, 3);
    await arrived(3);
    putter.answer([
      [100, 0],
      [100, 0],
      [99, 0],
      [200, 0],
      [102, 0],
      [102, TicketStatus.notWritten],
    ]);
    expect(await settled(pending)).toBeUndefined();
    expect(client.droppedCount).toBe(4);
    putter.answer([[101, 0]]);
    expect(await settled(pending)).toMatchObject({ status: TicketStatus.saved });
  });

  it("cannot come from another connection either", async () => {
    const pending = send(100, 2);
    await arrived(2);
    expect([client.accept(100 as TicketId, 0), client.accept(100 as TicketId, 0)]).toEqual([true, false]);
    expect(client.accept(77 as TicketId, 0)).toBe(false);
    expect(client.accept(101 as TicketId, 0)).toBe(true);
    expect(await settled(pending)).toMatchObject({ status: TicketStatus.saved });
  });

  it("that are no TicketID end the connection, and nothing is saved", async () => {
    const pending = send(100, 2);
    await arrived(2);
    await simulation.clock.run(putter.connection!.write(new Uint8Array(responseSize).fill(0x7a)));
    expect(await settled(pending)).toMatchObject({ status: TicketStatus.notWritten });
    expect(closedReasons).toEqual(["the putter answered with something that is no TicketID"]);
  });
});

describe("a batch is never saved", () => {
  it("when the connection is cut before the last answer", async () => {
    const pending = send(100, 10);
    await arrived(10);
    putter.answer(allAnswered(100, 9, TicketStatus.saved));
    await simulation.clock.runFor(50);
    simulation.network.cut();
    expect(await settled(pending)).toMatchObject({ status: TicketStatus.notWritten });
    expect(closedReasons).toHaveLength(1);
  });

  it("when the putter ends the connection", async () => {
    const pending = send(100, 10);
    await arrived(10);
    void putter.connection!.end();
    const outcome = await settled(pending);
    expect(outcome).toMatchObject({ status: TicketStatus.notWritten, reason: "the putter ended the connection" });
  });

  it("when the putter is silent: it is given up after a while", async () => {
    const pending = send(100, 10);
    await arrived(10);
    const before = simulation.clock.monotonic();
    const outcome = await simulation.clock.run(pending.saved);
    const waited = simulation.clock.monotonic() - before;
    expect(outcome.status).toBe(TicketStatus.notWritten);
    expect(outcome.reason).toMatch(/answered nothing for \d+ ms/);
    expect(waited).toBeGreaterThan(limits.responseTimeoutMs * 0.9);
    expect(waited).toBeLessThan(limits.responseTimeoutMs * 1.6);
  });

  it("when it was sent after the end; its memory is free at once", async () => {
    client.close("gone");
    const pending = send(100, 10);
    await simulation.clock.run(pending.released);
    expect(await simulation.clock.run(pending.saved)).toMatchObject({
      status: TicketStatus.notWritten,
      reason: "gone",
    });
  });
});

describe("a putter is not taken for silent", () => {
  it("while nothing waits for it", async () => {
    await simulation.clock.runFor(limits.responseTimeoutMs * 5);
    expect(closedReasons).toEqual([]);
    const pending = send(100, 1);
    await arrived(1);
    putter.answer([[100, 0]]);
    expect(await settled(pending)).toMatchObject({ status: TicketStatus.saved });
  });

  it("while its answers come on another connection", async () => {
    const steps = 20;
    const pendings = range(0, steps + 1).map((index) => send(100 + index, 1));
    await arrived(steps + 1);
    for (let index = 0; index < steps; index++) {
      await simulation.clock.runFor(limits.responseTimeoutMs / 4);
      expect(client.accept((100 + index) as TicketId, 0)).toBe(true);
    }
    expect(closedReasons).toEqual([]);
    expect(client.accept((100 + steps) as TicketId, 0)).toBe(true);
    for (const pending of pendings) expect((await pending.saved).status).toBe(TicketStatus.saved);
  });
});

it("memory is the sender's again when its frames are made, also while earlier ones wait for the network", async () => {
  const first = send(100, 2048);
  const second = send(5000, 2048);
  await simulation.clock.run(Promise.all([first.released, second.released]));
  for (const buffer of buffers) buffer.data.fill(0xee);
  await arrived(4096);
  expect(putter.tickets).toEqual([...range(100, 2048), ...range(5000, 2048)]);
});
