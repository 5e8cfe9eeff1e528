import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ObjectId } from "../core/ids.ts";
import type { Datastore, VersionRecord } from "./datastore.ts";
import { fileTarget, now, refused, Writer, type Fixture, type OpenFixture } from "./fixture.contract.ts";

export function versionFacts(open: OpenFixture): void {
  let fixture: Fixture;
  let datastore: Datastore;
  let writer: Writer;
  let bucket: string;
  let bucketCount = 0;
  beforeAll(async () => {
    fixture = await open();
    datastore = fixture.datastore;
    writer = new Writer(datastore);
  });
  afterAll(() => fixture.close());
  beforeEach(async () => {
    bucket = `bucket-${bucketCount++}`;
    await datastore.createBucket(bucket, {}, now);
  });

  const versions = async (key: string): Promise<readonly VersionRecord[]> => {
    const page = await datastore.listVersions({
      bucket,
      prefix: key,
      delimiter: undefined,
      after: undefined,
      limit: 100,
    });
    return page.items.filter((version) => version.key === key);
  };
  const shape = async (key: string): Promise<string[]> =>
    (await versions(key)).map(
      (version) =>
        (version.version === "null" ? "null" : "id") +
        (version.object === undefined ? " marker" : "") +
        (version.latest ? " latest" : ""),
    );
  const objectThere = async (id: ObjectId | undefined): Promise<boolean> =>
    (await datastore.getObject(id!))?.status === "saved";

  test("what can be read without waiting is what is read by waiting, at every moment", async () => {
    const reads = datastore.now;
    if (reads === undefined) return;
    expect(reads.getBucket(bucket)).toBe(await datastore.getBucket(bucket));
    expect(reads.getVersion(bucket, "k")).toBeUndefined();
    expect(() => reads.getVersion("nowhere", "k")).toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
    const first = await writer.put(bucket, "k");
    expect(reads.getVersion(bucket, "k")).toEqual(first);
    expect(reads.getVersion(bucket, "k", "null")).toEqual(first);
    expect(reads.getObject(first.object!)).toEqual(await datastore.getObject(first.object!));
    const second = await writer.put(bucket, "k", { attributes: { n: 2 } });
    expect(reads.getVersion(bucket, "k")).toEqual(second);
    expect(reads.getObject(first.object!)).toBeUndefined();
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    expect(reads.getBucket(bucket)).toMatchObject({ versioning: "enabled" });
  });

  test("without versioning a write replaces the file, and its object goes", async () => {
    const first = await writer.put(bucket, "k", { attributes: { n: 1 } });
    expect(first).toEqual({
      key: "k",
      version: "null",
      createdAt: now,
      object: first.object,
      size: 1_000,
      attributes: { n: 1 },
      latest: true,
    });
    const second = await writer.put(bucket, "k", { attributes: { n: 2 }, size: 2_000, now: now + 1 });
    expect(await datastore.getVersion(bucket, "k")).toEqual(second);
    expect(await datastore.getVersion(bucket, "k", "null")).toEqual(second);
    expect(await versions("k")).toEqual([second]);
    expect(await objectThere(first.object)).toBe(false);
    expect(await datastore.deleteFile(bucket, "k", now)).toBeUndefined();
    expect(await datastore.getVersion(bucket, "k")).toBeUndefined();
    expect(await objectThere(second.object)).toBe(false);
    expect(await datastore.deleteFile(bucket, "k", now)).toBeUndefined();
  });

  test("with versioning a write leaves the earlier ones, newest first", async () => {
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    const made = [];
    for (let index = 0; index < 4; index++) made.push(await writer.put(bucket, "k", { now: now - index }));
    expect(new Set(made.map((version) => version.version)).size).toBe(4);
    const expected = made.toReversed().map((version, index) => ({ ...version, latest: index === 0 }));
    expect(await versions("k")).toEqual(expected);
    for (const version of expected) expect(await datastore.getVersion(bucket, "k", version.version)).toEqual(version);
    expect(await datastore.getVersion(bucket, "k")).toEqual(expected[0]);
    const ids = expected.map((version) => version.version);
    expect(ids).toEqual([...ids].sort());
  });

  test("with versioning a delete adds a marker, also where there is no file", async () => {
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    const put = await writer.put(bucket, "k");
    const marker = await datastore.deleteFile(bucket, "k", now + 1);
    expect(marker).toEqual({
      key: "k",
      version: marker!.version,
      createdAt: now + 1,
      object: undefined,
      size: 0,
      attributes: {},
      latest: true,
    });
    expect(await datastore.getVersion(bucket, "k")).toEqual(marker);
    expect(await datastore.getVersion(bucket, "k", put.version)).toEqual({ ...put, latest: false });
    expect(await shape("k")).toEqual(["id marker latest", "id"]);
    await datastore.deleteFile(bucket, "k", now);
    expect(await shape("k")).toEqual(["id marker latest", "id marker", "id"]);
    await datastore.deleteFile(bucket, "never", now);
    expect(await shape("never")).toEqual(["id marker latest"]);
    await writer.put(bucket, "k");
    expect(await shape("k")).toEqual(["id latest", "id marker", "id marker", "id"]);
  });

  test("removing the newest version makes the one before it the newest", async () => {
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    const first = await writer.put(bucket, "k");
    const second = await writer.put(bucket, "k");
    const marker = await datastore.deleteFile(bucket, "k", now);
    expect(await datastore.deleteVersion(bucket, "k", marker!.version)).toEqual(marker);
    expect(await datastore.getVersion(bucket, "k")).toEqual(second);
    expect(await datastore.deleteVersion(bucket, "k", first.version)).toEqual({ ...first, latest: false });
    expect(await objectThere(first.object)).toBe(false);
    expect(await datastore.deleteVersion(bucket, "k", second.version)).toEqual(second);
    expect(await datastore.getVersion(bucket, "k")).toBeUndefined();
    expect(await datastore.deleteVersion(bucket, "k", second.version)).toBeUndefined();
    expect(await versions("k")).toEqual([]);
  });

  test("removing the newest version can uncover a delete marker", async () => {
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    await writer.put(bucket, "k");
    const marker = await datastore.deleteFile(bucket, "k", now);
    const put = await writer.put(bucket, "k");
    await datastore.deleteVersion(bucket, "k", put.version);
    expect(await datastore.getVersion(bucket, "k")).toEqual(marker);
    expect(await shape("k")).toEqual(["id marker latest", "id"]);
    const page = await datastore.listFiles({ bucket, prefix: "", delimiter: undefined, after: undefined, limit: 10 });
    expect(page.items).toEqual([]);
  });

  test("what was there before versioning is the null version, and stays", async () => {
    const before = await writer.put(bucket, "k");
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    await writer.put(bucket, "k");
    expect(await shape("k")).toEqual(["id latest", "null"]);
    expect(await datastore.getVersion(bucket, "k", "null")).toEqual({ ...before, latest: false });
    await datastore.deleteFile(bucket, "k", now);
    expect(await shape("k")).toEqual(["id marker latest", "id", "null"]);
    expect(await datastore.deleteVersion(bucket, "k", "null")).toEqual({ ...before, latest: false });
    expect(await datastore.deleteVersion(bucket, "k", "null")).toBeUndefined();
    expect(await shape("k")).toEqual(["id marker latest", "id"]);
  });

  test("with versioning suspended a write replaces the null version, wherever it is", async () => {
    const oldNull = await writer.put(bucket, "k");
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    const kept = await writer.put(bucket, "k");
    await datastore.updateBucket(bucket, { versioning: "suspended" });
    const newNull = await writer.put(bucket, "k");
    expect(newNull.version).toBe("null");
    expect(await shape("k")).toEqual(["null latest", "id"]);
    expect(await objectThere(oldNull.object)).toBe(false);
    const third = await writer.put(bucket, "k");
    expect(await shape("k")).toEqual(["null latest", "id"]);
    expect(await objectThere(newNull.object)).toBe(false);
    expect(await objectThere(third.object)).toBe(true);
    expect(await objectThere(kept.object)).toBe(true);
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    await writer.put(bucket, "k");
    expect(await shape("k")).toEqual(["id latest", "null", "id"]);
  });

  test("with versioning suspended a delete replaces the null version by a marker", async () => {
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    await writer.put(bucket, "k");
    await datastore.updateBucket(bucket, { versioning: "suspended" });
    const put = await writer.put(bucket, "k");
    const marker = await datastore.deleteFile(bucket, "k", now);
    expect(marker?.version).toBe("null");
    expect(await objectThere(put.object)).toBe(false);
    expect(await shape("k")).toEqual(["null marker latest", "id"]);
    expect(await datastore.getVersion(bucket, "k", "null")).toEqual(marker);
    await datastore.deleteFile(bucket, "k", now);
    expect(await shape("k")).toEqual(["null marker latest", "id"]);
    await writer.put(bucket, "k");
    expect(await shape("k")).toEqual(["null latest", "id"]);
    await datastore.deleteVersion(bucket, "k", "null");
    expect(await shape("k")).toEqual(["id latest"]);
  });

  test("the id under which the null version is ordered is nobody's", async () => {
    await writer.put(bucket, "k");
    await datastore.updateBucket(bucket, { versioning: "suspended" });
    await writer.put(bucket, "k");
    await datastore.deleteFile(bucket, "k", now);
    for (let order = 0; order < 5; order++) {
      const id = String(Number.MAX_SAFE_INTEGER - order);
      expect(await datastore.getVersion(bucket, "k", id)).toBeUndefined();
      expect(await datastore.deleteVersion(bucket, "k", id)).toBeUndefined();
    }
    for (const id of ["", "x", "null ", "0", "-1", "9".repeat(16), "9".repeat(400), "\0"]) {
      expect(await datastore.getVersion(bucket, "k", id)).toBeUndefined();
    }
  });

  test("a copy shares the object; it goes with the last of them", async () => {
    const before = await datastore.counters();
    const put = await writer.put(bucket, "original", { size: 3_000, attributes: { a: 1 } });
    const copy = await datastore.copyVersion(
      put.object!,
      fileTarget(bucket, "copy", { attributes: { b: 2 } }),
      now + 1,
    );
    expect(copy).toEqual({ ...put, key: "copy", attributes: { b: 2 }, createdAt: now + 1 });
    expect(await datastore.getObject(put.object!)).toMatchObject({ references: 2 });
    expect(await datastore.counters()).toMatchObject({ objects: before.objects + 1, bytes: before.bytes + 3_000 });
    await datastore.deleteFile(bucket, "original", now);
    expect(await datastore.getVersion(bucket, "copy")).toEqual(copy);
    expect(await datastore.getObject(put.object!)).toMatchObject({ references: 1, standalone: false });
    await datastore.deleteFile(bucket, "copy", now);
    expect(await datastore.getObject(put.object!)).toBeUndefined();
    expect(await datastore.counters()).toEqual(before);
    await refused(datastore.copyVersion(put.object!, fileTarget(bucket, "late"), now), "NOT_FOUND");
  });

  test("a file can be copied onto itself", async () => {
    const put = await writer.put(bucket, "k", { attributes: { a: 1 } });
    const copy = await datastore.copyVersion(put.object!, fileTarget(bucket, "k", { attributes: { a: 2 } }), now);
    expect(await datastore.getVersion(bucket, "k")).toEqual(copy);
    expect(await datastore.getObject(put.object!)).toMatchObject({ references: 1 });
  });

  test("a version's attributes can be replaced", async () => {
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    const first = await writer.put(bucket, "k", { attributes: { a: 1 } });
    const second = await writer.put(bucket, "k", { attributes: { a: 2 } });
    const changed = await datastore.updateVersion(bucket, "k", first.version, { tags: { x: "y" } });
    expect(changed).toEqual({ ...first, attributes: { tags: { x: "y" } }, latest: false });
    expect(await datastore.getVersion(bucket, "k", first.version)).toEqual(changed);
    expect(await datastore.getVersion(bucket, "k")).toEqual(second);
    await refused(datastore.updateVersion(bucket, "k", "null", {}), "NOT_FOUND");
  });

  test("a version is changed or removed only where its attributes are what was expected", async () => {
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    const old = (await writer.put(bucket, "k", { attributes: { a: 1, b: [2] } })).version;
    const newest = await writer.put(bucket, "k", { attributes: { a: 2 } });
    for (const attributes of [{ a: 1 }, { a: 1, b: [3] }, {}, { a: 1, b: [2], c: null }]) {
      await refused(datastore.updateVersion(bucket, "k", old, {}, attributes), "CONFLICT");
      await refused(datastore.deleteVersion(bucket, "k", old, attributes), "CONFLICT");
    }
    const changed = await datastore.updateVersion(bucket, "k", old, { held: true }, { b: [2], a: 1 });
    expect(changed.attributes).toEqual({ held: true });
    await refused(datastore.deleteVersion(bucket, "k", old, { a: 1, b: [2] }), "CONFLICT");
    expect(await datastore.deleteVersion(bucket, "k", old, { held: true })).toEqual(changed);
    expect(await datastore.deleteVersion(bucket, "k", old, { held: true })).toBeUndefined();
    expect(await versions("k")).toEqual([newest]);
  });

  test("of many who change a version's attributes by what they read, none overwrites another", async () => {
    const { version } = await writer.put(bucket, "k", { attributes: { count: 0 } });
    const clients = [datastore, fixture.second ?? datastore];
    const increase = async (client: Datastore): Promise<void> => {
      const { attributes } = (await client.getVersion(bucket, "k", version))!;
      const next = { count: Number(attributes["count"]) + 1 };
      await client.updateVersion(bucket, "k", version, next, attributes).catch((error: { code: string }) => {
        expect(error.code).toBe("CONFLICT");
        return increase(client);
      });
    };
    await Promise.all(Array.from({ length: 10 }, (_, index) => increase(clients[index % 2]!)));
    expect((await datastore.getVersion(bucket, "k"))?.attributes).toEqual({ count: 10 });
  });

  test("a delete marker has the attributes that it is given", async () => {
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    const marker = await datastore.deleteFile(bucket, "k", now, undefined, { owner: "o" });
    expect(marker?.attributes).toEqual({ owner: "o" });
    expect(await versions("k")).toEqual([marker]);
    await datastore.updateBucket(bucket, { versioning: "suspended" });
    expect((await datastore.deleteFile(bucket, "k", now, undefined, { owner: "p" }))?.attributes).toEqual({
      owner: "p",
    });
    expect((await datastore.getVersion(bucket, "k", "null"))?.attributes).toEqual({ owner: "p" });
  });

  test("`absent` holds where there is no file or its newest version is a marker", async () => {
    const absent = { condition: { kind: "absent" } } as const;
    await writer.put(bucket, "k", absent);
    const object = await writer.object();
    await refused(datastore.saveObject(object, fileTarget(bucket, "k", absent), now), "CONFLICT");
    expect(await datastore.getObject(object.id)).toBeUndefined();
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    await datastore.deleteFile(bucket, "k", now);
    await writer.put(bucket, "k", absent);
    expect(await shape("k")).toEqual(["id latest", "id marker", "null"]);
  });

  test("`present` holds where there is a newest version that is no marker", async () => {
    const present = { kind: "present" } as const;
    const object = await writer.object();
    const target = fileTarget(bucket, "k", { condition: present });
    await refused(datastore.saveObject(object, target, now), "NOT_FOUND");
    await refused(datastore.deleteFile(bucket, "k", now, present), "NOT_FOUND");
    await writer.put(bucket, "k");
    const second = await writer.object();
    await datastore.saveObject(second, target, now);
    expect((await datastore.getVersion(bucket, "k"))?.object).toBe(second.id);
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    await datastore.deleteFile(bucket, "k", now, present);
    await refused(datastore.deleteFile(bucket, "k", now, present), "NOT_FOUND");
  });

  test("`object` holds where the newest version is that object, whatever its attributes", async () => {
    const first = await writer.put(bucket, "k");
    const condition = { kind: "object", object: first.object! } as const;
    await writer.put(bucket, "k");
    await refused(datastore.deleteFile(bucket, "k", now, condition), "CONFLICT");
    await refused(datastore.deleteFile(bucket, "other", now, condition), "NOT_FOUND");
    const second = await datastore.getVersion(bucket, "k");
    await datastore.deleteFile(bucket, "k", now, { kind: "object", object: second!.object! });
    expect(await datastore.getVersion(bucket, "k")).toBeUndefined();
  });

  test("`attribute` holds where the newest version has the value", async () => {
    const put = await writer.put(bucket, "k", { attributes: { etag: "one", list: [1, { x: null }] } });
    const etag = (value: string) => ({ condition: { kind: "attribute", name: "etag", value } }) as const;
    const object = await writer.object();
    await refused(datastore.saveObject(object, fileTarget(bucket, "k", etag("two")), now), "CONFLICT");
    await refused(datastore.copyVersion(put.object!, fileTarget(bucket, "k", etag("two")), now), "CONFLICT");
    await refused(datastore.deleteFile(bucket, "k", now, etag("two").condition), "CONFLICT");
    expect(await datastore.getVersion(bucket, "k")).toEqual(put);
    const list = { kind: "attribute", name: "list", value: [1, { x: null }] } as const;
    await datastore.saveObject(object, fileTarget(bucket, "k", { condition: list, attributes: { etag: "two" } }), now);
    await datastore.deleteFile(bucket, "k", now, etag("two").condition);
    await refused(datastore.deleteFile(bucket, "k", now, etag("two").condition), "NOT_FOUND");
    const late = await writer.object();
    await refused(datastore.saveObject(late, fileTarget(bucket, "k", etag("two")), now), "NOT_FOUND");
  });

  test("of 50 who write a file on condition that it is absent, exactly one does", async () => {
    const objects = await Promise.all(Array.from({ length: 50 }, () => writer.object()));
    const target = fileTarget(bucket, "k", { condition: { kind: "absent" } });
    const results = await Promise.allSettled(objects.map((object) => datastore.saveObject(object, target, now)));
    const winners = results.flatMap((result, index) => (result.status === "fulfilled" ? [objects[index]!.id] : []));
    expect(winners).toHaveLength(1);
    expect((await datastore.getVersion(bucket, "k"))?.object).toBe(winners[0]);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "CONFLICT" });
    }
    const left = await Promise.all(objects.map((object) => datastore.getObject(object.id)));
    expect(left.filter((object) => object !== undefined)).toHaveLength(1);
  });

  test("of 50 who replace a file on condition that it is the one they read, exactly one does, each time", async () => {
    await writer.put(bucket, "k", { attributes: { etag: 0 } });
    for (let round = 1; round <= 3; round++) {
      const objects = await Promise.all(Array.from({ length: 50 }, () => writer.object()));
      const condition = { kind: "attribute", name: "etag", value: round - 1 } as const;
      const target = fileTarget(bucket, "k", { condition, attributes: { etag: round } });
      const results = await Promise.allSettled(objects.map((object) => datastore.saveObject(object, target, now)));
      expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
    }
  });

  test("50 unconditional writes at once leave one object, or one version each", async () => {
    const before = await datastore.counters();
    await Promise.all(Array.from({ length: 50 }, () => writer.put(bucket, "k")));
    expect((await datastore.counters()).objects).toBe(before.objects + 1);
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    await Promise.all(Array.from({ length: 49 }, () => writer.put(bucket, "k")));
    expect(await versions("k")).toHaveLength(50);
    expect((await versions("k")).filter((version) => version.latest)).toHaveLength(1);
  });

  test("what does not exist is NOT_FOUND, what cannot be is INVALID", async () => {
    const object = await writer.object();
    await refused(datastore.saveObject(object, fileTarget("nowhere", "k"), now), "NOT_FOUND");
    await refused(datastore.getVersion("nowhere", "k"), "NOT_FOUND");
    await refused(datastore.getVersion("nowhere", "k", "null"), "NOT_FOUND");
    await refused(datastore.deleteFile("nowhere", "k", now), "NOT_FOUND");
    await refused(datastore.deleteVersion("nowhere", "k", "null"), "NOT_FOUND");
    await refused(datastore.saveObject(object, fileTarget(bucket, ""), now), "INVALID");
    await refused(datastore.saveObject(object, fileTarget(bucket, "a\0b"), now), "INVALID");
    await refused(datastore.saveObject(object, fileTarget(bucket, "\ud800"), now), "INVALID");
    await refused(datastore.saveObject(object, fileTarget(bucket, "é".repeat(513)), now), "INVALID");
    await datastore.saveObject(object, fileTarget(bucket, "é".repeat(512)), now);
    expect((await datastore.getVersion(bucket, "é".repeat(512)))?.object).toBe(object.id);
  });
}
