/** S3 requests, streams and requests by id, to a store that can vanish at any moment. */
import { hash } from "node:crypto";
import path from "node:path";
import net from "node:net";
import { pathToFileURL } from "node:url";
import { HttpConnection } from "../bench/support/http-connection.mjs";
import { signedHead } from "../bench/support/signature.mjs";

export const access = { key: "crash-test", secret: "known-to-nobody-else" };
/** Longer than anything that the store waits for itself. */
const answerTimeoutMs = 60_000;

/** Said where no answer came: what was asked may have happened, or not. */
export class NoAnswer extends Error {}
/** Neither an answer nor the end of the connection: that is a failure of the store, whatever happened to it. */
export class NeverAnswered extends Error {}

export class S3Client {
  #port;
  #idle = [];

  constructor(port) {
    this.#port = port;
  }

  /** `query`: pairs; resolves with { status, header(name), body }. */
  async send(method, pathname, { query, headers, body } = {}) {
    const head = signedHead({
      method,
      path: pathname,
      query,
      headers,
      payload: "UNSIGNED-PAYLOAD",
      size: body?.length ?? (method === "GET" || method === "DELETE" ? undefined : 0),
      host: `127.0.0.1:${this.#port}`,
      access,
    });
    const request = { head, body, status: everyStatus };
    const connection = await this.#connection();
    const answer = await patiently(connection.send(request), `${method} ${pathname}`, () => connection.close());
    if (/\r\nconnection: *close/i.test(answer.head)) connection.close();
    else this.#idle.push(connection);
    const header = (name) => new RegExp(`\\r\\n${name}: *([^\\r]*)`, "i").exec(answer.head)?.[1];
    return { status: answer.status, header, body: answer.body ?? Buffer.alloc(0) };
  }

  async #connection() {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) break;
      if (!connection.closed) return connection;
    }
    try {
      return await HttpConnection.open(this.#port);
    } catch (error) {
      throw new NoAnswer(error.message, { cause: error });
    }
  }

  close() {
    for (const connection of this.#idle.splice(0)) connection.close();
  }
}

const everyStatus = Array.from({ length: 400 }, (_, index) => 200 + index);

async function patiently(answer, what, giveUp) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new NeverAnswered(`${what}: no answer within ${answerTimeoutMs} ms`));
      giveUp();
    }, answerTimeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } catch (error) {
    if (error instanceof NeverAnswered) throw error;
    throw new NoAnswer(error.message, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** tcp/5001: resolves with the line that comes back. */
export function sendStream(port, bytes) {
  let socket;
  const answered = new Promise((resolve, reject) => {
    let line = "";
    socket = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    socket.on("connect", () => socket.end(bytes));
    socket.on("data", (text) => (line += text));
    socket.on("error", reject);
    socket.on("close", () => {
      if (line.endsWith("\n")) resolve(line.trim());
      else reject(new Error("no line came back"));
    });
    socket.on("end", () => socket.destroy());
  });
  return patiently(answered, "a stream", () => socket.destroy());
}

/** The client of the response port is the product's own; its checks of keys and checksums are not what is tested here. */
export class ObjectClient {
  #product;
  #client;
  #kernel;
  #last = Promise.resolve();

  static async connect(productRoot, port, keyText) {
    const load = (name) => import(pathToFileURL(path.join(productRoot, "dist", name)).href);
    const [{ RequestClient }, { Kernel }, keys, { nodeHost }, { silentLog }, ids] = await Promise.all([
      load("wire/request-client.js"),
      load("core/kernel.js"),
      load("core/key.js"),
      load("env/node-host.js"),
      load("env/node-log.js"),
      load("core/ids.js"),
    ]);
    const key = keys.parseKey(keyText.trim(), "the key file");
    const client = new ObjectClient();
    client.#product = ids;
    client.#kernel = new Kernel(key, { tiny: 1, block: 16, group: 0 });
    client.#client = await RequestClient.connect({
      host: nodeHost(silentLog),
      kernel: client.#kernel,
      fingerprint: keys.fingerprintOf(key),
      address: { host: "127.0.0.1", port },
      answerTimeoutMs,
    });
    return client;
  }

  /** undefined where there is no such object. */
  async read(id) {
    const { parseId } = this.#product;
    const pieces = [];
    try {
      for await (const part of this.#client.ask("get", { a: parseId(id) })) {
        if (part.kind !== "tickets") continue;
        const { buffer, skip, take } = part;
        pieces.push(Buffer.from(buffer.data.subarray(skip, skip + take)));
        buffer.release();
      }
    } catch (error) {
      if (error.code === "NOT_FOUND") return undefined;
      throw error;
    }
    return Buffer.concat(pieces);
  }

  /** One request at a time goes over its connection. */
  remove(id) {
    const ask = async () => (await this.#client.askJson("remove", { a: this.#product.parseId(id) })).removed;
    const removed = this.#last.then(ask, ask);
    this.#last = removed.catch(() => undefined);
    return removed;
  }

  /** { objects, tickets, damages } */
  async verify() {
    const damages = [];
    let last;
    for await (const part of this.#client.ask("verify")) {
      if (part.kind !== "json") continue;
      last = part.value;
      damages.push(...last.damages);
    }
    return { objects: last.objects, tickets: last.tickets, damages };
  }

  status() {
    return this.#client.askJson("status");
  }

  close() {
    this.#client.close();
  }
}

export function deleteDocument(keys) {
  const objects = keys.map((key) => `<Object><Key>${key}</Key></Object>`).join("");
  const body = Buffer.from(`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${objects}</Delete>`);
  return { body, headers: { "content-type": "application/xml", "content-md5": hash("md5", body, "base64") } };
}

export function elementsOf(xml, name) {
  return [...xml.toString().matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, "g"))].map(([, text]) => text);
}

export function textOf(xml, name) {
  return elementsOf(xml, name)[0]?.replaceAll("&quot;", '"').replaceAll("&#34;", '"');
}
