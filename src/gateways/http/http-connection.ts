/**
 * One connection of the HTTP server: requests are read and answered one after the other. While one is being answered the
 * next is left where it is, so that a client that sends ahead waits in its own socket.
 *
 * An answer that leaves a body unread must not end in a reset, which would take the answer from the client: small rests
 * are read and thrown away, and behind large ones the connection is closed for writing only and read for a while.
 */
import { StoreError } from "../../core/errors.ts";
import { httpUnsentSizeMax } from "../../core/limits.ts";
import type { Connection, Log, Receiver } from "../../env/host.ts";
import { isBusy } from "../../env/http-share.ts";
import type { HttpAnswer, HttpHandler, HttpLimits, HttpRefusal } from "../../env/http.ts";
import { answerBytes, type DateLine, headText, isStream } from "./answer-bytes.ts";
import { Exchange, type ExchangePlace } from "./http-exchange.ts";
import type { IncomingBody } from "./request-body.ts";
import { beginsHead, type HeadReader, type RequestHead } from "./request-head.ts";

/** What all connections of a server share. */
export interface Shared {
  readonly handler: HttpHandler;
  readonly refuse: (refusal: HttpRefusal) => HttpAnswer;
  readonly limits: HttpLimits;
  readonly log: Log;
  readonly heads: HeadReader;
  readonly date: DateLine;
  readonly now: () => number;
  readonly monotonic: () => number;
  /** Requests under way. */
  activeCount: number;
  readonly peers: Map<string, Peer>;
  isClosing: boolean;
}

/** What all connections from one address share. */
export interface Peer {
  connectionCount: number;
  activeCount: number;
}

type State =
  /** Between requests, or in the middle of a head. */
  | "head"
  /** A request is being answered. */
  | "busy"
  /** It is answered, and the rest of its body is on its way. */
  | "draining"
  /** The last answer was sent: what still comes is thrown away. */
  | "lingering"
  | "closed";

const headEnd = Buffer.from("\r\n\r\n");
const keepAlive = "Connection: keep-alive\r\n";
const close = "Connection: close\r\n";
const continueBytes = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");
const noBytes = Buffer.alloc(0);

export class HttpConnection implements Receiver, ExchangePlace {
  readonly #connection: Connection;
  readonly #peer: Peer;
  readonly #shared: Shared;
  readonly #onClosed: (connection: HttpConnection) => void;
  #state: State = "head";
  /** The beginning of a head. */
  #partial: Buffer = noBytes;
  #request: Exchange | undefined;
  /** What is left of a body whose request is answered. */
  #draining: IncomingBody | undefined;
  #requestCount = 0;
  /** The peer sends nothing more. */
  #isEnded = false;
  /** Bytes given to the socket that it has not sent, and what of them waits longest. */
  #unsentSize = 0;
  /** When something last moved, on the monotonic clock. */
  #movedAt: number;
  #headSince: number | undefined;
  #lingeringSince = 0;
  #lingeringSize = 0;

  constructor(connection: Connection, peer: Peer, shared: Shared, onClosed: (connection: HttpConnection) => void) {
    this.#connection = connection;
    this.#peer = peer;
    this.#shared = shared;
    this.#onClosed = onClosed;
    this.#movedAt = shared.monotonic();
    this.#headSince = this.#movedAt;
  }

  get peerAddress(): string {
    return this.#connection.remoteHost;
  }

  get shared(): Shared {
    return this.#shared;
  }

  get isIdle(): boolean {
    return this.#state === "head" && this.#unsentSize === 0;
  }

  // ── what comes in ─────────────────────────────────────────────────────────────────────────────────────────────────

