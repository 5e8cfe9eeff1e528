/**
 * What a router answers on its response port: objects by id, for the command line and other programs that have the key.
 *
 *   get     a ObjectID ordinal · b offset · c length + 1 (0: to the end)   → json head, then tickets
 *   stat    a                                                              → json object, or null
 *   list    a ordinal after which · b limit · c 1: `a` counts              → json objects
 *   remove  a                                                              → json { removed }
 *   verify  a ordinal · b 1: only that object, 0: all                      → json progress and damages, as found; names
 *   status                                                                 → json
 */
import { messageOf, StoreError } from "../core/errors.ts";
import { formatId, idCount, type ObjectId } from "../core/ids.ts";
import { describeVolume } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import type { ObjectRecord, SavedObject } from "../datastore/datastore.ts";
import type { RecordsChecked } from "../datastore/transaction.ts";
import type { Log } from "../env/host.ts";
import { silentLog } from "../env/silent-log.ts";
import type { Request } from "../wire/message.ts";
import type { Handler, Reply } from "../wire/request-server.ts";
import type { ObjectPage, ObjectSummary, ReadHead, RouterStatus, VerifyProgress } from "./object-answers.ts";
import { namesOf } from "./object-names.ts";
import { damageIn } from "./object-reader.ts";
import type { Router } from "./router.ts";
import { placement } from "./ticket-allocator.ts";

/** Runs that `stat` lists. */
const runsShownMax = 1000;
/** Tickets between two words of progress. */
const progressEvery = 65_536;

export function objectRequests(router: Router, status: () => Promise<RouterStatus>, log: Log = silentLog): Handler {
  return async (request, _body, reply) => {
    switch (request.operation) {
      case "get":
        return get(router, request, reply, log);
      case "stat": {
        const record = await router.stat(objectId(request.a));
        return reply.json(record === undefined ? null : await describe(router, record));
      }
      case "list":
        return list(router, request, reply);
      case "remove":
        return reply.json({ removed: await router.remove(objectId(request.a)) });
      case "verify":
        return verify(router, request, reply);
      case "status":
        return reply.json(await status());
      default:
        throw new StoreError("PROTOCOL", `a router does not know the operation ${JSON.stringify(request.operation)}`);
    }
  };
}

async function get(router: Router, request: Request, reply: Reply, log: Log): Promise<void> {
  const object = await savedObject(router, request.a);
  const offset = request.b;
  if (offset > object.size) {
    throw new StoreError("INVALID", `offset: at most the object's size, ${object.size}, not ${offset}`);
  }
  const length = Math.min(request.c === 0 ? Number.POSITIVE_INFINITY : request.c - 1, object.size - offset);
  await reply.json({ object: formatId(object.id), size: object.size, offset, length } satisfies ReadHead);
  try {
    for await (const piece of router.read(object, offset, length)) {
      const { buffer, first, count, skip, take } = piece;
      try {
        if (reply.signal.aborted) return;
        await reply.tickets({ first, count, skip, take }, buffer);
      } finally {
        buffer.release();
      }
    }
  } catch (error) {
    noteDamage(error, object, log);
    throw error;
  }
}

/** Damage is told to who runs the store, not only to who asked. */
function noteDamage(error: unknown, object: SavedObject, log: Log): void {
  const damage = damageIn(error);
  if (damage === undefined) return;
  const { position: offset, volume, place } = damage;
  const fields = { object: formatId(object.id), offset, volume, place, error: messageOf(error) };
  log.error("a stored object is damaged", fields);
}

async function list(router: Router, request: Request, reply: Reply): Promise<void> {
  const limit = Math.min(Math.max(request.b, 1), limits.pageSizeMax);
  const after = request.c === 1 ? objectId(request.a) : undefined;
  const records = await router.list(after, limit);
  await reply.json({ objects: records.map(summaryOf), more: records.length === limit } satisfies ObjectPage);
}

