/** `openStore`: the store in this process (docs/library.md). */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { ReadableStream } from "node:stream/web";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Body, fakeClock, type ListEntry, openStore, type Store, StoreError } from "../src/index.ts";

let place: string;
let store: Store;
const clock = fakeClock(Date.parse("2026-11-22T12:00:00Z"));

beforeAll(async () => {
  place = await mkdtemp(path.join(os.tmpdir(), "library-"));
  store = await openStore({ root: path.join(place, "root"), clock, durability: "os" });
  await store.createBucket("photos");
});

afterAll(async () => {
  await store.close();
  await rm(place, { recursive: true });
});

function md5(bytes: string | Uint8Array): string {
  return createHash("md5").update(bytes).digest("hex");
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(StoreError);
  return (error as StoreError).code;
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function all<Entry>(entries: AsyncIterable<Entry>): Promise<Entry[]> {
  const found: Entry[] = [];
  for await (const entry of entries) found.push(entry);
  return found;
}

const sizes = [0, 1, 1458, 70_000, 300_000, 3_000_001];

describe("bodies", () => {
  const kinds: { readonly [kind: string]: (bytes: Uint8Array) => Body } = {
    bytes: (bytes) => bytes,
    "a web stream": (bytes) => ReadableStream.from(pieces(bytes, 65_536)),
    "a Node stream": (bytes) => Readable.from(pieces(bytes, 100_000), { objectMode: false }),
    "an async iterable": (bytes) => pieces(bytes, 40_001),
  };

  test.each(Object.keys(kinds))("%s of any size is stored as it is, under its MD5", async (kind) => {
    for (const size of sizes) {
      const bytes = new Uint8Array(randomBytes(size));
      const put = await store.put("photos", `${kind} ${size}`, kinds[kind]!(bytes));
      expect(put).toEqual({ etag: md5(bytes), size, versionId: undefined });
      const found = await store.get("photos", `${kind} ${size}`);
      expect(found).toMatchObject({ size, etag: md5(bytes), contentType: "binary/octet-stream" });
      expect(Buffer.from(await found!.body.bytes()).equals(bytes)).toBe(true);
    }
  });

  test("a text is UTF-8, an empty one too", async () => {
    await store.put("photos", "text", "naïve €");
    expect(await (await store.get("photos", "text"))!.body.text()).toBe("naïve €");
    await store.put("photos", "json", JSON.stringify({ a: [1, null] }));
    expect(await (await store.get("photos", "json"))!.body.json()).toEqual({ a: [1, null] });
    await store.put("photos", "empty", "");
    expect(await (await store.get("photos", "empty"))!.body.text()).toBe("");
  });

  test.each(sizes)("%i bytes come back the same by every way of reading", async (size) => {
    const bytes = new Uint8Array(randomBytes(size));
    await store.put("photos", "ways", bytes);
    const read = async (): Promise<NonNullable<Awaited<ReturnType<Store["get"]>>>["body"]> =>
      (await store.get("photos", "ways"))!.body;
    const whole = async (parts: AsyncIterable<unknown>): Promise<string> =>
      md5(Buffer.concat((await all(parts)) as Uint8Array[]));
    expect(await whole(await read())).toBe(md5(bytes));
    expect(await whole((await read()).stream())).toBe(md5(bytes));
    expect(await whole((await read()).node())).toBe(md5(bytes));
    const response = new Response((await read()).stream() as never);
    expect(md5(new Uint8Array(await response.arrayBuffer()))).toBe(md5(bytes));
  });

  test("a body is read once, and says so", async () => {
    const { body } = (await store.get("photos", "text"))!;
    await body.text();
    expect(await codeOf(body.bytes())).toBe("INVALID");
  });

  test("what is no body is refused", async () => {
    for (const body of [undefined, null, 7, {}, ["a"]]) {
      expect(await codeOf(store.put("photos", "odd", body as never))).toBe("INVALID");
    }
    expect(await codeOf(store.put("photos", "odd", Readable.from([{ a: 1 }]) as never))).toBe("INVALID");
    expect(await store.head("photos", "odd")).toBeUndefined();
  });

  test("a source is asked for no more than the store can take", async () => {
    const source = { made: 0 };
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; source.made < 2000; source.made++) yield new Uint8Array(65_536);
    }
    const abort = new AbortController();
    const putting = store.put("photos", "much", endless(), { signal: abort.signal });
    while (source.made < 50) await new Promise((resolve) => setImmediate(resolve));
    abort.abort();
    expect(await codeOf(putting)).toBe("ABORTED");
    expect(source.made).toBeLessThan(2000);
  });
});

