/** The asking side of requests: one connection, one request at a time, answers as a stream. */
import { type Address, formatAddress } from "../core/address.ts";
import { isErrorCode, messageOf, StoreError } from "../core/errors.ts";
import { checksumSize, ticketDataSize } from "../core/frame.ts";
import type { Kernel, TicketBuffer } from "../core/kernel.ts";
import * as limits from "../core/limits.ts";
import { printable } from "../core/printable.ts";
import type { Connection, Host, Receiver, Timer } from "../env/host.ts";
import {
  answerSize,
  type Answer,
  decodeAnswer,
  decodeJsonBody,
  encodeRequest,
  noSession,
  protocolVersion,
  type Session,
  type TicketsAnswer,
} from "./message.ts";

export interface RequestClientOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly fingerprint: string;
  readonly address: Address;
  /** An answer of which nothing arrives for so long is given up; without it the client waits for as long as it takes. */
  readonly answerTimeoutMs?: number;
}

/** Part of an answer. Tickets lie in a block buffer that the taker releases; they are not verified yet. */
export type AnswerPart =
  | { readonly kind: "json"; readonly value: unknown }
  | ({ readonly kind: "tickets"; readonly buffer: TicketBuffer } & TicketsAnswer);

/** How a port that speaks TLS answers those that do not (docs/formats/wire.md). */
export const tlsOnly = "ERROR this port takes TLS only";

export class RequestClient implements Receiver {
  /** What the other side said of itself. */
  greeting: { readonly [name: string]: unknown } = {};
  readonly #options: RequestClientOptions;
  readonly #connection: Connection;
  #session: Session = noSession;
  #number = 0;
  #failure: Error | undefined;
  /** Any byte has come since the last request was sent. */
  #isAnswered = false;
  #brokeUnanswered = false;
  #heardAt = 0;
  #timer: Timer | undefined;
  /** What arrived, or is on its way into `target`. */
  #wanted: { target: Uint8Array; size: number; resolve: () => void; reject: (error: Error) => void } | undefined;

  private constructor(options: RequestClientOptions, connection: Connection) {
    this.#options = options;
    this.#connection = connection;
  }

