/** Finds the volumes that exist on disk in a range of ids. */
import { idSize, lengthStart, parseId, type TicketId } from "../core/ids.ts";
import { type Layout, volumeDirectory, volumeEnd, volumeOf, volumeStart } from "../core/layout.ts";
import type { Disk } from "../env/host.ts";

/** Numbers of volumes that have files, or an empty directory, and hold ids from `first` to `end` (exclusive); in no particular order. */
export async function* findVolumes(
  disk: Disk,
  root: string,
  layout: Layout,
  first: TicketId,
  end: TicketId,
): AsyncGenerator<number> {
  const low = volumeOf(layout, first);
  const high = volumeOf(layout, end - 1);
  if (high - low < directCountMax) {
    for (let volume = low; volume <= high; volume++) {
      const directory = volumeDirectory(layout, volume);
      const names = await disk.list(directory === "" ? root : `${root}/${directory}`);
      if (names !== undefined && isVolume(names)) yield volume;
    }
    return;
  }
  yield* walk(disk, root, "", layout, first, end);
}

/** For fewer volumes than this, looking each one up beats walking the tree. */
const directCountMax = 4;

async function* walk(
  disk: Disk,
  directory: string,
  prefix: string,
  layout: Layout,
  first: TicketId,
  end: TicketId,
): AsyncGenerator<number> {
  const names = (await disk.list(directory)) ?? [];
  // At depth 4 nothing belongs at the root.
  if (isVolume(names) && (prefix !== "" || layout.depth !== 4)) {
    const volume = prefix === "" ? 0 : 1 + parseId<TicketId>(prefix)!;
    if (volumeStart(layout, volume) < end && volumeEnd(layout, volume) > first) yield volume;
  }
  for (const name of names) {
    if (/^[0-9A-Z]{1,2}$/.test(name) && mayHold(prefix + name, first, end)) {
      yield* walk(disk, `${directory}/${name}`, prefix + name, layout, first, end);
    }
  }
}

/** A crash while a volume was unlinked may have left any of its files, or its empty directory. */
function isVolume(names: readonly string[]): boolean {
  return names.length === 0 || names.some((name) => /^(obj|sum)(\.new|\.tail)?$/.test(name));
}

/** Whether an id that begins with `prefix` can lie in the range. */
function mayHold(prefix: string, first: number, end: number): boolean {
  const value = parseId<TicketId>(prefix)! - lengthStart[prefix.length]!;
  for (let length = prefix.length; length <= idSize; length++) {
    const span = 36 ** (length - prefix.length);
    const start = lengthStart[length]! + value * span;
    if (start < end && start + span > first) return true;
  }
  return false;
}
