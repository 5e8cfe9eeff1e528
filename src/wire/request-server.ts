/**
 * The answering side of requests: `hello`, authentication, one request after the other, answers in order. What the
 * operations do is the role's business (see Handler).
 */
import { messageOf, StoreError } from "../core/errors.ts";
import { ticketDataSize } from "../core/frame.ts";
import type { Kernel, TicketBuffer } from "../core/kernel.ts";
import * as limits from "../core/limits.ts";
import type { Connection, Host, Receiver, Timer } from "../env/host.ts";
import {
  checkBody,
  decodeRequest,
  encodeEnd,
  encodeJsonAnswer,
  encodeTicketsHead,
  noSession,
  protocolVersion,
  type Request,
  requestSize,
  type Session,
  type TicketsAnswer,
} from "./message.ts";

export interface Reply {
  readonly signal: AbortSignal;
  json(value: unknown): Promise<void>;
  /** Sends tickets out of a block buffer; the buffer is the caller's again when it resolves. */
  tickets(tickets: TicketsAnswer, buffer: TicketBuffer): Promise<void>;
}

/** What a role answers. Whatever it throws goes to the client as an error. */
export type Handler = (request: Request, body: Uint8Array, reply: Reply) => Promise<void>;

export interface RequestServerOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly fingerprint: string;
  /** What `hello` is answered with. */
  readonly greeting: () => { readonly [name: string]: unknown };
  readonly handle: Handler;
}

/** One connection that began with `hello`. */
export class RequestConnection implements Receiver {
  readonly #options: RequestServerOptions;
  readonly #connection: Connection;
  readonly #abort = new AbortController();
  readonly #queue: { request: Request; body: Uint8Array }[] = [];
  #session: Session = noSession;
  #lastNumber = 0;
  #head = new Uint8Array(requestSize);
  #headSize = 0;
  #body: { request: Request; bytes: Uint8Array; size: number } | undefined;
  #working = false;
  #ended = false;
  #refused = false;

  constructor(options: RequestServerOptions, connection: Connection) {
    this.#options = options;
    this.#connection = connection;
  }

  /** Whether a request is being answered: it is not idle then. */
  get working(): boolean {
    return this.#working;
  }

