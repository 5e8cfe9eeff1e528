/**
 * HMAC-SHA256 (RFC 2104) under one key for many short messages: two one-shot hashes over padded blocks that are kept,
 * 1.3 µs where `createHmac` takes 2.4. A request's signature is verified with it, a chunk's too.
 */
import { createHmac, hash } from "node:crypto";

const blockSize = 64;
const digestSize = 32;
/** Longer messages go the ordinary way. */
const messageSizeMax = 1_024;

export class HmacSha256 {
  readonly #key: Uint8Array;
  /** The inner pad, then room for the message. */
  readonly #inner = Buffer.alloc(blockSize + messageSizeMax);
  /** The outer pad, then room for the inner hash. */
  readonly #outer = Buffer.alloc(blockSize + digestSize);

  /** `key`: no longer than a block, which derived keys are. */
  constructor(key: Uint8Array) {
    this.#key = key;
    for (let index = 0; index < blockSize; index++) {
      const byte = key[index] ?? 0;
      this.#inner[index] = byte ^ 0x36;
      this.#outer[index] = byte ^ 0x5c;
    }
  }

  /** In hex. Each character of `message` is one byte. */
  sign(message: string): string {
    if (message.length > messageSizeMax) {
      return createHmac("sha256", this.#key).update(message, "latin1").digest("hex");
    }
    const size = this.#inner.write(message, blockSize, "latin1");
    // "binary" strings are the cheapest way for 32 bytes from one hash into the next.
    this.#outer.write(hash("sha256", this.#inner.subarray(0, blockSize + size), "binary"), blockSize, "latin1");
    return hash("sha256", this.#outer, "hex");
  }
}

export function hmacSha256(key: Uint8Array | string, message: string): Buffer {
  return createHmac("sha256", key).update(message, "utf8").digest();
}
