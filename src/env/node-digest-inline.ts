/**
 * Digests on the thread that asks: OpenSSL for MD5 and SHA, zlib for CRC32, WebAssembly for the CRCs that Node has not.
 * A WebAssembly hasher has one state, so that its users take turns and put theirs aside.
 */
import { createHash, hash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { createRequire } from "node:module";
import type * as HashWasm from "hash-wasm";
import { assert } from "../core/errors.ts";
import type { Digest, DigestAlgorithm } from "./digests.ts";

/** Not imported: to look for the names in so large a file takes Node longer than to open a store. */
const { createCRC32, createCRC64 } = createRequire(import.meta.url)("hash-wasm") as typeof HashWasm;

export const crc32cPolynomial = 0x82f63b78;
export const crc64nvmePolynomial = "9a6c9329ac4bc9b5";

export interface Hashers {
  readonly crc32c: SharedHasher;
  readonly crc64nvme: SharedHasher;
}

export async function makeHashers(): Promise<Hashers> {
  return {
    crc32c: new SharedHasher(await createCRC32(crc32cPolynomial)),
    crc64nvme: new SharedHasher(await createCRC64(crc64nvmePolynomial)),
  };
}

export class SharedHasher {
  readonly #hasher: HashWasm.IHasher;
  #user: WasmCrc | undefined;

  constructor(hasher: HashWasm.IHasher) {
    this.#hasher = hasher;
  }

  once(bytes: Uint8Array): Uint8Array {
    this.#putAside();
    return this.#hasher.init().update(bytes).digest("binary");
  }

  of(user: WasmCrc): HashWasm.IHasher {
    if (this.#user === user) return this.#hasher;
    this.#putAside();
    this.#user = user;
    return user.state === undefined ? this.#hasher.init() : this.#hasher.load(user.state);
  }

  leave(user: WasmCrc): void {
    if (this.#user === user) this.#user = undefined;
  }

  #putAside(): void {
    if (this.#user !== undefined) this.#user.state = this.#hasher.save();
    this.#user = undefined;
  }
}

interface Running {
  update(bytes: Uint8Array): void;
  finish(): Uint8Array;
  abort(): void;
}

class WasmCrc implements Running {
  state: Uint8Array | undefined;
  readonly #shared: SharedHasher;

  constructor(shared: SharedHasher) {
    this.#shared = shared;
  }

  update(bytes: Uint8Array): void {
    this.#shared.of(this).update(bytes);
  }

  finish(): Uint8Array {
    const result = this.#shared.of(this).digest("binary");
    this.#shared.leave(this);
    return result;
  }

  abort(): void {
    this.#shared.leave(this);
  }
}

class ZlibCrc implements Running {
  #value = 0;

  update(bytes: Uint8Array): void {
    this.#value = crc32(bytes, this.#value);
  }

  finish(): Uint8Array {
    return bigEndian(this.#value);
  }

  abort(): void {
    // Nothing is held.
  }
}

class OpensslHash implements Running {
  readonly #hash: Hash;

  constructor(algorithm: "md5" | "sha1" | "sha256") {
    this.#hash = createHash(algorithm);
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  finish(): Uint8Array {
    return this.#hash.digest();
  }

  abort(): void {
    // Nothing is held.
  }
}

export class InlineDigest implements Digest {
  readonly #hashers: Hashers;
  readonly #algorithms: readonly DigestAlgorithm[];
  readonly #sizeHint: number | undefined;
  readonly #onEnd: (() => void) | undefined;
  #running: Running[] | undefined;
  #results: Map<DigestAlgorithm, Uint8Array> | undefined;

  constructor(
    hashers: Hashers,
    algorithms: readonly DigestAlgorithm[],
    sizeHint: number | undefined,
    onEnd?: () => void,
  ) {
    this.#hashers = hashers;
    this.#algorithms = algorithms;
    this.#sizeHint = sizeHint;
    this.#onEnd = onEnd;
  }

  update(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    assert(this.#results === undefined, "no more bytes come than were announced");
    // A small body mostly comes in one piece: one call each, half the price of three.
    if (this.#running === undefined && bytes.length === this.#sizeHint) this.#results = this.#once(bytes);
    else for (const running of (this.#running ??= this.#start())) running.update(bytes);
  }

  finish(): Promise<ReadonlyMap<DigestAlgorithm, Uint8Array>> {
    this.#onEnd?.();
    if (this.#results !== undefined) return Promise.resolve(this.#results);
    const running = this.#running;
    if (running === undefined) return Promise.resolve(this.#once(new Uint8Array(0)));
    return Promise.resolve(new Map(this.#algorithms.map((algorithm, index) => [algorithm, running[index]!.finish()])));
  }

  abort(): void {
    this.#onEnd?.();
    for (const running of this.#running ?? []) running.abort();
  }

  #once(bytes: Uint8Array): Map<DigestAlgorithm, Uint8Array> {
    const results = new Map<DigestAlgorithm, Uint8Array>();
    for (const algorithm of this.#algorithms) results.set(algorithm, digestOnce(this.#hashers, algorithm, bytes));
    return results;
  }

  #start(): Running[] {
    return this.#algorithms.map((algorithm) => {
      if (algorithm === "crc32") return new ZlibCrc();
      if (algorithm === "crc32c" || algorithm === "crc64nvme") return new WasmCrc(this.#hashers[algorithm]);
      return new OpensslHash(algorithm);
    });
  }
}

export function digestOnce(hashers: Hashers, algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array {
  if (algorithm === "crc32") return bigEndian(crc32(bytes));
  if (algorithm === "crc32c" || algorithm === "crc64nvme") return hashers[algorithm].once(bytes);
  return hash(algorithm, bytes, "buffer");
}

function bigEndian(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
