import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Datastore, ListRequest, Page, UploadRecord, VersionRecord, VersionsRequest } from "./datastore.ts";
import { byBytes, now, refused, Writer, type Fixture, type OpenFixture } from "./fixture.contract.ts";

/** Keys that are prefixes of one another, neighbours in one encoding but not in the other, and control characters. */
const pieces = ["a", "b", "/", "//", "-", "é", "\uFFFD", "\uE000", "😀", "\u{10FFFF}", "\u0001", "\u007F", " ", "a/"];
const longKey = fc.constantFrom("x".repeat(1_024), "😀".repeat(256), `a/${"y".repeat(1_022)}`);
const text = fc.array(fc.constantFrom(...pieces), { maxLength: 5 }).map((parts) => parts.join(""));
const key = fc.oneof({ weight: 20, arbitrary: text.filter((name) => name !== "") }, { weight: 1, arbitrary: longKey });
const delimiter = fc.constantFrom(undefined, "/", "/", "//", "a", "-", "é", "😀", "a/");

export function listingFacts(open: OpenFixture): void {
  let fixture: Fixture;
  let datastore: Datastore;
  let writer: Writer;
  let bucketCount = 0;
  beforeAll(async () => {
    fixture = await open();
    datastore = fixture.datastore;
    writer = new Writer(datastore);
  });
  afterAll(() => fixture.close());

  const bucketOf = async (keys: readonly string[]): Promise<string> => {
    const bucket = `bucket-${bucketCount++}`;
    await datastore.createBucket(bucket, {}, now);
    await Promise.all(keys.map((name) => writer.put(bucket, name)));
    return bucket;
  };
  const whole = { prefix: "", delimiter: undefined, after: undefined, limit: 1_000 };
  const list = async (bucket: string, request: Partial<ListRequest>): Promise<string[]> =>
    entriesOf(await datastore.listFiles({ bucket, ...whole, ...request }));

  test("keys come in the order of their UTF-8 bytes, which is not that of UTF-16", async () => {
    const keys = ["\uFFFD", "😀", "\u{10FFFF}", "z", "a", "a/b", "a/", "a-", "é", "\u0001"];
    const bucket = await bucketOf(keys);
    const expected = ["\u0001", "a", "a-", "a/", "a/b", "z", "é", "\uFFFD", "😀", "\u{10FFFF}"];
    expect(await list(bucket, {})).toEqual(expected);
    expect([...keys].sort()).not.toEqual(expected);
  });

  test("a prefix selects, a delimiter rolls up", async () => {
    const bucket = await bucketOf(["a", "a/1", "a/2", "a/b/1", "a/b/2", "b", "c/", "c/d"]);
    expect(await list(bucket, { prefix: "a/" })).toEqual(["a/1", "a/2", "a/b/1", "a/b/2"]);
    expect(await list(bucket, { delimiter: "/" })).toEqual(["a", "b", "a/ ...", "c/ ..."]);
    expect(await list(bucket, { delimiter: "/", prefix: "a/" })).toEqual(["a/1", "a/2", "a/b/ ..."]);
    expect(await list(bucket, { delimiter: "/", prefix: "c/" })).toEqual(["c/", "c/d"]);
    expect(await list(bucket, { delimiter: "/b/" })).toEqual(["a", "a/1", "a/2", "b", "c/", "c/d", "a/b/ ..."]);
    expect(await list(bucket, { delimiter: "", prefix: "c" })).toEqual(["c/", "c/d"]);
    expect(await list(bucket, { prefix: "nothing" })).toEqual([]);
  });

  test("after a common prefix, or a key in it, all of it is passed", async () => {
    const bucket = await bucketOf(["a/1", "a/2", "b"]);
    expect(await list(bucket, { delimiter: "/", after: "a/" })).toEqual(["b"]);
    expect(await list(bucket, { delimiter: "/", after: "a/1" })).toEqual(["b"]);
    expect(await list(bucket, { delimiter: "/", after: "a" })).toEqual(["b", "a/ ..."]);
    expect(await list(bucket, { after: "a/" })).toEqual(["a/1", "a/2", "b"]);
    expect(await list(bucket, { after: "a/1" })).toEqual(["a/2", "b"]);
    expect(await list(bucket, { prefix: "a/", after: "Z" })).toEqual(["a/1", "a/2"]);
    expect(await list(bucket, { prefix: "a/", after: "b" })).toEqual([]);
  });

  test("`more` says whether something follows; common prefixes count", async () => {
    const bucket = await bucketOf(["a/1", "a/2", "b", "c/1"]);
    const page = (limit: number) => datastore.listFiles({ bucket, ...whole, delimiter: "/", limit });
    expect(await page(3)).toMatchObject({ prefixes: ["a/", "c/"], more: false });
    expect(await page(2)).toMatchObject({ prefixes: ["a/"], more: true });
    expect(await page(1)).toMatchObject({ items: [], prefixes: ["a/"], more: true });
    for (const limit of [0, -1, 1_001, 1.5]) await refused(page(limit), "INVALID");
  });

  test("buckets are listed apart, and only if they exist", async () => {
    const bucket = await bucketOf(["k"]);
    await datastore.createBucket(`${bucket}.more`, {}, now);
    await writer.put(`${bucket}.more`, "other");
    expect(await list(bucket, {})).toEqual(["k"]);
    await refused(list("nowhere", {}), "NOT_FOUND");
    await refused(datastore.listVersions({ bucket: "nowhere", ...whole }), "NOT_FOUND");
    await refused(datastore.listUploads({ bucket: "nowhere", ...whole }), "NOT_FOUND");
  });

  test("prefixes and starts longer than any key find what they should", async () => {
    const longest = "x".repeat(1_024);
    const bucket = await bucketOf([longest, "y"]);
    expect(await list(bucket, { prefix: `${longest}x` })).toEqual([]);
    expect(await list(bucket, { after: `${longest}x` })).toEqual(["y"]);
    expect(await list(bucket, { after: "x".repeat(5_000) })).toEqual(["y"]);
    expect(await list(bucket, { after: "x".repeat(1_023) })).toEqual([longest, "y"]);
    expect(await list(bucket, { prefix: "p".repeat(5_000), delimiter: "/" })).toEqual([]);
    expect(await list(bucket, { prefix: "\0" })).toEqual([]);
    expect(await list(bucket, { delimiter: "\0" })).toEqual([longest, "y"]);
    const versions = await datastore.listVersions({
      bucket,
      ...whole,
      after: { key: "x".repeat(5_000), version: "null" },
    });
    expect(versions.items.map((version) => version.key)).toEqual(["y"]);
  });

  test("any keys, page by page, are what sorting and rolling up gives", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key, { maxLength: 30 }),
        fc.oneof(fc.constant(""), text),
        delimiter,
        fc.integer({ min: 1, max: 7 }),
        fc.option(text, { nil: undefined }),
        async (keys, prefix, delimiter, limit, after) => {
          const bucket = await bucketOf(keys);
          const expected = naive(keys, prefix, delimiter).filter(
            (name) => after === undefined || byBytes(name, after) > 0,
          );
          const found: string[] = [];
          let place = after;
          for (;;) {
            const page: Page<VersionRecord> = await datastore.listFiles({
              bucket,
              prefix,
              delimiter,
              after: place,
              limit,
            });
            const names = [...page.items.map((item) => item.key), ...page.prefixes].sort(byBytes);
            expect(names.length).toBeLessThanOrEqual(limit);
            found.push(...names);
            if (!page.more) break;
            expect(names.length).toBe(limit);
            place = names.at(-1)!;
          }
          expect(found).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("any versions, page by page, are all of them, newest first within a file", async () => {
    const change = fc.record({ key, isDelete: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 25 }),
        fc.constantFrom("enabled", "suspended", "both"),
        delimiter,
        fc.oneof(fc.constant(""), text),
        fc.integer({ min: 1, max: 5 }),
        async (changes, versioning, delimiter, prefix, limit) => {
          const bucket = await bucketOf([]);
          const model = new Map<string, VersionRecord[]>();
          for (const [index, { key, isDelete }] of changes.entries()) {
            const suspend = versioning === "suspended" || (versioning === "both" && index % 2 === 1);
            await datastore.updateBucket(bucket, { versioning: suspend ? "suspended" : "enabled" });
            const made = isDelete
              ? await datastore.deleteFile(bucket, key, now + index)
              : await writer.put(bucket, key);
            const earlier = (model.get(key) ?? []).filter((old) => !suspend || old.version !== "null");
            model.set(key, [made!, ...earlier.map((old) => ({ ...old, latest: false }))]);
          }
          const names = naive([...model.keys()], prefix, delimiter);
          const expectedItems = names.flatMap((name) => (isRolled(name, prefix, delimiter) ? [] : model.get(name)!));
          const expectedPrefixes = names.filter((name) => isRolled(name, prefix, delimiter));
          const items: VersionRecord[] = [];
          const prefixes: string[] = [];
          let after: VersionsRequest["after"];
          for (;;) {
            const page: Page<VersionRecord> = await datastore.listVersions({ bucket, prefix, delimiter, after, limit });
            items.push(...page.items);
            prefixes.push(...page.prefixes);
            expect(page.items.length + page.prefixes.length).toBeLessThanOrEqual(limit);
            if (!page.more) break;
            expect(page.items.length + page.prefixes.length).toBe(limit);
            after = lastOf(page);
          }
          expect(items).toEqual(expectedItems);
          expect(prefixes).toEqual(expectedPrefixes);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("a page of versions that continues after one that is gone repeats rather than omits", async () => {
    const bucket = await bucketOf(["a", "b"]);
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    const second = await writer.put(bucket, "a");
    const third = await writer.put(bucket, "a");
    await datastore.deleteVersion(bucket, "a", "null");
    const after = (version: string) => datastore.listVersions({ bucket, ...whole, after: { key: "a", version } });
    expect((await after("null")).items.map((item) => item.version)).toEqual([third.version, second.version, "null"]);
    await datastore.deleteVersion(bucket, "a", third.version);
    expect((await after(third.version)).items.map((item) => item.version)).toEqual([second.version, "null"]);
    await refused(after("what"), "INVALID");
    const next = await datastore.listVersions({ bucket, ...whole, after: { key: "a", version: undefined } });
    expect(next.items.map((item) => item.key)).toEqual(["b"]);
  });

  test("files that are deleted, or replaced a hundred times, cost a listing nothing and are not in it", async () => {
    const bucket = await bucketOf([]);
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    for (let round = 0; round < 100; round++) {
      await Promise.all(["a", "m", "z"].map((name) => writer.put(bucket, name)));
    }
    await datastore.deleteFile(bucket, "m", now);
    expect(await list(bucket, {})).toEqual(["a", "z"]);
    const page = await datastore.listVersions({ bucket, ...whole });
    expect(page.items).toHaveLength(301);
  });

  test("uploads come in order of key, then of their start", async () => {
    const bucket = await bucketOf([]);
    const uploads: UploadRecord[] = [];
    for (const [index, key] of ["b", "a/2", "a/1", "b", "a/1", "c", "b"].entries()) {
      const createdAt = now - (index % 3);
      uploads.push({ upload: `${bucket}-${9 - index}`, bucket, key, createdAt, attributes: { index } });
    }
    for (const upload of uploads) await datastore.createUpload(upload);
    const sorted = [...uploads].sort(
      (left, right) =>
        byBytes(left.key, right.key) || left.createdAt - right.createdAt || byBytes(left.upload, right.upload),
    );
    expect((await datastore.listUploads({ bucket, ...whole })).items).toEqual(sorted);
    const found: UploadRecord[] = [];
    let after: VersionsRequest["after"];
    for (;;) {
      const page: Page<UploadRecord> = await datastore.listUploads({ bucket, ...whole, after, limit: 2 });
      found.push(...page.items);
      if (!page.more) break;
      after = { key: found.at(-1)!.key, version: found.at(-1)!.upload };
    }
    expect(found).toEqual(sorted);
    const rolled = await datastore.listUploads({ bucket, ...whole, delimiter: "/" });
    expect(rolled.prefixes).toEqual(["a/"]);
    expect(rolled.items).toEqual(sorted.filter((upload) => !upload.key.startsWith("a/")));
    const next = await datastore.listUploads({ bucket, ...whole, after: { key: "b", version: undefined } });
    expect(next.items.map((upload) => upload.key)).toEqual(["c"]);
    const inA = await datastore.listUploads({ bucket, ...whole, prefix: "a/1" });
    expect(inA.items).toHaveLength(2);
  });
}

function entriesOf(page: Page<VersionRecord>): string[] {
  return [...page.items.map((item) => item.key), ...page.prefixes.map((prefix) => `${prefix} ...`)];
}

/** Where the page after this one starts. */
function lastOf(page: Page<VersionRecord>): VersionsRequest["after"] {
  const item = page.items.at(-1);
  const prefix = page.prefixes.at(-1);
  if (item === undefined || (prefix !== undefined && byBytes(prefix, item.key) > 0)) {
    return { key: prefix!, version: undefined };
  }
  return { key: item.key, version: item.version };
}

function naive(keys: readonly string[], prefix: string, delimiter: string | undefined): string[] {
  const names = new Set<string>();
  for (const key of keys) {
    if (!key.startsWith(prefix)) continue;
    const index = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
    names.add(index < 0 ? key : key.slice(0, index + delimiter!.length));
  }
  return [...names].sort(byBytes);
}

function isRolled(name: string, prefix: string, delimiter: string | undefined): boolean {
  return delimiter !== undefined && name.indexOf(delimiter, prefix.length) >= 0;
}
