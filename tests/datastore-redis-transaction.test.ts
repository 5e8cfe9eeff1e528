/** What the scripts confirm and refuse, step by step: interleavings that chance would hardly ever find. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Datastore } from "../src/datastore/datastore.ts";
import { fileTarget, now, Writer } from "../src/datastore/fixture.contract.ts";
import { saveObject } from "../src/datastore/objects.ts";
import { openRedis } from "../src/datastore/redis.ts";
import { RedisConnection } from "../src/datastore/redis-connection.ts";
import { commitScript, readScript } from "../src/datastore/redis-scripts.ts";
import { Known } from "../src/datastore/redis-known.ts";
import { NeedsMore, RedisTransaction } from "../src/datastore/redis-transaction.ts";
import type { Transaction } from "../src/datastore/transaction.ts";
import { getVersion } from "../src/datastore/versions.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { silentLog } from "../src/env/node-log.ts";
import { redisCli } from "./support/redis-client.ts";
import { hasRedisServer, RedisServer } from "./support/redis-server.ts";

const keys = ["data-putter:data", "data-putter:index"];

describe.skipIf(!hasRedisServer())("a redis transaction", () => {
  let server: RedisServer;
  let connection: RedisConnection;
  let others: Datastore;
  let writer: Writer;
  let instance: string;
  beforeAll(async () => {
    server = await RedisServer.start();
    connection = new RedisConnection(server, nodeClock, silentLog);
    await connection.open();
    others = await openRedis({ url: server.url, clock: nodeClock, durability: "disk", log: silentLog });
    instance = await redisCli(server.url, "HGET", keys[0]!, "minstance");
    writer = new Writer(others);
  });
  afterAll(async () => {
    connection.close();
    await others.close();
    await server.stop();
  });
  let bucket: string;
  let bucketCount = 0;
  beforeEach(async () => {
    bucket = `bucket-${bucketCount++}`;
    await others.createBucket(bucket, {}, now);
  });

  /** Runs an operation up to where its changes would be made. */
  const prepare = async (operation: (tx: Transaction) => unknown, known: Known): Promise<RedisTransaction> => {
    for (;;) {
      const transaction = new RedisTransaction(known, new Map());
      try {
        operation(transaction);
        return transaction;
      } catch (error) {
        if (!(error instanceof NeedsMore)) throw error;
      }
      const { args, keep } = transaction.readArguments();
      keep(await connection.run(readScript, keys, args));
    }
  };
  const isMade = async (transaction: RedisTransaction): Promise<boolean> =>
    (await connection.run(commitScript, keys, transaction.commitArguments(instance))) === 1;
  const saving = async (): Promise<(tx: Transaction) => unknown> => {
    const object = await writer.object();
    return (tx) => saveObject(tx, object, fileTarget(bucket, "k"), now);
  };

  test("that has its place in a file's history is refused when a delete marker took a later one", async () => {
    await others.updateBucket(bucket, { versioning: "enabled" });
    const operation = await saving();
    const prepared = await prepare(operation, new Known(new Map(), true, true));
    const marker = await others.deleteFile(bucket, "k", now);
    expect(await isMade(prepared)).toBe(false);
    expect(await others.getVersion(bucket, "k")).toEqual(marker);
    expect(await isMade(await prepare(operation, new Known(new Map(), false, true)))).toBe(true);
    const request = { bucket, prefix: "", delimiter: undefined, after: undefined, limit: 10 };
    expect((await others.listVersions(request)).items.map((item) => item.object === undefined)).toEqual([false, true]);
  });

  test("whose guess was wrong is refused, and learns what is there", async () => {
    const there = await writer.put(bucket, "k");
    const prepared = await prepare(await saving(), new Known(new Map(), true, true));
    const reply = await connection.run(commitScript, keys, prepared.commitArguments(instance));
    const known = prepared.afterCommit(reply);
    expect(known?.values.get(`f${bucket}\0k`)).toContain(`"object":${there.object}`);
  });

  test("whose bucket was deleted is refused", async () => {
    const prepared = await prepare(await saving(), new Known(new Map(), true, true));
    await others.deleteBucket(bucket);
    expect(await isMade(prepared)).toBe(false);
  });

  test("of an object that was made and released is refused, until it has asked", async () => {
    const object = await writer.save(fileTarget(bucket, "k"));
    await others.deleteFile(bucket, "k", now);
    const again = (tx: Transaction): unknown => saveObject(tx, object, fileTarget(bucket, "k"), now);
    const prepared = await prepare(again, new Known(new Map(), true, true));
    expect(await isMade(prepared)).toBe(false);
    expect((await prepare(again, new Known(new Map(), true, false))).hasChanges).toBe(false);
  });

  test("that only read, in several steps, is refused when the first is no longer so", async () => {
    await others.updateBucket(bucket, { versioning: "enabled" });
    await others.deleteFile(bucket, "k", now);
    const known = new Known(new Map(), true, true);
    const prepared = await prepare((tx) => getVersion(tx, bucket, "k"), known);
    expect(known.isUncertain).toBe(true);
    await writer.put(bucket, "k");
    expect(await isMade(prepared)).toBe(false);
  });
});
