/**
 * Operations on multipart uploads. A part is a reference to an object; completing hands these references over to a new
 * object of parts, so that no bytes and, for parts that were uploaded, not even an object's record has to change.
 */
import { assert, StoreError } from "../core/errors.ts";
import { formatId, idCount, type ObjectId } from "../core/ids.ts";
import { partsMax } from "../core/limits.ts";
import { requireBucket } from "./buckets.ts";
import type { Attributes, FileTarget, PartRecord, UploadRecord, VersionRecord } from "./datastore.ts";
import {
  bytesOf,
  fileKeyBytes,
  lastByte,
  nameBytes,
  objectKey,
  partKey,
  Table,
  unfinishedKey,
  uploadOrderKey,
} from "./keys.ts";
import { routerBytes } from "./leases.ts";
import {
  getObjectRecord,
  getRecord,
  parseRecord,
  partsOf,
  versionRecord,
  type StoredPart,
  type StoredSaved,
  type StoredUpload,
} from "./records.ts";
import { addReference, release } from "./references.ts";
import { givenUp, repeated } from "./repeated.ts";
import type { Reader, Transaction } from "./transaction.ts";
import { applyVersion, fileName, planVersion } from "./versions.ts";

const uploadNameSizeMax = 255;
/** Objects that one object can consist of: parts can be copies of objects that consist of parts. */
const composedPartsMax = 10 * partsMax;

export function createUpload(tx: Transaction, upload: UploadRecord): void {
  const id = uploadBytes(upload.upload);
  const key = fileKeyBytes(upload.key);
  tx.want?.(Table.upload + id);
  requireBucket(tx, upload.bucket);
  if (tx.get(Table.upload + id) !== undefined) throw new StoreError("CONFLICT", `upload ${upload.upload} exists`);
  const stored: StoredUpload = {
    upload: upload.upload,
    bucket: upload.bucket,
    key: upload.key,
    createdAt: upload.createdAt,
    attributes: upload.attributes,
  };
  const text = JSON.stringify(stored);
  tx.put(Table.upload + id, text);
  tx.put(uploadOrderKey(`${bytesOf(upload.bucket)}\0${key}`, upload.createdAt, id), text);
  tx.add("uploads", 1);
}

export function getUpload(reader: Reader, upload: string): UploadRecord | undefined {
  return getRecord<StoredUpload>(reader, Table.upload + uploadBytes(upload));
}

function requireUpload(reader: Reader, upload: string): UploadRecord {
  const found = getUpload(reader, upload);
  if (found === undefined) throw new StoreError("NOT_FOUND", `upload ${upload} does not exist`);
  return found;
}

// ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────

export function listParts(reader: Reader, upload: string, after: number, limit: number): PartRecord[] {
  requireUpload(reader, upload);
  return reader.range(partKey(uploadBytes(upload), after + 1), partsEnd(upload), limit).map(({ key, value }) => {
    const { object, size, createdAt, attributes } = parseRecord<StoredPart>(key, value);
    return { part: partOfKey(key), object, size, createdAt, attributes };
  });
}

/** Returns the part that would be replaced. */
export function checkPart(tx: Transaction, upload: string, part: number): StoredPart | undefined {
  if (!(Number.isSafeInteger(part) && part >= 1 && part <= partsMax)) {
    throw new StoreError("INVALID", `part ${part}: must be 1 to ${partsMax}`);
  }
  const id = uploadBytes(upload);
  tx.want?.(Table.upload + id, partKey(id, part));
  requireUpload(tx, upload);
  return getRecord<StoredPart>(tx, partKey(id, part));
}

export function putPart(
  tx: Transaction,
  upload: string,
  part: number,
  replaced: StoredPart | undefined,
  stored: StoredPart,
): void {
  tx.put(partKey(uploadBytes(upload), part), JSON.stringify(stored));
  if (replaced !== undefined) release(tx, replaced.object);
}

export function copyPart(
  tx: Transaction,
  object: ObjectId,
  upload: string,
  part: number,
  attributes: Attributes,
  now: number,
): void {
  tx.want?.(objectKey(object));
  const replaced = checkPart(tx, upload, part);
  const source = getObjectRecord(tx, object);
  if (source?.status !== "saved") {
    throw new StoreError("NOT_FOUND", `object ${formatId(object)}: the source of the copy is gone`);
  }
  addReference(tx, object, source);
  putPart(tx, upload, part, replaced, {
    object,
    size: source.size,
    ticketCount: ticketCountIn(source),
    ...(source.parts === undefined ? {} : { composed: true }),
    createdAt: now,
    attributes,
  });
}

// ── the end of an upload ────────────────────────────────────────────────────────────────────────────────────────────

