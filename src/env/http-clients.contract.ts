/** Clients that vanish, stall, or send what is no HTTP. Part of http.contract.ts. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TestSocket } from "../../tests/support/sockets.ts";
import type { StoreError } from "../core/errors.ts";
import type { HttpHandler } from "./http.ts";
import {
  answerOf,
  echo,
  get,
  type HttpFixture,
  ignore,
  patternOf,
  piecesOf,
  put,
  readAll,
  until,
} from "./http-fixture.contract.ts";

export function clientFacts(http: HttpFixture): void {
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
      await http.serve(noting);
      const gone = await http.send(put("/1", 1000), patternOf(10));
      await until(() => http.begun === 1);
      gone.destroy();
      await until(() => outcomes.length === 1);
      const ended = await http.send(put("/1", 1000), patternOf(10));
      ended.end();
      await ended.rest();
      const reset = await http.send(put("/1", 1000), patternOf(10));
      await until(() => http.begun === 3);
      reset.socket.resetAndDestroy();
      await until(() => outcomes.length === 3);
      expect(outcomes).toEqual(["ABORTED", "ABORTED", "ABORTED"]);
      await until(() => http.listener!.connectionCount === 0);
    });

    it("vanish before the body is asked for: ABORTED as well", async () => {
      outcomes.length = 0;
      let go!: () => void;
      const later = new Promise<void>((resolve) => (go = resolve));
      await http.serve((request) => later.then(() => noting(request)));
      const gone = await http.send(put("/1", 1000), patternOf(10));
      await until(() => http.begun === 1);
      gone.destroy();
      const reset = await http.send(put("/1", 1000), patternOf(10));
      await until(() => http.begun === 2);
      reset.socket.resetAndDestroy();
      await new Promise((resolve) => setTimeout(resolve, 10));
      go();
      await until(() => outcomes.length === 2);
      expect(outcomes).toEqual(["ABORTED", "ABORTED"]);
      await until(() => http.listener!.connectionCount === 0);
    });

    it("send nothing of a body for too long: ABORTED, an answer, the end", async () => {
      outcomes.length = 0;
      await http.serve(noting, { bodyIdleTimeoutMs: 60 });
      const client = await http.send(put("/1", 1000), patternOf(10));
      expect((await client.rest()).toString()).toMatch(/^HTTP\/1\.1 400 .*connection: close.*cut$/is);
      expect(outcomes).toEqual(["ABORTED"]);
    });

    it("send broken chunks: INVALID, an answer, the end", async () => {
      outcomes.length = 0;
      await http.serve(noting);
      for (const bad of ["zz\r\n", "5\r\nhelloX", "-1\r\n", "fffffffffffffffff\r\n", "5\rhello"]) {
        const client = await http.send(get("/", "Transfer-Encoding: chunked").replace("GET", "PUT"), bad);
        expect((await client.rest()).toString()).toMatch(/^HTTP\/1\.1 400 .*connection: close.*$/is);
      }
      expect(new Set(outcomes)).toEqual(new Set(["INVALID"]));
    });

    it("do not read their answer: are cut off", async () => {
      const notes: string[] = [];
      const body = { size: 100_000_000, pieces: piecesOf(Buffer.alloc(100_000_000), 1_000_000, notes) };
      await http.serve(async () => ({ status: 200, headers: {}, body }), { writeStallMs: 60 });
      const client = await http.connect();
      client.socket.pause();
      client.socket.write(get("/"));
      await until(() => http.listener!.connectionCount === 0 && notes.includes("ended"));
      expect(notes.length).toBeGreaterThan(1);
    });

    it("are slow with their headers: 408, or the end where nothing came", async () => {
      await http.serve(echo, { headerTimeoutMs: 300 });
      const [silent, slow] = [await http.connect(), await http.send("GET / HTTP/1.1\r\nHo")];
      expect((await slow.rest()).toString()).toMatch(/^HTTP\/1\.1 408 .*<header too slow\/>$/is);
      expect((await silent.rest()).length).toBe(0);
    });

    it("keep a connection without using it: the end", async () => {
      await http.serve(echo, { keepAliveTimeoutMs: 60 });
      const client = await http.send(get("/"));
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
      await http.serve((request) => (seen.push(request.target), echo(request)));
      const answer = await answerOf(await http.send(text));
      expect(answer.status).toBe(status);
      expect(answer.body).toMatch(/^<.*\/>$/);
      expect(seen).toEqual([]);
    });

    it("ask for another protocol: are answered in this one", async () => {
      await http.serve(echo);
      const client = await http.send(get("/", "Connection: Upgrade", "Upgrade: websocket"));
      expect(await answerOf(client)).toMatchObject({ status: 200, body: "GET / 0" });
    });

    it("send garbage behind good requests: those are answered, then it is refused", async () => {
      await http.serve(echo);
      const client = await http.send(`${get("/1")}${get("/2")}garbage\r\n\r\n`);
      expect((await answerOf(client)).body).toBe("GET /1 0");
      expect((await answerOf(client)).body).toBe("GET /2 0");
      expect((await answerOf(client)).status).toBe(400);
      expect((await client.rest()).length).toBe(0);
    });
  });

  it("whatever comes is answered or closed; nothing is left behind", async () => {
    await http.serve(echo, {
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
            const client = await TestSocket.connect(http.listener!.port);
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
    await until(() => http.listener!.connectionCount === 0);
    // Its time for a head is short: on a machine that stands still for a moment it can be over before anything is read.
    const still = async (): Promise<string | undefined> => {
      const client = await http.send(get("/still"));
      return answerOf(client).then(
        ({ body }) => body,
        () => undefined,
      );
    };
    expect((await still()) ?? (await still()) ?? (await still())).toBe("GET /still 0");
  });
}
