/**
 * What a router looks at when it has started: a few tickets of a few volumes, as many however much is stored. Bytes that
 * are damaged are found when they are read; but with another key, another depth or another identity than the data's,
 * nothing can be read, and who runs the store should hear that at once, and which file to look at.
 */
import { messageOf, StoreError } from "../core/errors.ts";
import { formatId, type ObjectId, type TicketId } from "../core/ids.ts";
import { volumeEnd, volumeStart } from "../core/layout.ts";
import { firstLookVolumesMax, pageSizeMax } from "../core/limits.ts";
import type { Datastore, VolumeRecord } from "../datastore/datastore.ts";
import type { Log } from "../env/host.ts";
import type { Router } from "./router.ts";
import { placement } from "./ticket-allocator.ts";

interface Seen {
  right: number;
  absent: number;
  corrupt: number;
  unreadable: number;
  /** In volumes of a putter that is not this directory. */
  elsewhere: number;
  example: string | undefined;
}

/** Logs what is wrong; nothing where nothing is. Never rejects. */
export async function firstLook(router: Router, log: Log): Promise<void> {
  try {
    const seen: Seen = { right: 0, absent: 0, corrupt: 0, unreadable: 0, elsewhere: 0, example: undefined };
    for (const id of await someObjects(router.datastore)) await look(router, id, seen);
    tell(seen, log);
  } catch (error) {
    log.warn("a first look at what is stored came to no end", { error: messageOf(error) });
  }
}

/** The first ones of some volumes, and those in their middle: where another depth would look elsewhere. */
async function someObjects(datastore: Datastore): Promise<ReadonlySet<ObjectId>> {
  const live = (await datastore.listVolumes(undefined, pageSizeMax)).filter(({ liveCount }) => liveCount > 0);
  const objects = new Set<ObjectId>();
  const step = Math.max(1, live.length / firstLookVolumesMax);
  for (let at = 0; at < live.length; at += step) {
    const { volume, leasedCount } = live[Math.floor(at)]! satisfies VolumeRecord;
    const [start, end] = [volumeStart(placement, volume), volumeEnd(placement, volume)];
    for (const from of [start, start + Math.floor(leasedCount / 2)]) {
      for (const run of await datastore.listRuns(from as TicketId, end, 1)) objects.add(run.object);
    }
  }
  return objects;
}

async function look(router: Router, id: ObjectId, seen: Seen): Promise<void> {
  const record = await router.datastore.getObject(id);
  if (record?.status !== "saved" || record.size === 0) return;
  try {
    for await (const { tickets, damages } of router.verify(record, 0, 1)) {
      seen.right += tickets - damages.length;
      for (const { kind, offset, volume, place } of damages) {
        seen[kind]++;
        seen.example ??= `object ${formatId(id)} at byte ${offset}, in volume ${volume} of ${place}`;
      }
    }
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "UNAVAILABLE") throw error;
    seen.elsewhere++;
    seen.example ??= `object ${formatId(id)}: ${error.message}`;
  }
}

function tell(seen: Seen, log: Log): void {
  const { right, absent, corrupt, unreadable, elsewhere } = seen;
  if (absent + corrupt + unreadable + elsewhere === 0) return;
  const message =
    right === 0 ? "nothing that was looked at after the start can be read" : "some of what is stored cannot be read";
  log.error(message, { ...seen, advice: adviceFor(seen) });
}

function adviceFor({ right, absent, corrupt, unreadable, elsewhere }: Seen): string {
  if (right === 0 && corrupt > 0 && absent + unreadable + elsewhere === 0) {
    return "is it the key that this was written with? See docs/runbooks/key-lost.md";
  }
  if (right === 0 && absent + elsewhere > 0 && corrupt + unreadable === 0) {
    return "is data-putter.json the one that this was written with, and are all volumes there? See docs/runbooks/small-files.md";
  }
  return "run data-putter verify; see docs/runbooks/damaged-objects.md";
}