export function completeUpload(
  tx: Transaction,
  upload: string,
  parts: readonly number[],
  id: ObjectId,
  attributes: Attributes,
  target: FileTarget,
  now: number,
): VersionRecord {
  if (!(Number.isSafeInteger(id) && id >= 0 && id < idCount))
    throw new StoreError("INVALID", `object id ${id}: is none`);
  tx.wantNew?.(objectKey(id));
  tx.want?.(Table.upload + uploadBytes(upload));
  const existing = getObjectRecord(tx, id);
  if (existing?.status === "saved" || tx.buried(id) !== undefined) {
    const size = existing?.status === "saved" ? existing.size : 0;
    const version = repeated(tx, existing, { id, size }, target, now);
    assert(version !== undefined, "the target is a file");
    return version;
  }
  if (existing?.status === "error") throw givenUp(id, existing);
  const record = requireUpload(tx, upload);
  const { chosen, unused } = chooseParts(tx, upload, parts);
  const { pairs, composed } = flatten(tx, chosen);
  const plan = planVersion(tx, fileName(target.bucket, target.key), target.condition);

  const size = chosen.reduce((sum, part) => sum + part.size, 0);
  const made = applyVersion(tx, plan, { createdAt: now, object: id, size, attributes: target.attributes });
  const version = versionRecord(plan.key, made, true);
  const stored: StoredSaved = {
    status: "saved",
    createdAt: now,
    size,
    parts: pairs,
    ticketCount: chosen.reduce((sum, part) => sum + part.ticketCount, 0),
    references: 1,
    version: version.version,
    attributes,
  };
  tx.put(objectKey(id), JSON.stringify(stored));
  tx.add("objects", 1);
  handOver(tx, composed);
  for (const part of unused) release(tx, part.object);
  removeUpload(tx, record);
  if (existing !== undefined) tx.delete(unfinishedKey(routerBytes(existing.router), id));
  return version;
}

export function abortUpload(tx: Transaction, upload: string): boolean {
  const record = getUpload(tx, upload);
  if (record === undefined) return false;
  const parts = storedParts(tx, upload);
  tx.want?.(...[...parts.values()].map((part) => objectKey(part.object)));
  removeUpload(tx, record, parts);
  for (const part of parts.values()) release(tx, part.object);
  return true;
}

function chooseParts(
  tx: Transaction,
  upload: string,
  numbers: readonly number[],
): { chosen: StoredPart[]; unused: StoredPart[] } {
  if (numbers.length === 0) throw new StoreError("INVALID", `upload ${upload}: no parts are named`);
  const parts = storedParts(tx, upload);
  const chosen = numbers.map((number) => {
    const part = parts.get(number);
    if (part === undefined) {
      const isNamedTwice = numbers.indexOf(number) !== numbers.lastIndexOf(number);
      if (isNamedTwice) throw new StoreError("INVALID", `upload ${upload}: part ${number} is named twice`);
      throw new StoreError("CONFLICT", `upload ${upload}: there is no part ${number}`);
    }
    parts.delete(number);
    return part;
  });
  return { chosen, unused: [...parts.values()] };
}

/** The objects with runs of their own that the parts come to, and the objects of parts that are taken apart for it. */
function flatten(
  tx: Transaction,
  parts: readonly StoredPart[],
): { pairs: [number, number][]; composed: { id: ObjectId; leaves: ObjectId[] }[] } {
  const pairs: [number, number][] = [];
  const composed: { id: ObjectId; leaves: ObjectId[] }[] = [];
  tx.want?.(...parts.filter((part) => part.composed === true).map((part) => objectKey(part.object)));
  for (const part of parts) {
    if (part.composed !== true) {
      pairs.push([part.object, part.size]);
      continue;
    }
    const object = getObjectRecord(tx, part.object);
    if (object?.status !== "saved") {
      throw new StoreError("DAMAGED", `object ${formatId(part.object)} is referred to but is not there`);
    }
    const leaves = partsOf(object);
    for (const leaf of leaves) pairs.push([leaf.object, leaf.size]);
    composed.push({ id: part.object, leaves: leaves.map((leaf) => leaf.object) });
  }
  if (pairs.length > composedPartsMax) {
    throw new StoreError("INVALID", `an object of ${pairs.length} parts of parts: can have ${composedPartsMax}`);
  }
  return { pairs, composed };
}

/** The new object refers to the leaves instead of to what was taken apart. */
function handOver(tx: Transaction, composed: readonly { id: ObjectId; leaves: ObjectId[] }[]): void {
  tx.want?.(...composed.flatMap((part) => part.leaves.map(objectKey)));
  for (const { id, leaves } of composed) {
    for (const leaf of leaves) {
      const stored = getObjectRecord(tx, leaf);
      if (stored?.status !== "saved") {
        throw new StoreError("DAMAGED", `object ${formatId(leaf)} is referred to but is not there`);
      }
      addReference(tx, leaf, stored);
    }
    release(tx, id);
  }
}

function removeUpload(tx: Transaction, record: UploadRecord, parts = storedParts(tx, record.upload)): void {
  const id = uploadBytes(record.upload);
  for (const part of parts.keys()) tx.delete(partKey(id, part));
  tx.delete(Table.upload + id);
  tx.delete(uploadOrderKey(`${bytesOf(record.bucket)}\0${bytesOf(record.key)}`, record.createdAt, id));
  tx.add("uploads", -1);
}

function storedParts(reader: Reader, upload: string): Map<number, StoredPart> {
  const entries = reader.range(partKey(uploadBytes(upload), 0), partsEnd(upload), partsMax);
  return new Map(entries.map(({ key, value }) => [partOfKey(key), parseRecord<StoredPart>(key, value)]));
}

function partsEnd(upload: string): string {
  return `${Table.part}${uploadBytes(upload)}\0${lastByte}`;
}

function partOfKey(key: string): number {
  return Number(key.slice(-5));
}

function ticketCountIn(stored: StoredSaved): number {
  return stored.ticketCount ?? (stored.runs ?? []).reduce((sum, [, count]) => sum + count, 0);
}

function uploadBytes(upload: string): string {
  return nameBytes("upload", upload, uploadNameSizeMax);
}