  /** UNAVAILABLE where nothing answers, WRONG_KEY where the keys differ. */
  static async connect(options: RequestClientOptions): Promise<RequestClient> {
    const { host, kernel, address } = options;
    const where = formatAddress(address);
    let connection: Connection;
    try {
      const receiveBuffer = kernel.receiveBuffer;
      connection = await host.network.connect({ ...address, receiveBuffer, timeoutMs: limits.connectTimeoutMs });
    } catch (error) {
      throw unreachable(where, error);
    }
    const client = new RequestClient(options, connection);
    connection.start(client);
    client.#watch();
    try {
      await client.#hello(where);
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /**
   * It broke without a byte of an answer to the last request, as a connection does that the other side closed for being
   * idle while the request was on its way. Whoever may ask twice can ask again over another one.
   */
  get brokeUnanswered(): boolean {
    return this.#brokeUnanswered;
  }

  close(): void {
    this.#fail(new StoreError("ABORTED", "the connection was closed"));
    this.#connection.destroy();
  }

  /** Sends a request and hands out its answer part by part. Leaving it early closes the connection. */
  async *ask(
    operation: string,
    numbers: { a?: number; b?: number; c?: number } = {},
    body: Uint8Array = new Uint8Array(0),
  ): AsyncGenerator<AnswerPart> {
    const { kernel } = this.#options;
    const number = ++this.#number;
    let whole = false;
    try {
      await this.#send(encodeRequest(kernel, this.#session, { operation, ...numbers, number }, body));
      for (;;) {
        const answer = await this.#readHead(number);
        if (answer.kind === "end") break;
        if (answer.kind === "tickets") yield { ...answer, buffer: await this.#readTickets(answer.count) };
        else {
          const value = decodeJsonBody(kernel, answer.bodyMac, await this.#readBody(answer.size));
          if (answer.kind === "error") {
            whole = true;
            throw errorOf(value);
          }
          yield { kind: "json", value };
        }
      }
      whole = true;
    } finally {
      if (!whole) this.close();
    }
  }

  /** For requests that are answered by one JSON value. */
  async askJson(
    operation: string,
    numbers?: { a?: number; b?: number; c?: number },
    body?: Uint8Array,
  ): Promise<unknown> {
    let value: unknown;
    for await (const part of this.ask(operation, numbers, body)) {
      if (part.kind === "tickets") {
        part.buffer.release();
        throw new StoreError("PROTOCOL", `${operation}: answered by tickets`);
      }
      value = part.value;
    }
    return value;
  }

  /** Asks for tickets that lie one after the other, straight into `data` and `sums`. */
  async askTickets(operation: string, first: number, count: number, data: Uint8Array, sums: Uint8Array): Promise<void> {
    const { kernel } = this.#options;
    const number = ++this.#number;
    let whole = false;
    try {
      await this.#send(
        encodeRequest(kernel, this.#session, { operation, a: first, b: count, number }, new Uint8Array(0)),
      );
      for (let done = 0; ;) {
        const answer = await this.#readHead(number);
        if (answer.kind === "end" && done === count) break;
        if (answer.kind === "error") {
          const value = decodeJsonBody(kernel, answer.bodyMac, await this.#readBody(answer.size));
          whole = true;
          throw errorOf(value);
        }
        if (answer.kind !== "tickets" || answer.first !== first + done || answer.count > count - done) {
          throw new StoreError("PROTOCOL", `${operation}: not the tickets that were asked for`);
        }
        const next = done + answer.count;
        await this.#readInto(data.subarray(done * ticketDataSize, next * ticketDataSize));
        await this.#readInto(sums.subarray(done * checksumSize, next * checksumSize));
        done = next;
      }
      whole = true;
    } finally {
      if (!whole) this.close();
    }
  }

  bytes(chunk: Uint8Array): number {
    const wanted = this.#wanted;
    if (wanted === undefined) return 0;
    this.#isAnswered = true;
    this.#heardAt = this.#options.host.clock.monotonic();
    const part = chunk.subarray(0, wanted.target.length - wanted.size);
    wanted.target.set(part, wanted.size);
    wanted.size += part.length;
    if (wanted.size === wanted.target.length) {
      this.#wanted = undefined;
      wanted.resolve();
    }
    return part.length;
  }

  end(): void {
    this.#noteBreak();
    this.#fail(new StoreError("UNAVAILABLE", "the other side ended the connection before its answer was whole"));
  }

  closed(error: Error | undefined): void {
    this.#noteBreak();
    this.#fail(new StoreError("UNAVAILABLE", "the connection broke before the answer was whole", { cause: error }));
  }

  #noteBreak(): void {
    if (this.#failure === undefined) this.#brokeUnanswered = !this.#isAnswered;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#timer?.cancel();
    this.#wanted?.reject(this.#failure);
    this.#wanted = undefined;
  }

  async #hello(where: string): Promise<void> {
    const { host, kernel, fingerprint } = this.#options;
    const own = host.random.bytes(8);
    const number = ++this.#number;
    await this.#send(encodeRequest(kernel, noSession, { operation: "hello", a: protocolVersion, number }, own));
    const head = await this.#readBody(answerSize);
    let answer: Answer;
    try {
      answer = decodeAnswer(kernel, noSession, head);
    } catch (error) {
      const line = Buffer.from(head).toString("latin1");
      if (line.startsWith(tlsOnly))
        throw new StoreError("UNAVAILABLE", `${where} takes TLS only: give --peer-tls, too`);
      if (line.startsWith("ERROR ")) {
        throw new StoreError("PROTOCOL", `${where} takes byte streams: ask the router's response port instead`);
      }
      const told = await this.#untrustedText(head);
      const message = `${where} does not accept this key (fingerprint ${fingerprint}). It says: ${told}`;
      throw new StoreError("WRONG_KEY", message, { cause: error });
    }
    if (answer.kind !== "json" && answer.kind !== "error") throw new StoreError("PROTOCOL", "hello got no greeting");
    const value = decodeJsonBody(kernel, answer.bodyMac, await this.#readBody(answer.size));
    if (answer.kind === "error") throw errorOf(value);
    const session = sessionIn(value);
    this.greeting = value as { [name: string]: unknown };
    const end = decodeAnswer(kernel, noSession, await this.#readBody(answerSize));
    if (end.kind !== "end") throw new StoreError("PROTOCOL", "hello was answered by more than a greeting");
    this.#session = new Uint8Array(Buffer.concat([own, session]));
  }

  /** What an answer says that was made with another key: for people to read, for nothing else. */
  async #untrustedText(head: Uint8Array): Promise<string> {
    const size = new DataView(head.buffer).getUint32(28);
    if (size > 4096) return "(something that is no answer)";
    const text = Buffer.from(await this.#readBody(size)).toString("utf8");
    const message = /"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? "";
    return message.replace(/[^ -~]/g, "?");
  }

  async #readHead(number: number): Promise<Answer> {
    const answer = decodeAnswer(this.#options.kernel, this.#session, await this.#readBody(answerSize));
    // An error under number 0 is about the connection as a whole.
    if (answer.number === number || (answer.kind === "error" && answer.number === 0)) return answer;
    throw new StoreError("PROTOCOL", `an answer to request ${answer.number}, where ${number} was asked`);
  }

  async #readTickets(count: number): Promise<TicketBuffer> {
    const buffer = await this.#options.kernel.wait("block");
    try {
      if (count > buffer.ticketCountMax) {
        throw new StoreError("PROTOCOL", `an answer of ${count} tickets: at most ${buffer.ticketCountMax}`);
      }
      await this.#readInto(buffer.data.subarray(0, count * ticketDataSize));
      await this.#readInto(buffer.sums.subarray(0, count * checksumSize));
      return buffer;
    } catch (error) {
      buffer.release();
      throw error;
    }
  }

  async #readBody(size: number): Promise<Uint8Array> {
    const body = new Uint8Array(size);
    await this.#readInto(body);
    return body;
  }

  #readInto(target: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (target.length === 0) return Promise.resolve();
    this.#heardAt = this.#options.host.clock.monotonic();
    return new Promise((resolve, reject) => {
      this.#wanted = { target, size: 0, resolve, reject };
      this.#connection.resume();
    });
  }

  async #send(bytes: Uint8Array): Promise<void> {
    this.#isAnswered = false;
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await this.#connection.write(bytes);
    } catch (error) {
      this.#noteBreak();
      throw (
        this.#failure ?? new StoreError("UNAVAILABLE", `the connection broke: ${messageOf(error)}`, { cause: error })
      );
    }
  }

  /** A side that fell silent without closing must not be waited for without end. */
  #watch(): void {
    const { answerTimeoutMs, host, address } = this.#options;
    if (answerTimeoutMs === undefined || this.#failure !== undefined) return;
    this.#timer = host.clock.after(answerTimeoutMs / 4, () => {
      const silentMs = host.clock.monotonic() - this.#heardAt;
      if (this.#wanted === undefined || silentMs <= answerTimeoutMs) return this.#watch();
      const silence = `${formatAddress(address)} answered nothing for ${Math.round(silentMs)} ms`;
      this.#fail(new StoreError("UNAVAILABLE", silence));
      this.#connection.destroy();
    });
  }
}

