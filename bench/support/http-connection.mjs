/**
 * One connection that stays open and carries one request after the other, with as little work as can be: what makes the
 * load shares the cores with what is measured.
 *
 * A request is bytes: `head`, `body` (optional). An answer's status must be `status` (or in it); its body is compared with
 * `expected` byte by byte while it comes in, or given whole to `check`, or passed over.
 */
import net from "node:net";

const receiveSize = 256 * 1024;
const headEnd = Buffer.from("\r\n\r\n");
const lastChunk = "\r\n0\r\n\r\n";
const empty = Buffer.alloc(0);

export class HttpConnection {
  /** Servers close what was idle for some seconds. */
  closed = false;
  #socket;
  #pending;
  #head = empty;
  /** What is under way of the body: bytes left, bytes seen, and the reader of a chunked one. */
  #left = 0;
  #seen = 0;
  #chunked = false;
  #collected;
  #tail = "";

  static async open(port) {
    const connection = new HttpConnection();
    await connection.#connect(port);
    return connection;
  }

  #connect(port) {
    return new Promise((resolve, reject) => {
      this.#socket = net.connect({
        host: "127.0.0.1",
        port,
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafe(receiveSize),
          callback: (size, buffer) => {
            this.#receive(buffer.subarray(0, size));
            return true;
          },
        },
      });
      this.#socket.on("connect", resolve);
      this.#socket.on("error", (error) => {
        reject(error);
        this.#fail(error);
      });
      this.#socket.on("close", () => {
        this.closed = true;
        this.#fail(new Error("the server closed the connection"));
      });
    });
  }

  /** Resolves with { status, head, body } when the answer is whole; `body` only where it was collected. */
  send(request) {
    return new Promise((resolve, reject) => {
      this.#pending = { request, resolve, reject, status: 0, head: "" };
      this.#head = empty;
      if (request.body === undefined) {
        this.#socket.write(request.head);
        return;
      }
      this.#socket.cork();
      this.#socket.write(request.head);
      this.#socket.write(request.body);
      this.#socket.uncork();
    });
  }

  close() {
    this.#socket.destroy();
  }

  #receive(bytes) {
    try {
      let rest = bytes;
      while (rest.length > 0 && this.#pending !== undefined) {
        rest = this.#pending.status === 0 ? this.#readHead(rest) : this.#readBody(rest);
      }
      if (rest.length > 0) throw new Error(`${rest.length} bytes came after the answer`);
    } catch (error) {
      this.#fail(error);
      this.#socket.destroy();
    }
  }

  #readHead(bytes) {
    const all = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes]);
    const end = all.indexOf(headEnd);
    if (end < 0) {
      this.#head = Buffer.from(all);
      return empty;
    }
    this.#head = empty;
    const text = all.latin1Slice(0, end);
    const status = Number(text.slice(9, 12));
    const rest = all.subarray(end + headEnd.length);
    // 100 Continue and the like: the answer follows.
    if (status < 200) return rest;
    const pending = this.#pending;
    pending.status = status;
    pending.head = text;
    const size = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    this.#chunked = size === undefined && /\r\ntransfer-encoding: *chunked/i.test(text);
    this.#left = size === undefined ? 0 : Number(size);
    this.#seen = 0;
    this.#tail = "";
    const wrong = !isWanted(status, pending.request);
    this.#collected = this.#chunked || wrong || pending.request.expected === undefined ? [] : undefined;
    if (this.#left === 0 && !this.#chunked) this.#finish();
    return rest;
  }

  #readBody(bytes) {
    if (this.#chunked) {
      this.#collected.push(Buffer.from(bytes));
      this.#tail = (this.#tail + bytes.subarray(-lastChunk.length).latin1Slice()).slice(-lastChunk.length);
      // Nothing follows an answer until the next request is sent: the last chunk is at the end of what came.
      if (this.#tail === lastChunk) {
        this.#collected = [withoutChunks(Buffer.concat(this.#collected))];
        this.#finish();
      }
      return empty;
    }
    const part = bytes.length <= this.#left ? bytes : bytes.subarray(0, this.#left);
    if (this.#collected === undefined) {
      const { expected } = this.#pending.request;
      if (part.compare(expected, this.#seen, this.#seen + part.length) !== 0)
        throw new Error("the body is not the one that was stored");
    } else {
      this.#collected.push(Buffer.from(part));
    }
    this.#seen += part.length;
    this.#left -= part.length;
    if (this.#left === 0) this.#finish();
    return part.length === bytes.length ? empty : bytes.subarray(part.length);
  }

  #finish() {
    const { request, status, head, resolve } = this.#pending;
    const body = this.#collected === undefined ? undefined : Buffer.concat(this.#collected);
    if (!isWanted(status, request)) {
      const [line] = request.head.latin1Slice().split("\r\n");
      throw new Error(`${line}: ${status} instead of ${request.status}: ${body?.subarray(0, 1000).latin1Slice()}`);
    }
    const { expected } = request;
    if (expected !== undefined && body !== undefined && !body.equals(expected))
      throw new Error("the body is not the one that was stored");
    if (expected !== undefined && body === undefined && this.#seen !== expected.length)
      throw new Error(`${this.#seen} of ${expected.length} bytes came`);
    request.check?.(body, head);
    this.#pending = undefined;
    resolve({ status, head, body });
  }

  #fail(error) {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(error);
  }
}

function isWanted(status, request) {
  return status === request.status || (Array.isArray(request.status) && request.status.includes(status));
}

function withoutChunks(bytes) {
  const parts = [];
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const size = Number.parseInt(bytes.latin1Slice(at, lineEnd), 16);
    if (!(size > 0)) return Buffer.concat(parts);
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}
