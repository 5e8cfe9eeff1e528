/**
 * The bytes of encrypted objects: AES-256-CTR (NIST SP 800-38A), so that they are as many as before and can be read from
 * anywhere: byte `n` of a stretch belongs to counter block iv + n/16. That they are the bytes that were written is told
 * by each ticket's keyed checksum, not here.
 *
 * A stretch is what was encrypted in one go: an object, or one part of it. Each has an initial counter block of its own,
 * at random: under one key, two stretches must never share counter blocks, and 2^128 of them leave no room for chance.
 *
 * Several keys are several layers (DSSE), each over the one before.
 */
import { type Cipher, createCipheriv, type KeyObject } from "node:crypto";
import type { Random } from "../../../env/host.ts";
import type { CipherStretch } from "../model.ts";

const algorithm = "aes-256-ctr";
const blockSize = 16;

/** Encrypts bytes in the order in which they come. What is returned is other memory; what is given stays as it is. */
export interface StretchCipher {
  /** Base64; to be kept as CipherStretch together with how many bytes came. */
  readonly iv: string;
  encrypt(bytes: Uint8Array): Uint8Array;
}

export function newStretch(random: Random, layers: readonly KeyObject[]): StretchCipher {
  const iv = Buffer.from(random.bytes(blockSize));
  const stream = new KeyStream(layers, iv, 0);
  return { iv: iv.toString("base64"), encrypt: (bytes) => stream.apply(bytes) };
}

/**
 * Decrypts the bytes of an object from `offset` on, in order, in pieces of any size. The object is all `stretches`, one
 * after the other.
 */
export function decryptor(
  layers: readonly KeyObject[],
  stretches: readonly CipherStretch[],
  offset: number,
): (bytes: Uint8Array) => Uint8Array {
  let index = 0;
  let start = offset;
  while (index < stretches.length && start >= stretches[index]!.size) start -= stretches[index++]!.size;
  let stream: KeyStream | undefined;
  let left = 0;

  const next = (): KeyStream => {
    const stretch = stretches[index++];
    if (stretch === undefined) throw new Error("assertion failed: more bytes than the object's cipher stretches have");
    left = stretch.size - start;
    stream = left === 0 ? undefined : new KeyStream(layers, Buffer.from(stretch.iv, "base64"), start);
    start = 0;
    return stream ?? next();
  };

  return (bytes) => {
    if (bytes.length <= left && stream !== undefined) {
      left -= bytes.length;
      return stream.apply(bytes);
    }
    const plain = new Uint8Array(bytes.length);
    for (let done = 0; done < bytes.length;) {
      const current = left > 0 && stream !== undefined ? stream : next();
      const size = Math.min(left, bytes.length - done);
      plain.set(current.apply(bytes.subarray(done, done + size)), done);
      left -= size;
      done += size;
    }
    return plain;
  };
}

class KeyStream {
  readonly #layers: readonly Cipher[];

  constructor(layers: readonly KeyObject[], iv: Uint8Array, offset: number) {
    const counter = offset < blockSize ? iv : counterBlock(iv, Math.floor(offset / blockSize));
    this.#layers = layers.map((key) => createCipheriv(algorithm, key, counter));
    const skip = offset % blockSize;
    if (skip > 0) this.apply(new Uint8Array(skip));
  }

  apply(bytes: Uint8Array): Uint8Array {
    let result = bytes;
    for (const layer of this.#layers) result = layer.update(result);
    return result;
  }
}

/** iv + block, as one big-endian number of 128 bits that wraps. */
function counterBlock(iv: Uint8Array, block: number): Uint8Array {
  const counter = Buffer.from(iv);
  let carry = block;
  for (let at = blockSize - 1; at >= 0 && carry > 0; at--) {
    carry += counter[at]!;
    counter[at] = carry % 256;
    carry = Math.floor(carry / 256);
  }
  return counter;
}
