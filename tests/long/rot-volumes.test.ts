/**
 * Bytes that are good somewhere else, or were good once: regions, tickets and whole files exchanged within a volume and
 * between two, and files put back from earlier. A checksum covers the TicketID, and no id is used twice: none of it is
 * ever read as something else.
 */
import { copyFile, open, readFile, rename, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningRouter } from "../../src/compose/router-process.ts";
import { StoreError } from "../../src/core/errors.ts";
import { checksumSize, ticketDataSize } from "../../src/core/frame.ts";
import type { ObjectId } from "../../src/core/ids.ts";
import { slotOf, volumeDirectory, volumeOf } from "../../src/core/layout.ts";
import type { SavedObject } from "../../src/datastore/datastore.ts";
import { placement } from "../../src/router/ticket-allocator.ts";
import { Belongings, patternOf, sameBytes } from "../support/store.ts";

interface Stored {
  readonly id: ObjectId;
  readonly bytes: Uint8Array;
  readonly volume: number;
  /** Its tickets are one run. */
  readonly slot: number;
  readonly count: number;
}

const t = ticketDataSize;
const belongings = new Belongings();
let root: string;
let earlier: string;
/** Stored before the files were copied, and after; the last ones lie in another volume. */
const stored = { before: [] as Stored[], after: [] as Stored[], elsewhere: [] as Stored[] };
const all = (): Stored[] => [...stored.before, ...stored.after, ...stored.elsewhere];
let running: RunningRouter;

beforeAll(async () => {
  root = await belongings.directory();
  earlier = await belongings.directory();
  const first = await belongings.router({ root });
  for (let index = 0; index < 12; index++) stored.before.push(await store(first, index));
  await first.close();
  for (const name of ["obj", "sum"]) await copyFile(path.join(root, name), path.join(earlier, name));
  const second = await belongings.router({ root });
  for (let index = 12; index < 24; index++) stored.after.push(await store(second, index));
  await second.router.datastore.sealVolume(0);
  await second.close();
  running = await belongings.router({ root });
  for (let index = 24; index < 36; index++) stored.elsewhere.push(await store(running, index));
  if (new Set(all().map(({ volume }) => volume)).size !== 2) throw new Error("these are not two volumes");
});
afterAll(() => belongings.giveBack());

async function store({ router }: RunningRouter, index: number): Promise<Stored> {
  const bytes = patternOf([700, t, 5 * t, 60_000, 400_000, 181 * t + 3][index % 6]!, index);
  const { id } = await router.put(bytes, { kind: "standalone" }, {});
  const { content } = (await router.stat(id)) as SavedObject;
  if (content.kind !== "runs" || content.runs.length !== 1) throw new Error("more than one run");
  const { first, count } = content.runs[0]!;
  return { id, bytes, volume: volumeOf(placement, first), slot: slotOf(placement, first), count };
}

const fileOf = (volume: number, name: "obj" | "sum"): string =>
  path.join(root, volumeDirectory(placement, volume), name);

/** Which of them are read right. All others are DAMAGED, and `verify` finds damage in these, and only in these. */
async function readable(): Promise<Set<ObjectId>> {
  const right = new Set<ObjectId>();
  for (const { id, bytes } of all()) {
    const record = (await running.router.stat(id)) as SavedObject;
    let damages = 0;
    for await (const found of running.router.verify(record)) damages += found.damages.length;
    try {
      if (!sameBytes(await running.router.get(record), bytes)) throw new Error(`object ${id} is read with other bytes`);
      right.add(id);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "DAMAGED") throw error;
    }
    expect(damages === 0, `object ${id}`).toBe(right.has(id));
  }
  return right;
}

const ids = (some: readonly Stored[]): Set<ObjectId> => new Set(some.map(({ id }) => id));

interface Region {
  readonly file: string;
  readonly at: number;
}

/** Twice is as it was. */
async function exchange(one: Region, other: Region, size: number): Promise<void> {
  const [first, second] = [await open(one.file, "r+"), await open(other.file, "r+")];
  const [a, b] = [Buffer.alloc(size), Buffer.alloc(size)];
  await first.read(a, 0, size, one.at);
  await second.read(b, 0, size, other.at);
  await first.write(b, 0, size, one.at);
  await second.write(a, 0, size, other.at);
  await Promise.all([first.close(), second.close()]);
}

const ticketOf = ({ volume, slot }: Stored, index = 0): Region => ({
  file: fileOf(volume, "obj"),
  at: (slot + index) * t,
});
const sumOf = ({ volume, slot }: Stored, index = 0): Region => ({
  file: fileOf(volume, "sum"),
  at: (slot + index) * checksumSize,
});

