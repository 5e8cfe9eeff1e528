/** Operations on objects: being written, saved, failed. */
import { StoreError } from "../core/errors.ts";
import { formatId, idCount, type ObjectId, type TicketId } from "../core/ids.ts";
import { layoutOf, placementDepth, volumeOf } from "../core/layout.ts";
import { objectSizeMax } from "../core/limits.ts";
import { runsFit, ticketsIn, type Run } from "../core/run.ts";
import type { NewObject, ObjectRecord, Target, VersionRecord, WritingObject } from "./datastore.ts";
import {
  failedKey,
  lastByte,
  objectKey,
  objectOfKey,
  runKey,
  Table,
  ticketOfRunKey,
  unfinishedKey,
  volumeKey,
} from "./keys.ts";
import { leasedEnd, routerBytes } from "./leases.ts";
import {
  getObjectRecord,
  objectRecord,
  parseRecord,
  versionRecord,
  type StoredFailed,
  type StoredObject,
  type StoredRun,
  type StoredSaved,
  type StoredWriting,
} from "./records.ts";
import { givenUp, repeated } from "./repeated.ts";
import { indexRuns, release, splitRuns } from "./references.ts";
import type { Reader, Transaction } from "./transaction.ts";
import { checkPart, putPart } from "./uploads.ts";
import { applyVersion, fileName, planVersion, wantNewFile } from "./versions.ts";

const layout = layoutOf(placementDepth);

// ── being written ───────────────────────────────────────────────────────────────────────────────────────────────────

export function noteProgress(tx: Transaction, progress: WritingObject): void {
  const { id, createdAt, ticketCount, writeCount } = progress;
  const router = routerBytes(progress.router);
  const existing = getObjectRecord(tx, id);
  // A note can be overtaken by the end of the write.
  if (existing !== undefined && existing.status !== "writing") return;
  const stored: StoredWriting = { status: "writing", createdAt, router: progress.router, ticketCount, writeCount };
  tx.put(objectKey(id), JSON.stringify(stored));
  if (existing === undefined) tx.put(unfinishedKey(router, id), "{}");
}

export function failObject(tx: Transaction, id: ObjectId, reason: string, now: number): void {
  const existing = getObjectRecord(tx, id);
  if (existing?.status === "saved" || existing?.status === "error") return;
  putFailed(tx, id, existing, reason, now);
}

/** Returns how many unfinished objects of the router there were. */
export function failUnfinished(tx: Transaction, router: string, reason: string, now: number): number {
  const base = `${Table.unfinished}${routerBytes(router)}\0`;
  const ids = tx.range(base, base + lastByte, Number.MAX_SAFE_INTEGER).map((entry) => objectOfKey(entry.key));
  tx.want?.(...ids.map(objectKey));
  const records = ids.map((id) => getObjectRecord(tx, id));
  for (const [index, id] of ids.entries()) {
    const existing = records[index];
    if (existing?.status === "writing") putFailed(tx, id, existing, reason, now);
  }
  return ids.length;
}

function putFailed(
  tx: Transaction,
  id: ObjectId,
  existing: StoredWriting | undefined,
  reason: string,
  now: number,
): void {
  const { createdAt, ticketCount, writeCount } = existing ?? { createdAt: now, ticketCount: 0, writeCount: 0 };
  const stored: StoredFailed = { status: "error", createdAt, failedAt: now, reason, ticketCount, writeCount };
  tx.put(objectKey(id), JSON.stringify(stored));
  tx.put(failedKey(now, id), "{}");
  if (existing !== undefined) tx.delete(unfinishedKey(routerBytes(existing.router), id));
}

export function forgetFailed(tx: Transaction, before: number, limit: number): number {
  const found = tx.range(Table.failed, failedKey(before, 0), limit);
  for (const { key } of found) {
    tx.delete(key);
    tx.delete(objectKey(objectOfKey(key)));
  }
  return found.length;
}

// ── saved ───────────────────────────────────────────────────────────────────────────────────────────────────────────

