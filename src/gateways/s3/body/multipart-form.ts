/**
 * multipart/form-data (RFC 7578) as browsers send it to S3: fields, then a file of unknown size, then whatever, which is
 * ignored. A state machine that is fed pieces as they come. Fields are gathered, which is bounded; the file is not.
 *
 * Only the part named `file` is the file: some clients give all of their fields a file name.
 */
import * as limits from "../../../core/limits.ts";
import { S3Error } from "../protocol/error.ts";

export type FormEvent =
  | { readonly kind: "field"; readonly name: string; readonly value: string }
  /** The file begins; nothing is a field after that. */
  | { readonly kind: "file"; readonly filename: string | undefined }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** The file is complete. */
  | { readonly kind: "end" };

/** The boundary in a Content-Type; undefined where it is not that of a form. */
export function formBoundary(contentType: string | undefined): string | undefined {
  if (contentType === undefined || !/^multipart\/form-data\s*(;|$)/i.test(contentType)) return undefined;
  const match = /;\s*boundary=(?:"([^"]{1,200})"|([^;\s"]{1,200}))/i.exec(contentType);
  return match?.[1] ?? match?.[2];
}

interface PartHead {
  readonly name: string;
  readonly filename: string | undefined;
}

type State = "preamble" | "delimiter" | "headers" | "field" | "file" | "epilogue";

const lineEnd = Buffer.from("\r\n");
const headEnd = Buffer.from("\r\n\r\n");
const carriageReturn = 0x0d;

export class MultipartForm {
  readonly #delimiter: Buffer;
  #state: State = "preamble";
  /** What has come and is not yet understood. The first delimiter may lack the line's end before it. */
  #pending: Buffer = lineEnd;
  /** Bytes understood before the file. */
  #headSize = 0;
  #fieldName = "";

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, "latin1");
  }

  /** `bytes` of its events lie in `piece` where they can. */
  feed(piece: Uint8Array): FormEvent[] {
    const events: FormEvent[] = [];
    if (this.#state === "epilogue") return events;
    const given = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    this.#pending = this.#pending.length === 0 ? given : Buffer.concat([this.#pending, given]);
    while (this.#step(events));
    return events;
  }

  /** MalformedPOSTRequest where the form does not end; InvalidArgument where it has no file. */
  end(): void {
    if (this.#state === "epilogue") return;
    throw new S3Error("MalformedPOSTRequest");
  }

  /** False where more has to come first. */
  #step(events: FormEvent[]): boolean {
    switch (this.#state) {
      case "preamble":
      case "field": {
        const at = this.#find(this.#delimiter);
        if (at < 0) return false;
        const value = this.#pending.subarray(0, at).toString("utf8");
        if (this.#state === "field") events.push({ kind: "field", name: this.#fieldName, value });
        return this.#consume(at + this.#delimiter.length, "delimiter");
      }
      case "delimiter":
        return this.#afterDelimiter();
      case "headers": {
        const at = this.#find(headEnd);
        if (at < 0) return false;
        const head = readHead(this.#pending.subarray(0, at).toString("utf8"));
        const isFile = head.name.toLowerCase() === "file";
        if (isFile) events.push({ kind: "file", filename: head.filename });
        this.#fieldName = head.name;
        return this.#consume(at + headEnd.length, isFile ? "file" : "field");
      }
      case "file":
        return this.#file(events);
      case "epilogue":
      default:
        return false;
    }
  }

  #afterDelimiter(): boolean {
    if (this.#pending.length < 2) return false;
    if (this.#pending.toString("latin1", 0, 2) === "--") {
      throw new S3Error("InvalidArgument", "POST requires exactly one file upload per request.", {
        elements: { ArgumentName: "file", ArgumentValue: "0" },
      });
    }
    const at = this.#find(lineEnd);
    if (at < 0) return false;
    if (this.#pending.toString("latin1", 0, at).trim() !== "") throw new S3Error("MalformedPOSTRequest");
    return this.#consume(at + lineEnd.length, "headers");
  }

  #file(events: FormEvent[]): boolean {
    const buffer = this.#pending;
    const at = buffer.indexOf(this.#delimiter);
    const size = at < 0 ? buffer.length - this.#heldBack(buffer) : at;
    if (size > 0) events.push({ kind: "bytes", bytes: buffer.subarray(0, size) });
    this.#pending = buffer.subarray(size);
    if (at < 0) return false;
    events.push({ kind: "end" });
    this.#pending = Buffer.alloc(0);
    this.#state = "epilogue";
    return false;
  }

  /** How many of the last bytes may be the beginning of the delimiter. */
  #heldBack(buffer: Buffer): number {
    const from = Math.max(0, buffer.length - this.#delimiter.length + 1);
    for (let at = buffer.indexOf(carriageReturn, from); at >= 0; at = buffer.indexOf(carriageReturn, at + 1)) {
      const rest = buffer.length - at;
      if (this.#delimiter.subarray(0, rest).equals(buffer.subarray(at))) return rest;
    }
    return 0;
  }

  #find(text: Buffer): number {
    const at = this.#pending.indexOf(text);
    const size = this.#headSize + (at < 0 ? this.#pending.length : at);
    if (size > limits.formFieldsSizeMax) throw new S3Error("MaxPostPreDataLengthExceeded");
    return at;
  }

  #consume(size: number, state: State): true {
    this.#headSize += size;
    this.#pending = this.#pending.subarray(size);
    this.#state = state;
    return true;
  }
}

function readHead(text: string): PartHead {
  let name: string | undefined;
  let filename: string | undefined;
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    const header = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (header === "content-disposition" && /^form-data\s*;/i.test(value)) {
      name = parameter(value, "name");
      filename = extendedParameter(value, "filename") ?? parameter(value, "filename");
    }
  }
  if (name === undefined || name === "") throw new S3Error("MalformedPOSTRequest");
  return { name, filename };
}

/** Browsers write a quote as %22, others as \". */
function parameter(value: string, name: string): string | undefined {
  const match = new RegExp(`;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^;\\s"]+))`, "i").exec(value);
  if (match === null) return undefined;
  return match[1] === undefined ? match[2] : match[1].replace(/\\(["\\])/g, "$1").replaceAll("%22", '"');
}

/** `filename*=utf-8''…` (RFC 5987), which some libraries send. */
function extendedParameter(value: string, name: string): string | undefined {
  const match = new RegExp(`;\\s*${name}\\*=utf-8''([^;\\s]+)`, "i").exec(value);
  if (match === null) return undefined;
  try {
    return decodeURIComponent(match[1]!);
  } catch {
    return undefined;
  }
}
