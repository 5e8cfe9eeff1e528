/** The pre-shared key: 16 bytes, written as 32 hex digits. It appears in no message and no log; its fingerprint may. */
import { createHash, hkdfSync } from "node:crypto";
import { StoreError } from "./errors.ts";

export const keySize = 16;
export type Key = Uint8Array & { readonly __brand: "Key" };

/** INVALID where the text is not 32 hex digits; the message does not repeat the text. */
export function parseKey(text: string, source: string): Key {
  const trimmed = text.trim();
  if (!/^[0-9a-fA-F]{32}$/.test(trimmed)) {
    throw new StoreError("INVALID", `${source}: a key is 32 hex digits (16 bytes); found ${trimmed.length} characters`);
  }
  return keyOf(Uint8Array.from(trimmed.match(/../g)!, (pair) => Number.parseInt(pair, 16)));
}

export function keyOf(bytes: Uint8Array): Key {
  if (bytes.length !== keySize) throw new StoreError("INVALID", `a key is ${keySize} bytes, not ${bytes.length}`);
  return bytes as Key;
}

export function formatKey(key: Key): string {
  return Array.from(key, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The first 8 bytes of SHA-256("data-putter key" ‖ key), in hex: tells keys apart without giving one away. */
export function fingerprintOf(key: Key): string {
  return createHash("sha256").update("data-putter key").update(key).digest("hex").slice(0, 16);
}

/**
 * What peers prove to each other over TLS: 32 bytes of HKDF-SHA256 of the key, without salt, for this purpose alone. The
 * key itself is in none of it, so nothing that TLS does with them can tell a Checksum.
 */
export function peerSecretOf(key: Key): { readonly identity: string; readonly key: Uint8Array } {
  const derived = hkdfSync("sha256", key, new Uint8Array(0), "data-putter peer tls", 32);
  return { identity: `data-putter ${fingerprintOf(key)}`, key: new Uint8Array(derived) };
}
