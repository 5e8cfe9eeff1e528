/**
 * Rot: any region of any file below the root flipped, zeroed, cut off or swapped with another, one at a time. Every read is
 * right or an error, `verify` names object and offset, and where the datastore is hit, `restore` makes it again.
 */
import { createHash } from "node:crypto";
import { cp, mkdtemp, open, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { restoreRoot } from "../../src/compose/restore.ts";
import { StoreError } from "../../src/core/errors.ts";
import { checksumSize, ticketDataSize } from "../../src/core/frame.ts";
import type { ObjectId } from "../../src/core/ids.ts";
import { readAll, type Said } from "../support/rot.ts";
import { Belongings, patternOf, quietHost } from "../support/store.ts";

interface Expected {
  readonly id: ObjectId;
  /** Its key; undefined where it was stored without one. */
  readonly name: string | undefined;
  readonly size: number;
  readonly sha256: string;
}

const t = ticketDataSize;
const sizes = [0, 1, t - 1, t, t + 1, 2 * t, 100 * t + 7, 180 * t, 181 * t, 2048 * t + 1, 700_000];
const belongings = new Belongings();
let home: string;
let root: string;
let expected: Expected[];

beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), "rot-"));
  root = path.join(home, "root");
  const store = new Belongings();
  const { router } = await store.router({ root });
  await router.datastore.createBucket("bucket", {}, 1);
  expected = [];
  for (let index = 0; index < 50; index++) {
    const size = sizes[index % sizes.length]!;
    const bytes = patternOf(size, index);
    const name = index % 3 === 0 ? undefined : `key ${index}`;
    const target =
      name === undefined
        ? { kind: "standalone" as const }
        : { kind: "file" as const, bucket: "bucket", key: name, attributes: {} };
    const { id } = await router.put(bytes, target, {});
    expected.push({ id, name, size, sha256: hashOf(bytes) });
  }
  await store.giveBack();
  await writeFile(path.join(home, "expected.json"), JSON.stringify(expected));
});

afterAll(async () => {
  await belongings.giveBack();
  await rm(home, { recursive: true, force: true });
});

// ── damages ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type Kind = "flip" | "zero" | "cut" | "swap";
const kinds: readonly Kind[] = ["flip", "zero", "cut", "swap"];

let state = 20_261_122;
/** The same ones in each run. */
function chance(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** Damages a file in place, somewhere in what it holds; what makes it whole again. */
async function damage(file: string, kind: Kind): Promise<{ what: string; heal: () => Promise<void> }> {
  const handle = await open(file, "r+");
  const whole = await handle.readFile();
  const first = whole.findIndex((byte) => byte !== 0);
  const from = first + chance(whole.length - first);
  const size = Math.min(1 + chance(5_000), whole.length - from);
  if (kind === "flip") await handle.write(Buffer.from([whole[from]! ^ (1 << chance(8))]), 0, 1, from);
  else if (kind === "zero") await handle.write(Buffer.alloc(size), 0, size, from);
  else if (kind === "cut") await handle.truncate(from);
  else {
    const other = first + chance(whole.length - first - size + 1);
    await handle.write(whole.subarray(other, other + size), 0, size, from);
    await handle.write(whole.subarray(from, from + size), 0, size, other);
  }
  await handle.close();
  const heal = async (): Promise<void> => {
    const again = await open(file, "r+");
    await again.truncate(first);
    await again.truncate(whole.length);
    await again.write(whole, first, whole.length - first, first);
    await again.close();
  };
  return { what: `${kind} of ${size} at ${from} of ${path.relative(root, file)}`, heal };
}

async function volumeFiles(): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  return names.filter((name) => /(^|\/)(obj|sum)$/.test(name)).map((name) => path.join(root, name));
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

// ── volumes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test("in volumes: every read is right or an error, and verify names exactly the objects that are damaged, and where", async () => {
  const { router } = await belongings.router({ root });
  const files = await volumeFiles();
  expect(files.length).toBeGreaterThanOrEqual(2);
  let noticed = 0;
  for (let round = 0; round < 200; round++) {
    const { what, heal } = await damage(
      files[round % files.length]!,
      kinds[Math.floor(round / files.length) % kinds.length]!,
    );
    for (const { id, size, sha256 } of expected) {
      const record = await router.stat(id);
      if (record?.status !== "saved") throw new Error(`${what}: object ${id} is not saved`);
      const offsets: number[] = [];
      for await (const { damages } of router.verify(record)) offsets.push(...damages.map(({ offset }) => offset));
      let failure: unknown;
      try {
        expect(hashOf(await router.get(record)), what).toBe(sha256);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        failure = error;
      }
      expect(failure === undefined, `${what}: ${String(failure)}; verify: ${offsets.join()}`).toBe(
        offsets.length === 0,
      );
      for (const offset of offsets) expect(offset % ticketDataSize === 0 && offset < size, what).toBe(true);
      if (failure === undefined) continue;
      noticed++;
      expect((failure as StoreError).code, what).toBe("DAMAGED");
    }
    await heal();
  }
  expect(noticed).toBeGreaterThan(150);
  expect(checksumSize).toBe(8);
  await belongings.giveBack();
});

// ── the datastore, and what is beside it ────────────────────────────────────────────────────────────────────────────

const readCopy = (place: string): Said | undefined => readAll(place, path.join(home, "expected.json"));

test("in the datastore: it is refused, or read without a wrong byte, and restore makes it again", async () => {
  const place = path.join(home, "copy");
  const seen = { refused: 0, ended: 0, readable: 0, wrong: [] as string[], unclear: [] as string[] };
  for (let round = 0; round < 40; round++) {
    await cp(root, place, { recursive: true });
    const file = path.join(place, "datastore", "data.mdb");
    const { what } = await damage(file, kinds[round % kinds.length]!);
    const said = readCopy(place);
    if (said === undefined) seen.ended++;
    else if (said.refused === undefined) seen.readable++;
    else {
      seen.refused++;
      if (!said.refused.includes("restore-the-datastore.md")) seen.unclear.push(`${what}: ${said.refused}`);
    }
    if (said !== undefined && said.wrong.length > 0) seen.wrong.push(what);
    const report = await restoreRoot(quietHost, { root: place, from: undefined, isDryRun: false });
    expect(report.removedLater, what).toEqual([]);
    expect(readCopy(place), what).toMatchObject({ right: expected.length, errors: [], wrong: [] });
    await rm(place, { recursive: true });
  }
  console.info("the datastore's file, damaged", seen);
  expect(seen.unclear).toEqual([]);
  expect(seen.wrong).toEqual([]);
});

test("in snapshots and journals: nothing of it is taken for good", async () => {
  const place = path.join(home, "beside");
  for (let round = 0; round < 24; round++) {
    await cp(root, place, { recursive: true });
    const names = (await readdir(path.join(place, "snapshots"))).filter((name) => name !== "part");
    const name = names[round % names.length]!;
    const file = path.join(place, "snapshots", name);
    if ((await stat(file)).size === 0) continue;
    const { what } = await damage(file, kinds[round % kinds.length]!);
    await rm(path.join(place, "datastore"), { recursive: true });
    try {
      await restoreRoot(quietHost, { root: place, from: undefined, isDryRun: false });
      const said = readCopy(place);
      expect(said?.wrong, what).toEqual([]);
    } catch (error) {
      expect((error as StoreError).code, `${what}: ${String(error)}`).toMatch(/DAMAGED|NOT_FOUND/);
    }
    await rm(place, { recursive: true });
  }
});
