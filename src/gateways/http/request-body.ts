/**
 * The body of a request between its connection, which offers what arrived, and whoever takes it. Nothing is kept here but
 * a small body that arrived before it was asked for: what the taker cannot take now stays with the connection.
 */
import { assert, StoreError } from "../../core/errors.ts";
import type { HttpBody } from "../../env/http.ts";
import { ChunkedDecoder } from "./chunked-body.ts";

type Take = (piece: Uint8Array) => void | Promise<void>;

/** A body of at most this size is kept when it arrives with its head, so that the connection need not wait. */
const keptSizeMax = 65_536;

/** What is handed over at a time: what a taker has no room for it has to copy. */
const pieceSizeMax = 65_536;

export interface BodySource {
  /** Whoever reads is ready for more. */
  resume(): void;
  /** Called once, before the first byte is waited for. */
  sendContinue(): void;
}

export const noBody: HttpBody = { size: 0, read: () => Promise.resolve() };

export class IncomingBody implements HttpBody {
  readonly size: number | undefined;
  readonly #source: BodySource;
  readonly #chunks: ChunkedDecoder | undefined;
  /** Bytes of the body still to come, where it says so. */
  #left: number;
  #kept: Uint8Array[] = [];
  #take: Take | undefined;
  #resolve: (() => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #failure: unknown;
  /** The taker works on a piece. */
  #isHeld = false;
  #isDiscarded = false;
  /** All of it has come (and may still be with the taker). */
  isOver = false;

  constructor(size: number | undefined, source: BodySource) {
    this.size = size;
    this.#source = source;
    this.#chunks = size === undefined ? new ChunkedDecoder() : undefined;
    this.#left = size ?? 0;
  }

  /** Waits for the client, not for the taker. */
  get isWaiting(): boolean {
    return this.#reject !== undefined && !this.#isHeld && !this.isOver;
  }

  get restSize(): number | undefined {
    return this.size === undefined ? undefined : this.#left;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  read(take: Take): Promise<void> {
    assert(this.#take === undefined, "a body is read once");
    this.#take = take;
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const kept = this.#kept;
    this.#kept = [];
    if (this.isOver && kept.length <= 1) return this.#takeAtOnce(kept[0]);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      for (const piece of kept) this.#give(piece);
      if (this.#failure !== undefined) return;
      if (this.isOver) this.#settleWhenTaken();
      else {
        this.#source.sendContinue();
        if (!this.#isHeld) this.#source.resume();
      }
    });
  }

  async #takeAtOnce(piece: Uint8Array | undefined): Promise<void> {
    if (piece !== undefined) await this.#take!(piece);
  }

  /** How many bytes from `from` on were dealt with. Broken chunks fail the body. */
  offer(bytes: Buffer, from: number): number {
    try {
      return this.#chunks === undefined ? this.#offerSized(bytes, from) : this.#offerChunks(this.#chunks, bytes, from);
    } catch (error) {
      this.fail(error);
      return bytes.length - from;
    }
  }

  #offerSized(bytes: Buffer, from: number): number {
    const size = Math.min(this.#left, bytes.length - from, pieceSizeMax);
    const isWhole = from === 0 && size === bytes.length;
    const piece = isWhole ? bytes : bytes.subarray(from, from + size);
    if (!this.#accept(piece)) return 0;
    this.#left -= size;
    if (this.#left === 0) this.#over();
    return size;
  }

  #offerChunks(chunks: ChunkedDecoder, bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length && !this.isOver) {
      const next = chunks.next(bytes, at);
      at = next.at;
      if (next.data !== undefined) {
        const piece = next.data.subarray(0, pieceSizeMax);
        if (!this.#accept(piece)) break;
        chunks.took(piece.length);
        at += piece.length;
      }
      if (chunks.isOver) this.#over();
    }
    return at - from;
  }

  /** Whether the piece was taken, kept or thrown away. */
  #accept(piece: Uint8Array): boolean {
    if (this.#isDiscarded || this.#failure !== undefined) return true;
    if (this.#take === undefined) {
      if (this.size === undefined || this.size > keptSizeMax) return false;
      // The memory is the connection's, and is overwritten by its next read.
      this.#kept.push(Buffer.from(piece));
      return true;
    }
    if (this.#isHeld) return false;
    this.#give(piece);
    return true;
  }

  #give(piece: Uint8Array): void {
    if (this.#failure !== undefined) return;
    let taken: void | Promise<void>;
    try {
      taken = this.#take!(piece);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (taken === undefined) return;
    this.#isHeld = true;
    taken.then(
      () => this.#taken(),
      (error: unknown) => this.fail(error),
    );
  }

  #taken(): void {
    this.#isHeld = false;
    if (this.isOver) this.#settleWhenTaken();
    else this.#source.resume();
  }

  #over(): void {
    this.isOver = true;
    this.#settleWhenTaken();
  }

  #settleWhenTaken(): void {
    if (this.#isHeld) return;
    this.#resolve?.();
    this.#resolve = undefined;
    this.#reject = undefined;
  }

  fail(error: unknown): void {
    if (this.#failure !== undefined || (this.isOver && this.#reject === undefined)) return;
    this.#failure = error;
    this.#reject?.(error);
    this.#resolve = undefined;
    this.#reject = undefined;
  }

  /** The request is answered: what still comes is thrown away. */
  discard(): void {
    this.#isDiscarded = true;
    this.#kept = [];
    if (this.#reject === undefined) return;
    this.fail(new StoreError("ABORTED", "the request was answered before its body was read"));
  }
}
