/** Records of the embedded datastore carry checksums: what was damaged in place is an error, never another value. */
import { mkdtemp, open, readFile, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { StoreError } from "../src/core/errors.ts";
import type { ObjectId } from "../src/core/ids.ts";
import type { Datastore } from "../src/datastore/datastore.ts";
import { openEmbedded, openEmbeddedReader } from "../src/datastore/embedded.ts";
import { now, refused, Writer } from "../src/datastore/fixture.contract.ts";
import { restoreDatastore } from "../src/datastore/restore.ts";
import type { Clock } from "../src/env/host.ts";
import { openAppendFile } from "../src/env/node-append-file.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { nodeDisk } from "../src/env/node-disk.ts";
import { silentLog } from "../src/env/node-log.ts";
import { makeFormat1, readRaw, writeRaw } from "./support/raw-records.ts";

let root: string;
let errors: string[];
let planned: (() => void)[];
const clock: Clock = {
  ...nodeClock,
  now: () => now,
  after: (_delayMs, call) => {
    planned.push(call);
    return { cancel: () => void (planned = planned.filter((each) => each !== call)) };
  },
};
const log = {
  ...silentLog,
  error: (message: string, details?: object) => void errors.push(`${message} ${JSON.stringify(details)}`),
};
const inRoot = (name: string): string => path.join(root, name);
const directory = (): string => inRoot("datastore");

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "checksums-"));
  [errors, planned] = [[], []];
});
afterEach(() => rm(root, { recursive: true, force: true }));

const openHere = (): Promise<Datastore> =>
  openEmbedded({ directory: directory(), clock, durability: "os", log, disk: nodeDisk });

const count = 60;
const keyOf = (index: number): string => `key/${index}`;

async function fill(store: Datastore): Promise<ObjectId[]> {
  await store.createBucket("bucket", {}, now);
  const writer = new Writer(store);
  const objects = await Promise.all(Array.from({ length: count }, () => writer.object()));
  for (const [index, object] of objects.entries()) {
    await store.saveObject(object, { kind: "file", bucket: "bucket", key: keyOf(index), attributes: { index } }, now);
  }
  return objects.map(({ id }) => id);
}

/** What a GET is made of: the version of a key, and its object; or the error. */
async function readOne(store: Datastore, index: number, id: ObjectId): Promise<unknown> {
  try {
    const version = await store.getVersion("bucket", keyOf(index));
    const object = await store.getObject(id);
    return version === undefined || object === undefined ? "absent" : { version, object };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    expect(error.message).toContain("restore-the-datastore.md");
    return error.code;
  }
}

/** Where the bytes of a record lie: also in pages that are free, which nobody reads. */
function placesOf(whole: Buffer, bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = whole.indexOf(bytes); at >= 0; at = whole.indexOf(bytes, at + 1)) found.push(at);
  return found;
}

async function overwrite(file: FileHandle, places: readonly number[], bytes: Buffer): Promise<void> {
  for (const place of places) await file.write(bytes, 0, bytes.length, place);
}

