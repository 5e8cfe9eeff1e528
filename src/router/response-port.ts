/**
 * tcp/5002: WriteTicketResponses that putters send on connections of their own, and requests for objects (connections
 * that begin with `hello`).
 *
 * Whose responses they are is told by where they come from: the address of a configured putter. What is not awaited from
 * there is dropped and counted.
 */
import { formatId, readId, type TicketId } from "../core/ids.ts";
import { responseSize } from "../core/frame.ts";
import type { Kernel } from "../core/kernel.ts";
import type { Connection, Host } from "../env/host.ts";
import { openSortedPort, type Port, type WorkingReceiver } from "../wire/connection-sorter.ts";
import type { Handler } from "../wire/request-server.ts";

/** Who takes responses. */
export interface ResponseTaker {
  /** Addresses that its responses can come from. */
  readonly hosts: readonly string[];
  accept(ticket: TicketId, status: number): boolean;
}

export interface ResponsePortOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly fingerprint: string;
  readonly bind: string;
  readonly port: number;
  readonly greeting: () => { readonly [name: string]: unknown };
  readonly handle: Handler;
  readonly putters: () => readonly ResponseTaker[];
  readonly counts: ResponseCounts;
  readonly idleTimeoutMs?: number;
}

export interface ResponseCounts {
  accepted: number;
  dropped: number;
}

export function openResponsePort(options: ResponsePortOptions): Promise<Port> {
  const { host, kernel, fingerprint, bind, port, greeting, handle } = options;
  return openSortedPort({
    host,
    kernel,
    bind,
    port,
    ...(options.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: options.idleTimeoutMs }),
    requests: { host, kernel, fingerprint, greeting, handle },
    frames: (connection) => new ResponseReceiver(options, connection),
  });
}

class ResponseReceiver implements WorkingReceiver {
  readonly #options: ResponsePortOptions;
  readonly #connection: Connection;
  readonly #part = new Uint8Array(responseSize);
  #partSize = 0;

  constructor(options: ResponsePortOptions, connection: Connection) {
    this.#options = options;
    this.#connection = connection;
  }

  /** A putter's link is quiet while nothing is written; only strangers are idle. */
  get working(): boolean {
    return this.#takers().length > 0;
  }

  get drains(): boolean {
    return false;
  }

  bytes(chunk: Uint8Array): number {
    const takers = this.#takers();
    for (let at = 0; at < chunk.length;) {
      const piece = chunk.subarray(at, at + responseSize - this.#partSize);
      this.#part.set(piece, this.#partSize);
      this.#partSize += piece.length;
      at += piece.length;
      if (this.#partSize < responseSize) break;
      this.#partSize = 0;
      this.#take(takers);
    }
    return chunk.length;
  }

  end(): void {
    this.#connection.destroy();
  }

  closed(): void {
    // Nothing was held.
  }

  #takers(): readonly ResponseTaker[] {
    const from = plainHost(this.#connection.remoteHost);
    return this.#options.putters().filter(({ hosts }) => hosts.some((host) => plainHost(host) === from));
  }

  #take(takers: readonly ResponseTaker[]): void {
    const { counts, host } = this.#options;
    const ticket = readId<TicketId>(this.#part, 0);
    if (ticket !== undefined && takers.some((taker) => taker.accept(ticket, this.#part[8]!))) {
      counts.accepted++;
      return;
    }
    if (counts.dropped++ === 0) {
      const id = ticket === undefined ? "(not a TicketID)" : formatId(ticket);
      host.log.warn("a response that nobody awaits was dropped", { ticket: id, from: this.#connection.remoteHost });
    }
  }
}

/** So that ::ffff:127.0.0.1, localhost and 127.0.0.1 are one. */
function plainHost(host: string): string {
  const plain = host.replace(/^::ffff:/, "");
  return plain === "localhost" || plain === "::1" ? "127.0.0.1" : plain;
}
