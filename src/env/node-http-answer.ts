/** Answers on their way to node:http: head and small body in one write, large ones piece by piece. */
import type { ServerResponse } from "node:http";
import { StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { HttpAnswer, HttpPiece, HttpStream } from "./http.ts";

export function isStream(body: HttpAnswer["body"]): body is HttpStream {
  return body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array);
}

/** Throws where a header cannot be sent (line breaks, characters that are no byte). */
export function writeHead(response: ServerResponse, answer: HttpAnswer, more: readonly string[]): void {
  response.writeHead(answer.status, linesOf(answer, more));
}

/** Names and values by turns, `content-length` included where the status allows one. */
function linesOf({ status, headers, body }: HttpAnswer, more: readonly string[]): string[] {
  const lines: string[] = [];
  let isSizeGiven = status === 204 || status === 304 || status < 200;
  for (const name in headers) {
    if (name.length === 14 && name.toLowerCase() === "content-length") isSizeGiven = true;
    lines.push(name, String(headers[name]));
  }
  if (!isSizeGiven) lines.push("Content-Length", String(sizeOf(body)));
  lines.push(...more);
  return lines;
}

function sizeOf(body: HttpAnswer["body"]): number {
  if (body === undefined) return 0;
  if (typeof body === "string") return Buffer.byteLength(body);
  return body instanceof Uint8Array ? body.length : body.size;
}

/** Text as UTF-8 bytes: joined to the head as a string, Node would write the head's characters as UTF-8 as well. */
export function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === "string" ? Buffer.from(body) : body;
}

/** A whole answer without node:http, for connections that its parser has given up. */
export function rawAnswer(answer: HttpAnswer, date: string): Buffer {
  const lines = linesOf(answer, ["Connection", "close", "Date", date]);
  let head = `HTTP/1.1 ${answer.status} ${reasonOf[answer.status] ?? "Refused"}\r\n`;
  for (let index = 0; index < lines.length; index += 2) head += `${lines[index]}: ${lines[index + 1]}\r\n`;
  const body = answer.body === undefined || isStream(answer.body) ? new Uint8Array(0) : bytesOf(answer.body);
  return Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), body]);
}

const reasonOf: { readonly [status: number]: string } = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  503: "Service Unavailable",
};

/**
 * Pumps the pieces of a stream into a response. Two are on their way at a time, so that the next is read while the socket
 * takes the last; each is released when the socket has taken it, or when the socket is closed.
 */
export class PieceWriter {
  readonly #response: ServerResponse;
  readonly #stream: HttpStream;
  readonly #flying: HttpPiece[] = [];
  #gone = false;
  #wake: (() => void) | undefined;

  constructor(response: ServerResponse, stream: HttpStream) {
    this.#response = response;
    this.#stream = stream;
  }

  /** The connection is closed; no memory is read from any more. */
  gone(): void {
    this.#gone = true;
    for (const piece of this.#flying.splice(0)) piece.release();
    this.#wake?.();
  }

  /** Ends the response. Resolves when all pieces are released and the iteration has ended; rejects where it failed. */
  async run(): Promise<void> {
    const iterator = this.#stream.pieces[Symbol.asyncIterator]();
    let left = this.#stream.size;
    try {
      while (left > 0 && !this.#gone) {
        const next = await iterator.next();
        if (next.done === true) throw new StoreError("DAMAGED", `${left} bytes of an answer are not there`);
        left -= next.value.bytes.length;
        this.#write(next.value, left);
        while (this.#flying.length >= limits.httpPiecesInFlightMax && !this.#gone) await this.#change();
      }
      if (this.#stream.size === 0) this.#response.end();
      while (this.#flying.length > 0 && !this.#gone) await this.#change();
    } catch (error) {
      this.#response.destroy();
      while (this.#flying.length > 0 && !this.#gone) await this.#change();
      throw error;
    } finally {
      await iterator.return?.();
    }
  }

  #write(piece: HttpPiece, left: number): void {
    if (this.#gone || left < 0) {
      piece.release();
      if (left < 0) throw new StoreError("DAMAGED", "an answer has more bytes than its size says");
      return;
    }
    this.#flying.push(piece);
    this.#response.write(piece.bytes, () => this.#written());
    if (left === 0) this.#response.end();
  }

  #written(): void {
    // Nothing is in flight any more where the connection is gone.
    this.#flying.shift()?.release();
    this.#wake?.();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}
