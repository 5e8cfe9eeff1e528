/** Derived keys, kept: deriving one takes four HMACs, and a client uses the same one all day. */
import * as limits from "../../../core/limits.ts";
import type { AccessKey } from "./accounts.ts";
import { HmacSha256 } from "./hmac.ts";
import { type Credential, signingKey } from "./sigv4.ts";

export interface SigningKey {
  readonly secretKey: string;
  readonly bytes: Uint8Array;
  readonly hmac: HmacSha256;
}

export class SigningKeys {
  readonly #kept = new Map<string, SigningKey>();
  readonly #sizeMax: number;

  constructor(sizeMax = limits.signingKeysMax) {
    this.#sizeMax = sizeMax;
  }

  /** `text`: the credential as the client wrote it. A key whose secret has changed is derived anew. */
  find(text: string, credential: Credential, key: AccessKey): SigningKey {
    const kept = this.#kept.get(text);
    if (kept !== undefined && kept.secretKey === key.secretKey) return kept;
    const bytes = signingKey(key.secretKey, credential);
    const made = { secretKey: key.secretKey, bytes, hmac: new HmacSha256(bytes) };
    this.#kept.delete(text);
    if (this.#kept.size >= this.#sizeMax) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(text, made);
    return made;
  }
}
