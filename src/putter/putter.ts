/**
 * A Putter Node: takes WriteTickets on tcp/5000, puts them into its volume store, answers. Routers read and reclaim on
 * connections that begin with `hello`. It knows nothing of buckets, files or users.
 */
import type { Address } from "../core/address.ts";
import { StoreError } from "../core/errors.ts";
import { checksumSize, ticketDataSize } from "../core/frame.ts";
import { idCount, type TicketId } from "../core/ids.ts";
import type { Kernel, TicketBuffer } from "../core/kernel.ts";
import type { Layout } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import type { Run } from "../core/run.ts";
import type { PendingWrite, TicketBatch, TicketStore } from "../core/ticket-store.ts";
import type { Connection, Host, Listener } from "../env/host.ts";
import { pacer } from "../env/pace.ts";
import { openSortedPort, type Port } from "../wire/connection-sorter.ts";
import type { Request } from "../wire/message.ts";
import { type Reply, writeOrCut } from "../wire/request-server.ts";
import { ResponseLink } from "./response-link.ts";
import { TicketConnection, type TicketCounts } from "./ticket-connection.ts";

export interface PutterOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly fingerprint: string;
  readonly store: TicketStore & { readonly layout: Layout };
  readonly bind: string;
  readonly port: number;
  readonly respondTo: Address | undefined;
  readonly idleTimeoutMs?: number;
}

export class Putter {
  readonly counts: TicketCounts = { received: 0, wrongChecksum: 0, notAnId: 0 };
  readonly #options: PutterOptions;
  readonly #link: ResponseLink | undefined;
  readonly #responses: TicketBuffer;
  #port: Port | undefined;
  /** What uses the store; its files may be closed only after that. */
  readonly #underWay = new Set<Promise<unknown>>();
  #closing = false;

  private constructor(options: PutterOptions) {
    this.#options = options;
    const { host, kernel, respondTo } = options;
    this.#link = respondTo === undefined ? undefined : new ResponseLink(host, kernel, respondTo);
    this.#responses = kernel.take("block")!;
  }

  static async start(options: PutterOptions): Promise<Putter> {
    const putter = new Putter(options);
    const { host, kernel, fingerprint, store } = options;
    try {
      putter.#port = await openSortedPort({
        host,
        kernel,
        bind: options.bind,
        port: options.port,
        ...(options.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: options.idleTimeoutMs }),
        requests: {
          host,
          kernel,
          fingerprint,
          greeting: () => ({ role: "server", id: store.id, depth: store.layout.depth }),
          handle: (request, body, reply) => putter.#track(putter.#handle(request, body, reply)),
        },
        frames: (connection) => putter.#receiveTickets(connection),
      });
    } catch (error) {
      putter.#link?.close();
      throw error;
    }
    return putter;
  }

  get listener(): Listener {
    return this.#port!.listener;
  }

  /** Answers what it has received, takes nothing more; nobody uses the store when it resolves. */
  async close(): Promise<void> {
    this.#closing = true;
    // Nobody is there to be answered: what waits for that must not hold up the rest.
    if (this.#link?.connected === false) this.#link.close();
    await this.#port?.close();
    this.#link?.close();
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    this.#responses.release();
  }

  #track<Value>(work: Promise<Value>): Promise<Value> {
    this.#underWay.add(work);
    void Promise.allSettled([work]).then(() => this.#underWay.delete(work));
    return work;
  }

  #receiveTickets(connection: Connection): TicketConnection {
    const { host, kernel, store } = this.#options;
    const link = this.#link;
    const respond = (responses: Uint8Array): Promise<void> =>
      link === undefined ? writeOrCut(host, connection, responses) : link.send(responses);
    const { layout } = store;
    const write = (batch: TicketBatch): PendingWrite => {
      const pending = store.write(batch);
      void this.#track(pending.saved);
      return pending;
    };
    return new TicketConnection(
      { host, kernel, write, layout, responses: this.#responses, respond, counts: this.counts },
      connection,
    );
  }

  async #handle(request: Request, body: Uint8Array, reply: Reply): Promise<void> {
    switch (request.operation) {
      case "read":
        return this.#read(request, reply);
      case "reclaim":
        return this.#reclaim(request, body, reply);
      case "space":
        return reply.json({ freeSpace: await this.#options.store.freeSpace() });
      default:
        throw new StoreError("PROTOCOL", `a server does not know the operation ${JSON.stringify(request.operation)}`);
    }
  }

  async #read({ a: first, b: count }: Request, reply: Reply): Promise<void> {
    requireRange(first, first + count);
    for (let done = 0; done < count && !reply.signal.aborted;) {
      const buffer = await this.#options.kernel.wait("block");
      try {
        const part = { first: (first + done) as TicketId, count: Math.min(count - done, buffer.ticketCountMax) };
        const data = buffer.data.subarray(0, part.count * ticketDataSize);
        await this.#options.store.read(
          part.first,
          part.count,
          data,
          buffer.sums.subarray(0, part.count * checksumSize),
        );
        await reply.tickets({ ...part, skip: 0, take: data.length }, buffer);
        done += part.count;
      } finally {
        buffer.release();
      }
    }
  }

  /** `a` to `b` is the range, `c` bytes per second the rate; the body holds what stays: pairs of first and count, u64. */
  async #reclaim({ a: first, b: end, c: rate }: Request, body: Uint8Array, reply: Reply): Promise<void> {
    requireRange(first, end);
    if (rate === 0) throw new StoreError("PROTOCOL", "reclaim: a rate of at least 1 byte per second, not 0");
    const { clock } = this.#options.host;
    const live = decodeRuns(body);
    const pace = pacer(clock, rate);
    const paceOrStop = async (bytes: number): Promise<void> => {
      if (this.#closing) throw new StoreError("ABORTED", "the server is closing");
      await pace(bytes);
    };
    // Said now and then, so that a slow reclaim is not taken for a server that fell silent.
    const alive = (): void => {
      void reply.json({ working: true }).catch(() => undefined);
      timer = clock.after(limits.responseTimeoutMs / 4, alive);
    };
    let timer = clock.after(limits.responseTimeoutMs / 4, alive);
    try {
      await reply.json(await this.#options.store.reclaim(first as TicketId, end as TicketId, live, paceOrStop));
    } finally {
      timer.cancel();
    }
  }
}

function requireRange(first: number, end: number): void {
  if (first > end || end > idCount) {
    throw new StoreError("PROTOCOL", `tickets ${first} to ${end}: a range of ids below ${idCount}`);
  }
}

/** What it does not name is dropped, so a list that is not in order is refused, not interpreted. */
function decodeRuns(body: Uint8Array): Run[] {
  if (body.length % 16 !== 0) throw new StoreError("PROTOCOL", `live runs: 16 bytes each, not ${body.length} in all`);
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const runs: Run[] = [];
  for (let at = 0; at + 16 <= body.length; at += 16) {
    const run = { first: Number(view.getBigUint64(at)) as TicketId, count: Number(view.getBigUint64(at + 8)) };
    const last = runs.at(-1);
    if (
      run.count === 0 ||
      run.first + run.count > idCount ||
      (last !== undefined && run.first < last.first + last.count)
    ) {
      throw new StoreError("PROTOCOL", `live runs: in order, none empty, not ${run.count} from ${run.first} on`);
    }
    runs.push(run);
  }
  return runs;
}