async function verify(router: Router, request: Request, reply: Reply): Promise<void> {
  const progress = { objects: 0, tickets: 0, damages: [] as VerifyProgress["damages"][number][] };
  const damaged = new Set<ObjectId>();
  let toldAt = 0;
  const tell = async (): Promise<void> => {
    toldAt = progress.tickets;
    await reply.json(progress);
    progress.damages = [];
  };
  const check = async (object: SavedObject): Promise<void> => {
    for await (const { tickets, damages } of router.verify(object)) {
      if (reply.signal.aborted) return;
      progress.tickets += tickets;
      for (const damage of damages) {
        progress.damages.push({ ...damage, object: formatId(damage.object), ticket: formatId(damage.ticket) });
        if (damaged.size < limits.damagedNamedMax) damaged.add(damage.object);
      }
      if (progress.tickets - toldAt >= progressEvery || progress.damages.length >= 100) await tell();
    }
    progress.objects++;
  };
  if (request.b === 1) {
    await check(await savedObject(router, request.a));
  } else {
    await checkRecords(router, progress, reply);
    for (let after: ObjectId | undefined; !reply.signal.aborted;) {
      const page = await router.datastore.listObjects(after, limits.pageSizeMax);
      // Composed objects are made of others, which come by themselves.
      for (const record of page) {
        if (record.status === "saved" && record.content.kind === "runs" && !reply.signal.aborted) await check(record);
      }
      if (page.length < limits.pageSizeMax) break;
      after = page.at(-1)!.id;
    }
  }
  await tell();
  if (damaged.size > 0) await tellNames(router, damaged, progress, reply);
}

async function checkRecords(router: Router, progress: VerifyProgress, reply: Reply): Promise<void> {
  for (let from: string | undefined = ""; from !== undefined && !reply.signal.aborted;) {
    const checked: RecordsChecked | undefined = await router.datastore.checkRecords?.(from, limits.pageSizeMax);
    if (checked !== undefined && checked.damages.length > 0) {
      await reply.json({ ...progress, recordDamages: checked.damages });
    }
    from = checked?.next;
  }
}

async function tellNames(
  router: Router,
  damaged: ReadonlySet<ObjectId>,
  progress: VerifyProgress,
  reply: Reply,
): Promise<void> {
  let names: NonNullable<VerifyProgress["names"]>[number][] = [];
  const tell = (): Promise<void> => reply.json({ ...progress, damages: [], names });
  for await (const name of namesOf(router.datastore, damaged, reply.signal)) {
    names.push({ ...name, object: formatId(name.object) });
    if (names.length < 100) continue;
    await tell();
    names = [];
  }
  if (names.length > 0) await tell();
}

async function savedObject(router: Router, ordinal: number): Promise<SavedObject> {
  const id = objectId(ordinal);
  const record = await router.stat(id);
  if (record?.status === "saved") return record;
  if (record === undefined) throw new StoreError("NOT_FOUND", `there is no object ${formatId(id)}`);
  const why = record.status === "error" ? `its write failed: ${record.reason}` : "it is still being written";
  throw new StoreError("NOT_FOUND", `object ${formatId(id)} cannot be read: ${why}`);
}

function objectId(ordinal: number): ObjectId {
  if (ordinal >= idCount) throw new StoreError("INVALID", `object: an ordinal below ${idCount}, not ${ordinal}`);
  return ordinal as ObjectId;
}

function summaryOf(record: ObjectRecord): ObjectSummary {
  const { id, status, createdAt, ticketCount, writeCount } = record;
  const base = { object: formatId(id), status, createdAt, ticketCount, writeCount };
  if (record.status === "error") return { ...base, reason: record.reason };
  if (record.status === "writing") return base;
  const runCount = record.content.kind === "runs" ? record.content.runs.length : 0;
  return { ...base, size: record.size, runCount };
}

async function describe(router: Router, record: ObjectRecord): Promise<ObjectSummary> {
  const summary = summaryOf(record);
  if (record.status !== "saved") return summary;
  const places = new Map(router.stores.map(({ id, place }) => [id, place]));
  const runs = record.content.kind === "runs" ? record.content.runs.slice(0, runsShownMax) : [];
  const volumes = await router.places(record);
  return {
    ...summary,
    runs: runs.map(({ first, count }) => ({ first: formatId(first), count })),
    volumes: volumes.map(({ volume, putter }) => ({
      volume: describeVolume(placement, volume),
      putter,
      place: places.get(putter),
    })),
  };
}
