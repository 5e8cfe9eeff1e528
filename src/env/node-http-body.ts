/** The body of one request on its way from node:http to whoever takes it, piece by piece, with back-pressure. */
import type { IncomingMessage } from "node:http";
import { assert, StoreError } from "../core/errors.ts";
import type { HttpBody } from "./http.ts";

type Take = (piece: Uint8Array) => void | Promise<void>;

export const noBody: HttpBody = { size: 0, read: () => Promise.resolve() };

export class RequestBody implements HttpBody {
  readonly size: number | undefined;
  receivedSize = 0;
  /** Waits for the client, not for the taker: what its idle time is counted by. */
  waiting = false;
  readonly #request: IncomingMessage;
  readonly #onRead: (() => void) | undefined;
  #take: Take | undefined;
  #resolve: (() => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #failure: StoreError | undefined;
  /** The taker has a piece that it has not done with. */
  #held = false;
  #ended = false;

  /** `onRead` sends "100 Continue" where the client waits for it. */
  constructor(request: IncomingMessage, size: number | undefined, onRead: (() => void) | undefined) {
    this.#request = request;
    this.size = size;
    this.#onRead = onRead;
  }

  read(take: Take): Promise<void> {
    assert(this.#take === undefined, "a body is read once");
    this.#take = take;
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#onRead?.();
    this.waiting = true;
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#request.on("data", (piece: Buffer) => this.#piece(piece));
      // With a known size the last piece says that it is the last; one turn and one listener less.
      if (this.size === undefined) this.#request.on("end", () => this.#end());
    });
  }

  /** All of it has come. */
  get isOver(): boolean {
    return this.#ended;
  }

  /** Nothing more comes. */
  fail(error: StoreError): void {
    this.#failure ??= error;
    this.#settle(this.#failure);
  }

  /** The request is answered: what still comes is thrown away. */
  discard(): void {
    if (this.#reject !== undefined) {
      this.#settle(new StoreError("ABORTED", "the request was answered before its body was read"));
    }
    this.#take ??= ignore;
    this.#request.removeAllListeners("data");
    this.#request.resume();
  }

  #piece(piece: Buffer): void {
    if (this.#reject === undefined) return;
    this.receivedSize += piece.length;
    if (this.receivedSize === this.size) this.#ended = true;
    let taken: void | Promise<void>;
    try {
      taken = this.#take!(piece);
    } catch (error) {
      this.#settle(error);
      return;
    }
    if (taken === undefined) {
      if (this.#ended) this.#settle();
      return;
    }
    this.#held = true;
    this.waiting = false;
    this.#request.pause();
    taken.then(
      () => this.#taken(),
      (error: unknown) => this.#settle(error),
    );
  }

  #taken(): void {
    this.#held = false;
    if (this.#reject === undefined) return;
    if (this.#ended) this.#settle();
    else this.waiting = true;
    this.#request.resume();
  }

  #end(): void {
    this.#ended = true;
    if (!this.#held) this.#settle();
  }

  #settle(error?: unknown): void {
    const [resolve, reject] = [this.#resolve, this.#reject];
    this.#resolve = undefined;
    this.#reject = undefined;
    this.waiting = false;
    if (error === undefined) resolve?.();
    else {
      // What comes after a failure waits in the socket until the answer decides about it.
      if (reject !== undefined) this.#request.pause();
      reject?.(error);
    }
  }
}

function ignore(): void {
  // Nothing is done with it.
}
