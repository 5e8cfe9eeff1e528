/** How answers go: as they were given, to the end or to a cut. Part of http.contract.ts. */
import { describe, expect, it } from "vitest";
import { StoreError } from "../core/errors.ts";
import type { HttpPiece } from "./http.ts";
import { answerOf, get, type HttpFixture, ignore, patternOf, piecesOf, put, until } from "./http-fixture.contract.ts";

export function answerFacts(http: HttpFixture): void {
  describe("answers", () => {
    it("have their headers byte for byte, text as UTF-8, and a content-length", async () => {
      const headers = { ETag: '"x"', "x-amz-meta-u": "\xc3\xa4\xff", "x-amz-Number": 7 };
      await http.serve(async () => ({ status: 200, headers, body: "ä" }));
      const { head, body } = await answerOf(await http.send(get("/")));
      expect(head).toContain('\r\nETag: "x"\r\nx-amz-meta-u: \xc3\xa4\xff\r\nx-amz-Number: 7\r\n');
      expect(head).toMatch(/\r\nContent-Length: 2\r\n(.*\r\n)?Date: .* GMT\r\n/s);
      expect(body).toBe("\xc3\xa4");
      expect(head.toLowerCase()).not.toContain("x-powered-by");
    });

    it("to HEAD say what a body would be, and end a stream that is not read", async () => {
      const notes: string[] = [];
      const bytes = patternOf(1000);
      await http.serve(async ({ target }) =>
        target === "/stream"
          ? { status: 200, headers: {}, body: { size: 1000, pieces: piecesOf(bytes, 10, notes) } }
          : { status: 200, headers: { "content-length": 77 } },
      );
      const client = await http.send(get("/").replace("GET", "HEAD") + get("/stream").replace("GET", "HEAD"));
      expect((await answerOf(client, true)).head).toContain("content-length: 77");
      expect((await answerOf(client, true)).head).toContain("Content-Length: 1000");
      expect(notes.includes("made")).toBe(false);
    });

    it("of 204 and 304 have no body and no length, and the connection goes on", async () => {
      await http.serve(async ({ target }) => ({ status: Number(target.slice(1)), headers: {}, body: "no" }));
      const client = await http.send(get("/204") + get("/304") + get("/200"));
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
      await http.serve(async () => ({
        status: 206,
        headers: {},
        body: { size, pieces: piecesOf(bytes, pieceSize, notes) },
      }));
      const client = await http.send(get("/") + get("/"));
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
      await http.serve(async ({ target }) => ({
        status: 200,
        headers: {},
        body: { size: 5000, pieces: target === "/short" ? piecesOf(bytes, 500, notes) : broken() },
      }));
      for (const target of ["/short", "/broken"]) {
        const client = await http.send(get(target));
        expect((await client.rest()).toString("latin1").split("\r\n\r\n")[1]!.length).toBeLessThan(5000);
      }
      await until(() => notes.filter((note) => note === "released").length === 4);
    });

    it("that fail are told of without the query, which can hold a signature, and not where they were told of before", async () => {
      const told = Object.assign(new Error("told"), { isTold: true });
      async function* failing(error: Error): AsyncGenerator<HttpPiece> {
        yield* piecesOf(patternOf(500), 500);
        throw error;
      }
      await http.serve(async ({ target }) => ({
        status: 200,
        headers: {},
        body: { size: 5000, pieces: failing(target === "/told" ? told : new Error("news")) },
      }));
      for (const target of ["/told", "/news?X-Amz-Signature=secret"]) await (await http.send(get(target))).rest();
      await until(() => http.warned.length > 0);
      expect(http.warned).toEqual([JSON.stringify(["an answer was cut off", { path: "/news", error: "news" }])]);
    });

    it("to a client that goes away are given up, every piece released, the iteration ended", async () => {
      const notes: string[] = [];
      await http.serve(async () => ({
        status: 200,
        headers: {},
        body: { size: 100_000_000, pieces: piecesOf(Buffer.alloc(100_000_000), 1_000_000, notes) },
      }));
      const client = await http.send(get("/"));
      await client.take(1_000_000);
      client.destroy();
      await until(() => notes.includes("ended"));
      const made = notes.filter((note) => note === "made").length;
      expect(made).toBeLessThan(100);
      expect(notes.filter((note) => note === "released").length).toBe(made);
    });

    it("that cannot be sent, and handlers that reject, are a failure and no crash", async () => {
      await http.serve(async ({ target }) => {
        if (target === "/reject") throw new Error("a bug");
        return { status: 200, headers: { "x-amz-meta-a": "b\r\nSet-Cookie: c" } };
      });
      const client = await http.send(get("/reject") + get("/split"));
      expect(await answerOf(client)).toMatchObject({ status: 500, body: "<failure/>" });
      expect(await answerOf(client)).toMatchObject({ status: 500, body: "<failure/>" });
    });
  });

  describe("a body that is not read", () => {
    it("is thrown away where it is small: the connection goes on", async () => {
      await http.serve(async ({ target }) => ({ status: 403, headers: {}, body: target }));
      const client = await http.send(put("/1", 100_000), patternOf(100_000), get("/2"));
      expect(await answerOf(client)).toMatchObject({ status: 403, body: "/1" });
      expect(await answerOf(client)).toMatchObject({ status: 403, body: "/2" });
    });

    it.each([
      ["announced", false],
      ["chunked", true],
    ])("and is large, %s: the client gets its answer, then the end", async (_, chunked) => {
      await http.serve(async () => ({ status: 403, headers: {}, body: "no" }));
      const size = 8_000_000;
      const head = chunked
        ? get("/1", "Transfer-Encoding: chunked").replace("GET", "PUT") + size.toString(16) + "\r\n"
        : put("/1", size);
      const client = await http.send(head);
      // Who reads only when all is sent finds the answer gone where the connection was reset meanwhile.
      client.socket.pause();
      await client.write(Buffer.alloc(size)).catch(ignore);
      client.socket.resume();
      expect((await client.rest()).toString()).toMatch(/^HTTP\/1\.1 403 .*connection: close.*no$/is);
    });

    it("and never ends is cut: after a while, and after so many bytes", async () => {
      await http.serve(async () => ({ status: 403, headers: {}, body: "no" }), {
        unreadTimeoutMs: 60,
        unreadSizeMax: 1_000_000,
      });
      const slow = await http.send(put("/1", 1_000_000_000));
      expect((await slow.rest()).toString()).toContain("403");
      await until(() => http.listener!.connectionCount === 0);
      const small = await http.send(put("/1", 1000), "abc");
      expect(await answerOf(small)).toMatchObject({ status: 403 });
      await until(() => http.listener!.connectionCount === 0);
    });
  });
}
