/** The records of docs/formats/datastore.md, byte by byte, and the same in both stores. Permanent. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ObjectId, TicketId } from "../src/core/ids.ts";
import type { Datastore } from "../src/datastore/datastore.ts";
import { openEmbedded } from "../src/datastore/embedded.ts";
import { LmdbFile } from "../src/datastore/lmdb-file.ts";
import { openRedis } from "../src/datastore/redis.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { silentLog } from "../src/env/node-log.ts";
import { redisCli } from "./support/redis-client.ts";
import { hasRedisServer, RedisServer } from "./support/redis-server.ts";

const clock = { ...nodeClock, now: () => 1_000 };

/** One record of every kind. */
async function fill(store: Datastore): Promise<void> {
  const object = (id: number, first: number) => ({
    id: id as ObjectId,
    size: 2_000,
    runs: [{ first: first as TicketId, count: 2 }],
    attributes: { etag: "e" },
  });
  const file = (key: string) => ({ kind: "file", bucket: "b", key, attributes: { type: "t" } }) as const;
  await store.leaseObjects("r1", 100);
  await store.leaseTickets("r1", "p1", 2_048);
  await store.createBucket("b", { a: 1 }, 1);
  await store.saveObject(object(0, 0), file("k"), 2);
  await store.updateBucket("b", { versioning: "enabled" });
  await store.saveObject(object(1, 2), file("k"), 3);
  await store.saveObject(object(2, 4), file("é"), 4);
  await store.deleteFile("b", "é", 5, undefined, { owner: "o" });
  await store.saveObject(object(3, 6), { kind: "standalone" }, 6);
  await store.createUpload({ upload: "u1", bucket: "b", key: "m", createdAt: 7, attributes: {} });
  await store.saveObject(object(4, 8), { kind: "part", upload: "u1", part: 3, attributes: { n: 3 } }, 8);
  await store.completeUpload("u1", [3], 5 as ObjectId, { etag: "m-1" }, file("m"), 9);
  await store.createUpload({ upload: "u2", bucket: "b", key: "m", createdAt: 10, attributes: {} });
  await store.copyPart(5 as ObjectId, "u2", 1, {}, 11);
  const note = { status: "writing", createdAt: 12, ticketCount: 5, writeCount: 4 } as const;
  await store.noteProgress({ ...note, id: 6 as ObjectId, router: "r1" });
  await store.noteProgress({ ...note, id: 7 as ObjectId, router: "r1" });
  await store.failObject(7 as ObjectId, "why", 13);
  await store.saveEntry("access-key", "é", { user: "u" });
}

const id = (ordinal: number): string => String(ordinal).padStart(13, "0");
const saved = (createdAt: number, first: number, more: string): string =>
  `{"status":"saved","createdAt":${createdAt},"size":2000,"runs":[[${first},2]],"references":1${more},"attributes":{"etag":"e"}}`;
