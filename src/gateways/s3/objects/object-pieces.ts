/**
 * A stored object's bytes on their way to a client. The first piece is read and verified before there is an answer, so
 * that what is damaged or cannot be read there is an error of its own and no 200 that is cut off.
 *
 * Clients decide how long a piece is on its way, so that those who do not read could hold all of the arena's buffers and
 * stop everybody else. While buffers are scarce a piece leaves as a copy, and only one of them at a time.
 */
import type { HttpPiece } from "../../../env/http.ts";
import type { Piece } from "../../../router/object-reader.ts";
import type { Router } from "../../../router/router.ts";

export interface ObjectPiecesOptions {
  readonly router: Router;
  /** Verified pieces, in order. */
  readonly source: AsyncGenerator<Piece>;
  readonly decrypt: ((bytes: Uint8Array) => Uint8Array) | undefined;
  /** What is thrown instead of an error of reading. */
  readonly explain: (error: unknown) => Promise<unknown>;
}

/** No generator: one that was never begun would not give back, at its `return`, what was read for it. */
export class ObjectPieces implements AsyncIterableIterator<HttpPiece> {
  readonly #options: ObjectPiecesOptions;
  #first: Piece | undefined;
  /** Resolves when the copy that is on its way has left. */
  #copyGone: Promise<void> | undefined;

  private constructor(options: ObjectPiecesOptions) {
    this.#options = options;
  }

  /** Rejects where the first piece cannot be read. Its memory is held until `next` or `return` is called. */
  static async open(options: ObjectPiecesOptions): Promise<ObjectPieces> {
    const pieces = new ObjectPieces(options);
    pieces.#first = await pieces.#read();
    return pieces;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<HttpPiece>> {
    await this.#copyGone;
    const first = this.#first;
    this.#first = undefined;
    const piece = first ?? (await this.#read());
    return piece === undefined ? { done: true, value: undefined } : { done: false, value: this.#leaving(piece) };
  }

  async return(): Promise<IteratorResult<HttpPiece>> {
    this.#first?.buffer.release();
    this.#first = undefined;
    await this.#options.source.return(undefined);
    return { done: true, value: undefined };
  }

  async #read(): Promise<Piece | undefined> {
    try {
      const { done, value } = await this.#options.source.next();
      return done === true ? undefined : value;
    } catch (error) {
      throw await this.#options.explain(error);
    }
  }

  #leaving({ buffer, skip, take }: Piece): HttpPiece {
    const { router, decrypt } = this.#options;
    const bytes = buffer.data.subarray(skip, skip + take);
    if (decrypt === undefined && !router.isCrowded) return { bytes, release: () => buffer.release() };
    const copy = decrypt?.(bytes) ?? Uint8Array.from(bytes);
    buffer.release();
    let release: () => void = () => undefined;
    this.#copyGone = new Promise<void>((resolve) => (release = resolve));
    return { bytes: copy, release };
  }
}