describe("a put that does not come to its end leaves nothing", () => {
  test("aborted while the source says nothing", async () => {
    const abort = new AbortController();
    const source = new Readable({ read: () => undefined });
    source.push(randomBytes(500_000));
    const putting = store.put("photos", "aborted", source, { signal: abort.signal });
    await new Promise((resolve) => setImmediate(resolve));
    abort.abort(new Error("enough"));
    expect(await codeOf(putting)).toBe("ABORTED");
    expect(source.destroyed).toBe(true);
    expect(await store.head("photos", "aborted")).toBeUndefined();
  });

  test("aborted before it began", async () => {
    let isCancelled = false;
    const source = new ReadableStream<Uint8Array>({ cancel: () => void (isCancelled = true) });
    expect(await codeOf(store.put("photos", "aborted", source, { signal: AbortSignal.abort() }))).toBe("ABORTED");
    expect(isCancelled).toBe(true);
  });

  test("by a source that fails, whose error comes through", async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield randomBytes(400_000);
      throw new RangeError("no more");
    }
    await expect(store.put("photos", "failed", failing())).rejects.toThrow(new RangeError("no more"));
    expect(await store.head("photos", "failed")).toBeUndefined();
  });

  test("what was there before is still there", async () => {
    await store.put("photos", "kept", "before");
    const failing = Readable.from(
      (async function* (): AsyncGenerator<Uint8Array> {
        yield randomBytes(400_000);
        throw new Error("no more");
      })(),
    );
    await expect(store.put("photos", "kept", failing)).rejects.toThrow("no more");
    expect(await (await store.get("photos", "kept"))!.body.text()).toBe("before");
  });
});

describe("reading", () => {
  test("readers that stop in the middle hold no buffer: more of them than there are buffers", async () => {
    const bytes = new Uint8Array(randomBytes(1_500_000));
    await store.put("photos", "large", bytes);
    let begun = 0;
    const readers = Array.from({ length: 100 }, async () => {
      const reader = (await store.get("photos", "large"))!.body[Symbol.asyncIterator]();
      const first = (await reader.next()).value as Uint8Array;
      begun++;
      return { reader, first };
    });
    while (begun < readers.length) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(1_000);
    }
    const { reader, first } = (await Promise.all(readers))[50]!;
    const rest: Uint8Array[] = [first];
    for (let next = await reader.next(); next.done !== true; next = await reader.next()) rest.push(next.value);
    expect(md5(Buffer.concat(rest))).toBe(md5(bytes));
  });

  test("a range, from an offset, from the end, and beyond it", async () => {
    for (const size of [10, 200_000]) {
      const bytes = new Uint8Array(randomBytes(size));
      await store.put("photos", "range", bytes);
      const part = async (range: object): Promise<string> =>
        md5(await (await store.get("photos", "range", { range: range as never }))!.body.bytes());
      expect(await part({ offset: 3, length: 4 })).toBe(md5(bytes.slice(3, 7)));
      expect(await part({ offset: 3 })).toBe(md5(bytes.slice(3)));
      expect(await part({ offset: size - 2, length: 100 })).toBe(md5(bytes.slice(-2)));
      expect(await part({ suffix: 4 })).toBe(md5(bytes.slice(-4)));
      expect(await part({ suffix: 2 * size })).toBe(md5(bytes));
      expect(await codeOf(part({ offset: size }))).toBe("INVALID");
      expect(await codeOf(part({ offset: -1 }))).toBe("INVALID");
    }
  });

  test("a signal ends it", async () => {
    const abort = new AbortController();
    const found = await store.get("photos", "large", { signal: abort.signal });
    const reader = found!.body[Symbol.asyncIterator]();
    await reader.next();
    abort.abort();
    expect(await codeOf(reader.next())).toBe("ABORTED");
  });

  test("what is not there is undefined; without the bucket it is an error", async () => {
    expect(await store.get("photos", "nothing")).toBeUndefined();
    expect(await store.head("photos", "nothing")).toBeUndefined();
    expect(await store.bucket("nowhere")).toBeUndefined();
    expect(await codeOf(store.get("nowhere", "nothing"))).toBe("NOT_FOUND");
    expect(await codeOf(store.put("nowhere", "nothing", ""))).toBe("NOT_FOUND");
    expect(await codeOf(all(store.list("nowhere")))).toBe("NOT_FOUND");
  });
});

