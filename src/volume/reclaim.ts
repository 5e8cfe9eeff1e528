/**
 * Giving space back. A volume with nothing live is unlinked; another one is cut off after its last live slot, and if more
 * in it is dead, written anew as sparse files that hold only the live slots, at the same places, synced, and renamed over
 * the old ones. Ids never change. Only writing anew needs room on the disk: as much as is live.
 *
 * A crash between the two renames leaves the new file beside the old one: live slots are the same in both, and what dead
 * slots look like does not matter.
 */
import { checksumSize, ticketDataSize } from "../core/frame.ts";
import type { Disk, DiskFile } from "../env/host.ts";

export interface SlotRange {
  readonly slot: number;
  readonly count: number;
}

const copySize = 1024 * 1024;

/** The two files of a volume; checksums first. */
const fileNames = ["sum", "obj"];

export interface ReclaimContext {
  readonly disk: Disk;
  readonly syncDirectory: (directory: string) => Promise<void>;
}

/** Removes a volume's files, and the directories that are empty then. Gone for good when it resolves. */
export async function unlinkVolume(context: ReclaimContext, root: string, directory: string): Promise<void> {
  const { disk } = context;
  // Checksums first: Data without them is absent, the other way round it would be damaged.
  for (const name of fileNames) await disk.unlink(`${directory}/${name}`);
  await unlinkUnfinished(disk, directory);
  await context.syncDirectory(directory);
  for (let at = directory; at !== root; at = at.slice(0, at.lastIndexOf("/"))) {
    if (!(await disk.removeDirectory(at))) break;
  }
}

/**
 * Keeps only the live slots; false where the volume is not there, or nothing in it is dead. Damaged slots are copied as
 * they are. `firstSlot`: where the volume's slots begin.
 */
export async function rewriteVolume(
  context: ReclaimContext,
  directory: string,
  live: readonly SlotRange[],
  firstSlot: number,
  pace: (bytes: number) => Promise<void>,
): Promise<boolean> {
  const { disk } = context;
  const slotCount = await slotCountOf(disk, directory);
  if (slotCount === undefined) return false;
  const liveEnd = Math.max(...live.map((range) => range.slot + range.count));
  const liveCount = live.reduce((sum, range) => sum + range.count, 0);
  if (liveEnd < slotCount) {
    await cutOff(disk, `${directory}/sum`, liveEnd * checksumSize);
    await cutOff(disk, `${directory}/obj`, liveEnd * ticketDataSize);
  }
  if (liveCount >= Math.min(slotCount, liveEnd) - firstSlot) return liveEnd < slotCount;
  try {
    const obj = await copyLive(disk, `${directory}/obj`, live, ticketDataSize, pace);
    const sum = await copyLive(disk, `${directory}/sum`, live, checksumSize, pace);
    if (!obj || !sum) return false;
    await disk.rename(`${directory}/obj.new`, `${directory}/obj`);
    await disk.rename(`${directory}/sum.new`, `${directory}/sum`);
  } catch (error) {
    // On a full disk above all, half a copy must not stay. What goes wrong here is told by the first error.
    await unlinkUnfinished(disk, directory).catch(() => undefined);
    throw error;
  }
  await context.syncDirectory(directory);
  return true;
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
): Promise<boolean> {
  const from = await disk.open(path, "read");
  if (from === undefined) return false;
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
  return true;
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
