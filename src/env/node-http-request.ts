/** What node:http read of a request, as HttpRequest says: header names in lower case, repeated values joined, bytes kept. */
import { IncomingMessage } from "node:http";
import type { HttpHeaders, HttpRefusal } from "./http.ts";

/**
 * Node's own way of joining headers drops some that are repeated and puts ", " between others, which a signature does not
 * survive. It asks for `headers` itself, so that they are made here once, for both.
 */
export class JoinedMessage extends IncomingMessage {
  joined: HttpHeaders | undefined;
  /** A header that may be there once only, and is there again. */
  repeated: string | undefined;
}

Object.defineProperty(JoinedMessage.prototype, "headers", {
  get(this: JoinedMessage): HttpHeaders {
    return (this.joined ??= joinHeaders(this));
  },
});

const single: ReadonlySet<string> = new Set(["content-length", "host", "authorization", "expect"]);

function joinHeaders(message: JoinedMessage): HttpHeaders {
  const { rawHeaders } = message;
  const headers: { [name: string]: string } = Object.create(null);
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase();
    const value = rawHeaders[index + 1]!;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else {
      headers[name] = `${before},${value}`;
      if (single.has(name)) message.repeated = name;
    }
  }
  return headers;
}

/** Whether there is a body, and how large it is said to be; undefined: it is told in chunks. */
export function bodySizeOf(headers: HttpHeaders): number | undefined {
  if (headers["transfer-encoding"] !== undefined) return undefined;
  const text = headers["content-length"];
  return text === undefined ? 0 : Number(text);
}

/** What Node's parser lets pass and is no request for us all the same. */
export function problemOf(message: JoinedMessage, headers: HttpHeaders): HttpRefusal | undefined {
  if (message.repeated !== undefined) return malformed(`the header ${message.repeated} is there more than once`);
  if (headers["host"] === undefined && message.httpVersionMinor === 1) return malformed("there is no host header");
  const encoding = headers["transfer-encoding"];
  if (encoding !== undefined) {
    // The parser refuses both together; who forwards requests may still read them another way.
    if (headers["content-length"] !== undefined)
      return malformed("content-length and transfer-encoding are both there");
    if (message.httpVersionMinor === 0) return malformed("transfer-encoding came with HTTP/1.0, which has none");
    if (encoding.trim().toLowerCase() !== "chunked") {
      return { reason: "transfer encoding", status: 501, message: "transfer-encoding can only be chunked" };
    }
  } else if (!Number.isSafeInteger(bodySizeOf(headers))) return malformed("content-length is not a size");
  return undefined;
}

function malformed(message: string): HttpRefusal {
  return { reason: "malformed", status: 400, message };
}