export function saveObject(tx: Transaction, object: NewObject, target: Target, now: number): VersionRecord | undefined {
  const { id, size, attributes } = object;
  const pieces = checkNewObject(object);
  const key = objectKey(id);
  const name = target.kind === "file" ? fileName(target.bucket, target.key) : undefined;
  tx.wantNew?.(key);
  tx.want?.(...pieces.map((piece) => volumeKey(volumeOf(layout, piece.first))));
  if (name !== undefined) wantNewFile(tx, name);
  const existing = getObjectRecord(tx, id);
  if (existing?.status === "saved" || tx.buried(id) !== undefined) return repeated(tx, existing, object, target, now);
  if (existing?.status === "error") throw givenUp(id, existing);
  checkLeased(tx, pieces);

  let version: VersionRecord | undefined;
  switch (target.kind) {
    case "standalone":
      break;
    case "file": {
      const plan = planVersion(tx, name!, target.condition);
      const made = applyVersion(tx, plan, { createdAt: now, object: id, size, attributes: target.attributes });
      version = versionRecord(plan.key, made, true);
      break;
    }
    case "part": {
      const { upload, part, attributes: partAttributes } = target;
      const replaced = checkPart(tx, upload, part);
      putPart(tx, upload, part, replaced, {
        object: id,
        size,
        ticketCount: ticketsIn(object.runs),
        createdAt: now,
        attributes: partAttributes,
      });
      break;
    }
  }
  const stored: StoredSaved = {
    status: "saved",
    createdAt: now,
    size,
    runs: object.runs.map((run) => [run.first, run.count]),
    references: 1,
    ...(target.kind === "standalone" ? { standalone: true } : {}),
    ...(version === undefined ? {} : { version: version.version }),
    attributes,
  };
  tx.put(key, JSON.stringify(stored));
  indexRuns(tx, pieces, id);
  tx.add("objects", 1);
  tx.add("bytes", size);
  if (existing !== undefined) tx.delete(unfinishedKey(routerBytes(existing.router), id));
  return version;
}

function checkNewObject(object: NewObject): readonly Run[] {
  const { id, size, runs } = object;
  if (!(Number.isSafeInteger(id) && id >= 0 && id < idCount))
    throw new StoreError("INVALID", `object id ${id}: is none`);
  if (!(Number.isSafeInteger(size) && size >= 0 && size <= objectSizeMax)) {
    throw new StoreError("INVALID", `size ${size}: must be 0 to ${objectSizeMax} bytes`);
  }
  for (const { first, count } of runs) {
    if (
      !(
        Number.isSafeInteger(first) &&
        first >= 0 &&
        Number.isSafeInteger(count) &&
        count >= 1 &&
        first + count <= idCount
      )
    ) {
      throw new StoreError(
        "INVALID",
        `run of ${count} from ${first}: must lie within the ids and hold one ticket or more`,
      );
    }
  }
  if (!runsFit(runs, size)) {
    throw new StoreError("INVALID", `runs of ${ticketsIn(runs)} tickets: do not fit ${size} bytes`);
  }
  return splitRuns(runs);
}

/** A ticket that was not leased may be handed out to somebody else: such a run would be two objects' one day. */
function checkLeased(tx: Transaction, pieces: readonly Run[]): void {
  for (const { first, count } of pieces) {
    const end = leasedEnd(tx, volumeOf(layout, first));
    if (first + count > end) {
      throw new StoreError("INVALID", `run of ${count} from ${formatId(first)}: reaches beyond what was leased`);
    }
  }
}

// ── reading and removing ────────────────────────────────────────────────────────────────────────────────────────────

export function getObject(reader: Reader, id: ObjectId): ObjectRecord | undefined {
  const stored = getObjectRecord(reader, id);
  return stored === undefined ? undefined : objectRecord(id, stored);
}

export function listObjects(reader: Reader, after: ObjectId | undefined, limit: number): ObjectRecord[] {
  return reader
    .range(after === undefined ? Table.object : objectKey(after + 1), Table.object + lastByte, limit)
    .map(({ key, value }) => objectRecord(objectOfKey(key), parseRecord<StoredObject>(key, value)));
}

export function removeObject(tx: Transaction, id: ObjectId): boolean {
  const stored = getObjectRecord(tx, id);
  if (stored === undefined) return false;
  if (stored.status === "writing") throw new StoreError("CONFLICT", `object ${formatId(id)} is being written`);
  if (stored.status === "error") {
    tx.delete(objectKey(id));
    tx.delete(failedKey(stored.failedAt, id));
    return true;
  }
  if (stored.standalone !== true) throw new StoreError("CONFLICT", `object ${formatId(id)}: a file refers to it`);
  const { standalone: _, ...shared } = stored;
  if (stored.references > 1) tx.put(objectKey(id), JSON.stringify({ ...shared, references: stored.references - 1 }));
  else release(tx, id);
  return true;
}

export function listRuns(
  reader: Reader,
  from: TicketId,
  end: TicketId,
  limit: number,
): (Run & { readonly object: ObjectId })[] {
  return reader.range(runKey(from), runKey(end), limit).map(({ key, value }) => {
    const { count, object } = parseRecord<StoredRun>(key, value);
    return { first: ticketOfRunKey(key) as TicketId, count, object };
  });
}
