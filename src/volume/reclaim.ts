/**
 * Giving space back. A volume with nothing live is unlinked; another one is written anew as sparse files that hold only
 * the live slots, at the same places, synced, and renamed over the old ones. Ids never change.
 *
 * A crash between the two renames leaves the new file beside the old one: live slots are the same in both, and what dead
 * slots look like does not matter.
 */
import { checksumSize, ticketDataSize } from "../core/frame.ts";
import type { Depth } from "../core/layout.ts";
import type { Disk, DiskFile } from "../env/host.ts";

export interface SlotRange {
  readonly slot: number;
  readonly count: number;
}

const copySize = 1024 * 1024;

/** Removes a volume's files, and the directories that are empty then. Gone for good when it resolves. */
export async function unlinkVolume(disk: Disk, root: string, directory: string): Promise<void> {
  // Checksums first: Data without them is absent, the other way round it would be damaged.
  await disk.unlink(`${directory}/sum`);
  await disk.unlink(`${directory}/obj`);
  await disk.syncDirectory(directory);
  for (let at = directory; at !== root; at = at.slice(0, at.lastIndexOf("/"))) {
    if (!(await disk.removeDirectory(at))) break;
  }
}

/** Keeps only the live slots; false where the volume is not there. Damaged slots are copied as they are. */
export async function rewriteVolume(
  disk: Disk,
  directory: string,
  live: readonly SlotRange[],
  depth: Depth,
  pace: (bytes: number) => Promise<void>,
): Promise<boolean> {
  // One slot to a file: all of it is live.
  if (depth === 4) return false;
  const obj = await copyLive(disk, `${directory}/obj`, live, ticketDataSize, pace);
  const sum = await copyLive(disk, `${directory}/sum`, live, checksumSize, pace);
  if (!obj || !sum) return false;
  await disk.rename(`${directory}/obj.new`, `${directory}/obj`);
  await disk.rename(`${directory}/sum.new`, `${directory}/sum`);
  await disk.syncDirectory(directory);
  return true;
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
