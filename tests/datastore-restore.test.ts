/** Snapshots and journals, and what a datastore that is made again from them has. */
import {
  copyFile,
  cp,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Datastore, nullVersion } from "../src/datastore/datastore.ts";
import { openEmbedded } from "../src/datastore/embedded.ts";
import { now, refused, Writer } from "../src/datastore/fixture.contract.ts";
import { LmdbFile } from "../src/datastore/lmdb-file.ts";
import { restoreDatastore, type RestoreReport } from "../src/datastore/restore.ts";
import type { Clock } from "../src/env/host.ts";
import { openAppendFile } from "../src/env/node-append-file.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { nodeDisk } from "../src/env/node-disk.ts";
import { silentLog } from "../src/env/node-log.ts";

let root: string;
let errors: string[];
/** What is planned for later happens when a test says so. */
let planned: { readonly delayMs: number; readonly call: () => void }[];
let time: number;
const clock: Clock = {
  ...nodeClock,
  now: () => time,
  after: (delayMs, call) => {
    const timer = { delayMs, call };
    planned.push(timer);
    return { cancel: () => void (planned = planned.filter((each) => each !== timer)) };
  },
};

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "restore-"));
  [errors, planned, time] = [[], [], now];
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

const inRoot = (...names: string[]): string => path.join(root, ...names);
const dataFile = (): string => inRoot("datastore", "data.mdb");
const log = { ...silentLog, error: (message: string) => void errors.push(message) };

function openHere(keptMax = 24): Promise<Datastore> {
  const snapshots = { directory: inRoot("snapshots"), intervalMs: 3_600_000, keptMax, openFile: openAppendFile };
  return openEmbedded({ directory: inRoot("datastore"), clock, durability: "disk", log, disk: nodeDisk, snapshots });
}

/** Carries out what is planned, and waits until its snapshot is there. */
async function takeSnapshot(store: Datastore): Promise<void> {
  const before = await snapshotNames();
  time += 1_000;
  for (const { call } of planned.splice(0)) call();
  while ((await snapshotNames()).length === before.length && (await store.snapshots!())?.lastError === undefined) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  // It goes on to remove what is old, and plans the next one.
  while (planned.length === 0) await new Promise((resolve) => setImmediate(resolve));
}

async function snapshotNames(): Promise<string[]> {
  const names = await readdir(inRoot("snapshots")).catch(() => []);
  return names.filter((name) => name.endsWith(".json")).map((name) => name.replace(".json", ""));
}

async function journalNames(): Promise<string[]> {
  return (await readdir(inRoot("snapshots"))).filter((name) => name.startsWith("journal-")).sort();
}

async function put(store: Datastore, key: string, bucket = "bucket"): Promise<number> {
  const object = await new Writer(store).object();
  await store.saveObject(object, { kind: "file", bucket, key, attributes: {} }, now);
  return object.id;
}

const restoreHere = (
  more: { from?: string; isDryRun?: boolean; highestVolume?: number } = {},
): Promise<RestoreReport> =>
  restoreDatastore({
    disk: nodeDisk,
    clock,
    datastore: inRoot("datastore"),
    snapshots: inRoot("snapshots"),
    from: more.from,
    isDryRun: more.isDryRun ?? false,
    highestVolume: more.highestVolume,
  });

/** As the end of the process would leave it: nothing is closed. */
async function lose(store: Datastore): Promise<void> {
  await cp(inRoot("snapshots"), inRoot("kept"), { recursive: true });
  await store.close();
  await rm(inRoot("snapshots"), { recursive: true });
  await rename(inRoot("kept"), inRoot("snapshots"));
}

async function records(file: string): Promise<Record<string, string>> {
  const directory = await mkdtemp(path.join(root, "look-"));
  await copyFile(file, path.join(directory, "data.mdb"));
  const lmdb = new LmdbFile({ directory, sync: false });
  const found = [...lmdb.range("\u0001", "\u00ff", Number.MAX_SAFE_INTEGER)];
  await lmdb.close();
  return Object.fromEntries(found.map(({ key, value }) => [key, value]));
}

async function flip(file: string, position: number): Promise<void> {
  const handle = await open(file, "r+");
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, position);
  byte[0]! ^= 0x10;
  await handle.write(byte, 0, 1, position);
  await handle.close();
}