describe("a record of the embedded datastore", () => {
  test("with any byte of it changed in the file is an error when it is read, and never another one", async () => {
    const filled = await openHere();
    const ids = await fill(filled);
    await filled.close();
    const raw = await readRaw(directory());
    const whole = await readFile(path.join(directory(), "data.mdb"));
    const file = await open(path.join(directory(), "data.mdb"), "r+");
    // The file is mapped: what is written into it is seen at once, as if it had rotted while the store runs.
    const store = await openHere();
    let noticed = 0;
    let tried = 0;
    for (const [index, id] of ids.entries()) {
      const expected = await readOne(store, index, id);
      expect(expected).toMatchObject({ version: { object: id } });
      for (const key of [`fbucket\0${keyOf(index)}`, `o${String(id).padStart(13, "0")}`]) {
        const bytes = raw.get(key)!;
        const places = placesOf(whole, bytes);
        expect(places.length).toBeGreaterThan(0);
        for (let at = 0; at < bytes.length; at++) {
          const damaged = Buffer.from(bytes);
          // A digit becomes another digit; all other bytes lose or get a bit.
          damaged[at]! ^= 1 << ((at + index) % (/\d/.test(String.fromCharCode(bytes[at]!)) ? 3 : 8));
          await overwrite(file, places, damaged);
          const read = await readOne(store, index, id);
          tried++;
          if (read === "DAMAGED") noticed++;
          else expect(read, `${key}: byte ${at}`).toEqual(expected);
        }
        await overwrite(file, places, bytes);
      }
    }
    await file.close();
    expect(tried).toBeGreaterThan(10_000);
    expect(noticed).toBe(tried);
    // Each damage is told once.
    expect(errors.length).toBeGreaterThan(count);
    expect(new Set(errors).size).toBe(errors.length);
    await store.close();
  });

  test("in the place of another one of the same size is an error", async () => {
    const filled = await openHere();
    const ids = await fill(filled);
    await filled.close();
    const raw = await readRaw(directory());
    const [first, second] = [12, 13].map((index) => `o${String(ids[index]).padStart(13, "0")}`) as [string, string];
    expect(raw.get(first)!.length).toBe(raw.get(second)!.length);
    await writeRaw(directory(), [
      [first, raw.get(second)!],
      [second, raw.get(first)!],
    ]);
    const store = await openHere();
    await refused(store.getObject(ids[12]!), "DAMAGED");
    await refused(store.listObjects(undefined, 1_000), "DAMAGED");
    expect((await store.getObject(ids[14]!))?.status).toBe("saved");
    // Reading all of them goes on behind the damaged ones.
    const found: string[] = [];
    let total = 0;
    for (let from: string | undefined = ""; from !== undefined;) {
      const { count: some, damages, next } = await store.checkRecords!(from, 50);
      total += some;
      found.push(...damages);
      from = next;
    }
    expect(total).toBe(raw.size);
    expect(found).toEqual([first, second].map((key) => expect.stringContaining(`"${key}" (table object)`) as string));
    await store.close();
  });

  test("without a checksum is an error, and so is a datastore that does not say which have one", async () => {
    const filled = await openHere();
    const ids = await fill(filled);
    await filled.close();
    const key = `o${String(ids[3]).padStart(13, "0")}`;
    const bytes = (await readRaw(directory())).get(key)!;
    await writeRaw(directory(), [[key, bytes.subarray(0, -5)]]);
    const store = await openHere();
    await refused(store.getObject(ids[3]!), "DAMAGED");
    await store.close();
    const checksums = (await readRaw(directory())).get("mchecksums")!;
    await writeRaw(directory(), [["mchecksums", undefined]]);
    await expect(openHere()).rejects.toMatchObject({ code: "DAMAGED" });
    await writeRaw(directory(), [
      ["mchecksums", checksums],
      ["mformat", Buffer.from("1")],
    ]);
    await expect(openHere()).rejects.toMatchObject({ code: "DAMAGED" });
    await writeRaw(directory(), [["mformat", undefined]]);
    await expect(openHere()).rejects.toMatchObject({ code: "DAMAGED" });
  });
});

describe("a datastore of format 1", () => {
  const unchecked = async (): Promise<string[]> => {
    const raw = await readRaw(directory());
    return [...raw].filter(([key, bytes]) => key !== "mformat" && bytes.at(-5) !== 0).map(([key]) => key);
  };
  const make = async (): Promise<ObjectId[]> => {
    const filled = await openHere();
    const ids = await fill(filled);
    await new Writer(filled).put("bucket", "large", { attributes: { text: "é".repeat(100_000) } });
    await filled.close();
    await makeFormat1(directory());
    planned = [];
    return ids;
  };

  test("is opened as it is, is refused by older programs from then on, and gets its checksums step by step", async () => {
    const ids = await make();
    const total = (await unchecked()).length;
    let store = await openHere();
    // At the start nothing but the format is written.
    await store.close();
    expect((await readRaw(directory())).get("mformat")).toEqual(Buffer.from("2"));
    expect((await unchecked()).length).toBeGreaterThan(total - 5);
    planned = [];
    store = await openHere();
    const reader = openEmbeddedReader({ directory: directory(), clock, durability: "os", log });
    const expected = await Promise.all(ids.map((id, index) => readOne(store, index, id)));
    expect(expected[0]).toMatchObject({ version: { key: "key/0" } });
    // What is written meanwhile has one at once.
    await store.updateBucket("bucket", { attributes: { a: 1 } });
    while (planned.length > 0) planned.shift()!();
    for (const each of [store, reader]) {
      expect(await Promise.all(ids.map((id, index) => readOne(each, index, id)))).toEqual(expected);
    }
    expect((await store.getVersion("bucket", "large"))?.object).toBeDefined();
    await reader.close();
    await store.close();
    expect(await unchecked()).toEqual([]);
    const raw = await readRaw(directory());
    expect(raw.get("mchecksums")!.toString("latin1")).toMatch(/^\{"all":true\}/);
    expect(raw.size).toBe(total + 2);
    await (await openHere()).close();
    expect(planned).toEqual([]);
  });

  test("is restored from its snapshots and journals, with checksums", async () => {
    const settings = { directory: inRoot("snapshots"), intervalMs: 3_600_000, keptMax: 3, openFile: openAppendFile };
    const options = {
      directory: directory(),
      clock,
      durability: "os",
      log,
      disk: nodeDisk,
      snapshots: settings,
    } as const;
    const filled = await openEmbedded(options);
    const ids = await fill(filled);
    await filled.close();
    await makeFormat1(directory());
    const from = path.join(directory(), "data.mdb");
    await restoreDatastore({
      disk: nodeDisk,
      clock,
      datastore: directory(),
      snapshots: inRoot("snapshots"),
      from,
      isDryRun: false,
      highestVolume: undefined,
    });
    expect(await unchecked()).toEqual([]);
    const store = await openEmbedded(options);
    expect(await readOne(store, 7, ids[7]!)).toMatchObject({ version: { key: "key/7" } });
    await store.close();
  });
});
