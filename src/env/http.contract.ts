/** What every HTTP server below the gateways does: run by node-http.test.ts. Clients are raw sockets: they send anything. */
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { TestSocket } from "../../tests/support/sockets.ts";
import { StoreError } from "../core/errors.ts";
import type { HttpAnswer, HttpHandler, HttpListener, HttpPiece, HttpRequest, HttpServerOptions } from "./http.ts";

export type Listen = (options: HttpServerOptions, handler: HttpHandler) => Promise<HttpListener>;

const quiet = { debug: ignore, info: ignore, warn: ignore, error: ignore };
function ignore(): void {
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
const echo: HttpHandler = async (request) => {
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

interface Answer {
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

const get = (target: string, ...headers: string[]): string =>
  `GET ${target} HTTP/1.1\r\nHost: here\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n`;
const put = (target: string, size: number, ...headers: string[]): string =>
  get(target, `Content-Length: ${size}`, ...headers).replace("GET", "PUT");

export function httpContract(name: string, listen: Listen): void {
  describe(`an HTTP server: ${name}`, () => {
    const clients: TestSocket[] = [];
    let listener: HttpListener | undefined;
    /** Requests that have come to the handler. */
    let begun = 0;
    afterEach(async () => {
      for (const client of clients.splice(0)) client.destroy();
      await listener?.close();
      listener = undefined;
      begun = 0;
    });
    const serve = async (
      handler: HttpHandler,
      limits: NonNullable<HttpServerOptions["limits"]> = {},
    ): Promise<void> => {
      const refuse = ({ reason, status }: { reason: string; status: number }): HttpAnswer => ({
        status,
        headers: { "Content-Type": "application/xml" },
        body: `<${reason}/>`,
      });
      listener = await listen(
        { host: "127.0.0.1", port: 0, log: quiet, limits, refuse },
        (request) => (begun++, handler(request)),
      );
    };
    const connect = async (): Promise<TestSocket> => {
      const client = await TestSocket.connect(listener!.port);
      clients.push(client);
      return client;
    };
    const send = async (...parts: (string | Uint8Array)[]): Promise<TestSocket> => {
      const client = await connect();
      for (const part of parts) await client.write(typeof part === "string" ? Buffer.from(part, "latin1") : part);
      return client;
    };

    describe("requests", () => {
      it("come with method, target and headers as they were sent, bodies whole", async () => {
        let seen!: HttpRequest;
        let body!: Buffer;
        await serve(async (request) => {
          seen = request;
          body = await readAll(request);
          return { status: 200, headers: {} };
        });
        const sent = patternOf(200_000);
        const headers = ["X-Amz-Meta-A: one", "X-AMZ-META-a:  two ", "__proto__: x", "x-amz-meta-u: \xc3\xa4\xff"];
        const client = await send(put("/b/%2e%2e/a%20b?x=%41&y", sent.length, ...headers), sent);
        expect(await answerOf(client)).toMatchObject({ status: 200, body: "" });
        expect(seen).toMatchObject({
          method: "PUT",
          target: "/b/%2e%2e/a%20b?x=%41&y",
          peer: "127.0.0.1",
          secure: false,
        });
        expect(seen.headers["x-amz-meta-a"]).toBe("one,two");
        expect(seen.headers["x-amz-meta-u"]).toBe("\xc3\xa4\xff");
        expect(seen.headers["__proto__"]).toBe("x");
        expect(seen.headers["constructor"]).toBeUndefined();
        expect(seen.body.size).toBe(sent.length);
        expect(body.equals(sent)).toBe(true);
      });

      it("may be chunked, and then have no size", async () => {
        let size: number | undefined = -1;
        await serve((request) => ((size = request.body.size), echo(request)));
        const client = await send(
          "PUT /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1",
          "0\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n",
        );
        expect(await answerOf(client)).toMatchObject({ status: 200, body: "PUT /k 21" });
        expect(size).toBeUndefined();
      });

      it("on one connection are answered one after the other, sent ahead or not", async () => {
        const order: string[] = [];
        await serve(async (request) => {
          order.push(`begin ${request.target}`);
          const answer = await echo(request);
          await new Promise((resolve) => setTimeout(resolve, 2));
          order.push(`end ${request.target}`);
          return answer;
        });
        const client = await send(put("/1", 3) + "abc" + get("/2") + put("/3", 1) + "x" + get("/4"));
        for (const body of ["PUT /1 3", "GET /2 0", "PUT /3 1", "GET /4 0"]) {
          expect(await answerOf(client)).toMatchObject({ status: 200, body });
        }
        expect(order).toEqual(["1", "2", "3", "4"].flatMap((target) => [`begin /${target}`, `end /${target}`]));
        await client.write(get("/5"));
        expect(await answerOf(client)).toMatchObject({ body: "GET /5 0" });
      });

      it("wait while the taker works: the client is held back", async () => {
        let release!: () => void;
        const first = new Promise<void>((resolve) => (release = resolve));
        let received = 0;
        await serve(async ({ body }) => {
          await body.read((piece) => {
            received += piece.length;
            return first;
          });
          return { status: 200, headers: {} };
        });
        const size = 40_000_000;
        const client = await send(put("/k", size));
        const writing = client.write(Buffer.alloc(size));
        await new Promise((resolve) => setTimeout(resolve, 50));
        expect(client.socket.writableLength).toBeGreaterThan(0);
        expect(received).toBeLessThan(1_000_000);
        release();
        await writing;
        expect(await answerOf(client)).toMatchObject({ status: 200 });
        expect(received).toBe(size);
      });

      it("of a client that half-closes are answered", async () => {
        await serve(echo);
        const client = await send(put("/k", 3), "abc");
        client.end();
        expect((await client.rest()).toString()).toContain("PUT /k 3");
        await client.closed();
      });
    });

    describe("Expect", () => {
      it("100-continue is answered when the body is read, and not before", async () => {
        let read!: () => void;
        const wanted = new Promise<void>((resolve) => (read = resolve));
        await serve(async (request) => {
          await wanted;
          return echo(request);
        });
        const client = await send(put("/k", 3, "Expect: 100-continue"));
        await new Promise((resolve) => setTimeout(resolve, 20));
        expect(client.received.length).toBe(0);
        read();
        expect((await answerOf(client)).status).toBe(100);
        await client.write("abc");
        expect(await answerOf(client)).toMatchObject({ status: 200, body: "PUT /k 3" });
      });

      it("100-continue is answered for an empty body too, whatever the answer, and the connection goes on", async () => {
        const statuses = [200, 412, 200];
        await serve(async () => ({ status: statuses.shift()!, headers: {} }));
        const client = await send(put("/k", 0, "Expect: 100-continue"));
        for (const status of [100, 200]) expect((await answerOf(client)).status).toBe(status);
        for (const expected of [412, 200]) {
          await client.write(put("/k", 0, "Expect: 100-continue"));
          for (const status of [100, expected]) expect((await answerOf(client)).status).toBe(status);
        }
      });

      it("without a body read: the answer, and the connection is over", async () => {
        await serve(async () => ({ status: 403, headers: {}, body: "no" }));
        const client = await send(put("/k", 3, "Expect: 100-continue"));
        const answer = (await client.rest()).toString();
        expect(answer).toMatch(/^HTTP\/1\.1 403 .*connection: close.*no$/is);
      });

      it("anything else is not looked at", async () => {
        await serve(echo);
        const client = await send(get("/k", "Expect: tea"));
        expect((await answerOf(client)).status).toBe(200);
      });
    });

    describe("answers", () => {
      it("have their headers byte for byte, text as UTF-8, and a content-length", async () => {
        const headers = { ETag: '"x"', "x-amz-meta-u": "\xc3\xa4\xff", "x-amz-Number": 7 };
        await serve(async () => ({ status: 200, headers, body: "ä" }));
        const { head, body } = await answerOf(await send(get("/")));
        expect(head).toContain('\r\nETag: "x"\r\nx-amz-meta-u: \xc3\xa4\xff\r\nx-amz-Number: 7\r\n');
        expect(head).toMatch(/\r\nContent-Length: 2\r\n(.*\r\n)?Date: .* GMT\r\n/s);
        expect(body).toBe("\xc3\xa4");
        expect(head.toLowerCase()).not.toContain("x-powered-by");
      });

      it("to HEAD say what a body would be, and end a stream that is not read", async () => {
        const notes: string[] = [];
        const bytes = patternOf(1000);
        await serve(async ({ target }) =>
          target === "/stream"
            ? { status: 200, headers: {}, body: { size: 1000, pieces: piecesOf(bytes, 10, notes) } }
            : { status: 200, headers: { "content-length": 77 } },
        );
        const client = await send(get("/").replace("GET", "HEAD") + get("/stream").replace("GET", "HEAD"));
        expect((await answerOf(client, true)).head).toContain("content-length: 77");
        expect((await answerOf(client, true)).head).toContain("Content-Length: 1000");
        expect(notes.includes("made")).toBe(false);
      });

      it("of 204 and 304 have no body and no length, and the connection goes on", async () => {
        await serve(async ({ target }) => ({ status: Number(target.slice(1)), headers: {}, body: "no" }));
        const client = await send(get("/204") + get("/304") + get("/200"));
        for (const status of [204, 304]) {
          const { head, ...answer } = await answerOf(client);
          expect(answer).toEqual({ status, body: "" });
          expect(head.toLowerCase()).not.toContain("content-length");
        }
        expect(await answerOf(client)).toMatchObject({ status: 200, body: "no" });
      });

      it.each([
        ["one piece", 5000, 5000],
        ["many", 3_000_000, 100_000],
        ["none", 0, 1],
      ])("stream: %s, each released, then ended", async (_, size, pieceSize) => {
        const notes: string[] = [];
        const bytes = patternOf(size);
        await serve(async () => ({
          status: 206,
          headers: {},
          body: { size, pieces: piecesOf(bytes, pieceSize, notes) },
        }));
        const client = await send(get("/") + get("/"));
        for (let turn = 0; turn < 2; turn++) {
          const { status, body } = await answerOf(client);
          expect(status).toBe(206);
          expect(Buffer.from(body, "latin1").equals(bytes)).toBe(true);
        }
        await until(() => size === 0 || notes.filter((note) => note === "ended").length === 2);
        const count = Math.ceil(size / pieceSize) * 2;
        expect(notes.filter((note) => note === "made").length).toBe(count);
        expect(notes.filter((note) => note === "released").length).toBe(count);
      });

      it("that fail in the middle, or end too early, cut the connection", async () => {
        const notes: string[] = [];
        const bytes = patternOf(1000);
        async function* broken(): AsyncGenerator<HttpPiece> {
          yield* piecesOf(bytes, 500, notes);
          throw new StoreError("DAMAGED", "the second half is not what it was");
        }
        await serve(async ({ target }) => ({
          status: 200,
          headers: {},
          body: { size: 5000, pieces: target === "/short" ? piecesOf(bytes, 500, notes) : broken() },
        }));
        for (const target of ["/short", "/broken"]) {
          const client = await send(get(target));
          expect((await client.rest()).toString("latin1").split("\r\n\r\n")[1]!.length).toBeLessThan(5000);
        }
        await until(() => notes.filter((note) => note === "released").length === 4);
      });

      it("to a client that goes away are given up, every piece released, the iteration ended", async () => {
        const notes: string[] = [];
        await serve(async () => ({
          status: 200,
          headers: {},
          body: { size: 100_000_000, pieces: piecesOf(Buffer.alloc(100_000_000), 1_000_000, notes) },
        }));
        const client = await send(get("/"));
        await client.take(1_000_000);
        client.destroy();
        await until(() => notes.includes("ended"));
        const made = notes.filter((note) => note === "made").length;
        expect(made).toBeLessThan(100);
        expect(notes.filter((note) => note === "released").length).toBe(made);
      });

      it("that cannot be sent, and handlers that reject, are a failure and no crash", async () => {
        await serve(async ({ target }) => {
          if (target === "/reject") throw new Error("a bug");
          return { status: 200, headers: { "x-amz-meta-a": "b\r\nSet-Cookie: c" } };
        });
        const client = await send(get("/reject") + get("/split"));
        expect(await answerOf(client)).toMatchObject({ status: 500, body: "<failure/>" });
        expect(await answerOf(client)).toMatchObject({ status: 500, body: "<failure/>" });
      });
    });

    describe("a body that is not read", () => {
      it("is thrown away where it is small: the connection goes on", async () => {
        await serve(async ({ target }) => ({ status: 403, headers: {}, body: target }));
        const client = await send(put("/1", 100_000), patternOf(100_000), get("/2"));
        expect(await answerOf(client)).toMatchObject({ status: 403, body: "/1" });
        expect(await answerOf(client)).toMatchObject({ status: 403, body: "/2" });
      });

      it.each([
        ["announced", false],
        ["chunked", true],
      ])("and is large, %s: the client gets its answer, then the end", async (_, chunked) => {
        await serve(async () => ({ status: 403, headers: {}, body: "no" }));
        const size = 8_000_000;
        const head = chunked
          ? get("/1", "Transfer-Encoding: chunked").replace("GET", "PUT") + size.toString(16) + "\r\n"
          : put("/1", size);
        const client = await send(head);
        // Who reads only when all is sent finds the answer gone where the connection was reset meanwhile.
        client.socket.pause();
        await client.write(Buffer.alloc(size)).catch(ignore);
        client.socket.resume();
        expect((await client.rest()).toString()).toMatch(/^HTTP\/1\.1 403 .*connection: close.*no$/is);
      });

      it("and never ends is cut: after a while, and after so many bytes", async () => {
        await serve(async () => ({ status: 403, headers: {}, body: "no" }), {
          unreadTimeoutMs: 60,
          unreadSizeMax: 1_000_000,
        });
        const slow = await send(put("/1", 1_000_000_000));
        expect((await slow.rest()).toString()).toContain("403");
        await until(() => listener!.connectionCount === 0);
        const small = await send(put("/1", 1000), "abc");
        expect(await answerOf(small)).toMatchObject({ status: 403 });
        await until(() => listener!.connectionCount === 0);
      });
    });

    describe("clients that do not do as they said", () => {
      const outcomes: string[] = [];
      const noting: HttpHandler = async (request) => {
        try {
          await readAll(request);
          outcomes.push("whole");
          return { status: 200, headers: {} };
        } catch (error) {
          outcomes.push((error as StoreError).code);
          return { status: 400, headers: {}, body: "cut" };
        }
      };

      it("vanish in the middle of a body: ABORTED", async () => {
        outcomes.length = 0;
        await serve(noting);
        const gone = await send(put("/1", 1000), patternOf(10));
        await until(() => begun === 1);
        gone.destroy();
        await until(() => outcomes.length === 1);
        const ended = await send(put("/1", 1000), patternOf(10));
        ended.end();
        await ended.rest();
        const reset = await send(put("/1", 1000), patternOf(10));
        await until(() => begun === 3);
        reset.socket.resetAndDestroy();
        await until(() => outcomes.length === 3);
        expect(outcomes).toEqual(["ABORTED", "ABORTED", "ABORTED"]);
        await until(() => listener!.connectionCount === 0);
      });

      it("vanish before the body is asked for: ABORTED as well", async () => {
        outcomes.length = 0;
        let go!: () => void;
        const later = new Promise<void>((resolve) => (go = resolve));
        await serve((request) => later.then(() => noting(request)));
        const gone = await send(put("/1", 1000), patternOf(10));
        await until(() => begun === 1);
        gone.destroy();
        const reset = await send(put("/1", 1000), patternOf(10));
        await until(() => begun === 2);
        reset.socket.resetAndDestroy();
        await new Promise((resolve) => setTimeout(resolve, 10));
        go();
        await until(() => outcomes.length === 2);
        expect(outcomes).toEqual(["ABORTED", "ABORTED"]);
        await until(() => listener!.connectionCount === 0);
      });

      it("send nothing of a body for too long: ABORTED, an answer, the end", async () => {
        outcomes.length = 0;
        await serve(noting, { bodyIdleTimeoutMs: 60 });
        const client = await send(put("/1", 1000), patternOf(10));
        expect((await client.rest()).toString()).toMatch(/^HTTP\/1\.1 400 .*connection: close.*cut$/is);
        expect(outcomes).toEqual(["ABORTED"]);
      });

      it("send broken chunks: INVALID, an answer, the end", async () => {
        outcomes.length = 0;
        await serve(noting);
        for (const bad of ["zz\r\n", "5\r\nhelloX", "-1\r\n", "fffffffffffffffff\r\n", "5\rhello"]) {
          const client = await send(get("/", "Transfer-Encoding: chunked").replace("GET", "PUT"), bad);
          expect((await client.rest()).toString()).toMatch(/^HTTP\/1\.1 400 .*connection: close.*$/is);
        }
        expect(new Set(outcomes)).toEqual(new Set(["INVALID"]));
      });

      it("do not read their answer: are cut off", async () => {
        const notes: string[] = [];
        const body = { size: 100_000_000, pieces: piecesOf(Buffer.alloc(100_000_000), 1_000_000, notes) };
        await serve(async () => ({ status: 200, headers: {}, body }), { writeStallMs: 60 });
        const client = await connect();
        client.socket.pause();
        client.socket.write(get("/"));
        await until(() => listener!.connectionCount === 0 && notes.includes("ended"));
        expect(notes.length).toBeGreaterThan(1);
      });

      it("are slow with their headers: 408, or the end where nothing came", async () => {
        await serve(echo, { headerTimeoutMs: 300 });
        const [silent, slow] = [await connect(), await send("GET / HTTP/1.1\r\nHo")];
        expect((await slow.rest()).toString()).toMatch(/^HTTP\/1\.1 408 .*<header too slow\/>$/is);
        expect((await silent.rest()).length).toBe(0);
      });

      it("keep a connection without using it: the end", async () => {
        await serve(echo, { keepAliveTimeoutMs: 60 });
        const client = await send(get("/"));
        expect((await answerOf(client)).status).toBe(200);
        expect((await client.rest()).length).toBe(0);
      });

      it.each([
        ["header overflow", get("/", `X: ${"x".repeat(40_000)}`), 431],
        ["target overflow", get(`/${"x".repeat(40_000)}`), 431],
        ["no HTTP", "hello\r\n\r\n", 400],
        ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
        ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
        ["two hosts", get("/", "Host: there"), 400],
        ["two authorizations", get("/", "Authorization: a", "Authorization: b"), 400],
        ["two lengths", put("/", 3, "Content-Length: 3"), 400],
        ["other lengths", put("/", 3, "Content-Length: 4"), 400],
        ["a negative length", get("/", "Content-Length: -1"), 400],
        ["a length that is none", get("/", "Content-Length: 1e3"), 400],
        ["too long a length", get("/", "Content-Length: 99999999999999999"), 400],
        ["length and chunks", put("/", 3, "Transfer-Encoding: chunked") + "0\r\n\r\n", 400],
        ["chunks and length", get("/", "Transfer-Encoding: chunked", "Content-Length: 3") + "0\r\n\r\n", 400],
        ["another encoding", get("/", "Transfer-Encoding: gzip, chunked") + "0\r\n\r\n", 501],
        ["chunks not last", get("/", "Transfer-Encoding: chunked, gzip") + "0\r\n\r\n", 400],
        ["a folded header", get("/", "A: b\r\n c"), 400],
        ["a space before the colon", get("/", "A : b"), 400],
        ["a zero byte", get("/", "A: b\x00c"), 400],
        ["CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405],
      ])("%s is refused in the gateway's words", async (_, text, status) => {
        const seen: string[] = [];
        await serve((request) => (seen.push(request.target), echo(request)));
        const answer = await answerOf(await send(text));
        expect(answer.status).toBe(status);
        expect(answer.body).toMatch(/^<.*\/>$/);
        expect(seen).toEqual([]);
      });

      it("ask for another protocol: are answered in this one", async () => {
        await serve(echo);
        const client = await send(get("/", "Connection: Upgrade", "Upgrade: websocket"));
        expect(await answerOf(client)).toMatchObject({ status: 200, body: "GET / 0" });
      });

      it("send garbage behind good requests: those are answered, then it is refused", async () => {
        await serve(echo);
        const client = await send(`${get("/1")}${get("/2")}garbage\r\n\r\n`);
        expect((await answerOf(client)).body).toBe("GET /1 0");
        expect((await answerOf(client)).body).toBe("GET /2 0");
        expect((await answerOf(client)).status).toBe(400);
        expect((await client.rest()).length).toBe(0);
      });
    });

    describe("limits", () => {
      it("on requests under way: further ones are refused as busy, and later ones are not", async () => {
        let go!: () => void;
        const later = new Promise<void>((resolve) => (go = resolve));
        await serve((request) => later.then(() => echo(request)), { requestsMax: 2 });
        const under = [await send(get("/1")), await send(get("/2"))];
        await until(() => begun === 2);
        const third = await send(get("/3"));
        expect(await answerOf(third)).toMatchObject({ status: 503, body: "<busy/>" });
        go();
        for (const client of under) expect((await answerOf(client)).status).toBe(200);
        await third.write(get("/4"));
        expect((await answerOf(third)).status).toBe(200);
      });

      it("on requests under way: one address leaves room for others while others are there", async () => {
        let go!: () => void;
        const later = new Promise<void>((resolve) => (go = resolve));
        await serve((request) => later.then(() => echo(request)), { requestsMax: 4 });
        const other = await TestSocket.connect(listener!.port, "127.0.0.2");
        clients.push(other);
        const greedy = [await send(get("/1")), await send(get("/2")), await send(get("/3"))];
        await until(() => begun === 3);
        const fourth = await send(get("/4"));
        expect((await answerOf(fourth)).status).toBe(503);
        await other.write(get("/5"));
        await until(() => begun === 4);
        go();
        for (const client of [...greedy, other]) expect((await answerOf(client)).status).toBe(200);
      });

      it("on requests sent ahead: those beyond it wait in their socket, or are refused as busy", async () => {
        let go!: () => void;
        const later = new Promise<void>((resolve) => (go = resolve));
        await serve((request) => later.then(() => echo(request)));
        const client = await send(get("/").repeat(300));
        await new Promise((resolve) => setTimeout(resolve, 20));
        go();
        const statuses: number[] = [];
        for (let turn = 0; turn < 300; turn++) statuses.push((await answerOf(client)).status);
        expect(statuses.slice(0, 65)).toEqual(Array.from({ length: 65 }, () => 200));
        expect(new Set(statuses.slice(65)).size).toBe(1);
        expect([200, 503]).toContain(statuses[65]);
      });

      it("on connections, and on those of one address", async () => {
        await serve(echo, { connectionsMax: 2 });
        const kept = [await send(get("/1")), await send(get("/2"))];
        for (const client of kept) expect((await answerOf(client)).status).toBe(200);
        expect((await (await connect()).rest()).length).toBe(0);
        expect(listener!.connectionCount).toBe(2);
        await listener!.close();
        await serve(echo, { connectionsPerPeerMax: 1 });
        const first = await send(get("/1"));
        expect((await answerOf(first)).status).toBe(200);
        expect((await (await connect()).rest()).length).toBe(0);
      });

      it("on requests of one connection: the last says so", async () => {
        await serve(echo, { requestsPerConnectionMax: 2 });
        const client = await send(get("/1") + get("/2") + get("/3"));
        expect((await answerOf(client)).head.toLowerCase()).not.toContain("connection: close");
        expect((await answerOf(client)).head.toLowerCase()).toContain("connection: close");
        expect((await client.rest()).length).toBe(0);
      });
    });

    describe("closing", () => {
      it("lets what is under way end, closes what is idle, takes nothing new", async () => {
        let go!: () => void;
        const later = new Promise<void>((resolve) => (go = resolve));
        await serve(async (request) => {
          if (request.target === "/slow") await later;
          return echo(request);
        });
        const idle = await send(get("/"));
        expect((await answerOf(idle)).status).toBe(200);
        const slow = await send(get("/slow"));
        const silent = await connect();
        await until(() => begun === 2 && listener!.connectionCount === 3);
        const closed = listener!.close();
        expect((await idle.rest()).length).toBe(0);
        expect((await silent.rest()).length).toBe(0);
        await expect(TestSocket.connect(listener!.port)).rejects.toThrow("ECONNREFUSED");
        go();
        expect((await answerOf(slow)).head.toLowerCase()).toContain("connection: close");
        await closed;
        listener = undefined;
      });

      it("does not wait for ever", async () => {
        await serve(() => new Promise(ignore), { drainTimeoutMs: 40 });
        const client = await send(get("/"));
        await until(() => begun === 1);
        await listener!.close();
        listener = undefined;
        expect((await client.rest()).length).toBe(0);
      });
    });

    it("whatever comes is answered or closed; nothing is left behind", async () => {
      await serve(echo, {
        headerTimeoutMs: 100,
        bodyIdleTimeoutMs: 100,
        unreadTimeoutMs: 100,
        keepAliveTimeoutMs: 100,
      });
      const word = fc.constantFrom(
        "GET / HTTP/1.1\r\n",
        "PUT /k HTTP/1.1\r\n",
        "HEAD /",
        " HTTP/1.0\r\n",
        "Host: h\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 7",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Expect: 100-continue\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive, upgrade\r\nUpgrade: h2c\r\n",
        "\r\n",
        "\r\n\r\n",
        "\r",
        "\n",
        ":",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "hello",
        "ffffffff\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "\x00",
        "\xff",
        "A: \xe4\r\n",
        get("/whole"),
        put("/whole", 5),
        `${put("/whole", 5)}hello`,
      );
      const piece = fc.oneof(
        { weight: 8, arbitrary: word.map((text) => Buffer.from(text, "latin1")) },
        { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
      );
      const request = fc.tuple(fc.array(piece, { maxLength: 12 }), fc.constantFrom("end", "destroy", "reset"));
      // Many at a time: a request that is never finished takes as long as it may.
      const batch = fc.array(request, { minLength: 60, maxLength: 60 });
      await fc.assert(
        fc.asyncProperty(batch, async (all) => {
          await Promise.all(
            all.map(async ([pieces, way]) => {
              const client = await TestSocket.connect(listener!.port);
              await client.write(Buffer.concat(pieces)).catch(ignore);
              if (way === "end") {
                client.end();
                const text = (await client.rest()).toString("latin1");
                expect(text === "" || text.startsWith("HTTP/1.1 ")).toBe(true);
              } else if (way === "reset") client.socket.resetAndDestroy();
              client.destroy();
            }),
          );
        }),
        { numRuns: 35 },
      );
      await until(() => listener!.connectionCount === 0);
      // Its time for a head is short: on a machine that stands still for a moment it can be over before anything is read.
      const still = async (): Promise<string | undefined> => {
        const client = await send(get("/still"));
        return answerOf(client).then(
          ({ body }) => body,
          () => undefined,
        );
      };
      expect((await still()) ?? (await still()) ?? (await still())).toBe("GET /still 0");
    });
  });
}

/** The test's time-out is the limit. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}
