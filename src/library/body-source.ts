/**
 * What is given to `put`, as the body that the gateway's modules store. A piece is asked for only when the one before has
 * been taken, so that a slow disk holds back whoever makes them.
 */
import type { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { StoreError } from "../core/errors.ts";
import { digestSlabSize, objectSizeMax } from "../core/limits.ts";
import type { DigestAlgorithm, Digests } from "../env/digests.ts";
import { type ChecksumAlgorithm, digestOf } from "../gateways/s3/body/checksum.ts";
import type { ReceivedBody, RequestBody, Wanted } from "../gateways/s3/body/request-body.ts";
import { abortedError } from "./errors.ts";
import type { Body, PutOptions } from "./store.ts";

/** Where bytes come from, one piece after the other. */
interface Source {
  /** undefined at the end. */
  next(): Promise<Uint8Array | undefined>;
  /** Nothing more is wanted. */
  cancel(reason: unknown): void;
}

/** INVALID for what is none of the kinds of bodies. */
export function libraryBodyOf(body: Body, digests: Digests, options: PutOptions): LibraryBody {
  const { checksum, signal } = options;
  if (typeof body === "string") return new BytesBody(Buffer.from(body, "utf8"), digests, checksum, signal);
  if (body instanceof Uint8Array) return new BytesBody(body, digests, checksum, signal);
  return new SourceBody(sourceOf(body), digests, checksum, signal);
}

export abstract class LibraryBody implements RequestBody {
  abstract readonly size: number | undefined;
  /** None: a gateway would take it for one that the client vouches for. */
  readonly algorithm = undefined;
  /** When it was stored. */
  receivedSize = 0;
  protected readonly digests: Digests;
  protected readonly checksum: ChecksumAlgorithm | undefined;
  protected readonly signal: AbortSignal | undefined;

  constructor(digests: Digests, checksum: ChecksumAlgorithm | undefined, signal: AbortSignal | undefined) {
    this.digests = digests;
    this.checksum = checksum;
    this.signal = signal;
  }

  /** Nothing was or will be read of it, or no more. */
  abstract cancel(reason: unknown): void;
  abstract receive(sizeMax: number, wanted: Wanted): Promise<ReceivedBody & { readonly bytes: Uint8Array }>;
  abstract stream(take: (piece: Uint8Array) => void | Promise<void>, wanted: Wanted): Promise<ReceivedBody>;

  async collect(sizeMax: number): Promise<Uint8Array> {
    return (await this.receive(sizeMax, { md5: false })).bytes;
  }

  protected throwIfAborted(): void {
    if (this.signal?.aborted === true) throw abortedError(this.signal);
  }

  protected algorithms({ md5 }: Wanted): DigestAlgorithm[] {
    return [...(md5 ? ["md5" as const] : []), ...(this.checksum === undefined ? [] : [digestOf(this.checksum)])];
  }

  protected received(size: number, found: ReadonlyMap<DigestAlgorithm, Uint8Array>): ReceivedBody {
    const { checksum } = this;
    this.receivedSize = size;
    const value = checksum === undefined ? undefined : found.get(digestOf(checksum));
    const checksums =
      value === undefined || checksum === undefined ? {} : { [checksum]: Buffer.from(value).toString("base64") };
    return { size, md5: found.get("md5"), checksums };
  }

  /** Pieces to `take` and into the digests, in turn. */
  protected async pump(
    next: Source["next"],
    take: (piece: Uint8Array) => void | Promise<void>,
    wanted: Wanted,
  ): Promise<ReceivedBody> {
    const digest = this.digests.open(this.algorithms(wanted), this.size);
    let size = 0;
    try {
      for (let piece = await next(); piece !== undefined; piece = await next()) {
        this.throwIfAborted();
        size += piece.length;
        if (size > objectSizeMax) throw new StoreError("INVALID", `body: an object has at most ${objectSizeMax} bytes`);
        await Promise.all([digest.update(piece), taken(take, piece)]);
      }
      this.throwIfAborted();
      return this.received(size, await digest.finish());
    } catch (error) {
      digest.abort();
      throw error;
    }
  }
}

/** What is thrown becomes a rejection, so that it is awaited together with the digest. */
async function taken(take: (piece: Uint8Array) => void | Promise<void>, piece: Uint8Array): Promise<void> {
  await take(piece);
}

class BytesBody extends LibraryBody {
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(
    bytes: Uint8Array,
    digests: Digests,
    checksum: ChecksumAlgorithm | undefined,
    signal: AbortSignal | undefined,
  ) {
    super(digests, checksum, signal);
    this.#bytes = bytes;
    this.size = bytes.length;
  }

  async receive(sizeMax: number, wanted: Wanted): Promise<ReceivedBody & { readonly bytes: Uint8Array }> {
    this.throwIfAborted();
    const bytes = this.#bytes;
    if (bytes.length > sizeMax) throw new StoreError("INVALID", `body: ${bytes.length} bytes, at most ${sizeMax}`);
    const found = new Map(this.algorithms(wanted).map((algorithm) => [algorithm, this.digests.once(algorithm, bytes)]));
    return { ...this.received(bytes.length, found), bytes };
  }

  stream(take: (piece: Uint8Array) => void | Promise<void>, wanted: Wanted): Promise<ReceivedBody> {
    let at = 0;
    const next = async (): Promise<Uint8Array | undefined> => {
      if (at >= this.#bytes.length) return undefined;
      const piece = this.#bytes.subarray(at, at + digestSlabSize);
      at += piece.length;
      return piece;
    };
    return this.pump(next, take, wanted);
  }

  cancel(): void {
    // They are the caller's.
  }
}

class SourceBody extends LibraryBody {
  readonly size = undefined;
  readonly #source: Source;

  constructor(
    source: Source,
    digests: Digests,
    checksum: ChecksumAlgorithm | undefined,
    signal: AbortSignal | undefined,
  ) {
    super(digests, checksum, signal);
    this.#source = source;
  }

  async receive(sizeMax: number, wanted: Wanted): Promise<ReceivedBody & { readonly bytes: Uint8Array }> {
    const pieces: Uint8Array[] = [];
    const received = await this.stream((piece) => {
      pieces.push(piece.slice());
    }, wanted);
    if (received.size > sizeMax) throw new StoreError("INVALID", `body: ${received.size} bytes, at most ${sizeMax}`);
    return { ...received, bytes: Buffer.concat(pieces) };
  }

  async stream(take: (piece: Uint8Array) => void | Promise<void>, wanted: Wanted): Promise<ReceivedBody> {
    const { signal } = this;
    const source = this.#source;
    if (signal === undefined) return this.pump(() => source.next(), take, wanted);
    this.throwIfAborted();
    // A source that gives nothing more must not keep the write open.
    let stop: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      stop = (): void => reject(abortedError(signal));
      signal.addEventListener("abort", stop, { once: true });
    });
    aborted.catch(() => undefined);
    try {
      return await this.pump(() => Promise.race([source.next(), aborted]), take, wanted);
    } finally {
      signal.removeEventListener("abort", stop!);
    }
  }

  cancel(reason: unknown): void {
    this.#source.cancel(reason);
  }
}

