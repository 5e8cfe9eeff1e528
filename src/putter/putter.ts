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
import type { Run } from "../core/run.ts";
import type { TicketStore } from "../core/ticket-store.ts";
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
          handle: (request, body, reply) => putter.#handle(request, body, reply),
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

  async close(): Promise<void> {
    this.#link?.close();
    await this.#port?.close();
    this.#responses.release();
  }

  #receiveTickets(connection: Connection): TicketConnection {
    const { host, kernel, store } = this.#options;
    const link = this.#link;
    const respond = (responses: Uint8Array): Promise<void> =>
      link === undefined ? writeOrCut(host, connection, responses) : link.send(responses);
    const { layout } = store;
    return new TicketConnection(
      { host, kernel, store, layout, responses: this.#responses, respond, counts: this.counts },
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
    for (let done = 0; done < count && !reply.signal.aborted; ) {
      const buffer = await this.#options.kernel.wait("block");
      try {
        const part = { first: (first + done) as TicketId, count: Math.min(count - done, buffer.ticketCountMax) };
        const data = buffer.data.subarray(0, part.count * ticketDataSize);
        await this.#options.store.read(part.first, part.count, data, buffer.sums.subarray(0, part.count * checksumSize));
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
    const { clock } = this.#options.host;
    const live = decodeRuns(body);
    const pace = pacer(clock, rate);
    const outcome = await this.#options.store.reclaim(first as TicketId, end as TicketId, live, pace);
    await reply.json(outcome);
  }
}

function requireRange(first: number, end: number): void {
  if (first > end || end > idCount) {
    throw new StoreError("PROTOCOL", `tickets ${first} to ${end}: a range of ids below ${idCount}`);
  }
}

function decodeRuns(body: Uint8Array): Run[] {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const runs: Run[] = [];
  for (let at = 0; at + 16 <= body.length; at += 16) {
    runs.push({ first: Number(view.getBigUint64(at)) as TicketId, count: Number(view.getBigUint64(at + 8)) });
  }
  return runs;
}