  bytes(chunk: Uint8Array): number {
    this.#movedAt = this.#shared.monotonic();
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === "closed") return bytes.length;
      if (this.#state === "lingering") {
        this.#lingeringSize += bytes.length - at;
        if (this.#lingeringSize > this.#shared.limits.unreadSizeMax) this.destroy();
        return bytes.length;
      }
      if (this.#state === "head") {
        // Who does not read answers is not asked for more requests.
        if (this.#unsentSize > httpUnsentSizeMax) return at;
        at = this.#readHead(bytes, at);
        continue;
      }
      const body = this.#state === "draining" ? this.#draining : this.#request!.incoming;
      if (body === undefined || body.isOver) return at;
      const taken = body.offer(bytes, at);
      at += taken;
      if (body.hasFailed) this.#request?.bodyFailed();
      if (this.#state === "draining" && body.isOver) this.#next();
      else if (taken === 0) return at;
    }
    return at;
  }

  end(): void {
    this.#isEnded = true;
    const body = this.#request?.incoming;
    if (this.#state === "head" || this.#state === "draining") this.#linger();
    else if (body !== undefined && !body.isOver) this.#request!.cut();
  }

  closed(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#request?.gone();
    this.#onClosed(this);
  }

  resume(): void {
    if (this.#state !== "closed") this.#connection.resume();
  }

  sendContinue(): void {
    if (this.#request?.takeContinue() === true) this.write(continueBytes);
  }

  /** Returns where reading goes on. */
  #readHead(bytes: Buffer, from: number): number {
    let at = from;
    // Empty lines before a request line are let pass (RFC 9112, section 2.2).
    if (this.#partial.length === 0) while (at < bytes.length && (bytes[at] === 0x0d || bytes[at] === 0x0a)) at++;
    if (at === bytes.length) return at;
    if (this.#partial.length === 0 && !beginsHead(bytes[at]!)) {
      this.#refuse({ reason: "malformed", status: 400, message: "this is no HTTP request" });
      return bytes.length;
    }
    this.#headSince ??= this.#movedAt;
    const { headerSizeMax } = this.#shared.limits;
    // The end can lie across what came before and what comes now.
    const overlap = Math.min(this.#partial.length, headEnd.length - 1);
    const joined = this.#partial.length === 0 ? bytes : Buffer.concat([this.#partial, bytes.subarray(at)]);
    const searchFrom = this.#partial.length === 0 ? at : this.#partial.length - overlap;
    const end = joined.indexOf(headEnd, searchFrom);
    const start = this.#partial.length === 0 ? at : 0;
    const size = (end < 0 ? joined.length : end + 2) - start;
    if (size > headerSizeMax) {
      this.#refuse({
        reason: "header too large",
        status: 431,
        message: `the head is larger than ${headerSizeMax} bytes`,
      });
      return bytes.length;
    }
    if (end < 0) {
      this.#partial = this.#partial.length === 0 ? Buffer.from(bytes.subarray(at)) : joined;
      return bytes.length;
    }
    const text = joined.toString("latin1", start, end + 2);
    const consumed = end + 4 - this.#partial.length + (this.#partial.length === 0 ? 0 : at);
    this.#partial = noBytes;
    this.#headSince = undefined;
    const head = this.#shared.heads.read(text);
    if ("refusal" in head) {
      this.#refuse(head.refusal);
      return bytes.length;
    }
    this.#start(head);
    return consumed;
  }

  #start(head: RequestHead): void {
    const shared = this.#shared;
    this.#state = "busy";
    this.#requestCount++;
    const exchange = new Exchange(this, head);
    this.#request = exchange;
    // Nothing of it will be read; who gets another answer first (botocore) takes the next one for broken.
    if (head.bodySize === 0) this.sendContinue();
    const isBusy = this.#isBusy();
    shared.activeCount++;
    this.#peer.activeCount++;
    const answer = isBusy ? Promise.resolve(shared.refuse(busy)) : shared.handler(exchange);
    answer.then(
      (made) => exchange.answer(made),
      (error: unknown) => exchange.failed(error),
    );
  }

  #isBusy(): boolean {
    const { activeCount: active, peers, limits } = this.#shared;
    const { activeCount: activeOfPeer } = this.#peer;
    return isBusy({ active, activeOfPeer, peers: peers.size, requestsMax: limits.requestsMax });
  }

  /** Something that is no request: answered, and the connection is over. */
  #refuse(refusal: HttpRefusal): void {
    const answer = this.#shared.refuse(refusal);
    this.#partial = noBytes;
    this.#sendAnswer(answer, close, true);
    this.#linger();
  }

  // ── what goes out ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whether no request after this one is answered here. */
  isLast(head: RequestHead): boolean {
    const { isClosing, limits } = this.#shared;
    return !head.keepsAlive || isClosing || this.#isEnded || this.#requestCount >= limits.requestsPerConnectionMax;
  }

