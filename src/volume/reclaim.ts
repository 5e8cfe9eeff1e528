/**
 * Giving space back. A volume with nothing live is unlinked; another one is cut off after its last live slot, and if more
 * in it is dead, written anew as sparse files that hold only the live slots, at the same places, synced, and renamed over
 * the old ones. Ids never change. Only writing anew needs room on the disk: as much as is live. Where there is not so
 * much, the files are rewritten in pieces, from the end: a piece's live slots go to `.tail`, which is synced, then the file
 * is cut off where the piece began, so that it takes no more room than one piece does. Whoever opens the volume meanwhile
 * or after a crash reads what a file is too short for from its tail (file-with-tail.ts).
 *
 * A crash between the two renames leaves the new file beside the old one: live slots are the same in both, and what dead
 * slots look like does not matter.
 */
import { checksumSize, ticketDataSize } from "../core/frame.ts";
import * as limits from "../core/limits.ts";
import type { Disk, DiskFile } from "../env/host.ts";

export interface SlotRange {
  readonly slot: number;
  readonly count: number;
}

const copySize = 1024 * 1024;
const pageSize = 4096;

/** The two files of a volume; checksums first. */
const fileNames = ["sum", "obj"];

export interface ReclaimContext {
  readonly disk: Disk;
  readonly freeSpace: () => Promise<number>;
  /** Called before so many bytes are copied. */
  readonly pace: (bytes: number) => Promise<void>;
  readonly syncDirectory: (directory: string) => Promise<void>;
}

/** Removes a volume's files, and the directories that are empty then. Gone for good when it resolves. */
export async function unlinkVolume(context: ReclaimContext, root: string, directory: string): Promise<void> {
  const { disk } = context;
  // Checksums first: Data without them is absent, the other way round it would be damaged.
  for (const name of fileNames) await disk.unlink(`${directory}/${name}`);
  await unlinkUnfinished(disk, directory);
  for (const name of fileNames) await disk.unlink(`${directory}/${name}.tail`);
  await context.syncDirectory(directory);
  for (let at = directory; at !== root; at = at.slice(0, at.lastIndexOf("/"))) {
    if (!(await disk.removeDirectory(at))) break;
  }
}

/**
 * Keeps only the live slots; false where the volume is not there, or nothing in it is dead. Damaged slots are copied as
 * they are. `firstSlot`: where the volume's slots begin. `readersEnd` resolves when nobody reads any more with files that
 * were opened before it was called.
 */
export async function rewriteVolume(
  context: ReclaimContext,
  directory: string,
  live: readonly SlotRange[],
  firstSlot: number,
  readersEnd: () => Promise<void>,
): Promise<boolean> {
  const { disk, freeSpace, syncDirectory } = context;
  const slotCount = await slotCountOf(disk, directory);
  if (slotCount === undefined) return false;
  const names = (await disk.list(directory)) ?? [];
  if (names.includes("obj.tail") || names.includes("sum.tail")) {
    await rewriteInPieces(context, directory, live, readersEnd);
    return true;
  }
  const liveEnd = Math.max(...live.map((range) => range.slot + range.count));
  const liveCount = live.reduce((sum, range) => sum + range.count, 0);
  if (liveEnd < slotCount) {
    await cutOff(disk, `${directory}/sum`, liveEnd * checksumSize);
    await cutOff(disk, `${directory}/obj`, liveEnd * ticketDataSize);
  }
  if (liveCount >= Math.min(slotCount, liveEnd) - firstSlot) return liveEnd < slotCount;
  const size = liveCount * (ticketDataSize + checksumSize);
  if ((await freeSpace()) < size + limits.reclaimPieceSize || !(await rewriteWhole(context, directory, live))) {
    await rewriteInPieces(context, directory, live, readersEnd);
  }
  await syncDirectory(directory);
  return true;
}

/** Copies of both files, then the renames. False where there was no room for that after all (a quota, other writers). */
async function rewriteWhole(
  { disk, pace }: ReclaimContext,
  directory: string,
  live: readonly SlotRange[],
): Promise<boolean> {
  try {
    await copyLive(disk, `${directory}/obj`, live, ticketDataSize, pace);
    await copyLive(disk, `${directory}/sum`, live, checksumSize, pace);
    await disk.rename(`${directory}/obj.new`, `${directory}/obj`);
    await disk.rename(`${directory}/sum.new`, `${directory}/sum`);
    return true;
  } catch (error) {
    // On a full disk above all, half a copy must not stay. What goes wrong here is told by the first error.
    await unlinkUnfinished(disk, directory).catch(() => undefined);
    if (isFull(error)) return false;
    throw error;
  }
}

