/** The stored form of records: JSON with these fields (docs/formats/datastore.md; permanent). */
import { StoreError } from "../core/errors.ts";
import type { ObjectId, TicketId } from "../core/ids.ts";
import { ticketsIn, type Run } from "../core/run.ts";
import {
  nullVersion,
  type Attributes,
  type Content,
  type Json,
  type ObjectRecord,
  type VersionRecord,
  type Versioning,
} from "./datastore.ts";
import { objectKey, orderText, textOf } from "./keys.ts";
import type { Reader } from "./transaction.ts";

/** Of records in Redis; those of the embedded datastore have checksums, too (embedded-format.ts). A datastore with a higher one is refused. */
export const formatVersion = 1;

export interface StoredBucket {
  readonly createdAt: number;
  readonly versioning: Versioning;
  readonly attributes: Attributes;
}

/** A version or, without `object`, a delete marker. Where the versioning was off, `order` is 0: older than any other. */
export interface StoredVersion {
  readonly order: number;
  /** Its id is `null`, whatever its order. */
  readonly null?: true;
  readonly createdAt: number;
  readonly object?: ObjectId;
  readonly size?: number;
  readonly attributes: Attributes;
}

/** [first, count] of runs, or [object, size] of parts. */
type Pairs = readonly (readonly [number, number])[];

export interface StoredSaved {
  readonly status: "saved";
  readonly createdAt: number;
  readonly size: number;
  readonly runs?: Pairs;
  readonly parts?: Pairs;
  /** With `parts`: tickets of all parts together. */
  readonly ticketCount?: number;
  readonly references: number;
  readonly standalone?: true;
  /** The id of the version that its commit made, for the case that the commit is repeated. */
  readonly version?: string;
  readonly attributes: Attributes;
}

export interface StoredWriting {
  readonly status: "writing";
  readonly createdAt: number;
  readonly router: string;
  readonly ticketCount: number;
  readonly writeCount: number;
}

export interface StoredFailed {
  readonly status: "error";
  readonly createdAt: number;
  /** When it was given up: orders the table `failed`. */
  readonly failedAt: number;
  readonly reason: string;
  readonly ticketCount: number;
  readonly writeCount: number;
}

export type StoredObject = StoredSaved | StoredWriting | StoredFailed;

export interface StoredUpload {
  readonly upload: string;
  readonly bucket: string;
  readonly key: string;
  readonly createdAt: number;
  readonly attributes: Attributes;
}

export interface StoredPart {
  readonly object: ObjectId;
  readonly size: number;
  readonly ticketCount: number;
  /** The object consists of parts itself. */
  readonly composed?: true;
  readonly createdAt: number;
  readonly attributes: Attributes;
}

export interface StoredEntry {
  readonly attributes: Attributes;
}

export interface StoredRun {
  readonly count: number;
  readonly object: ObjectId;
}

export interface StoredVolume {
  readonly putter: string;
  readonly sealed: boolean;
  readonly leases: number;
  readonly leasedCount: number;
  readonly reclaimedCount: number;
}

export interface StoredLease {
  readonly count: number;
}

export interface StoredAllocation {
  readonly object: number;
  readonly volume: number;
}

/** `all` is false while records of format 1 wait for theirs. */
export interface StoredChecksums {
  readonly all: boolean;
}

/** Ids and volumes from which on nothing was handed out, where that is known. */
export interface StoredRestored {
  readonly object?: number;
  readonly volume?: number;
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export function parseRecord<Record>(key: string, text: string): Record {
  try {
    return JSON.parse(text) as Record;
  } catch (cause) {
    const message = `record ${JSON.stringify(key)} is damaged: see docs/runbooks/restore-the-datastore.md`;
    throw new StoreError("DAMAGED", message, { cause });
  }
}

export function getRecord<Record>(reader: Reader, key: string): Record | undefined {
  const text = reader.get(key);
  return text === undefined ? undefined : parseRecord<Record>(key, text);
}

export function getObjectRecord(reader: Reader, id: ObjectId): StoredObject | undefined {
  return getRecord<StoredObject>(reader, objectKey(id));
}

// ── towards the interface ───────────────────────────────────────────────────────────────────────────────────────────

export function objectRecord(id: ObjectId, stored: StoredObject): ObjectRecord {
  const { createdAt } = stored;
  if (stored.status === "writing") {
    const { router, ticketCount, writeCount } = stored;
    return { id, status: "writing", createdAt, ticketCount, writeCount, router };
  }
  if (stored.status === "error") {
    const { reason, ticketCount, writeCount } = stored;
    return { id, status: "error", createdAt, ticketCount, writeCount, reason };
  }
  const runs = runsOf(stored);
  const ticketCount = stored.ticketCount ?? ticketsIn(runs);
  const { size, references, attributes } = stored;
  const content: Content =
    stored.parts === undefined ? { kind: "runs", runs } : { kind: "parts", parts: partsOf(stored) };
  const standalone = stored.standalone === true;
  const counts = { ticketCount, writeCount: ticketCount };
  return { id, status: "saved", createdAt, ...counts, size, content, references, standalone, attributes };
}

export function runsOf(stored: StoredSaved): Run[] {
  return (stored.runs ?? []).map(([first, count]) => ({ first: first as TicketId, count }));
}

export function partsOf(stored: StoredSaved): { object: ObjectId; size: number }[] {
  return (stored.parts ?? []).map(([object, size]) => ({ object: object as ObjectId, size }));
}

export function versionRecord(keyBytes: string, stored: StoredVersion, latest: boolean): VersionRecord {
  return {
    key: textOf(keyBytes),
    version: versionId(stored),
    createdAt: stored.createdAt,
    object: stored.object,
    size: stored.size ?? 0,
    attributes: stored.attributes,
    latest,
  };
}

export function versionId(stored: StoredVersion): string {
  return stored.null === true ? nullVersion : orderText(stored.order);
}

/** Whether two values are the same JSON; the order of an object's names does not matter. */
export function sameJson(left: Json | undefined, right: Json | undefined): boolean {
  if (left === right) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const leftNames = Object.keys(left);
  return (
    leftNames.length === Object.keys(right).length &&
    leftNames.every(
      (name) => Object.hasOwn(right, name) && sameJson((left as Attributes)[name], (right as Attributes)[name]),
    )
  );
}
