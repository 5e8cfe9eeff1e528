/**
 * Pages of a datastore that is in use: they are walked beside everything else, and what is damaged is told before LMDB meets
 * it, and never becomes a snapshot. (Large files: tests/long/rot-datastore.test.ts.)
 */
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Datastore } from "../src/datastore/datastore.ts";
import { openEmbedded } from "../src/datastore/embedded.ts";
import { now } from "../src/datastore/fixture.contract.ts";
import { LmdbFile } from "../src/datastore/lmdb-file.ts";
import { walkLmdbFile } from "../src/datastore/lmdb-header.ts";
import { restoreDatastore } from "../src/datastore/restore.ts";
import type { Clock } from "../src/env/host.ts";
import { openAppendFile } from "../src/env/node-append-file.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { nodeDisk } from "../src/env/node-disk.ts";
import { silentLog } from "../src/env/node-log.ts";

const intervalMs = 3_600_000;
let root: string;
let told: string[];
/** What is planned for later happens when a test says so. */
let planned: { readonly call: () => void }[];
let time: number;
const clock: Clock = {
  ...nodeClock,
  now: () => time,
  after: (_delayMs, call) => {
    const timer = { call };
    planned.push(timer);
    return { cancel: () => void (planned = planned.filter((each) => each !== timer)) };
  },
};
const log = {
  ...silentLog,
  error: (message: string, fields: object = {}) => void told.push(`${message}: ${JSON.stringify(fields)}`),
};

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "live-pages-"));
  [told, planned, time] = [[], [], now];
});
afterEach(() => rm(root, { recursive: true, force: true }));

const dataFile = (): string => path.join(root, "datastore", "data.mdb");
const snapshotPlace = (): string => path.join(root, "snapshots");
const names = async (): Promise<string[]> =>
  (await readdir(snapshotPlace())).filter((name) => name.endsWith(".json")).sort();

function openHere(): Promise<Datastore> {
  const snapshots = { directory: snapshotPlace(), intervalMs, keptMax: 2, openFile: openAppendFile };
  const directory = path.join(root, "datastore");
  return openEmbedded({ directory, clock, durability: "os", log, disk: nodeDisk, snapshots });
}

/** Carries out what the snapshots have planned, to its end. */
async function carryOut(): Promise<void> {
  time += 1_000;
  const [next] = planned.splice(0);
  next!.call();
  while (planned.length === 0) await new Promise((resolve) => setImmediate(resolve));
}

/** Records of which two fill a page, in a transaction after the other. */
function fill(file: LmdbFile, count: number): void {
  for (let first = 0; first < count; first += 2_000) {
    file.transact(() => {
      for (let index = first; index < Math.min(first + 2_000, count); index++) {
        const attributes = { text: "x".repeat(1_900) };
        file.put(`gaccount\0${String(index).padStart(6, "0")}`, JSON.stringify({ attributes }));
      }
    });
  }
}

/** Makes the leaf with this key, and older ones that had it, say that its records begin beyond its end. */
async function damage(key: string): Promise<void> {
  const bytes = await readFile(dataFile());
  const handle = await open(dataFile(), "r+");
  for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1)) {
    const page = at - (at % 4_096);
    if (bytes.readUInt16LE(page + 18) === 2) await handle.write(Buffer.from([0xfe, 0xff]), 0, 2, page + 24);
  }
  await handle.close();
}

describe("a file in use", () => {
  async function walkDuring(hold: (file: LmdbFile) => () => void): Promise<number> {
    await mkdir(path.join(root, "datastore"));
    const file = new LmdbFile({ directory: path.join(root, "datastore"), sync: false });
    fill(file, 400);
    const release = hold(file);
    let round = 0;
    // Before each page is read all of them are written anew, so that those that nobody holds are used again at once.
    const commit = (): void => {
      round++;
      file.transact(() => {
        for (let index = round % 7; index < 400; index += 7) {
          file.put(`gaccount\0${String(index).padStart(6, "0")}`, `{"round":"${"y".repeat(round % 900)}"}`);
        }
      });
    };
    try {
      return await walkLmdbFile(nodeDisk, dataFile(), commit);
    } finally {
      release();
      commit();
      await file.close();
    }
  }

  test("is walked as it was when it was held, however much is committed meanwhile", async () => {
    expect(await walkDuring((file) => file.hold())).toBeGreaterThan(100);
  });

  test("is not one commit's any more where it is not held", async () => {
    await expect(walkDuring(() => () => undefined)).rejects.toMatchObject({ code: "DAMAGED" });
  });

  test("whose head says of no possible size is damaged, whatever memory that would take", async () => {
    const directory = path.join(root, "datastore");
    await mkdir(directory);
    const file = new LmdbFile({ directory, sync: false });
    fill(file, 10);
    await file.close();
    const handle = await open(dataFile(), "r+");
    const last = Buffer.alloc(8);
    for (const meta of [0, 4_096]) {
      // The root of its records, and its last page.
      last.writeBigUInt64LE(2n ** 52n);
      await handle.write(last, 0, 8, meta + 136);
      await handle.write(last, 0, 8, meta + 144);
    }
    await handle.close();
    await expect(walkLmdbFile(nodeDisk, dataFile())).rejects.toMatchObject({ code: "DAMAGED" });
  });

  test("is used again when it is released: it does not grow for ever", async () => {
    const directory = path.join(root, "datastore");
    await mkdir(directory);
    const file = new LmdbFile({ directory, sync: false });
    fill(file, 200);
    const sizes: number[] = [];
    for (let round = 0; round < 20; round++) {
      const release = file.hold();
      await walkLmdbFile(nodeDisk, dataFile());
      release();
      fill(file, 200);
      sizes.push((await stat(dataFile())).size);
    }
    await file.close();
    expect(sizes.at(-1)).toBe(sizes[9]);
  });
});

test("damage while it is open: told with the runbook, and no snapshot is taken of it; those that are good stay", async () => {
  const store = await openHere();
  for (let index = 0; index < 300; index++) {
    await store.saveEntry("account", `name-${String(index).padStart(3, "0")}`, { text: "x".repeat(500) });
  }
  await carryOut();
  const good = await names();
  expect([good.length, told]).toEqual([1, []]);
  await damage("name-150");
  for (let round = 0; round < 4; round++) {
    await store.createBucket(`bucket-${round}`, {}, now);
    await carryOut();
  }
  expect(await names()).toEqual(good);
  expect(told.filter((line) => line.startsWith("the datastore is damaged"))).toHaveLength(1);
  expect(told[0]).toMatch(/page \d+ has its record 0 beyond its records.*restore-the-datastore\.md/);
  expect((await store.snapshots!())?.lastError).toContain("restore-the-datastore.md");
  await store.close();
  const report = await restoreDatastore({
    disk: nodeDisk,
    clock,
    datastore: path.join(root, "datastore"),
    snapshots: snapshotPlace(),
    from: undefined,
    isDryRun: false,
    highestVolume: undefined,
  });
  expect(report).toMatchObject({ isWhole: true, replayedCommits: 4 });
});

test("what is committed while its pages are walked is no damage", async () => {
  const store = await openHere();
  const save = async (round: number): Promise<void> => {
    const text = "x".repeat(500 + (round % 100));
    await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        store.saveEntry("account", `name-${(index * 3 + round) % 300}`, { text }),
      ),
    );
  };
  for (let round = 0; round < 6; round++) await save(round);
  const over = carryOut();
  let round = 0;
  while (planned.length === 0) await save(round++);
  await over;
  expect(round).toBeGreaterThan(2);
  expect(told).toEqual([]);
  expect(await names()).toHaveLength(1);
  await store.close();
});
