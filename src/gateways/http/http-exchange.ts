/** One request and its answer, on a connection that goes on when both are over. */
import { messageOf, StoreError } from "../../core/errors.ts";
import { httpPiecesInFlightMax, httpUnreadKeepMax } from "../../core/limits.ts";
import type { Log } from "../../env/host.ts";
import {
  isTold,
  type HttpAnswer,
  type HttpPiece,
  type HttpRefusal,
  type HttpRequest,
  type HttpStream,
} from "../../env/http.ts";
import { isStream } from "./answer-bytes.ts";
import { type BodySource, IncomingBody, noBody } from "./request-body.ts";
import type { RequestHead } from "./request-head.ts";

/** What a request needs of its connection. */
export interface ExchangePlace extends BodySource {
  readonly peerAddress: string;
  readonly shared: { readonly log: Log; readonly refuse: (refusal: HttpRefusal) => HttpAnswer };
  /** Whether no request after this one is answered here. */
  isLast(head: RequestHead): boolean;
  /** Head and, where it is at hand, body. Throws where a header cannot be sent; nothing was sent then. */
  sendHead(answer: HttpAnswer, isLast: boolean, hasBody: boolean): void;
  /** Resolves when the system has taken the bytes; undefined where it has at once. */
  send(bytes: Uint8Array): Promise<void> | undefined;
  /** The request is answered. */
  done(isLast: boolean): void;
  destroy(): void;
}

export class Exchange implements HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: HttpRequest["headers"];
  readonly secure = false;
  readonly body: HttpRequest["body"];
  readonly incoming: IncomingBody | undefined;
  readonly #connection: ExchangePlace;
  readonly #head: RequestHead;
  #waitsForContinue: boolean;
  #isAnswered = false;
  #isFailed = false;
  #isGone = false;
  /** A write failed: the connection is about to be gone. */
  #isBroken = false;
  readonly #flying: HttpPiece[] = [];
  #wake: (() => void) | undefined;

  constructor(connection: ExchangePlace, head: RequestHead) {
    this.#connection = connection;
    this.#head = head;
    this.method = head.method;
    this.target = head.target;
    this.headers = head.headers;
    this.#waitsForContinue = head.expectsContinue;
    if (head.bodySize === 0) this.body = noBody;
    else this.body = this.incoming = new IncomingBody(head.bodySize, connection);
  }

  get peer(): string {
    return this.#connection.peerAddress;
  }

  takeContinue(): boolean {
    const waits = this.#waitsForContinue;
    this.#waitsForContinue = false;
    return waits;
  }

  /** Nothing more comes of the body, or nothing in time. */
  cut(error = new StoreError("ABORTED", "the client closed the connection before the end of the body")): void {
    this.incoming?.fail(error);
    this.#isFailed = true;
  }

  /** Its chunks are broken, or its taker has refused it. */
  bodyFailed(): void {
    this.#isFailed = true;
  }

  answer(answer: HttpAnswer): void {
    if (this.#isGone) {
      dispose(answer);
      return;
    }
    this.#isAnswered = true;
    const hasBody = this.method !== "HEAD" && answer.status !== 204 && answer.status !== 304;
    const isClean = this.#isClean();
    const isLast = this.#connection.isLast(this.#head) || (!isClean && !this.#isRestSmall());
    try {
      this.#connection.sendHead(answer, isLast, hasBody);
    } catch (error) {
      this.failed(error, answer);
      return;
    }
    this.incoming?.discard();
    const { body } = answer;
    if (hasBody && isStream(body)) void this.#pump(body, isLast);
    else {
      dispose(answer);
      this.#connection.done(isLast);
    }
  }

  /** Something that should not happen: a handler that rejects, an answer that cannot be sent. */
  failed(error: unknown, answer?: HttpAnswer): void {
    const { log, refuse } = this.#connection.shared;
    log.error("a request failed", { method: this.method, error: messageOf(error) });
    if (answer !== undefined) dispose(answer);
    if (this.#isAnswered && answer === undefined) this.#connection.destroy();
    else this.answer(refuse({ reason: "failure", status: 500, message: "the server failed" }));
  }

  /** Its connection is closed. */
  gone(): void {
    this.#isGone = true;
    this.incoming?.fail(new StoreError("ABORTED", "the client closed the connection before the end of the body"));
    for (const piece of this.#flying.splice(0)) piece.release();
    this.#wake?.();
    this.#connection.done(true);
  }

  #isClean(): boolean {
    return this.incoming === undefined || (this.incoming.isOver && !this.#isFailed);
  }

  #isRestSmall(): boolean {
    // Who still waits for "100 Continue" may send the body or another request: nobody can tell which.
    if (this.#waitsForContinue || this.#isFailed) return false;
    const rest = this.incoming?.restSize;
    return rest !== undefined && rest <= httpUnreadKeepMax;
  }

  /** Pieces in order, a few at a time on their way; each is released when the socket has taken it. */
  async #pump(stream: HttpStream, isLast: boolean): Promise<void> {
    const iterator = stream.pieces[Symbol.asyncIterator]();
    let left = stream.size;
    try {
      while (left > 0 && !this.#isOver) {
        const next = await iterator.next();
        if (next.done === true) throw new StoreError("DAMAGED", `${left} bytes of an answer are not there`);
        left -= next.value.bytes.length;
        if (left < 0) {
          next.value.release();
          throw new StoreError("DAMAGED", "an answer has more bytes than its size says");
        }
        this.#send(next.value);
        while (this.#flying.length >= httpPiecesInFlightMax && !this.#isOver) await this.#change();
      }
      while (this.#flying.length > 0 && !this.#isOver) await this.#change();
      if (!this.#isOver) this.#connection.done(isLast);
    } catch (error) {
      // A query can hold a signature that is still good.
      const path = this.target.split("?", 1)[0];
      if (!isTold(error)) this.#connection.shared.log.warn("an answer was cut off", { path, error: messageOf(error) });
      this.#connection.destroy();
    } finally {
      await Promise.resolve(iterator.return?.()).catch(ignore);
    }
  }

  get #isOver(): boolean {
    return this.#isGone || this.#isBroken;
  }

  #send(piece: HttpPiece): void {
    if (this.#isOver) {
      piece.release();
      return;
    }
    const sending = this.#connection.send(piece.bytes);
    if (sending === undefined) {
      piece.release();
      return;
    }
    this.#flying.push(piece);
    const sent = (): void => {
      if (this.#isGone) return;
      // They are sent in order.
      this.#flying.shift()?.release();
      this.#wake?.();
    };
    sending.then(sent, () => {
      this.#isBroken = true;
      this.#connection.destroy();
      sent();
    });
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

/** A stream that nobody will read still has to be told. */
function dispose({ body }: HttpAnswer): void {
  if (isStream(body)) void Promise.resolve(body.pieces[Symbol.asyncIterator]().return?.()).catch(ignore);
}

function ignore(): void {
  // Told by what follows.
}