describe("what is restored", () => {
  test("is, record for record, what was there: snapshot and journal together", async () => {
    const store = await openHere();
    await store.createBucket("bucket", {}, now);
    await put(store, "before");
    await takeSnapshot(store);
    await put(store, "after");
    await put(store, "before");
    await store.deleteFile("bucket", "after", now);
    await put(store, "clé ü 鍵");
    await store.saveEntry("account", "a", { name: "ä" });
    await store.close();
    const was = await records(dataFile());
    await truncate(dataFile(), 9_000);
    await refused(openHere(), "DAMAGED");
    const report = await restoreHere({ highestVolume: 70_000 });
    expect(report).toMatchObject({ unknownCommits: 0, unusedCommits: 0, passedOver: [], removedLater: [] });
    expect(report.newer.map(({ key, restored }) => [key, restored])).toEqual([
      ["before", true],
      ["clé ü 鍵", true],
    ]);
    const { mrestored, ...is } = await records(dataFile());
    expect(is).toEqual(was);
    expect(JSON.parse(mrestored!)).toEqual({ object: expect.any(Number), volume: 70_001 });
    expect(await readdir(report.keptAside!)).toContain("newer-versions.jsonl");
    const again = await openHere();
    expect((await again.getVersion("bucket", "clé ü 鍵"))?.key).toBe("clé ü 鍵");
    expect((await again.leaseTickets("r", "p", 1)).first).toBeGreaterThan(70_000 * 36 ** 4);
    await again.close();
  });

  test("is everything, also without any snapshot and without a proper end", async () => {
    const store = await openHere();
    await store.createBucket("bucket", {}, now);
    const object = await put(store, "a");
    await lose(store);
    const was = await records(dataFile());
    await rm(inRoot("datastore"), { recursive: true });
    await expect(openHere()).rejects.toThrow(/missing or empty.*data-putter restore/);
    const report = await restoreHere();
    expect(report.snapshot).toBeUndefined();
    const { mrestored, ...is } = await records(dataFile());
    expect(is).toEqual(was);
    expect(JSON.parse(mrestored!).object).toBeGreaterThan(object);
  });

  test("is everything when snapshots are damaged: an older one is taken, and those are named", async () => {
    const store = await openHere();
    await store.createBucket("bucket", {}, now);
    await takeSnapshot(store);
    await put(store, "a");
    await takeSnapshot(store);
    await put(store, "b");
    await takeSnapshot(store);
    await put(store, "c");
    await store.close();
    const was = await records(dataFile());
    const [oldest, middle, newest] = (await snapshotNames()).sort();
    await flip(inRoot("snapshots", `${newest}.mdb`), 5_000);
    await rm(inRoot("snapshots", `${middle}.mdb`));
    const report = await restoreHere();
    expect(report.snapshot).toBe(oldest);
    expect(report.passedOver).toEqual([{ snapshot: newest, reason: expect.stringContaining("checksum") }]);
    const { mrestored, ...is } = await records(dataFile());
    expect(mrestored).toBeDefined();
    expect(is).toEqual(was);
  });

  test("ends before a gap; versions behind it are named, and so are those that were removed there", async () => {
    const store = await openHere();
    await store.createBucket("bucket", {}, now);
    await put(store, "kept");
    await put(store, "gone");
    await takeSnapshot(store);
    await put(store, "first");
    const { size } = await stat(inRoot("snapshots", (await journalNames()).at(-1)!));
    await put(store, "second");
    const lost = await put(store, "third");
    await store.deleteFile("bucket", "gone", now);
    await store.close();
    await flip(inRoot("snapshots", (await journalNames()).at(-1)!), size + 100);
    const report = await restoreHere();
    expect(report.unknownCommits).toBe(1);
    expect(report.unusedCommits).toBeGreaterThan(0);
    const named = report.newer.map(({ key, restored }) => [key, restored]);
    expect(named).toEqual(
      expect.arrayContaining([
        ["first", true],
        ["third", false],
      ]),
    );
    expect(report.removedLater.map(({ key }) => key)).toEqual(["gone"]);
    const again = await openHere();
    expect(await again.getVersion("bucket", "third")).toBeUndefined();
    expect((await again.getVersion("bucket", "first"))?.version).toBe(nullVersion);
    // What was handed out behind the gap is not handed out again.
    expect(await put(again, "fresh")).toBeGreaterThan(lost);
    await again.close();
  });

  test("can be tried without changing anything", async () => {
    const store = await openHere();
    await store.createBucket("bucket", {}, now);
    await takeSnapshot(store);
    await put(store, "a");
    await store.close();
    await truncate(dataFile(), 5_000);
    const before = [await readdir(root), await readdir(inRoot("snapshots")), await readFile(dataFile())];
    expect(await restoreHere({ isDryRun: true })).toMatchObject({ keptAside: undefined, newer: [{ key: "a" }] });
    expect([await readdir(root), await readdir(inRoot("snapshots")), await readFile(dataFile())]).toEqual(before);
  });

  test("can be a copy from elsewhere, brought up to date", async () => {
    const store = await openHere();
    await store.createBucket("bucket", {}, now);
    await takeSnapshot(store);
    await put(store, "a");
    await store.close();
    const [name] = await snapshotNames();
    await copyFile(inRoot("snapshots", `${name}.mdb`), inRoot("copy.mdb"));
    expect(await restoreHere({ from: inRoot("copy.mdb") })).toMatchObject({ newer: [{ key: "a", restored: true }] });
    await writeFile(inRoot("copy.mdb"), "nothing");
    await refused(restoreHere({ from: inRoot("copy.mdb") }), "DAMAGED");
    await refused(restoreHere({ from: "nowhere.mdb" }), "NOT_FOUND");
  });
});