const records: Record<string, string> = {
  mformat: "1",
  mallocation: '{"object":100,"volume":1}',
  cbuckets: "1",
  cobjects: "6",
  cbytes: "10000",
  cuploads: "1",
  corder: "4",
  "clive/0": "10",
  bb: '{"createdAt":1,"versioning":"enabled","attributes":{"a":1}}',
  "fb\0k": '{"order":1,"createdAt":3,"object":1,"size":2000,"attributes":{"type":"t"}}',
  "vb\0k\x009007199254740991": '{"order":0,"null":true,"createdAt":2,"object":0,"size":2000,"attributes":{"type":"t"}}',
  "nb\0k": "9007199254740991",
  "vb\0é\x009007199254740989": '{"order":2,"createdAt":4,"object":2,"size":2000,"attributes":{"type":"t"}}',
  "vb\0é\x009007199254740988": '{"order":3,"createdAt":5,"attributes":{"owner":"o"}}',
  "fb\0m": '{"order":4,"createdAt":9,"object":5,"size":2000,"attributes":{"type":"t"}}',
  [`o${id(0)}`]: saved(2, 0, ',"version":"null"'),
  [`o${id(1)}`]: saved(3, 2, ',"version":"9007199254740990"'),
  [`o${id(2)}`]: saved(4, 4, ',"version":"9007199254740989"'),
  [`o${id(3)}`]: saved(6, 6, ',"standalone":true'),
  [`o${id(4)}`]: saved(8, 8, ""),
  [`o${id(5)}`]:
    '{"status":"saved","createdAt":9,"size":2000,"parts":[[4,2000]],"ticketCount":2,"references":2,"version":"9007199254740987","attributes":{"etag":"m-1"}}',
  [`o${id(6)}`]: '{"status":"writing","createdAt":12,"router":"r1","ticketCount":5,"writeCount":4}',
  [`o${id(7)}`]: '{"status":"error","createdAt":12,"failedAt":13,"reason":"why","ticketCount":5,"writeCount":4}',
  [`wr1\0${id(6)}`]: "{}",
  [`e0000000000000013${id(7)}`]: "{}",
  uu2: '{"upload":"u2","bucket":"b","key":"m","createdAt":10,"attributes":{}}',
  "ib\0m\x000000000000000010u2": '{"upload":"u2","bucket":"b","key":"m","createdAt":10,"attributes":{}}',
  "pu2\x0000001": '{"object":5,"size":2000,"ticketCount":2,"composed":true,"createdAt":11,"attributes":{}}',
  [`r${id(0)}`]: '{"count":2,"object":0}',
  [`r${id(2)}`]: '{"count":2,"object":1}',
  [`r${id(4)}`]: '{"count":2,"object":2}',
  [`r${id(6)}`]: '{"count":2,"object":3}',
  [`r${id(8)}`]: '{"count":2,"object":4}',
  [`lr1\0o${id(0)}`]: '{"count":100}',
  [`lr1\0t${id(0)}`]: '{"count":2048}',
  d0000000: '{"putter":"p1","sealed":false,"leases":1,"leasedCount":2048,"reclaimedCount":0}',
  qp1: "0",
  "gaccess-key\0é": '{"attributes":{"user":"u"}}',
};

describe("the datastore's records", () => {
  test("are these, in the embedded store", async () => {
    const directory = await mkdtemp(join(tmpdir(), "format-"));
    try {
      const store = await openEmbedded({ directory, clock, durability: "disk", log: silentLog });
      await fill(store);
      await store.close();
      const file = new LmdbFile({ directory, sync: true });
      const found = [...file.range("\u0001", "\u00ff", Number.MAX_SAFE_INTEGER)];
      await file.close();
      const texts = found.map(({ key, value }) => [Buffer.from(key, "latin1").toString("utf8"), value]);
      expect(Object.fromEntries(texts)).toEqual({
        ...records,
        mformat: "2",
        mchecksums: '{"all":true}',
        cjournal: "19",
      });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test.skipIf(!hasRedisServer())("are these, in Redis", async () => {
    const server = await RedisServer.start();
    try {
      const store = await openRedis({ url: server.url, clock, durability: "disk", log: silentLog });
      await fill(store);
      await store.close();
      const script =
        "local all = redis.call('HGETALL', KEYS[1]) local found = {} for i = 1, #all, 2 do found[all[i]] = all[i + 1] end return cjson.encode(found)";
      const found = JSON.parse(await redisCli(server.url, "EVAL", script, "1", "data-putter:data")) as object;
      const { minstance, ...rest } = found as Record<string, string>;
      expect(minstance).toMatch(/^1000-\d+$/);
      expect(rest).toEqual(records);
      const indexed = (await redisCli(server.url, "ZCARD", "data-putter:index")).trim();
      const isIndexed = (key: string): boolean => !key.startsWith("c") && key !== "mformat";
      expect(Number(indexed)).toBe(Object.keys(records).filter(isIndexed).length);
    } finally {
      await server.stop();
    }
  });
});
