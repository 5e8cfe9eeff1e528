/**
 * Rot in the datastore's file: in its pages' headers, in the offsets of their records, whole pages gone or in another's place.
 * Whatever is hit, no read gives other bytes, and `restore` makes the datastore again. Reading is done by a process of its own:
 * LMDB believes what its pages say, and in a file that is too large to be looked at before, that can end the process. Of such
 * a file, and of one in use, damage is told by a walk in the background.
 */
import { createHash } from "node:crypto";
import { cp, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { restoreRoot } from "../../src/compose/restore.ts";
import type { ObjectId } from "../../src/core/ids.ts";
import { pagesCheckedSizeMax } from "../../src/core/limits.ts";
import { LmdbFile } from "../../src/datastore/lmdb-file.ts";
import { nodeHost } from "../../src/env/node-host.ts";
import { silentLog } from "../../src/env/node-log.ts";
import { readAll, type Said } from "../support/rot.ts";
import { Belongings, patternOf, quietHost } from "../support/store.ts";

interface Expected {
  readonly id: ObjectId;
  readonly name: string;
  readonly sha256: string;
}

const page = 4_096;
let home: string;
let root: string;
let expected: Expected[];

beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), "rot-datastore-"));
  root = path.join(home, "root");
  const store = new Belongings();
  const { router } = await store.router({ root });
  await router.datastore.createBucket("bucket", {}, 1);
  expected = [];
  for (let index = 0; index < 300; index++) {
    const bytes = patternOf(1 + (index % 7) * 1_000, index);
    const name = `key ${index}`;
    // Some records are so large that they lie in pages of their own.
    const attributes = index % 50 === 0 ? { text: "x".repeat(6_000) } : {};
    const { id } = await router.put(bytes, { kind: "file", bucket: "bucket", key: name, attributes }, {});
    expected.push({ id, name, sha256: createHash("sha256").update(bytes).digest("hex") });
  }
  await store.giveBack();
  await writeFile(path.join(home, "expected.json"), JSON.stringify(expected));
});

afterAll(() => rm(home, { recursive: true, force: true }));

