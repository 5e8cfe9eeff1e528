/**
 * The bytes of a stored object on their way to the caller: verified, decrypted, copied out of the arena. Between two pieces
 * nothing is held for long: a reader that pauses gives its buffers back and later goes on where it was.
 */
import { Readable } from "node:stream";
import { ReadableStream } from "node:stream/web";
import { StoreError } from "../core/errors.ts";
import { libraryReadIdleMs } from "../core/limits.ts";
import type { SavedObject } from "../datastore/datastore.ts";
import type { Clock } from "../env/host.ts";
import type { Router } from "../router/router.ts";
import { alive } from "./alive.ts";
import { abortedError } from "./errors.ts";
import type { ObjectBody } from "./store.ts";

export interface StoredBodyOptions {
  readonly router: Router;
  readonly clock: Clock;
  readonly object: SavedObject;
  readonly offset: number;
  readonly length: number;
  /** For the bytes from a position on, in order. */
  readonly decryptorAt: ((position: number) => (bytes: Uint8Array) => Uint8Array) | undefined;
  readonly signal: AbortSignal | undefined;
  /** All of the wanted bytes, where they have been read. */
  readonly bytes: Uint8Array | undefined;
}

export class StoredBody implements ObjectBody {
  readonly size: number;
  readonly #options: StoredBodyOptions;
  #used = false;

  constructor(options: StoredBodyOptions) {
    this.#options = options;
    this.size = options.length;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#take();
  }

  stream(): ReadableStream<Uint8Array> {
    const pieces = this.#take();
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await pieces.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
        cancel: async () => {
          await pieces.return(undefined);
        },
      },
      { highWaterMark: 0 },
    );
  }

  node(): Readable {
    return Readable.from(this.#take(), { objectMode: false });
  }

  async bytes(): Promise<Uint8Array> {
    const all = new Uint8Array(this.size);
    let at = 0;
    for await (const piece of this.#take()) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }

  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text()) as unknown;
  }

  #take(): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#used) throw new StoreError("INVALID", "body: it is read once; get the object again");
    this.#used = true;
    return this.#pieces();
  }

  async *#pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const { bytes, clock, length, signal } = this.#options;
    if (bytes !== undefined) {
      if (signal?.aborted === true) throw abortedError(signal);
      if (bytes.length > 0) yield bytes;
      return;
    }
    const reading = new Reading(this.#options);
    try {
      while (reading.done < length) {
        if (signal?.aborted === true) throw abortedError(signal);
        const piece = await alive(() => reading.next());
        const idle = clock.after(libraryReadIdleMs, () => reading.park());
        // The time that the taker takes.
        yield piece;
        idle.cancel();
      }
    } finally {
      reading.park();
    }
  }
}

interface OpenReading {
  readonly pieces: ReturnType<Router["read"]>;
  readonly decrypt: ((bytes: Uint8Array) => Uint8Array) | undefined;
}

/** Pieces from the router; parked, it holds nothing. */
class Reading {
  readonly #options: StoredBodyOptions;
  #open: OpenReading | undefined;
  done = 0;

  constructor(options: StoredBodyOptions) {
    this.#options = options;
  }

  async next(): Promise<Uint8Array> {
    const { pieces, decrypt } = (this.#open ??= this.#begin());
    const { done, value } = await this.#explained(pieces.next());
    if (done === true) throw new Error("assertion failed: an object has as many bytes as it says");
    const { buffer, skip, take } = value;
    try {
      const stored = buffer.data.subarray(skip, skip + take);
      this.done += take;
      return decrypt === undefined ? stored.slice() : decrypt(stored);
    } finally {
      buffer.release();
    }
  }

  park(): void {
    const open = this.#open;
    this.#open = undefined;
    void open?.pieces.return(undefined).catch(() => undefined);
  }

  #begin(): OpenReading {
    const { router, object, offset, length, decryptorAt } = this.#options;
    const from = offset + this.done;
    return { pieces: router.read(object, from, length - this.done), decrypt: decryptorAt?.(from) };
  }

  /** What is gone because somebody overwrote the object is not damaged. */
  async #explained<Value>(reading: Promise<Value>): Promise<Value> {
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "DAMAGED") throw error;
      const { router, object } = this.#options;
      const record = await router.datastore.getObject(object.id);
      if (record?.status === "saved") throw error;
      throw new StoreError("CONFLICT", "the object was overwritten or deleted before it was read", { cause: error });
    }
  }
}
