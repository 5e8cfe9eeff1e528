/**
 * What signatures of the same client have in common, read once: all of its Authorization header before the signature
 * itself, and the time, which is the same for a second.
 */
import { signingKeysMax } from "../../../core/limits.ts";
import { readBasicDate } from "./signed-dates.ts";
import type { Credential } from "./sigv4.ts";

/** Of a header that was read whole, and was well-formed but for the time. */
export interface KnownHead {
  readonly credential: Credential;
  readonly credentialText: string;
  readonly signedHeaders: string;
  readonly signedNames: readonly string[];
}

const signatureSize = 64;
const end = /[\s,]Signature=$/;

export class KnownHeads {
  readonly #kept = new Map<string, KnownHead>();
  #lastText: string | undefined;
  #last: KnownHead | undefined;
  #dateText = "";
  #date: number | undefined;

  /** Of a header whose signature is at its end; `signatureOf` gives that. */
  find(authorization: string): KnownHead | undefined {
    const size = authorization.length - signatureSize;
    const lastText = this.#lastText;
    // Another component behind it would be no signature.
    if (size <= 0 || authorization.indexOf(",", size) >= 0) return undefined;
    if (lastText !== undefined && lastText.length === size && authorization.startsWith(lastText)) return this.#last;
    const text = authorization.slice(0, size);
    const head = this.#kept.get(text);
    if (head === undefined) return undefined;
    this.#lastText = text;
    this.#last = head;
    return head;
  }

  signatureOf(authorization: string): string {
    return authorization.slice(-signatureSize);
  }

  keep(authorization: string, head: KnownHead, signature: string): void {
    const text = authorization.slice(0, -signatureSize);
    if (signature.length !== signatureSize || !authorization.endsWith(signature) || !end.test(text)) return;
    if (this.#kept.size >= signingKeysMax) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(text, head);
  }

  /** As readBasicDate. */
  date(text: string): number | undefined {
    if (text === this.#dateText) return this.#date;
    const date = readBasicDate(text);
    if (date !== undefined) {
      this.#dateText = text;
      this.#date = date;
    }
    return date;
  }
}
