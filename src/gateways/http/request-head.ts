/**
 * The head of a request, read strictly (RFC 9112): what two readers could take for different things is refused, so that
 * nothing can be smuggled past a proxy.
 */
import type { HttpHeaders, HttpRefusal } from "../../env/http.ts";

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly headers: HttpHeaders;
  /** Of the body; undefined: it comes in chunks. */
  readonly bodySize: number | undefined;
  /** The client wants to go on on this connection. */
  readonly keepsAlive: boolean;
  /** It waits for "100 Continue" before it sends the body. */
  readonly expectsContinue: boolean;
}

export interface RefusedHead {
  readonly refusal: HttpRefusal;
}

/** All but line ends that is no text, and line ends that are not CR LF. */
// oxlint-disable-next-line no-control-regex
const forbidden = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?:^|[^\r])\n/;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Whether a head can begin with this byte: what cannot is no HTTP, and need not be waited for. */
export function beginsHead(byte: number): boolean {
  return token.test(String.fromCharCode(byte));
}

const requestLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^ \t]+) HTTP\/(\d)\.(\d)$/;

/**
 * Headers by name. Of the same names in the same order, as one client sends them, all have one shape, and are found and
 * gone through several times as fast as in an object that is a table. Nothing is found that was not sent: there is no
 * prototype but an empty one.
 */
class Headers {
  readonly [name: string]: string;
}
Object.setPrototypeOf(Headers.prototype, null);
Reflect.deleteProperty(Headers.prototype, "constructor");

/** Headers that may be there once only. */
const single: ReadonlySet<string> = new Set(["content-length", "host", "authorization", "expect"]);

/** Names as they were spelled → in lower case; clients use a few dozen. */
const spellingsMax = 1_000;

export class HeadReader {
  readonly #spellings = new Map<string, string>();

  /** `text`: all lines with their CR LF, without the empty one; each character is one byte. */
  read(text: string): RequestHead | RefusedHead {
    if (forbidden.test(text)) return malformed("the head has a character that is no text");
    const lineEnd = text.indexOf("\r\n");
    const line = requestLine.exec(text.slice(0, lineEnd));
    if (line === null) return malformed("the request line is none");
    const [, method, target, major, minor] = line as unknown as [string, string, string, string, string];
    if (major !== "1") return malformed("only HTTP/1.1 is spoken here");
    const headers: { [name: string]: string } = new Headers();
    for (let at = lineEnd + 2; at < text.length;) {
      const end = text.indexOf("\r\n", at);
      const colon = text.indexOf(":", at);
      const name = colon < 0 || colon > end ? undefined : this.#nameOf(text.slice(at, colon));
      if (name === undefined) return malformed("a line of the head is no header");
      const value = trimmed(text, colon + 1, end);
      const before = headers[name];
      if (before !== undefined && single.has(name)) return malformed(`the header ${name} is there more than once`);
      headers[name] = before === undefined ? value : `${before},${value}`;
      at = end + 2;
    }
    return finish(method, target, headers, minor === "0");
  }

  /** In lower case; undefined where it is no name. */
  #nameOf(spelled: string): string | undefined {
    const known = this.#spellings.get(spelled);
    if (known !== undefined) return known;
    if (!token.test(spelled)) return undefined;
    const name = spelled.toLowerCase();
    if (this.#spellings.size >= spellingsMax) this.#spellings.clear();
    this.#spellings.set(spelled, name);
    return name;
  }
}

function trimmed(text: string, from: number, to: number): string {
  let [start, end] = [from, to];
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function finish(method: string, target: string, headers: HttpHeaders, isOld: boolean): RequestHead | RefusedHead {
  if (method === "CONNECT") return refused("method", 405, "CONNECT is not for this server");
  if (headers["host"] === undefined && !isOld) return malformed("there is no host header");
  const connection = headers["connection"]?.toLowerCase() ?? "";
  const keepsAlive = isOld ? /\bkeep-alive\b/.test(connection) : !/\bclose\b/.test(connection);
  const encoding = headers["transfer-encoding"];
  const length = headers["content-length"];
  if (encoding !== undefined) {
    // Who forwards requests may read both together another way.
    if (length !== undefined) return malformed("content-length and transfer-encoding are both there");
    if (isOld) return malformed("transfer-encoding came with HTTP/1.0, which has none");
    const codings = encoding.toLowerCase();
    if (!/(^|,)[ \t]*chunked$/.test(codings)) return malformed("transfer-encoding does not end with chunked");
    if (codings !== "chunked") {
      return refused("transfer encoding", 501, "transfer-encoding can only be chunked");
    }
  } else if (length !== undefined && !(/^\d{1,16}$/.test(length) && Number.isSafeInteger(Number(length)))) {
    return malformed("content-length is not a size");
  }
  const bodySize = encoding === undefined ? Number(length ?? 0) : undefined;
  // What else can be expected is not looked at, as with AWS.
  const expectsContinue = headers["expect"]?.toLowerCase() === "100-continue" && !isOld;
  return { method, target, headers, bodySize, keepsAlive, expectsContinue };
}

function malformed(message: string): RefusedHead {
  return refused("malformed", 400, message);
}

function refused(reason: HttpRefusal["reason"], status: HttpRefusal["status"], message: string): RefusedHead {
  return { refusal: { reason, status, message } };
}