// ── the kinds of sources ────────────────────────────────────────────────────────────────────────────────────────────

function sourceOf(body: Exclude<Body, string | Uint8Array>): Source {
  if (typeof body === "object" && body !== null) {
    if ("getReader" in body) return ofWebStream(body);
    if (Symbol.asyncIterator in body) return ofIterable(body);
  }
  throw new StoreError("INVALID", `body: a string, a Uint8Array, a stream or an async iterable, not ${typeof body}`);
}

function ofWebStream(stream: ReadableStream<Uint8Array>): Source {
  if (stream.locked) throw new StoreError("INVALID", "body: the stream is being read by somebody else");
  const reader = stream.getReader();
  return {
    next: async () => {
      const { done, value } = await reader.read();
      return done ? undefined : bytesOf(value);
    },
    cancel: (reason) => void reader.cancel(reason).catch(() => undefined),
  };
}

function ofIterable(iterable: Readable | AsyncIterable<Uint8Array | string>): Source {
  const iterator = iterable[Symbol.asyncIterator]() as AsyncIterator<unknown>;
  return {
    next: async () => {
      const { done, value } = await iterator.next();
      return done === true ? undefined : bytesOf(value);
    },
    cancel: () => {
      // An iterator that is asked for its next piece comes to `return` only after that. Without the reason: nobody may
      // listen to the stream's errors, and whoever waits for `put` is told.
      if ("destroy" in iterable) iterable.destroy();
      else void iterator.return?.().catch(() => undefined);
    },
  };
}

function bytesOf(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  if (typeof piece === "string") return Buffer.from(piece, "utf8");
  throw new StoreError("INVALID", `body: pieces are Uint8Array or string, not ${typeof piece}`);
}
