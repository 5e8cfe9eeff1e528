/** Bad input on every port: nothing crashes, nothing stays, and the others are served. */
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { ticketDataSize, writeTicketSize } from "../src/core/frame.ts";
import { fingerprintOf } from "../src/core/key.ts";
import * as limits from "../src/core/limits.ts";
import type { Clock } from "../src/env/host.ts";
import { Child } from "./support/child.ts";
import { freePort } from "./support/program.ts";
import { hasRedisServer, RedisServer } from "./support/redis-server.ts";
import { objectOf, sendStream, TestSocket } from "./support/sockets.ts";
import {
  Belongings,
  eventually,
  framesOf,
  getObject,
  otherKey,
  patternOf,
  sameBytes,
  testKey,
  quietHost,
} from "./support/store.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

const megabyte = 1024 * 1024;
const ticket = (seed: number): Uint8Array => patternOf(ticketDataSize, seed);

async function child(kind: "router" | "server", config: { readonly [name: string]: unknown } = {}): Promise<Child> {
  const started = await Child.start(kind, { root: await belongings.directory(), ...config });
  belongings.add(() => started.kill());
  return started;
}

async function socketTo(port: number, localAddress?: string): Promise<TestSocket> {
  const socket = await TestSocket.connect(port, localAddress);
  belongings.add(() => socket.destroy());
  return socket;
}

describe("a client that never reads its answers", () => {
  it.each([
    ["good tickets", (turn: number) => framesOf(turn * 160, patternOf(160 * ticketDataSize, 1))],
    ["tickets that are refused", () => new Uint8Array(160 * writeTicketSize)],
  ])("to %s is not read from any more: memory is bounded and others are served", async (_, batch) => {
    const started = await child("server", { depth: 2 });
    const before = await started.memory();
    const deaf = await socketTo(started.port);
    deaf.socket.pause();
    let sent = 0;
    const sending = (async () => {
      for (let turn = 0; !deaf.socket.destroyed; turn++) {
        const frames = batch(turn);
        await deaf.write(frames);
        sent += frames.length;
      }
    })().catch(() => undefined);
    let last = -1;
    await eventually(async () => {
      // 160 responses are 1440 bytes: it takes many of them to fill what the system keeps for a socket.
      if (sent === last || sent > 3_000 * megabyte) return true;
      last = sent;
      await new Promise((resolve) => setTimeout(resolve, 400));
      return false;
    });
    expect(sent).toBeLessThan(3_000 * megabyte);
    expect((await started.memory()) - before).toBeLessThan(100 * megabyte);
    const other = await socketTo(started.port);
    await other.write(framesOf(9_000_000, ticket(1)));
    expect(await other.statuses(1)).toEqual([0]);
    deaf.destroy();
    await sending;
  });
});

