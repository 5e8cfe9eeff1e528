/** Transfer-Encoding: chunked (RFC 9112, section 7.1), decoded as it comes. Extensions and trailers are read and ignored. */
import { StoreError } from "../../core/errors.ts";
import { chunkLineSizeMax, chunkTrailerSizeMax } from "../../core/limits.ts";

type State = "size" | "data" | "data end" | "trailer" | "over";

export class ChunkedDecoder {
  #state: State = "size";
  /** Of the line that is being read. */
  #line = "";
  #left = 0;
  #trailerSize = 0;

  get isOver(): boolean {
    return this.#state === "over";
  }

  /**
   * Reads from `from` on. Returns where it stopped, and the data that begins there, if that is what comes next: at most
   * to the end of `bytes`. INVALID where these are no chunks.
   */
  next(bytes: Buffer, from: number): { at: number; data: Uint8Array | undefined } {
    let at = from;
    while (at < bytes.length && this.#state !== "over") {
      if (this.#state === "data") {
        const end = Math.min(bytes.length, at + this.#left);
        return { at, data: bytes.subarray(at, end) };
      }
      at = this.#readLine(bytes, at);
    }
    return { at, data: undefined };
  }

  /** So many bytes of the data were taken. */
  took(size: number): void {
    this.#left -= size;
    if (this.#left === 0) this.#state = "data end";
  }

  #readLine(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(0x0a, from);
    const stop = end < 0 ? bytes.length : end + 1;
    this.#line += bytes.toString("latin1", from, stop);
    const sizeMax = this.#state === "trailer" ? chunkTrailerSizeMax : chunkLineSizeMax;
    if (this.#line.length > sizeMax) throw invalid("a line is too long");
    if (end < 0) {
      this.#checkStart();
      return stop;
    }
    const line = this.#line;
    this.#line = "";
    if (!line.endsWith("\r\n")) throw invalid("a line does not end with CR LF");
    this.#lineRead(line.slice(0, -2));
    return stop;
  }

  /** What cannot become a line any more is not waited for. */
  #checkStart(): void {
    const line = this.#line;
    const possible =
      this.#state === "size"
        ? /^[0-9A-Fa-f]{1,13}[ \t]*(;[\t\x20-\x7e\x80-\xff]*)?\r?$/
        : this.#state === "data end"
          ? /^\r$/
          : /^[^\r]*\r?$/;
    if (!possible.test(line)) throw invalid("a line is none");
  }

  #lineRead(line: string): void {
    if (this.#state === "size") {
      const match = /^([0-9A-Fa-f]{1,13})[ \t]*(;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line);
      if (match === null) throw invalid("a chunk's size is none");
      this.#left = Number.parseInt(match[1]!, 16);
      this.#state = this.#left === 0 ? "trailer" : "data";
    } else if (this.#state === "data end") {
      if (line !== "") throw invalid("a chunk is longer than its size");
      this.#state = "size";
    } else if (line === "") this.#state = "over";
    else {
      this.#trailerSize += line.length;
      if (this.#trailerSize > chunkTrailerSizeMax) throw invalid("the trailer is too long");
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:/.test(line)) throw invalid("a line of the trailer is no header");
    }
  }
}

function invalid(why: string): StoreError {
  return new StoreError("INVALID", `the body's chunks are broken: ${why}`);
}
