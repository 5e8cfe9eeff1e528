/**
 * An S3 endpoint in this process and a raw client of it, for what well-behaved clients cannot send; and what has to hold
 * when it is over: answers are S3's, nothing is stored in part, nothing is left open.
 */
import { createHash } from "node:crypto";
import { readdirSync, readlinkSync } from "node:fs";
import { parseXml, XmlElement } from "@rgrove/parse-xml";
import type { RunningRouter } from "../../src/compose/router-process.ts";
import type { HttpLimits } from "../../src/env/http.ts";
import type { Log } from "../../src/env/host.ts";
import { nodeHost } from "../../src/env/node-host.ts";
import { signHeader, type SignedRequest, wireBytes } from "./s3-signer.ts";
import { TestSocket } from "./sockets.ts";
import { type Belongings, eventually } from "./store.ts";

type Headers = { readonly [name: string]: string };

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** The <Code> of an error's XML. */
  readonly code: string | undefined;
}

/** One connection; requests as bytes, answers one after the other. */
export class S3Socket {
  readonly tcp: TestSocket;
  #pending: Buffer = Buffer.alloc(0);

  private constructor(tcp: TestSocket) {
    this.tcp = tcp;
  }

  static async connect(port: number, localAddress?: string): Promise<S3Socket> {
    return new S3Socket(await TestSocket.connect(port, localAddress));
  }

  /** Does not wait until it has gone: the other side may answer before it reads. */
  send(bytes: Uint8Array | string): void {
    void this.tcp.write(bytes).catch(() => undefined);
  }

  /** The next answer, interim ones passed over. Rejects where the connection ends before. */
  async answer(method = "GET"): Promise<RawAnswer> {
    for (;;) {
      const head = await this.#head();
      const [first, ...lines] = head.split("\r\n") as [string, ...string[]];
      const match = /^HTTP\/1\.1 (\d{3}) /.exec(first);
      if (match === null) throw new Error(`no answer of HTTP: ${JSON.stringify(first)}`);
      const status = Number(match[1]);
      if (status < 200) continue;
      const headers = new Map(
        lines.map((line): [string, string] => {
          const colon = line.indexOf(":");
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        }),
      );
      const isEmpty = method === "HEAD" || status === 204 || status === 304;
      const size = isEmpty ? 0 : Number(headers.get("content-length"));
      const body = size === 0 ? Buffer.alloc(0) : await this.#take(size);
      const code = /<Error><Code>(.*?)<\/Code>/.exec(body.toString("latin1"))?.[1];
      return { status, headers, body, code };
    }
  }

  close(): void {
    this.tcp.destroy();
  }

  async #head(): Promise<string> {
    for (let looked = 0; ;) {
      const end = this.#pending.indexOf("\r\n\r\n", Math.max(0, looked - 3));
      if (end >= 0)
        return this.#cut(end + 4)
          .subarray(0, end)
          .toString("latin1");
      looked = this.#pending.length;
      await this.#more();
    }
  }

  async #take(size: number): Promise<Buffer> {
    while (this.#pending.length < size) await this.#more();
    return this.#cut(size);
  }

  #cut(size: number): Buffer {
    const taken = this.#pending.subarray(0, size);
    this.#pending = this.#pending.subarray(size);
    return taken;
  }

  async #more(): Promise<void> {
    const came = await this.tcp.take(Math.max(1, this.tcp.received.length));
    this.#pending = this.#pending.length === 0 ? came : Buffer.concat([this.#pending, came]);
  }
}

export interface SessionOptions {
  readonly limits?: Partial<HttpLimits>;
  readonly arena?: { readonly tiny: number; readonly block: number; readonly group: number };
}

/** What is there when nothing is under way. */
export interface Footprint {
  readonly counters: object;
  readonly keys: readonly string[];
  readonly freeBuffers: unknown;
  readonly unfinished: number;
}

export class S3Session {
  readonly running: RunningRouter;
  readonly root: string;
  readonly keys = { accessKey: "tester-key-id", secretKey: "testers-secret-that-nobody-may-see" };
  /** Every line that was logged. */
  readonly logged: string[];
  readonly endpoint: string;

  private constructor(running: RunningRouter, root: string, logged: string[]) {
    this.running = running;
    this.root = root;
    this.logged = logged;
    this.endpoint = `http://127.0.0.1:${running.s3Port}`;
  }