  /** Head and, where it is at hand, body. Throws where a header cannot be sent; nothing was sent then. */
  sendHead(answer: HttpAnswer, isLast: boolean, hasBody: boolean): void {
    this.#sendAnswer(answer, isLast ? close : keepAlive, hasBody);
  }

  #sendAnswer(answer: HttpAnswer, ending: string, hasBody: boolean): void {
    const date = answer.headers["Date"] === undefined ? this.#shared.date.at(this.#shared.now()) : "";
    const text = headText(answer, date, ending);
    const { body } = answer;
    for (const bytes of answerBytes(text, !hasBody || isStream(body) ? undefined : body)) this.write(bytes);
  }

  write(bytes: Uint8Array): void {
    void this.send(bytes)?.catch(ignore);
  }

  /** Resolves when the system has taken the bytes; undefined where it has at once. */
  send(bytes: Uint8Array): Promise<void> | undefined {
    const connection = this.#connection;
    if (this.#unsentSize === 0) this.#movedAt = this.#shared.monotonic();
    const writing = connection.writeNow === undefined ? connection.write(bytes) : connection.writeNow(bytes);
    return writing === undefined ? undefined : this.#sent(writing, bytes.length);
  }

  async #sent(writing: Promise<void>, size: number): Promise<void> {
    this.#unsentSize += size;
    try {
      await writing;
      this.#movedAt = this.#shared.monotonic();
    } finally {
      this.#unsentSize -= size;
      // Requests that were sent ahead wait for this.
      if (this.#unsentSize === 0 && this.#state === "head") this.resume();
    }
  }

  /** A request is answered; what is left of its body is read before the next one. */
  done(isLast: boolean): void {
    this.#shared.activeCount--;
    this.#peer.activeCount--;
    const body = this.#request?.incoming;
    this.#request = undefined;
    if (this.#state === "closed") return;
    if (isLast) this.#linger();
    else if (body === undefined || body.isOver) this.#next();
    else {
      this.#state = "draining";
      this.#draining = body;
    }
    this.resume();
  }

  #next(): void {
    this.#state = "head";
    this.#draining = undefined;
    this.#movedAt = this.#shared.monotonic();
  }

  /** The client may read its answer and see the end before the connection goes. */
  #linger(): void {
    if (this.#state === "closed") return;
    this.#state = "lingering";
    this.#lingeringSince = this.#shared.monotonic();
    void this.#connection.end().catch(ignore);
    this.#connection.resume();
    if (this.#isEnded && this.#unsentSize === 0) this.#connection.destroy();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends what has not moved for too long. */
  sweep(now: number): void {
    const { limits } = this.#shared;
    const still = now - this.#movedAt;
    if (this.#unsentSize > 0 && still >= limits.writeStallMs) this.destroy();
    else if (this.#state === "lingering") {
      if (now - this.#lingeringSince >= limits.unreadTimeoutMs) this.destroy();
    } else if (this.#state === "draining") {
      if (still >= limits.unreadTimeoutMs) this.destroy();
    } else if (this.#state === "head") this.#sweepHead(now, still);
    else if (this.#request?.incoming?.isWaiting === true && still >= limits.bodyIdleTimeoutMs) {
      const message = `nothing came of the body for ${limits.bodyIdleTimeoutMs} ms`;
      this.#request.cut(new StoreError("ABORTED", message));
    }
  }

  #sweepHead(now: number, still: number): void {
    const { limits } = this.#shared;
    if (this.#partial.length > 0) {
      if (now - this.#headSince! >= limits.headerTimeoutMs) {
        this.#refuse({
          reason: "header too slow",
          status: 408,
          message: `no head within ${limits.headerTimeoutMs} ms`,
        });
      }
    } else {
      const isNew = this.#requestCount === 0;
      if (still >= (isNew ? limits.headerTimeoutMs : limits.keepAliveTimeoutMs)) this.destroy();
    }
  }
}

const busy: HttpRefusal = { reason: "busy", status: 503, message: "too many requests are under way" };

function ignore(): void {
  // Told by what follows.
}