  bytes(chunk: Uint8Array): number {
    let at = 0;
    while (at < chunk.length && !this.#refused) {
      if (this.#queue.length >= limits.requestsInFlightMax) return at;
      if (this.#body === undefined) {
        const part = chunk.subarray(at, at + requestSize - this.#headSize);
        this.#head.set(part, this.#headSize);
        this.#headSize += part.length;
        at += part.length;
        if (this.#headSize === requestSize) this.#takeHead();
      } else {
        const { bytes, size } = this.#body;
        const part = chunk.subarray(at, at + bytes.length - size);
        bytes.set(part, size);
        this.#body.size += part.length;
        at += part.length;
      }
      if (this.#body !== undefined && this.#body.size === this.#body.bytes.length) this.#takeBody(this.#body);
    }
    return chunk.length;
  }

  end(): void {
    this.#ended = true;
    if (!this.#working) void this.#connection.end();
  }

  closed(): void {
    this.#refused = true;
    this.#abort.abort();
  }

  #takeHead(): void {
    this.#headSize = 0;
    try {
      const request = decodeRequest(this.#options.kernel, this.#session, this.#head);
      if (request.number <= this.#lastNumber) {
        throw new StoreError("PROTOCOL", `request number: more than ${this.#lastNumber}, not ${request.number}`);
      }
      this.#lastNumber = request.number;
      this.#body = { request, bytes: new Uint8Array(request.bodySize), size: 0 };
    } catch (error) {
      this.#refuse(error);
    }
  }

  #takeBody({ request, bytes }: { request: Request; bytes: Uint8Array }): void {
    this.#body = undefined;
    try {
      checkBody(this.#options.kernel, request, bytes);
    } catch (error) {
      this.#refuse(error);
      return;
    }
    this.#queue.push({ request, body: bytes });
    if (!this.#working) void this.#work();
  }

  /** The last word on this connection. Says which key is used here, so that a mix-up is found. */
  #refuse(error: unknown): void {
    this.#refused = true;
    const told = this.#told(error, error instanceof StoreError && error.code === "WRONG_KEY");
    const answer = encodeJsonAnswer(this.#options.kernel, this.#session, "error", 0, told);
    this.#options.host.log.warn("request refused", { from: this.#connection.remoteHost, error: messageOf(error) });
    void this.#writeLast(answer);
  }

  async #writeLast(answer: Uint8Array): Promise<void> {
    await this.#write(answer).catch(() => undefined);
    await this.#connection.end();
  }

  #told(error: unknown, withKey: boolean): { code: string; message: string } {
    const code = error instanceof StoreError ? error.code : "UNAVAILABLE";
    const key = withKey ? `; the key here has the fingerprint ${this.#options.fingerprint}` : "";
    return { code, message: messageOf(error) + key };
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      if (this.#abort.signal.aborted) return;
      try {
        await this.#answer(next.request, next.body);
      } catch (error) {
        if (error instanceof StoreError && error.code === "PROTOCOL" && !this.#abort.signal.aborted) {
          this.#working = false;
          this.#refuse(error);
          return;
        }
        // The connection is gone: nobody is left to be told.
        this.#options.host.log.debug("answer not delivered", { error: messageOf(error) });
        this.#connection.destroy();
        return;
      }
      this.#connection.resume();
    }
    this.#working = false;
    if (this.#ended) await this.#connection.end();
  }

  async #answer(request: Request, body: Uint8Array): Promise<void> {
    const { kernel } = this.#options;
    if (request.operation === "hello") return this.#hello(request, body);
    if (this.#session === noSession) throw new StoreError("PROTOCOL", "the first request is hello");
    const reply: Reply = {
      signal: this.#abort.signal,
      json: async (value) => {
        await this.#write(encodeJsonAnswer(kernel, this.#session, "json", request.number, value));
      },
      tickets: async (tickets, buffer) => {
        await this.#writeTickets(request.number, tickets, buffer);
      },
    };
    try {
      await this.#options.handle(request, body, reply);
    } catch (error) {
      if (this.#abort.signal.aborted) throw error;
      const told = this.#told(error, false);
      this.#options.host.log.debug("request failed", { operation: request.operation, error: told.message });
      await this.#write(encodeJsonAnswer(kernel, this.#session, "error", request.number, told));
      return;
    }
    await this.#write(encodeEnd(kernel, this.#session, request.number));
  }

  async #hello(request: Request, body: Uint8Array): Promise<void> {
    if (request.a !== protocolVersion || body.length !== 8) {
      throw new StoreError(
        "PROTOCOL",
        `hello: version ${protocolVersion} and 8 random bytes, not version ${request.a}`,
      );
    }
    const own = this.#options.host.random.bytes(8);
    const session = new Uint8Array(16);
    session.set(body);
    session.set(own, 8);
    const greeting = { ...this.#options.greeting(), session: Buffer.from(own).toString("hex") };
    const { kernel } = this.#options;
    const told = encodeJsonAnswer(kernel, noSession, "json", request.number, greeting);
    const answer = Buffer.concat([told, encodeEnd(kernel, noSession, request.number)]);
    // Not after the write: the next request can be here before it is known that the client has this.
    this.#session = session;
    await this.#write(answer);
  }

  async #writeTickets(number: number, tickets: TicketsAnswer, buffer: TicketBuffer): Promise<void> {
    const { kernel } = this.#options;
    const dataSize = tickets.count * ticketDataSize;
    // The Checksums are moved up to the Data, so that one write sends both.
    const sums = buffer.sums.subarray(0, tickets.count * 8);
    if (tickets.count < buffer.ticketCountMax) buffer.pages.set(sums, dataSize);
    void this.#write(encodeTicketsHead(kernel, this.#session, number, tickets)).catch(() => undefined);
    await this.#write(buffer.pages.subarray(0, dataSize + sums.length));
  }

  /** Rejects, and cuts the connection, where the client does not read. */
  async #write(bytes: Uint8Array): Promise<void> {
    await writeOrCut(this.#options.host, this.#connection, bytes);
  }
}

/** Writes; a peer that does not read for `writeStallMs` loses its connection. */
export async function writeOrCut(host: Host, connection: Connection, bytes: Uint8Array): Promise<void> {
  const timer: Timer = host.clock.after(limits.writeStallMs, () => {
    host.log.warn("connection cut: the peer does not read", { peer: connection.remoteHost });
    connection.destroy();
  });
  try {
    await connection.write(bytes);
  } finally {
    timer.cancel();
  }
}
