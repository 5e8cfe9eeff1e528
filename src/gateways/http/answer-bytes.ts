/** Answers as bytes: the head, and with it a body that is at hand, so that one write sends both. */
import { StoreError } from "../../core/errors.ts";
import type { HttpAnswer, HttpStream } from "../../env/http.ts";

export function isStream(body: HttpAnswer["body"]): body is HttpStream {
  return body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array);
}

/** Bodies up to this size are copied behind the head. */
const joinedSizeMax = 131_072;

// oxlint-disable-next-line no-control-regex
const forbidden = /[\0-\x08\x0a-\x1f\x7f\u0100-\uffff]/;

/** The date as the header has it, made once a second. */
export class DateLine {
  #second = -1;
  #line = "";

  at(now: number): string {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#line = `Date: ${new Date(second * 1000).toUTCString()}\r\n`;
    }
    return this.#line;
  }
}

/** `ending`: lines that say what becomes of the connection. Throws where a header cannot be sent. */
export function headText({ status, headers, body }: HttpAnswer, date: string, ending: string): string {
  let text = `HTTP/1.1 ${status} ${reasonOf[status] ?? "Status"}\r\n`;
  let isSizeGiven = status === 204 || status === 304 || status < 200;
  for (const name in headers) {
    if (name.length === 14 && name.toLowerCase() === "content-length") isSizeGiven = true;
    const value = headers[name]!;
    if (typeof value === "string" && forbidden.test(value)) throw new StoreError("INVALID", `${name} cannot be sent`);
    text += `${name}: ${value}\r\n`;
  }
  if (!isSizeGiven) text += `Content-Length: ${sizeOf(body)}\r\n`;
  return `${text}${date}${ending}\r\n`;
}

function sizeOf(body: HttpAnswer["body"]): number {
  if (body === undefined) return 0;
  if (typeof body === "string") return Buffer.byteLength(body);
  return body instanceof Uint8Array ? body.length : body.size;
}

/** Node's own method, which its declarations leave out: half the price of `write`. */
interface FastBuffer extends Buffer {
  latin1Write(text: string, start: number): number;
}

/** Head and body in as few pieces as it pays. */
export function answerBytes(head: string, body: string | Uint8Array | undefined): Uint8Array[] {
  if (body === undefined || body.length === 0) return [Buffer.from(head, "latin1")];
  const isText = typeof body === "string";
  const size = isText ? Buffer.byteLength(body) : body.length;
  if (size > joinedSizeMax) return [Buffer.from(head, "latin1"), isText ? Buffer.from(body) : body];
  const bytes = Buffer.allocUnsafe(head.length + size) as FastBuffer;
  bytes.latin1Write(head, 0);
  if (isText) bytes.write(body, head.length);
  else bytes.set(body, head.length);
  return [bytes];
}

const reasonOf: { readonly [status: number]: string } = {
  100: "Continue",
  200: "OK",
  201: "Created",
  204: "No Content",
  206: "Partial Content",
  303: "See Other",
  304: "Not Modified",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  411: "Length Required",
  412: "Precondition Failed",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
};
