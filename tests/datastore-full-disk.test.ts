/** What the embedded datastore's snapshots and journal do where there is hardly any room: commits go first. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as limits from "../src/core/limits.ts";
import type { Datastore } from "../src/datastore/datastore.ts";
import { openEmbedded } from "../src/datastore/embedded.ts";
import { now } from "../src/datastore/fixture.contract.ts";
import { restoreDatastore } from "../src/datastore/restore.ts";
import type { AppendFile } from "../src/env/append-file.ts";
import type { Clock, Disk } from "../src/env/host.ts";
import { openAppendFile } from "../src/env/node-append-file.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { nodeDisk } from "../src/env/node-disk.ts";
import { silentLog } from "../src/env/node-log.ts";
import { eventually } from "./support/store.ts";

const plenty = 1024 ** 3;
let root: string;
let free: number;
let time: number;
let errors: string[];
let planned: { readonly delayMs: number; readonly call: () => void }[];
const log = { ...silentLog, error: (message: string) => void errors.push(message) };
const clock: Clock = {
  ...nodeClock,
  now: () => time,
  monotonic: () => time,
  after: (delayMs, call) => {
    const timer = { delayMs, call };
    planned.push(timer);
    return { cancel: () => void (planned = planned.filter((each) => each !== timer)) };
  },
};

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "full-datastore-"));
  [free, time, errors, planned] = [plenty, now, [], []];
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

function open(openFile = openAppendFile, changed: Partial<Disk> = {}): Promise<Datastore> {
  const disk: Disk = {
    open: (file, mode) => nodeDisk.open(file, mode),
    create: (file) => nodeDisk.create(file),
    makeDirectory: (directory) => nodeDisk.makeDirectory(directory),
    syncDirectory: (directory) => nodeDisk.syncDirectory(directory),
    list: (directory) => nodeDisk.list(directory),
    unlink: (file) => nodeDisk.unlink(file),
    removeDirectory: (directory) => nodeDisk.removeDirectory(directory),
    rename: (from, to) => nodeDisk.rename(from, to),
    lock: (directory) => nodeDisk.lock(directory),
    freeSpace: async () => free,
    ...changed,
  };
  const snapshots = { directory: path.join(root, "snapshots"), intervalMs: 3_600_000, keptMax: 24, openFile };
  return openEmbedded({ directory: path.join(root, "datastore"), clock, durability: "disk", log, disk, snapshots });
}

async function filesLike(pattern: RegExp): Promise<string[]> {
  return (await readdir(path.join(root, "snapshots"))).filter((name) => pattern.test(name));
}

/** Carries out what is planned, to where the next one is planned. */
async function runPlanned(): Promise<void> {
  time += 2_000;
  for (const { call } of planned.splice(0)) call();
  await eventually(() => planned.length > 0);
}

async function commit(store: Datastore, name: string): Promise<void> {
  time += limits.spaceCheckMs;
  await store.createBucket(name, {}, time);
}

test("no snapshot is begun that would leave less than is kept free, and no part of one stays", async () => {
  const store = await open();
  await commit(store, "one");
  free = limits.snapshotSpaceReserveSize;
  await runPlanned();
  expect((await store.snapshots!())?.lastError).toMatch(/bytes are free, a copy of the datastore can take/);
  expect(await filesLike(/^part|\.mdb$/)).toEqual([]);
  free = plenty;
  await runPlanned();
  expect(await store.snapshots!()).toMatchObject({ count: 1, lastError: undefined });
  await store.close();
});

test("a snapshot that fails when it is half made leaves no part", async () => {
  const full: Partial<Disk> = { rename: () => Promise.reject(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" })) };
  const store = await open(openAppendFile, full);
  await commit(store, "one");
  await runPlanned();
  expect(errors).toEqual(["no snapshot of the datastore could be taken"]);
  expect(await filesLike(/^part|\.mdb$/)).toEqual([]);
  await store.close();
});

test("where space is short all snapshots but the newest go, and only then is the journal given up", async () => {
  const store = await open();
  for (const name of ["one", "two", "three"]) {
    await commit(store, name);
    await runPlanned();
  }
  expect(await filesLike(/\.mdb$/)).toHaveLength(3);
  const newest = (await filesLike(/\.mdb$/)).sort().at(-1);
  free = limits.journalSpaceReserveSize - 1;
  await commit(store, "four");
  await eventually(async () => (await filesLike(/\.mdb$/)).length === 1);
  expect(await filesLike(/\.mdb$/)).toEqual([newest]);
  expect(errors).toEqual([]);
  // Until its files are gone; it may still be looking at the journals.
  let round = 0;
  await eventually(async () => {
    await commit(store, `further-${round++}`);
    return errors.length > 0;
  }, 10);
  expect(errors).toEqual(["the datastore's journal is not written until the next snapshot"]);
  // It is tried soon, not in an hour.
  expect(planned.map(({ delayMs }) => delayMs)).toEqual([limits.snapshotAgainMs]);
  await commit(store, "five");
  free = plenty;
  await runPlanned();
  expect(await store.snapshots!()).toMatchObject({ count: 2, lastError: undefined });
  await store.close();
});

test("a commit succeeds although the journal cannot be written", async () => {
  let isFull = false;
  const openFull = (file: string): AppendFile => {
    const real = openAppendFile(file);
    const append = (bytes: Uint8Array): void => {
      if (isFull) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
      real.append(bytes);
    };
    return { append, sync: () => real.sync(), close: () => real.close(), size: 0 };
  };
  const store = await open(openFull);
  isFull = true;
  await commit(store, "one");
  await commit(store, "two");
  expect((await store.listBuckets()).map(({ name }) => name)).toEqual(["one", "two"]);
  expect(errors).toEqual(["the datastore's journal is not written until the next snapshot"]);
  isFull = false;
  await runPlanned();
  expect(await store.snapshots!()).toMatchObject({ count: 1, lastError: undefined });
  await store.close();
});

test("what was committed after the journal was given up is not known to a restore, which says so", async () => {
  let isFull = false;
  const store = await open((file) => {
    const real = openAppendFile(file);
    const append = (bytes: Uint8Array): void => {
      if (isFull) throw new Error("ENOSPC: no space left on device");
      real.append(bytes);
    };
    return { append, sync: () => real.sync(), close: () => real.close(), size: 0 };
  });
  await commit(store, "one");
  isFull = true;
  await commit(store, "two");
  await store.close();
  const [datastore, snapshots] = [path.join(root, "datastore"), path.join(root, "snapshots")];
  await rm(datastore, { recursive: true });
  const request = { disk: nodeDisk, clock, datastore, snapshots, from: undefined, highestVolume: undefined };
  const report = await restoreDatastore({ ...request, isDryRun: false });
  expect(report).toMatchObject({ unknownCommits: 0, unusedCommits: 0, isJournalBroken: true, isWhole: false });
  // It is said once: what is made of it is whole again.
  isFull = false;
  const again = await open();
  expect((await again.listBuckets()).map(({ name }) => name)).toEqual(["one"]);
  await runPlanned();
  await commit(again, "three");
  await again.close();
  await rm(datastore, { recursive: true });
  expect(await restoreDatastore({ ...request, isDryRun: false })).toMatchObject({ isJournalBroken: false });
});
