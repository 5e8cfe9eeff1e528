/** The chain of signatures over the chunks of a body: each builds on the one before, the first on the request's. */
import { hash, timingSafeEqual } from "node:crypto";
import { HmacSha256 } from "../auth/hmac.ts";
import type { ChunkChain } from "../auth/identity.ts";
import { chunkStringToSign, trailerStringToSign } from "../auth/sigv4.ts";
import { S3Error } from "../protocol/error.ts";

export class ChunkSignatures {
  readonly #chain: ChunkChain;
  readonly #hmac: HmacSha256;
  #previous: string;

  constructor(chain: ChunkChain) {
    this.#chain = chain;
    this.#hmac = new HmacSha256(chain.signingKey);
    this.#previous = chain.seedSignature;
  }

  /** SignatureDoesNotMatch where it is not the next one of the chain. `sha256`: of the chunk's bytes, in hex. */
  verifyChunk(sha256: string, signature: string): void {
    const { date, scope } = this.#chain;
    this.#verify(chunkStringToSign(date, scope, this.#previous, sha256), signature);
  }

  /** `trailer`: lines of name, colon, value and LF. */
  verifyTrailer(trailer: string, signature: string): void {
    const { date, scope } = this.#chain;
    const sha256 = hash("sha256", Buffer.from(trailer, "latin1"), "hex");
    this.#verify(trailerStringToSign(date, scope, this.#previous, sha256), signature);
  }

  #verify(text: string, signature: string): void {
    const expected = Buffer.from(this.#hmac.sign(text), "latin1");
    const provided = Buffer.from(signature, "latin1");
    if (expected.length === provided.length && timingSafeEqual(expected, provided)) {
      this.#previous = signature;
      return;
    }
    throw new S3Error("SignatureDoesNotMatch", undefined, { elements: { StringToSign: text } });
  }
}