test("what is said of an object comes back, in any script", async () => {
  const description = {
    contentType: "text/plain; charset=utf-8",
    cacheControl: "max-age=60",
    contentDisposition: 'attachment; filename="ä.txt"',
    contentEncoding: "identity",
    contentLanguage: "de, fr",
    expires: "Wed, 21 Oct 2026 07:28:00 GMT",
    metadata: { who: "Zoë Ω", empty: "" },
    tags: { project: "a b", ключ: "значение" },
  };
  await store.put("photos", "described", "x", { ...description, checksum: "CRC64NVME" });
  const lastModified = new Date(clock.now());
  const expected = { ...description, checksums: { CRC64NVME: expect.any(String) as string }, lastModified };
  expect(await store.head("photos", "described")).toMatchObject(expected);
  for (const metadata of [{ "a b": "x" }, { a: "x\ny" }, { a: "x".repeat(3000) }]) {
    expect(await codeOf(store.put("photos", "described", "x", { metadata }))).toBe("INVALID");
  }
  expect(await codeOf(store.put("photos", "described", "x", { tags: { "aws:a": "b" } }))).toBe("INVALID");
});

describe("conditions", () => {
  test("of fifty writers of a new key one wins", async () => {
    const writers = Array.from({ length: 50 }, (_, index) =>
      store.put("photos", "race", `writer ${index}`, { ifNoneMatch: "*" }),
    );
    const settled = await Promise.allSettled(writers);
    const won = settled.flatMap((each, index) => (each.status === "fulfilled" ? [index] : []));
    expect(won).toHaveLength(1);
    const codes = settled.map((each) => (each.status === "rejected" ? (each.reason as StoreError).code : "won"));
    expect(new Set(codes)).toEqual(new Set(["won", "CONFLICT"]));
    expect(await (await store.get("photos", "race"))!.body.text()).toBe(`writer ${won[0]}`);
  });

  test("a put, a get and a delete only of what is known", async () => {
    const { etag } = await store.put("photos", "known", "one");
    expect(await codeOf(store.put("photos", "known", "two", { ifMatch: md5("other") }))).toBe("CONFLICT");
    expect(await codeOf(store.get("photos", "known", { ifMatch: md5("other") }))).toBe("CONFLICT");
    expect(await codeOf(store.delete("photos", "known", { ifMatch: md5("other") }))).toBe("CONFLICT");
    expect(await codeOf(store.put("photos", "unknown", "two", { ifMatch: "*" }))).toBe("NOT_FOUND");
    await store.put("photos", "known", "two", { ifMatch: etag });
    await store.delete("photos", "known", { ifMatch: `"${md5("two")}"` });
    expect(await store.get("photos", "known")).toBeUndefined();
  });
});

describe("listing", () => {
  const keys = [
    ...Array.from({ length: 2_300 }, (_, index) => `n/${String(index).padStart(5, "0")}`),
    "a",
    "z\u{10000}",
    "z\uffff",
  ];

  beforeAll(async () => {
    await store.createBucket("listed");
    await Promise.all(keys.map((key) => store.put("listed", key, key)));
  });

  test("goes through all pages, in order of bytes", async () => {
    const entries = await all(store.list("listed"));
    const names = entries.map((entry) => (entry.kind === "object" ? entry.key : entry.prefix));
    expect(names).toEqual(keys.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))));
    expect(entries[0]).toEqual({
      kind: "object",
      key: "a",
      size: 1,
      etag: md5("a"),
      lastModified: expect.any(Date) as Date,
    });
  });

  test("common prefixes are entries of their own, in their place", async () => {
    const entries: ListEntry[] = await all(store.list("listed", { delimiter: "/" }));
    expect(entries.map((entry) => (entry.kind === "object" ? entry.key : entry))).toEqual([
      "a",
      { kind: "prefix", prefix: "n/" },
      "z\uffff",
      "z\u{10000}",
    ]);
    expect(await all(store.list("listed", { prefix: "n/0", startAfter: "n/00998" }))).toHaveLength(2_300 - 999);
  });

  test("a page is fetched when it is needed", async () => {
    for await (const entry of store.list("listed")) {
      expect(entry.kind).toBe("object");
      break;
    }
  });

  test("deleteMany removes all of them, and tells of each", async () => {
    const outcomes = await store.deleteMany("listed", [...keys, "not there", ""]);
    expect(outcomes).toHaveLength(keys.length + 2);
    expect(outcomes.filter((outcome) => "error" in outcome)).toMatchObject([{ key: "", error: { code: "INVALID" } }]);
    expect(await all(store.list("listed"))).toEqual([]);
    expect(await store.deleteBucket("listed")).toBe(true);
    expect(await store.deleteBucket("listed")).toBe(false);
  });
});