/** Begins, or goes on with what another one has begun: it may end, by an error or a crash, after every step. */
async function rewriteInPieces(
  context: ReclaimContext,
  directory: string,
  live: readonly SlotRange[],
  readersEnd: () => Promise<void>,
): Promise<void> {
  const { disk, syncDirectory } = context;
  const names = (await disk.list(directory)) ?? [];
  // `obj` is done before `sum` is begun with: a tail of `sum` alone is what is left to do.
  const isObjDone = names.includes("sum.tail") && !names.includes("obj.tail");
  if (!isObjDone) await (await disk.create(`${directory}/obj.tail`)).file.close();
  await (await disk.create(`${directory}/sum.tail`)).file.close();
  await syncDirectory(directory);
  await readersEnd();
  if (!isObjDone) await moveToTail(context, `${directory}/obj`, live, ticketDataSize);
  await syncDirectory(directory);
  await moveToTail(context, `${directory}/sum`, live, checksumSize);
  await syncDirectory(directory);
}

/** Moves a file's live slots to its tail, piece by piece from the end, and puts the tail in its place. */
async function moveToTail(
  { disk, pace, freeSpace }: ReclaimContext,
  path: string,
  live: readonly SlotRange[],
  slotSize: number,
): Promise<void> {
  const from = await disk.open(path, "write");
  if (from === undefined) return;
  try {
    const { file: tail } = await disk.create(`${path}.tail`);
    try {
      const size = await from.size();
      for (let end = Math.ceil(size / slotSize); end > 0;) {
        const piece = lastPiece(live, end, slotSize, pieceSizeFor(await freeSpace()));
        for (const range of piece) await copyRange(from, tail, range.slot * slotSize, range.count * slotSize, pace);
        await tail.sync();
        end = piece.at(-1)?.slot ?? 0;
        await from.truncate(end * slotSize);
        // A power cut must not give it back what its tail has too: there is no room for both.
        await from.sync();
      }
    } finally {
      await tail.close();
    }
  } finally {
    await from.close();
  }
  await disk.rename(`${path}.tail`, path);
}

/** A piece must fit beside what it is copied from. */
function pieceSizeFor(free: number): number {
  return Math.max(limits.reclaimPieceSizeMin, Math.min(limits.reclaimPieceSize, Math.floor(free / 2)));
}

/** Of the live slots before `end`, the last ones that take not more than `sizeMax` in whole pages; the last range first. */
function lastPiece(live: readonly SlotRange[], end: number, slotSize: number, sizeMax: number): SlotRange[] {
  const piece: SlotRange[] = [];
  let pagesLeft = Math.floor(sizeMax / pageSize);
  let lowestPage = Number.POSITIVE_INFINITY;
  for (let index = live.length - 1; index >= 0; index--) {
    const { slot, count } = live[index]!;
    const stop = Math.min(slot + count, end);
    if (stop <= slot) continue;
    const highestPage = Math.min(Math.floor((stop * slotSize - 1) / pageSize), lowestPage - 1);
    const start = Math.max(slot, Math.ceil(((highestPage - pagesLeft + 1) * pageSize) / slotSize));
    if (start >= stop) break;
    piece.push({ slot: start, count: stop - start });
    lowestPage = Math.floor((start * slotSize) / pageSize);
    pagesLeft -= highestPage - lowestPage + 1;
    if (start > slot) break;
  }
  return piece;
}

function isFull(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Makes a file shorter, in place; durable when it resolves. */
async function cutOff(disk: Disk, path: string, size: number): Promise<void> {
  const file = await disk.open(path, "write");
  if (file === undefined) return;
  try {
    if ((await file.size()) <= size) return;
    await file.truncate(size);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What a rewriting that did not come to its end has left. */
async function unlinkUnfinished(disk: Disk, directory: string): Promise<void> {
  for (const name of fileNames) await disk.unlink(`${directory}/${name}.new`);
}

async function slotCountOf(disk: Disk, directory: string): Promise<number | undefined> {
  const sum = await disk.open(`${directory}/sum`, "read");
  if (sum === undefined) return undefined;
  try {
    return Math.ceil((await sum.size()) / checksumSize);
  } finally {
    await sum.close();
  }
}

/** Writes `path`.new with the live slots of `path`, synced. */
async function copyLive(
  disk: Disk,
  path: string,
  live: readonly SlotRange[],
  slotSize: number,
  pace: (bytes: number) => Promise<void>,
): Promise<void> {
  const from = await disk.open(path, "read");
  if (from === undefined) throw new Error(`${path} is not there`);
  try {
    await disk.unlink(`${path}.new`);
    const { file: to } = await disk.create(`${path}.new`);
    try {
      for (const range of live) await copyRange(from, to, range.slot * slotSize, range.count * slotSize, pace);
      await to.truncate(await from.size());
      await to.sync();
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}

async function copyRange(
  from: DiskFile,
  to: DiskFile,
  start: number,
  size: number,
  pace: (bytes: number) => Promise<void>,
): Promise<void> {
  const buffer = new Uint8Array(Math.min(copySize, size));
  for (let done = 0; done < size;) {
    const piece = buffer.subarray(0, Math.min(buffer.length, size - done));
    await pace(piece.length);
    const count = await from.read(piece, start + done);
    if (count === 0) return;
    await to.write([piece.subarray(0, count)], start + done);
    done += count;
  }
}