describe("random bytes", () => {
  const junk = fc.uint8Array({ minLength: 1, maxLength: 4000 });

  it("on the streams' port are an object like any other, whatever they are", async () => {
    const running = await belongings.router();
    const client = await belongings.requests(running.responsePort);
    await fc.assert(
      fc.asyncProperty(junk, async (bytes) => {
        const id = objectOf(await sendStream(running.streamPort, bytes));
        expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  it("on the responses' port change nothing, are counted, and end by themselves", async () => {
    const running = await belongings.router({ idleTimeoutMs: 300 });
    await fc.assert(
      fc.asyncProperty(junk, fc.boolean(), async (bytes, asRequest) => {
        const socket = await TestSocket.connect(running.responsePort);
        const all = asRequest ? Buffer.concat([Buffer.from("hello\0\0\0", "latin1"), bytes]) : bytes;
        await socket.write(all).catch(() => undefined);
        socket.end();
        const answer = (await socket.rest()).toString("latin1");
        expect(answer === "" || answer.includes(fingerprintOf(testKey))).toBe(true);
        socket.destroy();
      }),
      { numRuns: 25 },
    );
    const status = await running.status();
    expect((status["responses"] as { dropped: number }).dropped).toBeGreaterThan(0);
    expect(status["counters"]).toMatchObject({ objects: 0, bytes: 0 });
    expect(await sendStream(running.streamPort, ticket(1))).toBe("OBJECT 0 WRITTEN OK\n");
    await eventually(async () => (await running.status())["connections"] === 0);
  });
});

it("a wrong key on the objects' port is told by both fingerprints", async () => {
  const running = await belongings.router();
  const asking = belongings.requests(running.responsePort, otherKey);
  await expect(asking).rejects.toMatchObject({ code: "WRONG_KEY" });
  const message = await asking.catch((error: Error) => error.message);
  for (const key of [testKey, otherKey]) expect(message).toContain(fingerprintOf(key));
});

describe("a server that responds elsewhere", () => {
  it("may start before the router; then its answers arrive there", async () => {
    const responsePort = await freePort();
    const server = await belongings.server({ depth: 2, respondTo: { host: "127.0.0.1", port: responsePort } });
    const putters = [{ host: "127.0.0.1", port: server.port }];
    const running = await belongings.router({ putters, responsePort });
    await eventually(() => running.router.stores.length === 1);
    const bytes = patternOf(2 * megabyte, 1);
    const id = objectOf(await sendStream(running.streamPort, bytes));
    const client = await belongings.requests(responsePort);
    expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
    const accepted = Math.ceil(bytes.length / ticketDataSize);
    expect((await running.status())["responses"]).toEqual({ accepted, dropped: 0, unexpected: 0 });
  });

  it("is not spoken for by others: what is not awaited, or comes from a stranger, is dropped and counted", async () => {
    const responsePort = await freePort();
    // It answers nowhere: only what the test sends can be taken for its answers.
    const server = await belongings.server({ depth: 2, respondTo: { host: "127.0.0.1", port: 1 } });
    const putters = [{ host: "127.0.0.1", port: server.port }];
    const running = await belongings.router({ putters, responsePort });
    await eventually(() => running.router.stores.length === 1);
    const client = await socketTo(running.streamPort);
    await client.write(ticket(1));
    client.end();
    await eventually(() => server.putter.counts.received === 1);
    const response = (id: string, status: number): Uint8Array =>
      new Uint8Array(Buffer.from(`${id.padEnd(8, "\0")}${String.fromCharCode(status)}`, "latin1"));
    const stranger = await socketTo(responsePort, "127.0.0.9");
    await stranger.write(response("0", 0));
    const dropped = async (): Promise<number> => ((await running.status())["responses"] as { dropped: number }).dropped;
    await eventually(async () => (await dropped()) === 1);
    expect(client.received.length).toBe(0);
    const neighbour = await socketTo(responsePort);
    await neighbour.write(response("ABC", 0));
    await eventually(async () => (await dropped()) === 2);
    expect(client.received.length).toBe(0);
    // From the putter's own address, for the ticket that is awaited: that is all it can be told by.
    await neighbour.write(response("0", 4));
    expect((await client.rest()).toString()).toMatch(/^ERROR .*no space left on the disk\n$/);
    expect((await running.router.list(undefined, 10)).map(({ status }) => status)).toEqual(["error"]);
  });
});

describe("a router that is killed while it writes", () => {
  it("never uses an id again, and nothing half-written is visible after", async () => {
    const root = await belongings.directory();
    const firsts: number[] = [];
    let known = 0;
    for (let round = 0; round < 2; round++) {
      const started = await child("router", { root });
      const whole = objectOf(await sendStream(started.port, patternOf(300_000, round)));
      const writing = await Promise.all([1, 2, 3].map(() => socketTo(started.port)));
      for (const socket of writing) await socket.write(patternOf(4 * megabyte, round));
      const client = await belongings.requests(started.responsePort);
      // Noted in the datastore now and then: that is what the next start turns into an error.
      await eventually(async () => {
        await Promise.all(writing.map((socket) => socket.write(ticket(1)).catch(() => undefined)));
        const { objects } = (await client.askJson("list", { b: 1000 })) as { objects: { status: string }[] };
        return objects.filter(({ status }) => status === "writing").length === 3;
      });
      client.close();
      await started.kill();
      const running = await belongings.router({ root });
      const records = await running.router.list(undefined, 1000);
      expect(records.some(({ status }) => status === "writing")).toBe(false);
      const saved = records.filter(({ status }) => status === "saved");
      expect(saved).toHaveLength(known + 1);
      const reader = await belongings.requests(running.responsePort);
      expect(sameBytes(await getObject(reader, whole), patternOf(300_000, round))).toBe(true);
      const { id } = await running.router.put(ticket(round), { kind: "standalone" }, {});
      expect(records.every((record) => record.id < id)).toBe(true);
      known += 2;
      for (const record of await running.router.list(undefined, 1000)) {
        if (record.status !== "saved" || record.content.kind !== "runs") continue;
        for (const run of record.content.runs) firsts.push(run.first);
      }
      await running.close();
    }
    // Each object's runs were seen once per round that they lived through; no two objects share a ticket.
    const counts = new Map<number, number>();
    for (const first of firsts) counts.set(first, (counts.get(first) ?? 0) + 1);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(2);
    expect(counts.size).toBe(known);
  });
});

describe.skipIf(!hasRedisServer())("Redis", () => {
  it("that goes in the middle of a write makes an ERROR and no object; when it is back, everything is there and goes on", async () => {
    const redis = await RedisServer.start();
    belongings.add(() => redis.stop());
    // What takes ten seconds to be given up takes a fifth of one here.
    const { clock } = quietHost;
    const after: Clock["after"] = (delayMs, call) =>
      clock.after(delayMs === limits.datastoreTimeoutMs ? 200 : delayMs, call);
    const running = await belongings.router(
      { datastore: { kind: "redis", url: redis.url }, durability: "disk" },
      { ...quietHost, clock: { ...clock, after } },
    );
    const client = await belongings.requests(running.responsePort);
    const old = patternOf(100_000, 1);
    const id = objectOf(await sendStream(running.streamPort, old));
    const writing = await socketTo(running.streamPort);
    await writing.write(patternOf(megabyte, 2));
    await eventually(async () => (await running.router.list(undefined, 10)).length === 2);
    await redis.kill();
    writing.end();
    expect((await writing.rest()).toString()).toMatch(/^ERROR .*\n$/);
    expect(await sendStream(running.streamPort, old)).toMatch(/^ERROR .*\n$/);
    await redis.restart();
    await eventually(async () => (await sendStream(running.streamPort, old)).startsWith("OBJECT"), 50);
    expect(sameBytes(await getObject(client, id), old)).toBe(true);
    const records = await running.router.list(undefined, 100);
    expect(records.filter(({ status }) => status === "saved")).toHaveLength(2);
    expect(records.some(({ status }) => status === "writing")).toBe(false);
  });
});
