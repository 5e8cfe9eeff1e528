/**
 * One connection of an HTTP server: its requests one after the other, in the order they came in (a GET sent behind a PUT
 * sees what was put), their answers, and the ways in which it can end.
 *
 * An answer that leaves a body unread must not end in a reset, which would take the answer from the client: small rests
 * are read and thrown away, and behind large ones the connection is closed for writing only and read for a while.
 */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { messageOf, StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { Log } from "./host.ts";
import { isBusy } from "./http-share.ts";
import {
  isTold,
  type HttpAnswer,
  type HttpBody,
  type HttpHandler,
  type HttpHeaders,
  type HttpLimits,
  type HttpRefusal,
  type HttpRequest,
  type HttpStream,
} from "./http.ts";
import { bytesOf, isStream, PieceWriter, rawAnswer, writeHead } from "./node-http-answer.ts";
import { noBody, RequestBody } from "./node-http-body.ts";
import { bodySizeOf, type JoinedMessage, problemOf } from "./node-http-request.ts";

/** What all connections of a server share. */
export interface Shared {
  readonly handler: HttpHandler;
  readonly refuse: (refusal: HttpRefusal) => HttpAnswer;
  readonly limits: HttpLimits;
  readonly log: Log;
  readonly isSecure: boolean;
  readonly keepAlive: readonly string[];
  readonly now: () => number;
  /** Requests under way. */
  activeCount: number;
  /** Addresses that are connected. */
  peerCount: number;
  isClosing: boolean;
  /** Called when a request's answer has gone, while the server closes. */
  onDone: (connection: HttpConnection) => void;
}

/** What all connections from one address share. */
export interface Peer {
  connectionCount: number;
  activeCount: number;
}

const busy: HttpRefusal = { reason: "busy", status: 503, message: "too many requests are under way" };
const closeLines = ["Connection", "close"];

export class HttpConnection {
  readonly socket: Socket;
  readonly address: string;
  readonly shared: Shared;
  readonly #peer: Peer;
  #current: Exchange | undefined;
  readonly #waiting: Exchange[] = [];
  /** The request that was read last, or is being read. */
  #latest: Exchange | undefined;
  #requestCount = 0;
  /** Its parser has given up: what still comes cannot be read. */
  #failed = false;
  /** Said when all that came before is answered. */
  #farewell: HttpRefusal | undefined;
  /** The last answer is on its way: nothing that comes now is answered. */
  #ended = false;
  #closed = false;
  /** When something last moved, and what had moved then. */
  #movedAt: number;
  #readSize = 0;
  #unsentSize = 0;
  #lingering: { readonly since: number; readonly readSize: number } | undefined;

  constructor(socket: Socket, peer: Peer, shared: Shared) {
    this.socket = socket;
    this.address = socket.remoteAddress ?? "";
    this.shared = shared;
    this.#peer = peer;
    this.#movedAt = shared.now();
    socket.on("close", () => this.#gone());
    socket.on("error", ignore);
  }

  get isIdle(): boolean {
    return this.#current === undefined && this.socket.writableLength === 0;
  }

  get isFailed(): boolean {
    return this.#failed;
  }

  request(message: JoinedMessage, response: ServerResponse, waits: boolean, refusal?: HttpRefusal): void {
    if (this.#ended || this.#failed) {
      message.resume();
      return;
    }
    const exchange = new Exchange(this, ++this.#requestCount, message, response, waits, refusal);
    this.#latest = exchange;
    if (this.#current === undefined) this.#start(exchange);
    else {
      if (this.#waiting.length >= limits.httpPipelinedMax) exchange.refusal ??= busy;
      this.#waiting.push(exchange);
    }
  }

  /** What Node's parser, or its clock, has against this connection. */
  parserFailed(refusal: HttpRefusal, isCut: boolean): void {
    if (this.#failed) return;
    this.#failed = true;
    if (this.#ended) return;
    const latest = this.#latest;
    if (latest !== undefined && !latest.message.complete) {
      if (latest.isAnswered) this.socket.destroy();
      else latest.failBody(new StoreError(isCut ? "ABORTED" : "INVALID", refusal.message));
    } else if (isCut) {
      if (this.#current === undefined) this.socket.destroy();
    } else if (this.#current === undefined) this.#refuse(refusal);
    else this.#farewell = refusal;
  }

  /** A request that node:http does not answer itself (CONNECT). */
  refuseMethod(refusal: HttpRefusal): void {
    this.#failed = true;
    this.socket.resume();
    if (this.#current === undefined) this.#refuse(refusal);
    else this.#farewell = refusal;
  }

  /** Whether the answer about to be sent is the last one here. */
  isLast(exchange: Exchange): boolean {
    const { isClosing, limits } = this.shared;
    const isCut = this.#failed && this.#farewell === undefined && exchange === this.#latest;
    return isCut || isClosing || exchange.number >= limits.requestsPerConnectionMax;
  }

  end(): void {
    this.#ended = true;
  }

  /** Instead of closing at once when the last answer has gone: says that nothing more comes, and reads what still does. */
  linger(): void {
    this.#ended = true;
    this.socket.destroySoon = () => this.#lingerNow();
  }

  done(exchange: Exchange): void {
    if (this.#current !== exchange) return;
    this.#current = undefined;
    this.shared.activeCount--;
    this.#peer.activeCount--;
    if (this.shared.isClosing) this.shared.onDone(this);
    if (this.#closed) return;
    const next = this.#waiting.shift();
    if (next !== undefined && !this.#ended) this.#start(next);
    else if (this.#farewell !== undefined) this.#refuse(this.#farewell);
  }

  /** Ends what has not moved for too long. */
  sweep(now: number): void {
    const { socket, shared } = this;
    const readSize = socket.bytesRead;
    const unsentSize = unsentSizeOf(socket);
    if (readSize !== this.#readSize || unsentSize !== this.#unsentSize) {
      this.#readSize = readSize;
      this.#unsentSize = unsentSize;
      this.#movedAt = now;
    }
    const still = now - this.#movedAt;
    if (this.#lingering !== undefined) {
      const { since, readSize: before } = this.#lingering;
      const isOver = now - since >= shared.limits.unreadTimeoutMs || readSize - before > shared.limits.unreadSizeMax;
      if (isOver) socket.destroy();
    } else if (unsentSize > 0) {
      if (still >= shared.limits.writeStallMs) socket.destroy();
    } else if (this.#current !== undefined) {
      if (!this.#current.isWaitingForBody) this.#movedAt = now;
      else if (still >= shared.limits.bodyIdleTimeoutMs) {
        const message = `nothing came of the body for ${shared.limits.bodyIdleTimeoutMs} ms`;
        this.#failed = true;
        this.#current.failBody(new StoreError("ABORTED", message));
      }
    } else {
      const isUnread = this.#latest?.message.complete === false;
      if (still >= (isUnread ? shared.limits.unreadTimeoutMs : shared.limits.keepAliveTimeoutMs)) socket.destroy();
    }
  }

  /** The client may read its answer and see the end before the connection goes. */
  #lingerNow(): void {
    this.#lingering = { since: this.shared.now(), readSize: this.socket.bytesRead };
    this.socket.end();
    this.socket.resume();
  }

  #start(exchange: Exchange): void {
    const { shared } = this;
    this.#current = exchange;
    const isBusy = this.#isBusy();
    shared.activeCount++;
    this.#peer.activeCount++;
    const refusal = exchange.refusal ?? (isBusy ? busy : undefined);
    // In a turn of its own: a thousand refused ones would otherwise be as many calls deep.
    const answer = refusal === undefined ? shared.handler(exchange) : Promise.resolve(shared.refuse(refusal));
    answer.then(
      (answer) => exchange.answer(answer),
      (error: unknown) => exchange.failed(error),
    );
  }

  #isBusy(): boolean {
    const { activeCount: active, peerCount: peers, limits } = this.shared;
    return isBusy({ active, activeOfPeer: this.#peer.activeCount, peers, requestsMax: limits.requestsMax });
  }

  /** Past node:http, when the last response it knows of has gone. */
  #refuse(refusal: HttpRefusal): void {
    const send = (): void => {
      this.#ended = true;
      if (this.#closed) return;
      this.socket.write(rawAnswer(this.shared.refuse(refusal), new Date(Date.now()).toUTCString()));
      this.#lingerNow();
    };
    const before = this.#latest?.response;
    if (before === undefined || before.writableFinished) send();
    else before.once("finish", send);
  }

  #gone(): void {
    this.#closed = true;
    this.#waiting.length = 0;
    this.#current?.gone();
    if (this.#latest !== this.#current) this.#latest?.gone();
  }
}

export class Exchange implements HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: HttpHeaders;
  readonly body: HttpBody;
  /** On its connection, from 1. */
  readonly number: number;
  readonly message: JoinedMessage;
  readonly response: ServerResponse;
  refusal: HttpRefusal | undefined;
  isAnswered = false;
  readonly #connection: HttpConnection;
  readonly #body: RequestBody | undefined;
  /** The client waits for "100 Continue", and has not got it. */
  #waits: boolean;
  #writer: PieceWriter | undefined;
  #isGone = false;
  #isFailed = false;

  constructor(
    connection: HttpConnection,
    number: number,
    message: JoinedMessage,
    response: ServerResponse,
    waits: boolean,
    refusal: HttpRefusal | undefined,
  ) {
    this.#connection = connection;
    this.number = number;
    this.message = message;
    this.response = response;
    this.method = message.method!;
    this.target = message.url!;
    this.headers = message.headers as HttpHeaders;
    this.refusal = problemOf(message, this.headers) ?? refusal;
    this.#waits = waits;
    const size = bodySizeOf(this.headers);
    if (size === 0) {
      this.body = noBody;
      // Nothing of it will be read; who gets another answer first (botocore) takes the next one for broken.
      if (waits) this.#continue();
    } else this.body = this.#body = new RequestBody(message, size, waits ? () => this.#continue() : undefined);
  }

  get peer(): string {
    return this.#connection.address;
  }

  get secure(): boolean {
    return this.#connection.shared.isSecure;
  }

  get isWaitingForBody(): boolean {
    return this.#body?.waiting === true;
  }

  answer(answer: HttpAnswer): void {
    if (this.#isGone || this.isAnswered) {
      this.#finish(answer);
      return;
    }
    this.isAnswered = true;
    const { response } = this;
    try {
      writeHead(response, answer, this.#endings());
    } catch (error) {
      this.isAnswered = false;
      this.failed(error, answer);
      return;
    }
    const { body } = answer;
    const isBodySent = this.method !== "HEAD" && answer.status !== 204 && answer.status !== 304;
    if (isBodySent && isStream(body)) this.#pump(body);
    else {
      if (isBodySent && body !== undefined && !isStream(body)) response.end(bytesOf(body));
      else response.end();
      this.#finish(answer);
    }
    if (!this.#isRead()) this.#discard();
  }

  /** Something that should not happen: a handler that rejects, an answer that cannot be sent. */
  failed(error: unknown, answer?: HttpAnswer): void {
    const { log, refuse } = this.#connection.shared;
    log.error("a request failed", { method: this.method, error: messageOf(error) });
    if (answer !== undefined) dispose(answer);
    if (this.#isFailed) {
      this.#connection.socket.destroy();
      this.#connection.done(this);
      return;
    }
    this.#isFailed = true;
    this.answer(refuse({ reason: "failure", status: 500, message: "the server failed" }));
  }

  failBody(error: StoreError): void {
    this.#body?.fail(error);
  }

  /** Its connection is closed. */
  gone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#body?.fail(new StoreError("ABORTED", "the client closed the connection before the end of the body"));
    this.#writer?.gone();
  }

  #continue(): void {
    this.#waits = false;
    this.response.writeContinue();
  }

  /** How this answer says what becomes of the connection. */
  #endings(): readonly string[] {
    const connection = this.#connection;
    const isRead = this.#isRead();
    const isOpenEnded = !isRead && !this.#isRestSmall();
    const isLast = isOpenEnded || connection.isLast(this);
    if (!isLast && this.response.shouldKeepAlive) return connection.shared.keepAlive;
    if (isRead && !connection.isFailed) connection.end();
    else connection.linger();
    return closeLines;
  }

  /** Node's parser may be told of the end a turn after the last byte was. */
  #isRead(): boolean {
    return this.message.complete || this.#body?.isOver === true;
  }

  #isRestSmall(): boolean {
    const body = this.#body;
    if (body === undefined) return true;
    // Who still waits for "100 Continue" may send the body or another request: nobody can tell which.
    if (this.#waits || body.size === undefined) return false;
    return body.size - body.receivedSize <= limits.httpUnreadKeepMax;
  }

  #discard(): void {
    if (this.#body === undefined) this.message.resume();
    else this.#body.discard();
  }

  #pump(stream: HttpStream): void {
    const writer = new PieceWriter(this.response, stream);
    this.#writer = writer;
    void writer
      .run()
      .catch((error: unknown) => {
        // A query can hold a signature that is still good.
        const path = this.target.split("?", 1)[0];
        if (!isTold(error))
          this.#connection.shared.log.warn("an answer was cut off", { path, error: messageOf(error) });
        this.#connection.socket.destroy();
      })
      .then(() => this.#connection.done(this));
  }

  /** What is left when the answer needs nothing more from its maker. */
  #finish(answer: HttpAnswer): void {
    dispose(answer);
    this.#connection.done(this);
  }
}

/** A stream that nobody will read still has to be told. */
function dispose({ body }: HttpAnswer): void {
  if (isStream(body)) void Promise.resolve(body.pieces[Symbol.asyncIterator]().return?.()).catch(ignore);
}

/** Bytes that the system has not taken; by the private count of the handle where there is one, which is the finer. */
function unsentSizeOf(socket: Socket): number {
  if (socket.writableLength === 0) return 0;
  const handle = (socket as unknown as { _handle?: { writeQueueSize?: number } | null })._handle;
  return socket.writableLength + (handle?.writeQueueSize ?? 0);
}

function ignore(): void {
  // Told by what follows.
}
