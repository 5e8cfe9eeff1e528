/** The limits on requests and connections, and how a server closes. Part of http.contract.ts. */
import { describe, expect, it } from "vitest";
import { TestSocket } from "../../tests/support/sockets.ts";
import { answerOf, echo, get, type HttpFixture, ignore, until } from "./http-fixture.contract.ts";

export function limitFacts(http: HttpFixture): void {
  describe("limits", () => {
    it("on requests under way: further ones are refused as busy, and later ones are not", async () => {
      let go!: () => void;
      const later = new Promise<void>((resolve) => (go = resolve));
      await http.serve((request) => later.then(() => echo(request)), { requestsMax: 2 });
      const under = [await http.send(get("/1")), await http.send(get("/2"))];
      await until(() => http.begun === 2);
      const third = await http.send(get("/3"));
      expect(await answerOf(third)).toMatchObject({ status: 503, body: "<busy/>" });
      go();
      for (const client of under) expect((await answerOf(client)).status).toBe(200);
      await third.write(get("/4"));
      expect((await answerOf(third)).status).toBe(200);
    });

    it("on requests under way: one address leaves room for others while others are there", async () => {
      let go!: () => void;
      const later = new Promise<void>((resolve) => (go = resolve));
      await http.serve((request) => later.then(() => echo(request)), { requestsMax: 4 });
      const other = await TestSocket.connect(http.listener!.port, "127.0.0.2");
      http.clients.push(other);
      const greedy = [await http.send(get("/1")), await http.send(get("/2")), await http.send(get("/3"))];
      await until(() => http.begun === 3);
      const fourth = await http.send(get("/4"));
      expect((await answerOf(fourth)).status).toBe(503);
      await other.write(get("/5"));
      await until(() => http.begun === 4);
      go();
      for (const client of [...greedy, other]) expect((await answerOf(client)).status).toBe(200);
    });

    it("on requests sent ahead: those beyond it wait in their socket, or are refused as busy", async () => {
      let go!: () => void;
      const later = new Promise<void>((resolve) => (go = resolve));
      await http.serve((request) => later.then(() => echo(request)));
      const client = await http.send(get("/").repeat(300));
      await new Promise((resolve) => setTimeout(resolve, 20));
      go();
      const statuses: number[] = [];
      for (let turn = 0; turn < 300; turn++) statuses.push((await answerOf(client)).status);
      expect(statuses.slice(0, 65)).toEqual(Array.from({ length: 65 }, () => 200));
      expect(new Set(statuses.slice(65)).size).toBe(1);
      expect([200, 503]).toContain(statuses[65]);
    });

    it("on connections, and on those of one address", async () => {
      await http.serve(echo, { connectionsMax: 2 });
      const kept = [await http.send(get("/1")), await http.send(get("/2"))];
      for (const client of kept) expect((await answerOf(client)).status).toBe(200);
      expect((await (await http.connect()).rest()).length).toBe(0);
      expect(http.listener!.connectionCount).toBe(2);
      await http.listener!.close();
      await http.serve(echo, { connectionsPerPeerMax: 1 });
      const first = await http.send(get("/1"));
      expect((await answerOf(first)).status).toBe(200);
      expect((await (await http.connect()).rest()).length).toBe(0);
    });

    it("on requests of one connection: the last says so", async () => {
      await http.serve(echo, { requestsPerConnectionMax: 2 });
      const client = await http.send(get("/1") + get("/2") + get("/3"));
      expect((await answerOf(client)).head.toLowerCase()).not.toContain("connection: close");
      expect((await answerOf(client)).head.toLowerCase()).toContain("connection: close");
      expect((await client.rest()).length).toBe(0);
    });
  });

  describe("closing", () => {
    it("lets what is under way end, closes what is idle, takes nothing new", async () => {
      let go!: () => void;
      const later = new Promise<void>((resolve) => (go = resolve));
      await http.serve(async (request) => {
        if (request.target === "/slow") await later;
        return echo(request);
      });
      const idle = await http.send(get("/"));
      expect((await answerOf(idle)).status).toBe(200);
      const slow = await http.send(get("/slow"));
      const silent = await http.connect();
      await until(() => http.begun === 2 && http.listener!.connectionCount === 3);
      const closed = http.listener!.close();
      expect((await idle.rest()).length).toBe(0);
      expect((await silent.rest()).length).toBe(0);
      await expect(TestSocket.connect(http.listener!.port)).rejects.toThrow("ECONNREFUSED");
      go();
      expect((await answerOf(slow)).head.toLowerCase()).toContain("connection: close");
      await closed;
      http.listener = undefined;
    });

    it("does not wait for ever", async () => {
      await http.serve(() => new Promise(ignore), { drainTimeoutMs: 40 });
      const client = await http.send(get("/"));
      await until(() => http.begun === 1);
      await http.listener!.close();
      http.listener = undefined;
      expect((await client.rest()).length).toBe(0);
    });
  });
}