  static async open(belongings: Belongings, options: SessionOptions = {}): Promise<S3Session> {
    const logged: string[] = [];
    const root = await belongings.directory();
    const running = await belongings.router(
      {
        root,
        s3: { port: 0, accessLog: (entry) => void logged.push(JSON.stringify(entry)), ...limitsOf(options) },
        rootKeys: { accessKey: "tester-key-id", secretKey: "testers-secret-that-nobody-may-see" },
        ...(options.arena === undefined ? {} : { arena: options.arena }),
      },
      nodeHost(logTo(logged)),
    );
    return new S3Session(running, root, logged);
  }

  get port(): number {
    return this.running.s3Port;
  }

  sign(method: string, path: string, headers: Headers = {}, body?: Uint8Array | string): SignedRequest {
    const url = `${this.endpoint}${path}`;
    return signHeader(this.keys, { method, url, headers, ...(body === undefined ? {} : { body }) });
  }

  /** On a connection of its own. */
  ask(method: string, path: string, headers: Headers = {}, body?: Uint8Array | string): Promise<RawAnswer> {
    return this.send(wireBytes(this.sign(method, path, headers, body)), method);
  }

  async send(bytes: Uint8Array | string, method = "GET"): Promise<RawAnswer> {
    const socket = await S3Socket.connect(this.port);
    try {
      socket.send(bytes);
      return await socket.answer(method);
    } finally {
      socket.close();
    }
  }

  /** As soon as nothing is under way any more. */
  async footprint(): Promise<Footprint> {
    const { datastore } = this.running.gateway!.services;
    await eventually(() => this.running.gateway!.listener.connectionCount === 0);
    await eventually(async () => (await unfinishedCount(this)) === 0);
    const keys: string[] = [];
    for (const { name } of await datastore.listBuckets()) {
      const page = await datastore.listVersions({
        bucket: name,
        prefix: "",
        delimiter: "",
        after: undefined,
        limit: 1000,
      });
      for (const { key, version } of page.items) keys.push(`${name}/${key} ${version}`);
    }
    const { freeBuffers } = await this.running.status();
    return { counters: await datastore.counters(), keys, freeBuffers, unfinished: 0 };
  }

  /** Whether the next request on a new connection is answered as it should be. */
  async works(): Promise<boolean> {
    const { status, body } = await this.ask("GET", "/");
    return status === 200 && body.includes("ListAllMyBucketsResult");
  }
}

async function unfinishedCount({ running }: S3Session): Promise<number> {
  const objects = await running.gateway!.services.datastore.listObjects(undefined, 1000);
  return objects.filter(({ status }) => status === "writing").length;
}

function limitsOf({ limits }: SessionOptions): { readonly limits?: Partial<HttpLimits> } {
  return limits === undefined ? {} : { limits };
}

function logTo(lines: string[]): Log {
  const add =
    (level: string) =>
    (message: string, fields?: object): void =>
      void lines.push(JSON.stringify({ level, message, ...fields }));
  return { debug: add("debug"), info: add("info"), warn: add("warn"), error: add("error") };
}

/** What is wrong with an error: S3 tells it in XML with Code, Message and RequestId, the request's id in a header too. */
export function problemOf({ status, headers, body }: RawAnswer): string | undefined {
  if (status < 400) return `${status} is no error`;
  if (headers.get("content-type") !== "application/xml") return `its type is ${headers.get("content-type")}`;
  const said = elementsOf(body);
  if (!/^[A-Za-z.0-9]+$/.test(said.get("Code") ?? "")) return `its code is ${said.get("Code")}`;
  // An empty one is what AWS says of some.
  if (!said.has("Message")) return "it says nothing";
  const id = headers.get("x-amz-request-id") ?? "";
  if (!/^[0-9A-F]{16}$/.test(id)) return `its request id is ${JSON.stringify(id)}`;
  return said.get("RequestId") === id ? undefined : "its request ids differ";
}

/** The children of an error's root element; throws where it is not well-formed. */
export function elementsOf(body: Buffer): ReadonlyMap<string, string> {
  const { root } = parseXml(body.toString("utf8"));
  if (root === null || root.name !== "Error") throw new Error(`no error: ${body.toString("utf8").slice(0, 200)}`);
  return new Map(
    root.children.filter((child) => child instanceof XmlElement).map((child) => [child.name, child.text] as const),
  );
}

export const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

/** What this process has open, sockets and pipes by their kind. */
export function openFiles(): string[] {
  const open: string[] = [];
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      open.push(readlinkSync(`/proc/self/fd/${name}`).replace(/:\[\d+\]$/, ""));
    } catch {
      // Closed since it was listed.
    }
  }
  return open.sort();
}
