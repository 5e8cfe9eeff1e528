/**
 * Sends a range of TicketIDs over several connections with a window of unanswered ones on each, and counts the answers.
 * Works in batches of up to a group; nothing is done per ticket.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Address } from "../core/address.ts";
import { checksumSize, TicketStatus } from "../core/frame.ts";
import type { TicketId } from "../core/ids.ts";
import { type ArenaSizes, bufferTicketCount, Kernel } from "../core/kernel.ts";
import type { Key } from "../core/key.ts";
import type { Run } from "../core/run.ts";
import type { BatchOutcome } from "../core/ticket-store.ts";
import type { Host } from "../env/host.ts";
import { TicketClient } from "../wire/ticket-client.ts";
import { Latencies } from "./latencies.ts";
import { nextRun, type TicketSource } from "./ticket-source.ts";

export interface LoadOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly address: Address;
  readonly source: TicketSource;
  readonly first: TicketId;
  readonly count: number;
  readonly connections: number;
  readonly inFlight: number;
  readonly onAnswered: (answered: number, latencies: Latencies) => void;
  /** Sends nothing more when it aborts; what is under way is still answered. */
  readonly stop: AbortSignal;
}

export interface LoadResult {
  /** Answers by status byte; busy ones only where sending again did not help. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Sent, and never answered. */
  readonly lost: number;
  readonly lostReason: string | undefined;
  readonly durationMs: number;
  /** Of batches: from the first byte handed over to the last answer. */
  readonly latencies: Latencies;
}

/** Half a second in all, then a busy putter is told as such. */
const busyTriesMax = 10;
const busyDelayMs = 50;
/** Batches whose Checksums lie in memory until they are sent, over all connections. */
const sumBuffersMax = 64;
const fileBuffersMax = 16;

export function makeLoadKernel(key: Key, connections: number, fromFile: boolean): Kernel {
  const sums = Math.min(2 * connections, sumBuffersMax);
  const group = fromFile ? Math.min(2 * connections, fileBuffersMax) : 1;
  const arena: ArenaSizes = { tiny: 1, block: connections + sums, group };
  return new Kernel(key, arena);
}

export async function sendTickets(options: LoadOptions): Promise<LoadResult> {
  const load = new TicketLoad(options);
  return load.run();
}

class TicketLoad {
  readonly #options: LoadOptions;
  readonly #statuses = new Map<number, number>();
  readonly #latencies = new Latencies();
  #given = 0;
  #answered = 0;
  #lost = 0;
  #lostReason: string | undefined;
  /** More of the same would be refused like the rest. */
  #hopeless = false;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  async run(): Promise<LoadResult> {
    const { host, kernel, address, connections } = this.#options;
    const clients: TicketClient[] = [];
    let done = false;
    const onClosed = (reason: string): void => {
      if (!done) this.#lostReason ??= reason;
    };
    try {
      while (clients.length < connections) {
        clients.push(await TicketClient.connect({ host, kernel, address, onClosed }));
      }
      const startedAt = performance.now();
      await Promise.all(clients.map((client) => this.#sendOn(client)));
      return {
        statuses: this.#statuses,
        lost: this.#lost,
        lostReason: this.#lostReason,
        durationMs: performance.now() - startedAt,
        latencies: this.#latencies,
      };
    } finally {
      done = true;
      for (const client of clients) client.close("all is sent");
    }
  }

  /** One connection: batch after batch, as long as the window has room. */
  async #sendOn(client: TicketClient): Promise<void> {
    const { inFlight, stop } = this.#options;
    const batchMax = Math.max(1, Math.min(bufferTicketCount.group, Math.floor(inFlight / 4)));
    const underWay = new Set<Promise<void>>();
    const batchesMax = Math.floor(inFlight / batchMax);
    try {
      while (!stop.aborted && !this.#hopeless && this.#lostReason === undefined) {
        if (underWay.size >= batchesMax) {
          await Promise.race(underWay);
          continue;
        }
        const index = this.#given;
        const left = this.#options.count - index;
        if (left === 0) break;
        const run = nextRun((this.#options.first + index) as TicketId, left, batchMax);
        this.#given += run.count;
        const { sent, answered } = this.#send(client, run, index, 0);
        const settled = answered.finally(() => underWay.delete(settled));
        underWay.add(settled);
        await sent;
      }
    } finally {
      await Promise.all(underWay);
    }
  }

  #send(
    client: TicketClient,
    run: Run,
    index: number,
    tries: number,
  ): { sent: Promise<void>; answered: Promise<void> } {
    let startedAt = 0;
    let outcome: Promise<BatchOutcome> | undefined;
    const sent = (async () => {
      const { kernel, source } = this.#options;
      const memory = await kernel.wait("block");
      const { data, release } = await source.take(run, index);
      try {
        const sums = memory.pages.subarray(0, run.count * checksumSize);
        kernel.makeSums(run.first, run.count, data, sums);
        startedAt = performance.now();
        const { released, saved } = client.write({ ...run, data, sums });
        outcome = saved;
        await released;
      } finally {
        release();
        memory.release();
      }
    })();
    const answered = (async () => {
      await sent;
      await this.#note(client, run, index, tries, (await outcome)!, startedAt);
    })();
    return { sent, answered };
  }

  async #note(
    client: TicketClient,
    run: Run,
    index: number,
    tries: number,
    outcome: BatchOutcome,
    startedAt: number,
  ): Promise<void> {
    if (outcome.each === undefined && outcome.status !== TicketStatus.saved && this.#lostReason !== undefined) {
      this.#lost += run.count;
      return;
    }
    this.#latencies.add(performance.now() - startedAt);
    for (const { status, from, count } of stretches(outcome, run.count)) {
      if (status === TicketStatus.busy && tries < busyTriesMax) {
        await delay(busyDelayMs);
        const again = { first: (run.first + from) as TicketId, count };
        await this.#send(client, again, index + from, tries + 1).answered;
        continue;
      }
      this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + count);
      this.#hopeless ||= status === TicketStatus.wrongChecksum;
      this.#answered += count;
    }
    this.#options.onAnswered(this.#answered, this.#latencies);
  }
}

/** Neighbours that were answered alike. */
function stretches(outcome: BatchOutcome, count: number): { status: number; from: number; count: number }[] {
  if (outcome.each === undefined) return [{ status: outcome.status, from: 0, count }];
  const found: { status: number; from: number; count: number }[] = [];
  for (const [index, status] of outcome.each.entries()) {
    const last = found.at(-1);
    if (last?.status === status) last.count++;
    else found.push({ status, from: index, count: 1 });
  }
  return found;
}
