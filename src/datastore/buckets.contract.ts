import { afterAll, beforeAll, expect, test } from "vitest";
import type { Datastore } from "./datastore.ts";
import { now, refused, Writer, type Fixture, type OpenFixture } from "./fixture.contract.ts";

export function bucketFacts(open: OpenFixture): void {
  let fixture: Fixture;
  let datastore: Datastore;
  let writer: Writer;
  beforeAll(async () => {
    fixture = await open();
    datastore = fixture.datastore;
    writer = new Writer(datastore);
  });
  afterAll(() => fixture.close());

  test("a bucket is made once", async () => {
    const attributes = { region: "x", tags: [1, null, { deep: true }] };
    const made = await datastore.createBucket("once", attributes, now);
    expect(made).toEqual({ name: "once", createdAt: now, versioning: "off", attributes });
    expect(await datastore.getBucket("once")).toEqual(made);
    await refused(datastore.createBucket("once", {}, now), "CONFLICT");
    expect(await datastore.getBucket("once")).toEqual(made);
    await datastore.deleteBucket("once");
    expect(await datastore.getBucket("once")).toBeUndefined();
  });

  test("of many who make the same bucket at once, one does", async () => {
    const made = await Promise.allSettled(Array.from({ length: 20 }, () => datastore.createBucket("race", {}, now)));
    expect(made.filter((result) => result.status === "fulfilled")).toHaveLength(1);
    await datastore.deleteBucket("race");
  });

  test("buckets are listed in order of name", async () => {
    for (const name of ["b", "a.b", "a", "a-b", "ab"]) await datastore.createBucket(name, {}, now);
    expect((await datastore.listBuckets()).map((bucket) => bucket.name)).toEqual(["a", "a-b", "a.b", "ab", "b"]);
    expect((await datastore.counters()).buckets).toBe(5);
    for (const { name } of await datastore.listBuckets()) await datastore.deleteBucket(name);
    expect((await datastore.counters()).buckets).toBe(0);
  });

  test("versioning and attributes change independently; versioning never goes back to off", async () => {
    await datastore.createBucket("change", { a: 1 }, now);
    expect(await datastore.updateBucket("change", { versioning: "enabled" })).toMatchObject({
      versioning: "enabled",
      attributes: { a: 1 },
    });
    expect(await datastore.updateBucket("change", { attributes: { b: 2 } })).toEqual({
      name: "change",
      createdAt: now,
      versioning: "enabled",
      attributes: { b: 2 },
    });
    await datastore.updateBucket("change", { versioning: "suspended" });
    await refused(datastore.updateBucket("change", { versioning: "off" }), "CONFLICT");
    await refused(datastore.updateBucket("nowhere", {}), "NOT_FOUND");
  });

  test("a bucket's attributes change only where they are what was expected", async () => {
    await datastore.createBucket("expected", { a: 1, b: [2] }, now);
    const change = { attributes: { c: 3 }, expected: { b: [2], a: 1 } };
    expect((await datastore.updateBucket("expected", change)).attributes).toEqual({ c: 3 });
    await refused(datastore.updateBucket("expected", change), "CONFLICT");
    await refused(datastore.updateBucket("expected", { versioning: "enabled", expected: {} }), "CONFLICT");
    const found = await datastore.getBucket("expected");
    expect(found).toMatchObject({ versioning: "off", attributes: { c: 3 } });
  });

  test("while a bucket does not change, the same record of it is handed out", async () => {
    await datastore.createBucket("same", { policy: { deep: [1] } }, now);
    const first = (await datastore.getBucket("same"))!;
    expect(await datastore.getBucket("same")).toBe(first);
    await writer.put("same", "k");
    expect(await datastore.getBucket("same")).toBe(first);
    expect(Object.isFrozen((first.attributes["policy"] as { deep: object }).deep)).toBe(true);
    // By way of another client where there can be one.
    const other = fixture.second ?? datastore;
    await other.updateBucket("same", { attributes: { policy: null } });
    const changed = await datastore.getBucket("same");
    expect(changed?.attributes).toEqual({ policy: null });
    expect(first.attributes).toEqual({ policy: { deep: [1] } });
    await other.deleteFile("same", "k", now);
    await other.deleteBucket("same");
    expect(await datastore.getBucket("same")).toBeUndefined();
  });

  test("a bucket goes only when it holds no version, no delete marker and no upload", async () => {
    await datastore.createBucket("full", {}, now);
    await writer.put("full", "k");
    await refused(datastore.deleteBucket("full"), "CONFLICT");
    await datastore.updateBucket("full", { versioning: "enabled" });
    const marker = await datastore.deleteFile("full", "k", now);
    await datastore.deleteVersion("full", "k", "null");
    await refused(datastore.deleteBucket("full"), "CONFLICT");
    await datastore.deleteVersion("full", "k", marker!.version);
    await datastore.createUpload({ upload: "u-full", bucket: "full", key: "k", createdAt: now, attributes: {} });
    await refused(datastore.deleteBucket("full"), "CONFLICT");
    await datastore.abortUpload("u-full");
    await datastore.deleteBucket("full");
    await refused(datastore.deleteBucket("full"), "NOT_FOUND");
    expect(await datastore.getBucket("full")).toBeUndefined();
  });

  test("a bucket whose name begins another's is not held up by it", async () => {
    await datastore.createBucket("x", {}, now);
    await datastore.createBucket("x.y", {}, now);
    await writer.put("x.y", "k");
    await datastore.deleteBucket("x");
    expect((await datastore.getVersion("x.y", "k"))?.key).toBe("k");
  });

  test("of a write and the deletion of its bucket at once, one wins", async () => {
    for (let round = 0; round < 10; round++) {
      await datastore.createBucket("contest", {}, now);
      const object = await writer.object();
      const target = { kind: "file", bucket: "contest", key: "k", attributes: {} } as const;
      const [put, deleted] = await Promise.allSettled([
        datastore.saveObject(object, target, now),
        datastore.deleteBucket("contest"),
      ]);
      expect(put.status === "fulfilled").not.toBe(deleted.status === "fulfilled");
      if (put.status === "fulfilled") {
        await datastore.deleteFile("contest", "k", now);
        await datastore.deleteBucket("contest");
      }
    }
  });

  test("names that no bucket can have are refused", async () => {
    await refused(datastore.createBucket("", {}, now), "INVALID");
    await refused(datastore.createBucket("a\0b", {}, now), "INVALID");
    await refused(datastore.createBucket("x".repeat(256), {}, now), "INVALID");
    expect((await datastore.createBucket("x".repeat(255), {}, now)).name).toHaveLength(255);
  });
}
