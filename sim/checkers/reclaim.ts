/**
 * Reclaiming finally frees what nothing refers to: after a while in which nobody writes, the volumes of a store take not
 * much more than what is live in them. (That it frees nothing else is seen by reading everything afterwards.)
 */
import { ticketDataSize } from "../../src/core/frame.ts";
import { layoutOf, volumeOf } from "../../src/core/layout.ts";
import { splitRuns } from "../../src/datastore/references.ts";
import type { Datastore, ObjectRecord } from "../../src/datastore/datastore.ts";
import { FileInode } from "../simulated-inodes.ts";
import { imagePageSize } from "../sparse-image.ts";
import type { World } from "../world/world.ts";

const placement = layoutOf(2);
/** What a volume's live bytes may be of all that it takes, with the settings of world.ts and some room. */
const liveShareMin = 0.7;
/** Each run begins and ends within a page, in both files. */
const pagesPerRun = 5;
const slackSize = 400_000;

export async function checkDeadSpace(world: World, datastore: Datastore): Promise<void> {
  const live = await liveTickets(datastore);
  let allowed = slackSize;
  for (const { volume, liveCount } of await datastore.listVolumes(undefined, 1_000)) {
    const { count, runs } = live.get(volume) ?? { count: 0, runs: 0 };
    if (count !== liveCount) {
      world.history.violation(`reclaim: volume ${volume} counts ${liveCount} live tickets, its objects have ${count}`);
    }
    allowed += (count * (ticketDataSize + 8)) / liveShareMin + runs * pagesPerRun * imagePageSize;
  }
  // At depth 4 a ticket takes a page in each of two files.
  let used = 0;
  for (const { machine } of world.processes) {
    for (const path of machine.disk.files().filter((name) => /\/(obj|sum)(\.new|\.tail)?$/.test(name))) {
      const inode = machine.disk.find(path);
      if (!(inode instanceof FileInode)) continue;
      const isOwnFile = inode.cache.size <= ticketDataSize;
      used += isOwnFile ? inode.cache.size : inode.cache.pageCount * imagePageSize;
    }
  }
  if (used > allowed) {
    world.history.violation(
      `reclaim: ${used} bytes are in use where ${Math.round(allowed)} would do, after a long rest`,
    );
  }
}

/** Tickets and runs of all saved objects, by volume: counted from the objects, not from what is kept of volumes. */
async function liveTickets(datastore: Datastore): Promise<Map<number, { count: number; runs: number }>> {
  const live = new Map<number, { count: number; runs: number }>();
  for (let after: ObjectRecord["id"] | undefined; ;) {
    const page = await datastore.listObjects(after, 1_000);
    for (const record of page) {
      if (record.status !== "saved" || record.content.kind !== "runs") continue;
      for (const { first, count } of splitRuns(record.content.runs)) {
        const volume = volumeOf(placement, first);
        const before = live.get(volume) ?? { count: 0, runs: 0 };
        live.set(volume, { count: before.count + count, runs: before.runs + 1 });
      }
    }
    if (page.length < 1_000) return live;
    after = page.at(-1)!.id;
  }
}