describe("snapshots", () => {
  test("are taken after an end that was not a proper one, and only then", async () => {
    let store = await openHere();
    await store.createBucket("bucket", {}, now);
    await store.close();
    store = await openHere();
    expect(planned.map(({ delayMs }) => delayMs)).toEqual([3_600_000]);
    await store.createBucket("other", {}, now);
    await lose(store);
    planned = [];
    store = await openHere();
    expect(planned.map(({ delayMs }) => delayMs)).toEqual([1_000]);
    await store.close();
  });

  test("are kept by count, and journals as far back as they are needed", async () => {
    const store = await openHere(4);
    await store.createBucket("bucket", {}, now);
    for (let round = 0; round < 7; round++) {
      await put(store, `key ${round}`);
      await takeSnapshot(store).catch(() => undefined);
    }
    const names = (await snapshotNames()).sort();
    expect(names).toHaveLength(4);
    expect(await store.snapshots!()).toEqual({
      count: 4,
      newestAt: Math.floor(time / 1000) * 1000,
      lastError: undefined,
      journalSize: expect.any(Number),
      isJournalBroken: false,
    });
    const journals = await journalNames();
    expect(journals.length).toBeLessThanOrEqual(4);
    await store.close();
    expect(errors).toEqual([]);
    await rm(inRoot("snapshots", `${names.at(-1)}.mdb`));
    expect(await restoreHere()).toMatchObject({ unknownCommits: 0, snapshot: names.at(-2) });
  });

  test("of another datastore are set aside when a copy was put back by hand", async () => {
    let store = await openHere();
    await store.createBucket("bucket", {}, now);
    await store.close();
    await copyFile(dataFile(), inRoot("copy.mdb"));
    store = await openHere();
    await put(store, "a");
    await store.close();
    await copyFile(inRoot("copy.mdb"), dataFile());
    // Without being told, it takes the copy for damage, and touches nothing.
    await expect(openHere()).rejects.toThrow(/damaged or an old copy.*data-putter restore/);
    await writeFile(inRoot("datastore", "restored"), "");
    store = await openHere();
    await store.close();
    expect((await readdir(root)).filter((name) => name.startsWith("snapshots")).length).toBe(2);
  });

  test("are not taken where nothing has changed", async () => {
    const store = await openHere();
    await store.createBucket("bucket", {}, now);
    await takeSnapshot(store);
    const before = await snapshotNames();
    for (const { call } of planned.splice(0)) call();
    while (planned.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await snapshotNames()).toEqual(before);
    await store.close();
  });
});
