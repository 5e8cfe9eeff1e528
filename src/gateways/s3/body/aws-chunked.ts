/**
 * The decoder of aws-chunked bodies (docs.aws.amazon.com, "Signature Calculations for the Authorization Header:
 * Transferring Payload in Multiple Chunks" and "… with trailing headers"). A state machine that is fed pieces as they
 * come, cut anywhere:
 *
 *     chunk   = size in hex [";chunk-signature=" 64 hex digits] CRLF, that many bytes, CRLF
 *     body    = chunks, a chunk of size 0 without its last CRLF, trailer
 *     trailer = lines `name:value`, where chunks are signed then `x-amz-trailer-signature:` 64 hex digits; an empty line
 *
 * The bytes of a chunk are handed on before its signature is known; it is checked at the chunk's end, and what fails
 * there fails the body. Some clients end trailer lines in a mere LF, or have an empty line before the signature, so that
 * everything behind the last chunk is read as lines, in whatever way they end.
 */
import { createHash, type Hash } from "node:crypto";
import * as limits from "../../../core/limits.ts";
import { S3Error } from "../protocol/error.ts";
import type { ChunkSignatures } from "./chunk-signatures.ts";

export interface AwsChunkedOptions {
  /** x-amz-decoded-content-length. */
  readonly decodedSize: number;
  /** Undefined: chunks are not signed. */
  readonly signatures: ChunkSignatures | undefined;
  /** Names in lower case of the trailers that were announced. */
  readonly trailers: readonly string[];
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const trailerSignatureName = "x-amz-trailer-signature";

type State = "header" | "data" | "data end" | "trailer";

export class AwsChunkedDecoder {
  readonly #options: AwsChunkedOptions;
  #state: State = "header";
  /** A chunk's first line, or the trailer, as far as it has come. */
  #text = "";
  /** Bytes of the chunk that are still to come. */
  #chunkRest = 0;
  #decodedSize = 0;
  #signature = "";
  #hash: Hash | undefined;

  constructor(options: AwsChunkedOptions) {
    this.#options = options;
  }

  /** The decoded bytes in `piece`, which stay where they are. An S3Error ends the body. */
  feed(piece: Uint8Array): Uint8Array[] {
    const decoded: Uint8Array[] = [];
    let at = 0;
    while (at < piece.length) {
      switch (this.#state) {
        case "header":
          at = this.#header(piece, at);
          break;
        case "data": {
          const end = Math.min(piece.length, at + this.#chunkRest);
          const part = piece.subarray(at, end);
          this.#hash?.update(part);
          decoded.push(part);
          this.#chunkRest -= part.length;
          if (this.#chunkRest === 0) this.#state = "data end";
          at = end;
          break;
        }
        case "data end":
          at = this.#dataEnd(piece, at);
          break;
        case "trailer":
          this.#append(piece, at, piece.length, limits.trailerSizeMax);
          at = piece.length;
          break;
      }
    }
    return decoded;
  }

  /** There is nothing more. The trailers that were announced, each there; IncompleteBody where the last chunk is not. */
  end(): ReadonlyMap<string, string> {
    if (this.#state !== "trailer" || this.#decodedSize !== this.#options.decodedSize) throw incomplete();
    return this.#readTrailer();
  }

  #header(piece: Uint8Array, at: number): number {
    const found = piece.indexOf(lineFeed, at);
    const end = found < 0 ? piece.length : found + 1;
    this.#append(piece, at, end, limits.chunkHeaderSizeMax);
    if (found < 0) return end;
    const header = this.#text;
    this.#text = "";
    this.#begin(header);
    return end;
  }

  #begin(header: string): void {
    const match = /^([0-9a-fA-F]{1,13})(?:[ \t]*;([^\r\n]*))?\r\n$/.exec(header);
    if (match === null) throw malformed("a chunk does not begin with its size");
    const size = Number.parseInt(match[1]!, 16);
    if (this.#decodedSize + size > this.#options.decodedSize) throw incomplete();
    this.#decodedSize += size;
    if (this.#options.signatures !== undefined) {
      this.#signature = /(?:^|;)\s*chunk-signature=([^;\s]*)/.exec(match[2] ?? "")?.[1] ?? "";
      this.#hash = createHash("sha256");
    }
    this.#chunkRest = size;
    if (size > 0) {
      this.#state = "data";
      return;
    }
    this.#verifyChunk();
    this.#state = "trailer";
  }

  #dataEnd(piece: Uint8Array, at: number): number {
    const expected = this.#text === "" ? carriageReturn : lineFeed;
    if (piece[at] !== expected) throw malformed("a chunk does not end where its size says");
    if (expected === carriageReturn) this.#text = "\r";
    else {
      this.#text = "";
      this.#verifyChunk();
      this.#state = "header";
    }
    return at + 1;
  }

  #verifyChunk(): void {
    if (this.#hash !== undefined) this.#options.signatures?.verifyChunk(this.#hash.digest("hex"), this.#signature);
  }

  #readTrailer(): ReadonlyMap<string, string> {
    const { trailers, signatures } = this.#options;
    const found = new Map<string, string>();
    let signed = "";
    let signature: string | undefined;
    for (const raw of this.#text.split("\n")) {
      const line = raw.trim();
      if (line === "") continue;
      const colon = line.indexOf(":");
      const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase();
      const value = line.slice(colon + 1).trim();
      if (name === trailerSignatureName && signature === undefined) signature = value;
      else if (signature !== undefined || found.has(name) || !trailers.includes(name)) throw malformedTrailer();
      else {
        found.set(name, value);
        signed += `${name}:${value}\n`;
      }
    }
    if (found.size !== trailers.length) throw malformedTrailer();
    if (signatures !== undefined && trailers.length > 0) signatures.verifyTrailer(signed, signature ?? "");
    return found;
  }

  /** Each character is one byte. */
  #append(piece: Uint8Array, from: number, to: number, sizeMax: number): void {
    if (this.#text.length + to - from > sizeMax) throw malformed("a line is too long");
    this.#text += Buffer.from(piece.buffer, piece.byteOffset + from, to - from).toString("latin1");
  }
}

function incomplete(): S3Error {
  return new S3Error(
    "IncompleteBody",
    "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header",
  );
}

function malformed(why: string): S3Error {
  return new S3Error("InvalidRequest", `The aws-chunked body is malformed: ${why}.`);
}

function malformedTrailer(): S3Error {
  return new S3Error("MalformedTrailerError");
}