let state = 20_261_122;
/** The same ones in each run. */
function chance(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** Each damages a page other than the first two. */
const kinds: { readonly [name: string]: (bytes: Buffer, at: number, other: number) => void } = {
  "a flipped bit": (bytes, at) => void (bytes[at + chance(page)]! ^= 1 << chance(8)),
  "a flipped bit in a header": (bytes, at) => void (bytes[at + chance(24)]! ^= 1 << chance(8)),
  "a flipped bit in an offset": (bytes, at) => void (bytes[at + 24 + chance(60)]! ^= 1 << chance(8)),
  "a page of zeros": (bytes, at) => void bytes.fill(0, at, at + page),
  "a page of ones": (bytes, at) => void bytes.fill(0xff, at, at + page),
  "a page in another's place": (bytes, at, other) => void bytes.copy(bytes, at, other, other + page),
  "two pages swapped": (bytes, at, other) => {
    const kept = Buffer.from(bytes.subarray(at, at + page));
    bytes.copy(bytes, at, other, other + page);
    kept.copy(bytes, other);
  },
};

const readCopy = (place: string): Said | undefined => readAll(place, path.join(home, "expected.json"));

test.each(Object.keys(kinds))(
  "%s: refused, or read without a wrong byte; the process goes on; restore makes all of it again",
  async (kind) => {
    const place = path.join(home, "copy");
    const seen = { refused: 0, errors: 0, whole: 0, ended: 0 };
    for (let round = 0; round < 8; round++) {
      await cp(root, place, { recursive: true });
      const file = path.join(place, "datastore", "data.mdb");
      const bytes = await readFile(file);
      const pageCount = bytes.length / page;
      const [at, other] = [(2 + chance(pageCount - 2)) * page, (2 + chance(pageCount - 2)) * page];
      kinds[kind]!(bytes, at, other);
      await writeFile(file, bytes);
      const what = `${kind}: page ${at / page}, ${other / page}`;
      const said = readCopy(place);
      if (said === undefined) seen.ended++;
      else if (said.refused !== undefined) {
        seen.refused++;
        expect(said.refused, what).toContain("restore-the-datastore.md");
      } else if (said.right === expected.length) seen.whole++;
      else seen.errors++;
      expect(said?.wrong ?? [], what).toEqual([]);
      if (round === 0) {
        const report = await restoreRoot(quietHost, { root: place, from: undefined, isDryRun: false });
        expect(report.removedLater, what).toEqual([]);
        expect(readCopy(place), what).toMatchObject({ right: expected.length, errors: [], wrong: [] });
      }
      await rm(place, { recursive: true });
    }
    console.info(kind, seen);
    expect(seen.ended).toBe(0);
  },
  300_000,
);

// ── large, or in use ────────────────────────────────────────────────────────────────────────────────────────────────

/** Records beside those of the objects, until the file is too large to be walked before it is opened. */
async function enlarge(place: string): Promise<void> {
  const file = new LmdbFile({ directory: path.join(place, "datastore"), sync: false });
  for (let first = 0; first < 18_000; first += 2_000) {
    file.transact(() => {
      for (let index = first; index < first + 2_000; index++) {
        const attributes = { text: "x".repeat(1_900) };
        file.put(`glarge\0large ${String(index).padStart(6, "0")}`, JSON.stringify({ attributes }));
      }
    });
  }
  await file.close();
  expect((await stat(path.join(place, "datastore", "data.mdb"))).size).toBeGreaterThan(pagesCheckedSizeMax);
}

/** Damages the leaf of one of these records: its first record begins beyond its end. */
async function damageLarge(place: string): Promise<void> {
  const file = path.join(place, "datastore", "data.mdb");
  const bytes = await readFile(file);
  const handle = await open(file, "r+");
  for (let at = bytes.indexOf("large 009001"); at >= 0; at = bytes.indexOf("large 009001", at + 1)) {
    const start = at - (at % page);
    if (bytes.readUInt16LE(start + 18) === 2) await handle.write(Buffer.from([0xfe, 0xff]), 0, 2, start + 24);
  }
  await handle.close();
}

/** A log in which lines can be waited for. */
function hearing(): { readonly host: ReturnType<typeof nodeHost>; heard(text: string): Promise<string> } {
  const lines: string[] = [];
  let wake = (): void => undefined;
  const note = (message: string, fields: object = {}): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
    wake();
  };
  const heard = async (text: string): Promise<string> => {
    for (;;) {
      const found = lines.findIndex((line) => line.startsWith(text));
      if (found >= 0) return lines.splice(0, found + 1).at(-1)!;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  return { host: nodeHost({ ...silentLog, info: note, error: note }), heard };
}

const snapshotsOf = async (place: string): Promise<string[]> =>
  (await readdir(path.join(place, "snapshots"))).filter((name) => name.endsWith(".mdb")).sort();

test.each(["before the start", "while it is open"])(
  "a page of a large file, damaged %s: told with the runbook, everything else goes on, the good snapshot stays and restores all",
  async (when) => {
    const place = path.join(home, "large");
    await cp(root, place, { recursive: true });
    await enlarge(place);
    const store = new Belongings();
    const snapshots = { intervalMs: 300, keptMax: 1 };
    const first = hearing();
    const all = [...expected];
    const put = async (router: Awaited<ReturnType<Belongings["router"]>>["router"], name: string): Promise<void> => {
      const bytes = patternOf(3_000, name.length);
      const { id } = await router.put(bytes, { kind: "file", bucket: "bucket", key: name, attributes: {} }, {});
      all.push({ id, name, sha256: createHash("sha256").update(bytes).digest("hex") });
    };
    let running = await store.router({ root: place, snapshots }, first.host);
    await put(running.router, `first ${when}`);
    await first.heard("snapshot of the datastore taken");
    if (when === "before the start") await store.giveBack();
    await damageLarge(place);
    const second = when === "before the start" ? hearing() : first;
    if (when === "before the start") running = await store.router({ root: place, snapshots }, second.host);
    else await put(running.router, `second ${when}`);
    expect(await second.heard("the datastore is damaged")).toContain("restore-the-datastore.md");
    const good = await snapshotsOf(place);
    expect(good).toHaveLength(1);
    for (let round = 0; round < 3; round++) await put(running.router, `round ${round} ${when}`);
    expect(JSON.stringify((await running.status()).snapshots)).toContain("restore-the-datastore.md");
    await store.giveBack();
    expect(await snapshotsOf(place)).toEqual(good);

    await writeFile(path.join(home, "all.json"), JSON.stringify(all));
    const report = await restoreRoot(quietHost, { root: place, from: undefined, isDryRun: false });
    expect(report).toMatchObject({ isWhole: true, passedOver: [] });
    const said = readAll(place, path.join(home, "all.json"));
    expect(said).toMatchObject({ right: all.length, errors: [], wrong: [] });
    await rm(place, { recursive: true });
  },
  120_000,
);