test("versions, delete markers and the way back", async () => {
  await store.createBucket("versioned", { versioning: true });
  const first = await store.put("versioned", "k", "one");
  const second = await store.put("versioned", "k", "two");
  const marker = await store.delete("versioned", "k");
  expect(marker).toEqual({ key: "k", versionId: expect.any(String) as string, deleteMarker: true });
  expect(await store.get("versioned", "k")).toBeUndefined();
  const old = await store.get("versioned", "k", { versionId: first.versionId! });
  expect(await old!.body.text()).toBe("one");
  expect((await all(store.versions("versioned"))).map((entry) => "versionId" in entry && entry.versionId)).toEqual([
    marker.versionId,
    second.versionId,
    first.versionId,
  ]);
  expect(await codeOf(store.deleteBucket("versioned"))).toBe("CONFLICT");
  await store.delete("versioned", "k", { versionId: marker.versionId! });
  expect(await store.head("versioned", "k")).toMatchObject({ versionId: second.versionId });
  await store.setVersioning("versioned", "suspended");
  expect(await store.put("versioned", "k", "three")).toMatchObject({ versionId: "null" });
  expect(await store.bucket("versioned")).toMatchObject({ versioning: "suspended" });
});

test("a copy is the same object under another key, with other metadata where asked for", async () => {
  const key = "söurce/a b+c?%";
  await store.put("photos", key, "copied", { contentType: "text/plain", metadata: { a: "1" }, tags: { t: "1" } });
  await store.createBucket("copies");
  expect(await store.copy({ bucket: "photos", key }, "copies", "c")).toEqual({
    etag: md5("copied"),
    size: 6,
    versionId: undefined,
  });
  expect(await store.head("copies", "c")).toMatchObject({ metadata: { a: "1" }, tags: { t: "1" } });
  const options = { replace: { contentType: "text/html" }, replaceTags: { u: "2" } };
  await store.copy({ bucket: "copies", key: "c" }, "copies", "c", options);
  expect(await store.head("copies", "c")).toMatchObject({ contentType: "text/html", metadata: {}, tags: { u: "2" } });
  expect(await codeOf(store.copy({ bucket: "photos", key: "none" }, "copies", "d"))).toBe("NOT_FOUND");
  expect(await codeOf(store.copy({ bucket: "photos", key }, "copies", "c", { ifNoneMatch: "*" }))).toBe("CONFLICT");
});

test.each(["", "x".repeat(1025), "a\0b", "\ud800", "é".repeat(513)])("key %j is refused", async (key) => {
  expect(await codeOf(store.put("photos", key, ""))).toBe("INVALID");
  expect(await codeOf(store.get("photos", key))).toBe("INVALID");
});

test("keys are names and never paths", async () => {
  for (const key of ["..", "a/../b", "/a", "a/", " a ", "\u0001", "é".repeat(512)]) {
    await store.put("photos", key, key);
    expect(await (await store.get("photos", key))!.body.text()).toBe(key);
  }
});

test("buckets: names, conflicts, list", async () => {
  expect(await codeOf(store.createBucket("Photos"))).toBe("INVALID");
  expect(await codeOf(store.createBucket("photos"))).toBe("CONFLICT");
  expect((await store.listBuckets()).map(({ name }) => name)).toEqual(["copies", "photos", "versioned"]);
  expect(await codeOf(store.setVersioning("nowhere", "enabled"))).toBe("NOT_FOUND");
});

describe("opening", () => {
  test("a directory that is open is refused, and is free again after close", async () => {
    const root = path.join(place, "shared");
    const one = await openStore({ root, durability: "os" });
    await expect(openStore({ root })).rejects.toThrow(/shared is in use/);
    expect(await codeOf(openStore({ root }))).toBe("INCOMPATIBLE");
    await one.close();
    await using two = await openStore({ root, durability: "os" });
    expect(await two.listBuckets()).toEqual([]);
  });

  test("what was stored is there after the next opening, under the same access key", async () => {
    const root = path.join(place, "again");
    const first = await openStore({ root });
    await first.createBucket("kept");
    await first.put("kept", "a", "b");
    const credentials = await first.credentials();
    await first.close();
    await using second = await openStore({ root });
    expect(await (await second.get("kept", "a"))!.body.text()).toBe("b");
    expect(await second.credentials()).toEqual(credentials);
  });

  test("another key than the directory's, and none, are refused", async () => {
    expect(await codeOf(openStore({ root: path.join(place, "again"), key: "00".repeat(16) }))).toBe("WRONG_KEY");
    expect(await codeOf(openStore({ root: "" }))).toBe("INVALID");
    expect(await codeOf(openStore({ root: path.join(place, "again"), key: "short" }))).toBe("INVALID");
  });

  test("a closed store says that it is closed", async () => {
    const closed = await openStore({ root: path.join(place, "closed"), durability: "os" });
    await closed.createBucket("b-1");
    await closed.close();
    await closed.close();
    expect(await codeOf(closed.put("b-1", "a", "b"))).toBe("ABORTED");
    expect(await codeOf(all(closed.list("b-1")))).toBe("ABORTED");
  });
});