let state = 7;
function chance(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

test("two tickets whose Data and Checksum are exchanged are both damaged, within a volume and between two", async () => {
  for (let round = 0; round < 30; round++) {
    const some = all();
    const [one, other] = [some[chance(some.length)]!, some[chance(some.length)]!];
    const [at, there] = [chance(one.count), chance(other.count)];
    if (one.id === other.id && at === there) continue;
    const swap = async (): Promise<void> => {
      await exchange(ticketOf(one, at), ticketOf(other, there), t);
      await exchange(sumOf(one, at), sumOf(other, there), checksumSize);
    };
    await swap();
    const right = await readable();
    expect(right, `${one.id} ${other.id}`).toEqual(ids(some.filter(({ id }) => id !== one.id && id !== other.id)));
    await swap();
  }
  expect((await readable()).size).toBe(all().length);
});

test("Checksums that are exchanged, within a volume or between two, are damage of their tickets alone", async () => {
  for (let round = 0; round < 20; round++) {
    const some = all();
    const [one, other] = [some[chance(some.length)]!, some[chance(some.length)]!];
    if (one.id === other.id) continue;
    const swap = (): Promise<void> => exchange(sumOf(one, one.count - 1), sumOf(other), checksumSize);
    await swap();
    expect(await readable()).toEqual(ids(some.filter(({ id }) => id !== one.id && id !== other.id)));
    await swap();
  }
});

test("regions of any length exchanged between the files of two volumes: each object is right or an error", async () => {
  let damaged = 0;
  for (let round = 0; round < 40; round++) {
    const [one, other] = [stored.before[chance(12)]!, stored.elsewhere[chance(12)]!];
    const name = round % 2 === 0 ? "obj" : "sum";
    const unit = name === "obj" ? t : checksumSize;
    const size = 1 + chance(name === "obj" ? 20_000 : 100);
    const [here, there] = [one, other].map(({ volume, slot }) => ({
      file: fileOf(volume, name),
      at: slot * unit + chance(500),
    })) as [Region, Region];
    await exchange(here, there, size);
    if ((await readable()).size < all().length) damaged++;
    await exchange(here, there, size);
  }
  // Where one byte is exchanged with another it can be the same one, or the padding of a last ticket.
  expect(damaged).toBeGreaterThan(30);
  expect((await readable()).size).toBe(all().length);
});

/** The router finds other files than those that it has open. */
async function restarted(work: () => Promise<void>): Promise<void> {
  await running.close();
  await work();
  running = await belongings.router({ root });
}

test("two volumes' files exchanged as a whole, each obj with its sum: nothing of either is read", async () => {
  const swapFiles = async (): Promise<void> => {
    for (const name of ["obj", "sum"] as const) {
      await rename(fileOf(0, name), `${fileOf(0, name)}.kept`);
      await rename(fileOf(1, name), fileOf(0, name));
      await rename(`${fileOf(0, name)}.kept`, fileOf(1, name));
    }
  };
  await restarted(swapFiles);
  expect(await readable()).toEqual(new Set());
  await restarted(swapFiles);
  expect((await readable()).size).toBe(all().length);
});

test("an obj and its sum from earlier are right as far as they go; what was stored since is an error", async () => {
  const now = await belongings.directory();
  for (const name of ["obj", "sum"] as const) await copyFile(fileOf(0, name), path.join(now, name));
  const put = async (from: string, names: readonly ("obj" | "sum")[]): Promise<void> => {
    for (const name of names) await writeFile(fileOf(0, name), await readFile(path.join(from, name)));
  };
  for (const names of [["obj", "sum"], ["obj"], ["sum"]] as const) {
    await restarted(() => put(earlier, names));
    expect(await readable(), names.join()).toEqual(ids([...stored.before, ...stored.elsewhere]));
    await restarted(() => put(now, ["obj", "sum"]));
  }
  expect((await readable()).size).toBe(all().length);
});

test("what was removed, and whose space was given back, does not come back with its volume's files from earlier", async () => {
  const gone = stored.before.splice(0, 10);
  for (const { id } of gone) await running.router.remove(id);
  await running.close();
  running = await belongings.router({ root, reclaim: { intervalMs: 1e9, openDeadMin: 1, deadShareMin: 0.01 } });
  await running.router.reclaimer.runOnce();
  await running.router.reclaimer.runOnce();
  expect(running.router.reclaimer.status).toMatchObject({ volumesRewritten: 1 });
  expect((await readable()).size).toBe(all().length);
  const { size } = await stat(path.join(earlier, "obj"));
  expect(size).toBeGreaterThan(0);
  await restarted(async () => {
    for (const name of ["obj", "sum"] as const) await copyFile(path.join(earlier, name), fileOf(0, name));
  });
  expect(await readable()).toEqual(ids([...stored.before, ...stored.elsewhere]));
  for (const { id } of gone) expect(await running.router.stat(id)).toBeUndefined();
  // What is stored over the tickets that came back is read as what it is.
  const fresh = await store(running, 41);
  const record = (await running.router.stat(fresh.id)) as SavedObject;
  expect(sameBytes(await running.router.get(record), fresh.bytes)).toBe(true);
});
