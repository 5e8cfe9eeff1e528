/**
 * An object's own key, wrapped under another one (docs/formats/s3.md, "Encryption"; permanent).
 *
 *   0 format 1 · 1 version of the wrapping key, 4, big-endian · 5 nonce 12 · 17 the key, encrypted, 32 · 49 tag 16
 *
 * in base64. AES-256-GCM; the first five bytes and what the key belongs to (mode, name of the wrapping key, the client's
 * encryption context) are authenticated with it.
 */
import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";
import type { Random } from "../../../env/host.ts";
import type { ObjectEncryption } from "../model.ts";

export const dataKeySize = 32;

const algorithm = "aes-256-gcm";
const format = 1;
const nonceStart = 5;
const keyStart = 17;
const tagStart = 49;
const wrappedSize = 65;

/** What a wrapped key is bound to. */
export interface Binding {
  readonly mode: ObjectEncryption["mode"];
  /** Name of the key in the keyring; empty for a customer's. */
  readonly name: string;
  /** The client's encryption context as it was sent. */
  readonly context: string | undefined;
}

export interface WrappingKey {
  readonly key: KeyObject;
  /** 0 for a customer's key. */
  readonly version: number;
}

export function wrapKey(random: Random, by: WrappingKey, binding: Binding, dataKey: Uint8Array): string {
  const wrapped = Buffer.alloc(wrappedSize);
  wrapped[0] = format;
  wrapped.writeUInt32BE(by.version, 1);
  wrapped.set(random.bytes(keyStart - nonceStart), nonceStart);
  const cipher = createCipheriv(algorithm, by.key, wrapped.subarray(nonceStart, keyStart), { authTagLength: 16 });
  cipher.setAAD(authenticated(wrapped, binding));
  wrapped.set(cipher.update(dataKey), keyStart);
  cipher.final();
  wrapped.set(cipher.getAuthTag(), tagStart);
  return wrapped.toString("base64");
}

/** Undefined where it does not open: another key, another binding, or damage. */
export function unwrapKey(by: KeyObject, binding: Binding, text: string): Uint8Array | undefined {
  const wrapped = Buffer.from(text, "base64");
  if (wrapped.length !== wrappedSize || wrapped[0] !== format) return undefined;
  const nonce = wrapped.subarray(nonceStart, keyStart);
  const decipher = createDecipheriv(algorithm, by, nonce, { authTagLength: 16 });
  decipher.setAAD(authenticated(wrapped, binding));
  decipher.setAuthTag(wrapped.subarray(tagStart));
  const dataKey = decipher.update(wrapped.subarray(keyStart, tagStart));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return dataKey;
}

/** Which version of the named key it is wrapped under. */
export function wrappingVersionOf(text: string): number {
  const wrapped = Buffer.from(text, "base64");
  return wrapped.length === wrappedSize ? wrapped.readUInt32BE(1) : 0;
}

function authenticated(wrapped: Uint8Array, { mode, name, context = "" }: Binding): Uint8Array {
  const text = Buffer.from(`data-putter object key\n${mode}\n${name}\n${context}`, "utf8");
  return Buffer.concat([wrapped.subarray(0, nonceStart), text]);
}
