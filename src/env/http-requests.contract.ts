/** How requests come: whole, one after the other, no faster than they are taken. Part of http.contract.ts. */
import { describe, expect, it } from "vitest";
import type { HttpRequest } from "./http.ts";
import { answerOf, echo, get, type HttpFixture, patternOf, put, readAll } from "./http-fixture.contract.ts";

export function requestFacts(http: HttpFixture): void {
  describe("requests", () => {
    it("come with method, target and headers as they were sent, bodies whole", async () => {
      let seen!: HttpRequest;
      let body!: Buffer;
      await http.serve(async (request) => {
        seen = request;
        body = await readAll(request);
        return { status: 200, headers: {} };
      });
      const sent = patternOf(200_000);
      const headers = ["X-Amz-Meta-A: one", "X-AMZ-META-a:  two ", "__proto__: x", "x-amz-meta-u: \xc3\xa4\xff"];
      const client = await http.send(put("/b/%2e%2e/a%20b?x=%41&y", sent.length, ...headers), sent);
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
      await http.serve((request) => ((size = request.body.size), echo(request)));
      const client = await http.send(
        "PUT /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1",
        "0\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n",
      );
      expect(await answerOf(client)).toMatchObject({ status: 200, body: "PUT /k 21" });
      expect(size).toBeUndefined();
    });

    it("on one connection are answered one after the other, sent ahead or not", async () => {
      const order: string[] = [];
      await http.serve(async (request) => {
        order.push(`begin ${request.target}`);
        const answer = await echo(request);
        await new Promise((resolve) => setTimeout(resolve, 2));
        order.push(`end ${request.target}`);
        return answer;
      });
      const client = await http.send(put("/1", 3) + "abc" + get("/2") + put("/3", 1) + "x" + get("/4"));
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
      await http.serve(async ({ body }) => {
        await body.read((piece) => {
          received += piece.length;
          return first;
        });
        return { status: 200, headers: {} };
      });
      const size = 40_000_000;
      const client = await http.send(put("/k", size));
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
      await http.serve(echo);
      const client = await http.send(put("/k", 3), "abc");
      client.end();
      expect((await client.rest()).toString()).toContain("PUT /k 3");
      await client.closed();
    });
  });

  describe("Expect", () => {
    it("100-continue is answered when the body is read, and not before", async () => {
      let read!: () => void;
      const wanted = new Promise<void>((resolve) => (read = resolve));
      await http.serve(async (request) => {
        await wanted;
        return echo(request);
      });
      const client = await http.send(put("/k", 3, "Expect: 100-continue"));
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(client.received.length).toBe(0);
      read();
      expect((await answerOf(client)).status).toBe(100);
      await client.write("abc");
      expect(await answerOf(client)).toMatchObject({ status: 200, body: "PUT /k 3" });
    });

    it("100-continue is answered for an empty body too, whatever the answer, and the connection goes on", async () => {
      const statuses = [200, 412, 200];
      await http.serve(async () => ({ status: statuses.shift()!, headers: {} }));
      const client = await http.send(put("/k", 0, "Expect: 100-continue"));
      for (const status of [100, 200]) expect((await answerOf(client)).status).toBe(status);
      for (const expected of [412, 200]) {
        await client.write(put("/k", 0, "Expect: 100-continue"));
        for (const status of [100, expected]) expect((await answerOf(client)).status).toBe(status);
      }
    });

    it("without a body read: the answer, and the connection is over", async () => {
      await http.serve(async () => ({ status: 403, headers: {}, body: "no" }));
      const client = await http.send(put("/k", 3, "Expect: 100-continue"));
      const answer = (await client.rest()).toString();
      expect(answer).toMatch(/^HTTP\/1\.1 403 .*connection: close.*no$/is);
    });

    it("anything else is not looked at", async () => {
      await http.serve(echo);
      const client = await http.send(get("/k", "Expect: tea"));
      expect((await answerOf(client)).status).toBe(200);
    });
  });
}
