/**
 * A putter on another machine as a TicketStore: one connection for WriteTickets, a few for reads and reclaiming, made
 * again when they break. While it cannot be reached it takes no writes, and who reads from it hears so.
 */
import { type Address, formatAddress } from "../core/address.ts";
import { messageOf, StoreError } from "../core/errors.ts";
import { TicketStatus } from "../core/frame.ts";
import type { TicketId } from "../core/ids.ts";
import type { Kernel } from "../core/kernel.ts";
import * as limits from "../core/limits.ts";
import type { Run } from "../core/run.ts";
import {
  type PendingWrite,
  type ReclaimOutcome,
  refusedWrite,
  type TicketBatch,
  type TicketStore,
} from "../core/ticket-store.ts";
import { delay, type Host } from "../env/host.ts";
import { fields, readAnswer, whole } from "../wire/answer-shape.ts";
import { RequestClient } from "../wire/request-client.ts";
import { TicketClient } from "../wire/ticket-client.ts";

export interface RemotePutterOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly fingerprint: string;
  readonly address: Address;
  /** Bytes per second that a reclaim there may copy. */
  readonly reclaimRate: number;
}

export class RemotePutter implements TicketStore {
  readonly id: string;
  readonly place: string;
  readonly address: Address;
  readonly #options: RemotePutterOptions;
  readonly #abort = new AbortController();
  #tickets: TicketClient | undefined;
  #lastReason = "not connected yet";
  #idle: RequestClient[] = [];
  #requestCount = 0;
  #waiting: (() => void)[] = [];

  private constructor(options: RemotePutterOptions, id: string) {
    this.#options = options;
    this.id = id;
    this.address = options.address;
    this.place = formatAddress(options.address);
  }

  /** Tries until it answers for the first time, and tells who it is; undefined where `signal` aborts before. */
  static async find(options: RemotePutterOptions, signal: AbortSignal): Promise<RemotePutter | undefined> {
    const { host } = options;
    let said = "";
    for (let delayMs: number = limits.reconnectDelayMinMs; !signal.aborted; delayMs = nextDelay(delayMs)) {
      try {
        const client = await RequestClient.connect({ ...options, answerTimeoutMs: limits.responseTimeoutMs });
        const putter = new RemotePutter(options, idOf(client, options.address));
        putter.#idle.push(client);
        putter.#requestCount = 1;
        putter.#tickets = await putter.#connectTickets();
        void putter.#renew();
        return putter;
      } catch (error) {
        if (messageOf(error) !== said) host.log.warn("putter not usable yet", { error: messageOf(error) });
        said = messageOf(error);
      }
      await delay(host.clock, delayMs, signal);
    }
    return undefined;
  }

  get available(): boolean {
    return this.#tickets !== undefined;
  }

  /** As it was configured, and as the system found it: a name is not what responses come from. */
  get hosts(): readonly string[] {
    return this.#tickets === undefined ? [this.address.host] : [this.address.host, this.#tickets.remoteHost];
  }

  get droppedCount(): number {
    return this.#tickets?.droppedCount ?? 0;
  }

  write(batch: TicketBatch): PendingWrite {
    return this.#tickets?.write(batch) ?? refusedWrite(TicketStatus.notWritten, this.#lastReason);
  }

  /** A response that this putter sent on a connection of its own. False where it is not awaited. */
  accept(ticket: TicketId, status: number): boolean {
    return this.#tickets?.accept(ticket, status) ?? false;
  }

  readNow(): boolean {
    return false;
  }

  async read(first: TicketId, count: number, data: Uint8Array, sums: Uint8Array): Promise<void> {
    await this.#request((client) => client.askTickets("read", first, count, data, sums));
  }

