/** What happens when Redis goes, stalls, comes back, is set up wrongly, or is not the one it was. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fileTarget, now, refused, Writer } from "../src/datastore/fixture.contract.ts";
import { openRedis } from "../src/datastore/redis.ts";
import type { Datastore } from "../src/datastore/datastore.ts";
import { datastoreTimeoutMs } from "../src/core/limits.ts";
import type { Clock } from "../src/env/host.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { silentLog } from "../src/env/node-log.ts";
import { redisCli } from "./support/redis-client.ts";
import { hasRedisServer, RedisServer } from "./support/redis-server.ts";

/** Time-outs happen when the test says so; everything else is real. */
class HandClock implements Clock {
  readonly #timers = new Set<() => void>();
  now = (): number => nodeClock.now();
  monotonic = (): number => nodeClock.monotonic();
  soon = (call: () => void): void => nodeClock.soon(call);
  readonly delays: number[] = [];

  after(delayMs: number, call: () => void): { cancel(): void } {
    this.delays.push(delayMs);
    this.#timers.add(call);
    return { cancel: () => void this.#timers.delete(call) };
  }

  expire(): void {
    const due = [...this.#timers];
    for (const call of due) call();
  }
}

describe.skipIf(!hasRedisServer())("redis datastore, failures", () => {
  let server: RedisServer;
  let datastore: Datastore | undefined;
  beforeEach(async () => {
    server = await RedisServer.start();
  });
  afterEach(async () => {
    server.resume();
    await datastore?.close();
    datastore = undefined;
    await server.stop();
  });
  const openHere = async (durability: "disk" | "os" = "disk", clock: Clock = nodeClock): Promise<Datastore> => {
    datastore = await openRedis({ url: server.url, clock, durability, log: silentLog });
    return datastore;
  };

  test("what was acknowledged is there after kill -9 of Redis, and work goes on by itself", async () => {
    const store = await openHere();
    const writer = new Writer(store);
    await store.createBucket("bucket", {}, now);
    const puts = Array.from({ length: 200 }, async (_, index) => writer.put("bucket", `before/${index}`));
    await Promise.all(puts);
    await server.kill();
    await server.restart();
    const object = await repeated(() => writer.object());
    await repeated(() => store.saveObject(object, fileTarget("bucket", "after"), now));
    const page = await store.listFiles({
      bucket: "bucket",
      prefix: "",
      delimiter: undefined,
      after: undefined,
      limit: 1_000,
    });
    expect(page.items).toHaveLength(201);
  });

  test("a commit during which Redis is killed has happened wholly or not at all; repeating it makes it happen once", async () => {
    const store = await openHere();
    const writer = new Writer(store);
    await store.createBucket("bucket", {}, now);
    await store.updateBucket("bucket", { versioning: "enabled" });
    const objects = await Promise.all(Array.from({ length: 300 }, () => writer.object()));
    const save = (index: number) => store.saveObject(objects[index]!, fileTarget("bucket", `${index % 50}`), now);
    const first = objects.map((_, index) => save(index));
    const settled = Promise.allSettled(first);
    await first[0];
    await server.kill();
    const outcomes = await settled;
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "UNAVAILABLE" });
    }
    await server.restart();
    await Promise.all(objects.map((_, index) => repeated(() => save(index))));
    const request = { bucket: "bucket", prefix: "", delimiter: undefined, after: undefined, limit: 1_000 };
    const versions = (await store.listVersions(request)).items;
    expect(new Set(versions.map((version) => version.object)).size).toBe(300);
    expect(versions).toHaveLength(300);
    expect(await store.counters()).toMatchObject({ objects: 300, bytes: 300_000 });
    expect((await store.getVolume(0))?.liveCount).toBe(300);
  });

  test("a repeated commit does not bring back what has been replaced since", async () => {
    const store = await openHere();
    const writer = new Writer(store);
    await store.createBucket("bucket", {}, now);
    const old = await writer.save(fileTarget("bucket", "k"));
    const current = await writer.put("bucket", "k");
    const again = await store.saveObject(old, fileTarget("bucket", "k"), now);
    expect(again).toMatchObject({ key: "k", version: "null", object: old.id, latest: false });
    expect(await store.getVersion("bucket", "k")).toEqual(current);
    expect(await store.getObject(old.id)).toBeUndefined();
    expect(await store.counters()).toMatchObject({ objects: 1 });
  });

