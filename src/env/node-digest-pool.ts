/**
 * Threads that hash large bodies while this one receives and writes them. Bytes are copied into shared memory, a slab at a
 * time (10 GB/s, against MD5's 0.7), and one message tells of each; a body has a few slabs, and waits when all are on
 * their way. Threads are started when first needed and keep the process alive only while they have something to do.
 */
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { messageOf, StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { Digest, DigestAlgorithm } from "./digests.ts";
import { crc32cPolynomial, crc64nvmePolynomial } from "./node-digest-inline.ts";
import { digestWorkerSource, type FromWorker, type ToWorker } from "./node-digest-worker.ts";

interface Slab {
  readonly number: number;
  readonly memory: SharedArrayBuffer;
  readonly bytes: Uint8Array;
}

type Results = ReadonlyMap<DigestAlgorithm, Uint8Array>;

export class DigestPool {
  readonly workerCount: number;
  readonly #threads: DigestThread[] = [];
  /** By number; kept for whoever needs one. */
  readonly #free: Slab[] = [];
  #slabNumber = 0;
  #isClosed = false;

  constructor(workerCount = Math.max(1, availableParallelism() - 1)) {
    this.workerCount = workerCount;
  }

  /** Bodies that are being hashed here. */
  get openCount(): number {
    return this.#threads.reduce((sum, thread) => sum + thread.openCount, 0);
  }

  open(algorithms: readonly DigestAlgorithm[]): Digest {
    if (this.#isClosed) throw new StoreError("ABORTED", "digests are closed");
    return new PooledDigest(this, this.#thread(), algorithms);
  }

  takeSlab(): Slab {
    const kept = this.#free.pop();
    if (kept !== undefined) return kept;
    const memory = new SharedArrayBuffer(limits.digestSlabSize);
    return { number: this.#slabNumber++, memory, bytes: new Uint8Array(memory) };
  }

  giveSlab(slab: Slab): void {
    if (this.#free.length < limits.digestSlabsKept) this.#free.push(slab);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#threads.splice(0).map((thread) => thread.close()));
  }

  /** The one with the least to do; another one while not all are started. */
  #thread(): DigestThread {
    const least = this.#threads.toSorted((a, b) => a.openCount - b.openCount)[0];
    if (least !== undefined && (least.openCount === 0 || this.#threads.length >= this.workerCount)) return least;
    const thread = new DigestThread(() => {
      const index = this.#threads.indexOf(thread);
      if (index >= 0) this.#threads.splice(index, 1);
    });
    this.#threads.push(thread);
    return thread;
  }
}

class DigestThread {
  readonly #worker: Worker;
  readonly #open = new Map<number, PooledDigest>();
  #nextId = 0;

  constructor(onGone: () => void) {
    this.#worker = new Worker(digestWorkerSource, {
      // Not what this process was started with: `--input-type=module` would make the source another one.
      execArgv: [],
      eval: true,
      // By its path: what is evaluated has none of its own to look from.
      workerData: {
        hashWasm: createRequire(import.meta.url).resolve("hash-wasm"),
        crc32c: crc32cPolynomial,
        crc64nvme: crc64nvmePolynomial,
      },
    });
    this.#worker.unref();
    let why = "it was closed";
    this.#worker.on("error", (error) => (why = messageOf(error)));
    this.#worker.on("exit", () => {
      onGone();
      for (const digest of this.#open.values()) {
        digest.fail(new StoreError("UNAVAILABLE", `the thread that hashed has ended: ${why}`));
      }
      this.#open.clear();
    });
    this.#worker.on("message", (message: FromWorker) => {
      const digest = this.#open.get(message.id);
      if (message.slab !== undefined) digest?.slabBack(message.slab);
      if (message.results !== undefined) digest?.finished(message.results);
    });
  }

  get openCount(): number {
    return this.#open.size;
  }

  add(digest: PooledDigest): number {
    if (this.#open.size === 0) this.#worker.ref();
    const id = this.#nextId++;
    this.#open.set(id, digest);
    return id;
  }

  remove(id: number): void {
    this.#open.delete(id);
    if (this.#open.size === 0) this.#worker.unref();
  }

  post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

class PooledDigest implements Digest {
  readonly #pool: DigestPool;
  readonly #thread: DigestThread;
  readonly #algorithms: readonly DigestAlgorithm[];
  readonly #id: number;
  #isTold = false;
  /** Being filled. */
  #slab: Slab | undefined;
  #filled = 0;
  /** Posted and not back yet, the oldest first: they come back in this order. */
  readonly #away: Slab[] = [];
  #kept = new Uint8Array(0);
  #failure: StoreError | undefined;
  #isAborted = false;
  #wake: (() => void) | undefined;
  #resolve: ((results: Results) => void) | undefined;
  #reject: ((error: StoreError) => void) | undefined;

  constructor(pool: DigestPool, thread: DigestThread, algorithms: readonly DigestAlgorithm[]) {
    this.#pool = pool;
    this.#thread = thread;
    this.#algorithms = algorithms;
    this.#id = thread.add(this);
  }

  update(bytes: Uint8Array): void | Promise<void> {
    const copied = this.#copy(bytes, 0);
    if (copied < bytes.length) return this.#copyRest(this.#keep(bytes.subarray(copied)));
  }

  finish(): Promise<Results> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#resolve = resolve;
      this.#reject = reject;
      this.#post("finish");
    });
  }

  abort(): void {
    if (this.#failure !== undefined) return;
    this.#isAborted = true;
    if (this.#slab !== undefined) this.#pool.giveSlab(this.#slab);
    this.#slab = undefined;
    this.#post("abort");
    this.#wake?.();
    if (this.#away.length === 0) this.#thread.remove(this.#id);
  }

  slabBack(number: number): void {
    const slab = this.#away.shift();
    if (slab?.number === number) this.#pool.giveSlab(slab);
    if (this.#isAborted && this.#away.length === 0) this.#thread.remove(this.#id);
    this.#wake?.();
  }

  finished(results: readonly Uint8Array[]): void {
    this.#thread.remove(this.#id);
    this.#resolve?.(new Map(this.#algorithms.map((algorithm, index) => [algorithm, results[index]!])));
  }

  fail(error: StoreError): void {
    this.#failure = error;
    this.#reject?.(error);
    this.#wake?.();
  }

  /** As much as there is room for; how far that is. */
  #copy(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length && this.#failure === undefined && !this.#isAborted) {
      if (this.#slab === undefined) {
        if (this.#away.length >= limits.digestSlabsEachMax) return at;
        this.#slab = this.#pool.takeSlab();
        this.#filled = 0;
      }
      const size = Math.min(bytes.length - at, limits.digestSlabSize - this.#filled);
      this.#slab.bytes.set(bytes.subarray(at, at + size), this.#filled);
      this.#filled += size;
      at += size;
      if (this.#filled === limits.digestSlabSize) this.#post();
    }
    return at;
  }

  /** A copy in memory that is used again: there is one rest at a time. */
  #keep(rest: Uint8Array): Uint8Array {
    if (this.#kept.length < rest.length) this.#kept = new Uint8Array(rest.length);
    this.#kept.set(rest);
    return this.#kept.subarray(0, rest.length);
  }

  /** Of a copy: the bytes were only lent. */
  async #copyRest(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at = this.#copy(bytes, at)) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isAborted) throw new StoreError("ABORTED", "the digest was given up");
      if (this.#away.length >= limits.digestSlabsEachMax) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #post(end?: "finish" | "abort"): void {
    const slab = this.#slab;
    const first = this.#isTold ? {} : { algorithms: this.#algorithms };
    this.#isTold = true;
    const rest = slab === undefined ? {} : { slab: slab.number, memory: slab.memory, size: this.#filled };
    if (slab !== undefined) this.#away.push(slab);
    this.#slab = undefined;
    this.#thread.post({ id: this.#id, ...first, ...rest, ...(end === undefined ? {} : { end }) });
  }
}
