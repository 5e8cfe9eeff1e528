/**
 * Who refers to an object, and what becomes of it when nobody does: its record goes, its runs leave the index, and its
 * tickets stop being live; an object of parts lets go of these.
 */
import { StoreError } from "../core/errors.ts";
import { formatId, type ObjectId, type TicketId } from "../core/ids.ts";
import { layoutOf, placementDepth, volumeEnd, volumeOf } from "../core/layout.ts";
import type { Run } from "../core/run.ts";
import { liveCounter, objectKey, runKey } from "./keys.ts";
import { getObjectRecord, partsOf, runsOf, type StoredRun, type StoredSaved } from "./records.ts";
import type { Transaction } from "./transaction.ts";

const layout = layoutOf(placementDepth);

/** One reference more to an object that was read just now. */
export function addReference(tx: Transaction, id: ObjectId, stored: StoredSaved, count = 1): StoredSaved {
  const next = { ...stored, references: stored.references + count };
  tx.put(objectKey(id), JSON.stringify(next));
  return next;
}

/** One reference less; without any the object is gone. */
export function release(tx: Transaction, id: ObjectId): void {
  const stored = getObjectRecord(tx, id);
  if (stored?.status !== "saved") {
    throw new StoreError("DAMAGED", `object ${formatId(id)} is referred to but is not there`);
  }
  if (stored.references > 1) {
    addReference(tx, id, stored, -1);
    return;
  }
  tx.delete(objectKey(id));
  tx.bury(id, stored.version ?? "");
  tx.add("objects", -1);
  if (stored.parts === undefined) {
    tx.add("bytes", -stored.size);
    unindexRuns(tx, runsOf(stored));
  } else {
    const parts = partsOf(stored);
    tx.want?.(...parts.map((part) => objectKey(part.object)));
    for (const part of parts) release(tx, part.object);
  }
}

/** Adds runs that lie in one volume each to the index, and their tickets to the live ones of their volumes. */
export function indexRuns(tx: Transaction, pieces: readonly Run[], object: ObjectId): void {
  for (const piece of pieces) {
    const stored: StoredRun = { count: piece.count, object };
    tx.put(runKey(piece.first), JSON.stringify(stored));
    tx.add(liveCounter(volumeOf(layout, piece.first)), piece.count);
  }
}

function unindexRuns(tx: Transaction, runs: readonly Run[]): void {
  for (const piece of splitRuns(runs)) {
    tx.delete(runKey(piece.first));
    tx.add(liveCounter(volumeOf(layout, piece.first)), -piece.count);
  }
}

/** The same tickets, in runs that each lie in one volume. */
export function splitRuns(runs: readonly Run[]): readonly Run[] {
  if (runs.every(({ first, count }) => volumeOf(layout, first) === volumeOf(layout, first + count - 1))) return runs;
  const pieces: Run[] = [];
  for (const run of runs) {
    const end = run.first + run.count;
    for (let first: number = run.first; first < end;) {
      const pieceEnd = Math.min(end, volumeEnd(layout, volumeOf(layout, first)));
      pieces.push({ first: first as TicketId, count: pieceEnd - first });
      first = pieceEnd;
    }
  }
  return pieces;
}