/** What a person is told when a connection cannot be made. */
export function unreachable(where: string, cause: unknown): StoreError {
  // The network's own message names the place already; only its code is worth more words.
  const beneath = cause instanceof StoreError ? cause.cause : cause;
  const code = (beneath as { code?: string } | undefined)?.code;
  if (cause instanceof StoreError && code !== "ECONNREFUSED") return cause;
  const why = code === "ECONNREFUSED" ? "nothing listens there" : messageOf(cause);
  return new StoreError("UNAVAILABLE", `${where} cannot be reached: ${why}`, { cause });
}

/** The other side's 8 random bytes. */
function sessionIn(greeting: unknown): Uint8Array {
  const text = (greeting as { readonly session?: unknown } | null)?.session;
  if (typeof text === "string" && /^[0-9a-f]{16}$/.test(text)) return Buffer.from(text, "hex");
  throw new StoreError("PROTOCOL", "a greeting is an object with a session of 16 hex digits");
}

function errorOf(value: unknown): StoreError {
  const { code, message } = (value ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  if (typeof message !== "string")
    return new StoreError("PROTOCOL", "the other side answered with an error of no message");
  // It goes to logs and terminals: no line of its own, nothing that they obey.
  const told = printable(message, limits.peerMessageSizeMax);
  return new StoreError(typeof code === "string" && isErrorCode(code) ? code : "PROTOCOL", told);
}
