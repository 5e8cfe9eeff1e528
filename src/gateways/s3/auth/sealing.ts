/**
 * Secrets as they are stored: encrypted under the store's key, which is not in the datastore (docs/formats/accounts.md;
 * permanent). SigV4 needs the secret itself, so that a hash, as of passwords, would not do.
 *
 *   0 version 1 · 1 nonce 12 · 13 ciphertext, as long as the secret · tag 16          in base64
 *
 * AES-256-GCM under HKDF-SHA256(the key, no salt, "data-putter sealing " ‖ purpose, 32 bytes). What it belongs to (its
 * registry and name) is authenticated with it, so that a sealed secret cannot be moved to another record.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { StoreError } from "../../../core/errors.ts";
import type { Random } from "../../../env/host.ts";

const algorithm = "aes-256-gcm";
const version = 1;
const nonceSize = 12;
const tagSize = 16;
const headSize = 1 + nonceSize;

export class Sealing {
  readonly #key: Uint8Array;
  readonly #random: Random;
  /** By purpose, of which there are few. */
  readonly #derived = new Map<string, KeyObject>();

  /** `key`: at least 16 bytes that nobody can guess. */
  constructor(key: Uint8Array, random: Random) {
    this.#key = key;
    this.#random = random;
  }

  /** `purpose` is one of a few fixed words: each has a key of its own. */
  seal(purpose: string, associated: string, plain: Uint8Array): string {
    const head = new Uint8Array(headSize);
    head[0] = version;
    head.set(this.#random.bytes(nonceSize), 1);
    const cipher = createCipheriv(algorithm, this.#derive(purpose), head.subarray(1), { authTagLength: tagSize });
    cipher.setAAD(authenticated(associated));
    const pieces = [head, cipher.update(plain), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat(pieces).toString("base64");
  }

  /** WRONG_KEY where it does not open: sealed under another key or for something else, or damaged. */
  unseal(purpose: string, associated: string, sealed: string): Uint8Array {
    const bytes = Buffer.from(sealed, "base64");
    if (bytes.length < headSize + tagSize) throw doesNotOpen(purpose, associated, "it is too short");
    if (bytes[0] !== version) {
      const message = `the secret of ${purpose} ${associated} is sealed in version ${bytes[0]}, known is ${version}`;
      throw new StoreError("INCOMPATIBLE", `${message}: use the version that made it, or a newer one`);
    }
    const end = bytes.length - tagSize;
    const nonce = bytes.subarray(1, headSize);
    const decipher = createDecipheriv(algorithm, this.#derive(purpose), nonce, { authTagLength: tagSize });
    decipher.setAAD(authenticated(associated));
    decipher.setAuthTag(bytes.subarray(end));
    try {
      // Memory of its own, not of a pool that others see through its `buffer`.
      return new Uint8Array(Buffer.concat([decipher.update(bytes.subarray(headSize, end)), decipher.final()]));
    } catch (cause) {
      throw doesNotOpen(purpose, associated, "it was sealed with another key, or is damaged", cause);
    }
  }

  #derive(purpose: string): KeyObject {
    const known = this.#derived.get(purpose);
    if (known !== undefined) return known;
    const bytes = hkdfSync("sha256", this.#key, new Uint8Array(0), `data-putter sealing ${purpose}`, 32);
    const derived = createSecretKey(new Uint8Array(bytes));
    this.#derived.set(purpose, derived);
    return derived;
  }
}

function authenticated(associated: string): Uint8Array {
  const text = Buffer.from(associated, "utf8");
  return Buffer.concat([Uint8Array.of(version), text]);
}

function doesNotOpen(purpose: string, associated: string, why: string, cause?: unknown): StoreError {
  return new StoreError("WRONG_KEY", `the secret of ${purpose} ${associated} does not open: ${why}`, { cause });
}