  async reclaim(first: TicketId, end: TicketId, live: readonly Run[]): Promise<ReclaimOutcome> {
    const numbers = { a: first, b: end, c: this.#options.reclaimRate };
    const body = encodeRuns(fewerRuns(live, limits.reclaimRunsMax));
    const answer = await this.#request((client) => client.askJson("reclaim", numbers, body));
    return readAnswer("reclaim", reclaimAnswer, answer);
  }

  async freeSpace(): Promise<number> {
    const answer = await this.#request((client) => client.askJson("space"));
    return readAnswer("space", spaceAnswer, answer).freeSpace;
  }

  close(): void {
    this.#abort.abort();
    this.#tickets?.close("the router is closing");
    for (const client of this.#idle.splice(0)) client.close();
  }

  #connectTickets(): Promise<TicketClient> {
    const { host, kernel, address } = this.#options;
    const connecting: Promise<TicketClient> = TicketClient.connect({
      host,
      kernel,
      address,
      // Where there is no client in the end, who asked for it hears why.
      onClosed: (reason) => {
        void connecting.then(
          (client) => this.#lost(client, reason),
          () => undefined,
        );
      },
    });
    return connecting;
  }

  #lost(client: TicketClient, reason: string): void {
    // One that was replaced is nobody's loss.
    if (this.#tickets !== client) return;
    this.#tickets = undefined;
    this.#lastReason = `putter ${this.place}: ${reason}`;
    if (this.#abort.signal.aborted) return;
    this.#options.host.log.warn("putter lost", { putter: this.place, reason });
    void this.#reconnect();
  }

  /** Servers cut what is idle for long: a new connection takes its place before, so that nobody finds the putter away. */
  async #renew(): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      await delay(this.#options.host.clock, limits.idleTimeoutMs / 4, signal);
      if (signal.aborted) return;
      const old = this.#tickets;
      if (old === undefined || old.idleMs < limits.idleTimeoutMs / 2) continue;
      const fresh = await this.#connectTickets().catch(() => undefined);
      if (this.#tickets !== old || old.idleMs === 0 || signal.aborted) fresh?.close("not needed");
      else if (fresh !== undefined) {
        this.#tickets = fresh;
        old.close("replaced");
      }
    }
  }

  async #reconnect(): Promise<void> {
    const { clock, log } = this.#options.host;
    for (let delayMs: number = limits.reconnectDelayMinMs; !this.#abort.signal.aborted; delayMs = nextDelay(delayMs)) {
      try {
        // Asked again who it is: another server may have come up at this address.
        await this.#request(async (client) => client.askJson("space"));
        this.#tickets = await this.#connectTickets();
        log.info("putter back", { putter: this.place });
        return;
      } catch (error) {
        this.#lastReason = `putter ${this.place}: ${messageOf(error)}`;
      }
      await delay(clock, delayMs, this.#abort.signal);
    }
  }

  /**
   * Lends a connection for one request, which may be made twice: one that was idle can be closed by the other side while the
   * request is on its way.
   */
  async #request<Value>(use: (client: RequestClient) => Promise<Value>): Promise<Value> {
    const idle = await this.#lendIdle();
    if (idle !== undefined) {
      try {
        return await this.#used(idle, use);
      } catch (error) {
        if (!idle.brokeUnanswered || this.#abort.signal.aborted) throw error;
        this.#requestCount++;
      }
    }
    return this.#used(await this.#lendNew(), use);
  }

  async #used<Value>(client: RequestClient, use: (client: RequestClient) => Promise<Value>): Promise<Value> {
    try {
      return await use(client);
    } finally {
      if (client.failed || this.#abort.signal.aborted) {
        this.#requestCount--;
        client.close();
      } else this.#idle.push(client);
      this.#waiting.shift()?.();
    }
  }

  /** undefined where there is none, but room for a new one, which is counted. Waits while there is neither. */
  async #lendIdle(): Promise<RequestClient | undefined> {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle !== undefined && !idle.failed) return idle;
      if (idle !== undefined) this.#requestCount--;
      else if (this.#requestCount < limits.readConnectionsMax) {
        this.#requestCount++;
        return undefined;
      } else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async #lendNew(): Promise<RequestClient> {
    try {
      const client = await RequestClient.connect({ ...this.#options, answerTimeoutMs: limits.responseTimeoutMs });
      if (idOf(client, this.address) !== this.id) {
        client.close();
        throw new StoreError("INCOMPATIBLE", `${this.place} is another server now, not ${this.id}`);
      }
      return client;
    } catch (error) {
      this.#requestCount--;
      this.#waiting.shift()?.();
      throw error;
    }
  }
}

const reclaimAnswer = fields<ReclaimOutcome>({ volumesUnlinked: whole, volumesRewritten: whole });
const spaceAnswer = fields<{ readonly freeSpace: number }>({ freeSpace: whole });

function idOf({ greeting }: RequestClient, address: Address): string {
  if (greeting["role"] !== "server" || typeof greeting["id"] !== "string") {
    const found = `${formatAddress(address)} is a ${JSON.stringify(greeting["role"])}`;
    throw new StoreError("INCOMPATIBLE", `--putters: ${found}, not a data-putter server`);
  }
  return greeting["id"];
}

function nextDelay(delayMs: number): number {
  return Math.min(delayMs * 2, limits.reconnectDelayMaxMs);
}

/** As many runs at most, by keeping the smallest gaps between them as well. */
export function fewerRuns(runs: readonly Run[], countMax: number): Run[] {
  let kept = [...runs];
  for (let gap = 1; kept.length > countMax; gap *= 2) {
    const merged: Run[] = [];
    for (const run of kept) {
      const last = merged.at(-1);
      if (last !== undefined && run.first - (last.first + last.count) <= gap) {
        merged[merged.length - 1] = { first: last.first, count: run.first + run.count - last.first };
      } else merged.push(run);
    }
    kept = merged;
  }
  return kept;
}

function encodeRuns(runs: readonly Run[]): Uint8Array {
  const body = new Uint8Array(runs.length * 16);
  const view = new DataView(body.buffer);
  runs.forEach(({ first, count }, index) => {
    view.setBigUint64(index * 16, BigInt(first));
    view.setBigUint64(index * 16 + 8, BigInt(count));
  });
  return body;
}
