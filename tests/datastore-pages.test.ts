/** Pages of the embedded datastore's file are looked at before LMDB believes them. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { StoreError } from "../src/core/errors.ts";
import { LmdbFile } from "../src/datastore/lmdb-file.ts";
import { checkLmdbFile } from "../src/datastore/lmdb-header.ts";
import { nodeDisk } from "../src/env/node-disk.ts";

const pageSize = 4_096;
let directory: string;
let place: string;
let whole: Buffer;

let state = 20_261_122;
/** The same ones in each run. */
function chance(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "pages-"));
  place = path.join(directory, "data.mdb");
  const file = new LmdbFile({ directory, sync: false });
  const keyOf = (number: number): string => `fbucket\0${"k".repeat((number * 7) % 90)}${number}`;
  for (let round = 0; round < 8; round++) {
    file.transact(() => {
      for (let index = 0; index < 100; index++) {
        const number = round * 100 + index;
        file.put(keyOf(number), "x".repeat(number % 97 === 0 ? 9_000 : number % 300));
        if (number % 3 === 0) file.delete(keyOf(number >> 1));
      }
    });
    // Whatever LMDB has written is right.
    await check();
  }
  await mkdir(path.join(directory, "copy"));
  await file.copy(path.join(directory, "copy"));
  await file.close();
  await checkLmdbFile(nodeDisk, path.join(directory, "copy", "data.mdb"));
  whole = await readFile(place);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const check = (walkSizeMax?: number): Promise<boolean> => checkLmdbFile(nodeDisk, place, walkSizeMax);

/** Whether it was noticed. */
async function isRefused(damaged: Buffer, walkSizeMax?: number): Promise<boolean> {
  await writeFile(place, damaged);
  try {
    await check(walkSizeMax);
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(StoreError);
    expect(error).toMatchObject({ code: "DAMAGED" });
    expect((error as StoreError).message).toContain("restore-the-datastore.md");
    return true;
  }
}

/** Pages that the newest tree of records uses: where zeros are noticed. */
async function usedPages(): Promise<number[]> {
  const used: number[] = [];
  for (let page = 2; page < whole.length / pageSize; page++) {
    const damaged = Buffer.from(whole);
    damaged.fill(0, page * pageSize, page * pageSize + 24);
    if (await isRefused(damaged)) used.push(page);
  }
  return used;
}

test("of pages that are in use: no header, offset or size can be damaged without being noticed where it matters", async () => {
  const used = await usedPages();
  expect(used.length).toBeGreaterThan(30);
  const kindOf = (page: number): number => whole.readUInt16LE(page * pageSize + 18);
  const noticed = { swapped: 0, copied: 0, number: 0, kind: 0, offset: 0, keySize: 0 };
  const rounds = 30;
  for (let round = 0; round < rounds; round++) {
    const trees = used.filter((page) => kindOf(page) < 4);
    const page = trees[chance(trees.length)]!;
    const other = trees[chance(trees.length)]!;
    const at = page * pageSize;
    const with_ = (change: (bytes: Buffer) => void): Promise<boolean> => {
      const damaged = Buffer.from(whole);
      change(damaged);
      return isRefused(damaged);
    };
    const swapped = await with_((bytes) => {
      whole.copy(bytes, at, other * pageSize, (other + 1) * pageSize);
      whole.copy(bytes, other * pageSize, at, at + pageSize);
    });
    if (swapped || page === other) noticed.swapped++;
    const copied = await with_((bytes) => whole.copy(bytes, at, other * pageSize, (other + 1) * pageSize));
    if (copied || page === other) noticed.copied++;
    if (await with_((bytes) => (bytes[at + chance(8)]! ^= 1 << chance(8)))) noticed.number++;
    if (await with_((bytes) => (bytes[at + 18]! ^= 1 << chance(6)))) noticed.kind++;
    const index = chance(whole.readUInt16LE(at + 20) / 2);
    // Beyond the page, or into its header.
    if (await with_((bytes) => bytes.writeUInt16LE(chance(2) === 0 ? 4_090 : 0, at + 24 + 2 * index))) noticed.offset++;
    const node = at + 24 + whole.readUInt16LE(at + 24 + 2 * index);
    if (await with_((bytes) => (bytes[node + 7]! ^= 0xf0))) noticed.keySize++;
  }
  expect(noticed).toEqual({
    swapped: rounds,
    copied: rounds,
    number: rounds,
    kind: rounds,
    offset: rounds,
    keySize: rounds,
  });
});

test("a file that is too large for that is only looked at where it begins", async () => {
  const damaged = Buffer.from(whole);
  const root = Number(
    whole.readBigUInt64LE((whole.readBigUInt64LE(152) > whole.readBigUInt64LE(4_248) ? 0 : 4_096) + 136),
  );
  for (let page = 2; page < whole.length / pageSize; page++) {
    if (page !== root) damaged.fill(0xff, page * pageSize + 8, (page + 1) * pageSize);
  }
  expect(await isRefused(damaged)).toBe(true);
  expect(await isRefused(damaged, 1_000)).toBe(false);
  damaged.fill(0xff, root * pageSize, root * pageSize + 8);
  expect(await isRefused(damaged, 1_000)).toBe(true);
});
