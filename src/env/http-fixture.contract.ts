/** What the parts of http.contract.ts share: handlers, raw clients, and a server for one test after the other. */
import { TestSocket } from "../../tests/support/sockets.ts";
import type { HttpAnswer, HttpHandler, HttpListener, HttpPiece, HttpRequest, HttpServerOptions } from "./http.ts";

export type Listen = (options: HttpServerOptions, handler: HttpHandler) => Promise<HttpListener>;

export function ignore(): void {
  // Nothing is said.
}

export const patternOf = (size: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, at) => (at * 7) & 0xff));

/** Reads the body whole; what it is told goes into the answer. */
export async function readAll({ body }: HttpRequest): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  await body.read((piece) => void pieces.push(Buffer.from(piece)));
  return Buffer.concat(pieces);
}

/** Answers what was asked: method, target, and the body's size. */
export const echo: HttpHandler = async (request) => {
  const body = await readAll(request);
  return { status: 200, headers: {}, body: `${request.method} ${request.target} ${body.length}` };
};

export async function* piecesOf(bytes: Uint8Array, size: number, notes: string[] = []): AsyncGenerator<HttpPiece> {
  try {
    for (let at = 0; at < bytes.length; at += size) {
      notes.push("made");
      yield { bytes: bytes.subarray(at, at + size), release: () => notes.push("released") };
    }
  } finally {
    notes.push("ended");
  }
}

export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** One answer, as its content-length says; the rest stays. `isHead`: without a body. */
export async function answerOf(client: TestSocket, isHead = false): Promise<Answer> {
  let head = "";
  while (!head.endsWith("\r\n\r\n")) head += (await client.take(1)).toString("latin1");
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)![1]);
  const size = isHead || status < 200 ? 0 : Number(/^content-length: (\d+)\r$/im.exec(head)?.[1] ?? 0);
  return { status, head, body: (await client.take(size)).toString("latin1") };
}

export const get = (target: string, ...headers: string[]): string =>
  `GET ${target} HTTP/1.1\r\nHost: here\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n`;
export const put = (target: string, size: number, ...headers: string[]): string =>
  get(target, `Content-Length: ${size}`, ...headers).replace("GET", "PUT");

/** A server and its clients, for one test after the other. */
export class HttpFixture {
  readonly clients: TestSocket[] = [];
  listener: HttpListener | undefined;
  /** Requests that have come to the handler. */
  begun = 0;
  /** Warnings, with their fields. */
  readonly warned: string[] = [];
  readonly #listen: Listen;

  constructor(listen: Listen) {
    this.#listen = listen;
  }

  async end(): Promise<void> {
    for (const client of this.clients.splice(0)) client.destroy();
    await this.listener?.close();
    this.listener = undefined;
    this.begun = 0;
    this.warned.length = 0;
  }

  async serve(handler: HttpHandler, limits: NonNullable<HttpServerOptions["limits"]> = {}): Promise<void> {
    const refuse = ({ reason, status }: { reason: string; status: number }): HttpAnswer => ({
      status,
      headers: { "Content-Type": "application/xml" },
      body: `<${reason}/>`,
    });
    const warn = (...said: unknown[]): void => void this.warned.push(JSON.stringify(said));
    const log = { debug: ignore, info: ignore, warn, error: ignore };
    const options = { host: "127.0.0.1", port: 0, log, limits, refuse };
    this.listener = await this.#listen(options, (request) => (this.begun++, handler(request)));
  }

  async connect(from?: string): Promise<TestSocket> {
    const client = await TestSocket.connect(this.listener!.port, from);
    this.clients.push(client);
    return client;
  }

  async send(...parts: (string | Uint8Array)[]): Promise<TestSocket> {
    const client = await this.connect();
    for (const part of parts) await client.write(typeof part === "string" ? Buffer.from(part, "latin1") : part);
    return client;
  }
}

/** The test's time-out is the limit. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}