  test("while Redis is away operations fail as UNAVAILABLE when their time is up", async () => {
    const clock = new HandClock();
    const store = await openHere("disk", clock);
    await store.createBucket("bucket", {}, now);
    await server.kill();
    const waiting = [store.getBucket("bucket"), store.leaseObjects("r", 1)];
    const settled = Promise.allSettled(waiting);
    await nextTurn();
    clock.expire();
    await settled;
    for (const operation of waiting) await refused(operation, "UNAVAILABLE");
    expect(clock.delays.every((delay) => delay === datastoreTimeoutMs)).toBe(true);
    await server.restart();
    expect((await repeated(() => store.getBucket("bucket")))?.name).toBe("bucket");
  });

  test("a Redis that stalls makes operations fail as UNAVAILABLE when their time is up, and is used again later", async () => {
    const clock = new HandClock();
    const store = await openHere("disk", clock);
    await store.createBucket("bucket", {}, now);
    server.pause();
    const waiting = [store.getBucket("bucket"), store.createBucket("other", {}, now)];
    const settled = Promise.allSettled(waiting);
    await nextTurn();
    clock.expire();
    await settled;
    for (const operation of waiting) await refused(operation, "UNAVAILABLE");
    server.resume();
    expect((await store.getBucket("bucket"))?.name).toBe("bucket");
  });

  test("opening fails as UNAVAILABLE where nobody answers", async () => {
    await server.kill();
    const clock = new HandClock();
    const opening = openHere("disk", clock);
    clock.expire();
    await expect(opening).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("closing waits for what is under way, and refuses what comes after", async () => {
    const store = await openHere();
    const made = store.createBucket("bucket", {}, now);
    await store.close();
    expect((await made).name).toBe("bucket");
    await refused(store.getBucket("bucket"), "ABORTED");
  });

  test("a Redis that has lost its data is not written to", async () => {
    const store = await openHere();
    await store.createBucket("bucket", {}, now);
    await redisCli(server.url, "FLUSHALL");
    await refused(store.createBucket("bucket", {}, now), "UNAVAILABLE");
    expect(await redisCli(server.url, "DBSIZE")).toBe("0");
  });

  test("a Redis that does not keep what it acknowledges is refused, with the commands that change that", async () => {
    await redisCli(server.url, "CONFIG", "SET", "appendfsync", "everysec");
    const opening = openHere();
    await expect(opening).rejects.toMatchObject({ code: "INCOMPATIBLE" });
    await expect(opening).rejects.toThrow(/config set appendonly yes\s+redis-cli config set appendfsync always/);
    await expect(opening).rejects.toThrow(/--durability os/);
    const store = await openHere("os");
    expect(store.durabilityGap).toMatch(/appendfsync everysec/);
    await store.close();
    await redisCli(server.url, "CONFIG", "SET", "appendfsync", "always");
    expect((await openHere()).durabilityGap).toBeUndefined();
  });

  test("where Redis does not tell its settings, that is said", async () => {
    await redisCli(server.url, "ACL", "SETUSER", "default", "-config");
    const store = await openHere();
    expect(store.durabilityGap).toMatch(/could not be checked/);
    expect((await store.createBucket("bucket", {}, now)).name).toBe("bucket");
  });

  test("a newer format is refused, naming both", async () => {
    await (await openHere()).close();
    await redisCli(server.url, "HSET", "data-putter:data", "mformat", "7");
    await expect(openHere()).rejects.toMatchObject({
      code: "INCOMPATIBLE",
      message: expect.stringMatching(/format 7.* knows 1/) as string,
    });
  });

  test("a full Redis is NO_SPACE, and works on when there is room", async () => {
    const store = await openHere();
    await store.createBucket("bucket", {}, now);
    await redisCli(server.url, "CONFIG", "SET", "maxmemory", "1");
    await refused(store.createBucket("other", {}, now), "NO_SPACE");
    expect((await store.getBucket("bucket"))?.name).toBe("bucket");
    await redisCli(server.url, "CONFIG", "SET", "maxmemory", "0");
    expect((await store.createBucket("other", {}, now)).name).toBe("other");
  });

  test("scripts that Redis has forgotten are sent again", async () => {
    const store = await openHere();
    await redisCli(server.url, "SCRIPT", "FLUSH");
    expect((await store.createBucket("bucket", {}, now)).name).toBe("bucket");
  });
});

/** By then the operations that were begun wait for Redis. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** What a caller does: repeats the operation while Redis is not available. */
async function repeated<Result>(operation: () => Promise<Result>): Promise<Result> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const [outcome] = await Promise.allSettled([operation()]);
    if (outcome.status === "fulfilled") return outcome.value;
    expect(outcome.reason).toMatchObject({ code: "UNAVAILABLE" });
  }
  throw new Error("redis stayed unavailable");
}
