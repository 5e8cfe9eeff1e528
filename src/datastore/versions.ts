/**
 * Files and their versions, as Amazon S3 documents versioning off, enabled and suspended (docs.aws.amazon.com, "How S3
 * Versioning works").
 *
 * The newest version of a file is in the table `file`, unless it is a delete marker; everything else is in `version`. So
 * a listing of files reads nothing but what it returns, however many old versions there are, and a write without
 * versioning touches one record.
 */
import { StoreError } from "../core/errors.ts";
import type { ObjectId } from "../core/ids.ts";
import { bucketNameSizeMax } from "../core/limits.ts";
import { bucketKey, requireBucket, versioningOf } from "./buckets.ts";
import {
  nullVersion,
  type Attributes,
  type Condition,
  type FileTarget,
  type VersionRecord,
  type Versioning,
} from "./datastore.ts";
import {
  fileKeyBytes,
  lastByte,
  nameBytes,
  objectKey,
  orderDigits,
  orderOfText,
  Table,
  textOf,
  versionKey,
} from "./keys.ts";
import {
  getObjectRecord,
  getRecord,
  parseRecord,
  sameJson,
  versionId,
  versionRecord,
  type StoredVersion,
} from "./records.ts";
import { addReference, release } from "./references.ts";
import type { Entry, Reader, Transaction } from "./transaction.ts";

/** Names of a file, checked, in bytes. */
export interface FileName {
  readonly bucket: string;
  readonly key: string;
  /** bucket NUL key: what follows the table in the file's keys. */
  readonly file: string;
}

export function fileName(bucket: string, key: string): FileName {
  const bucketBytes = nameBytes("bucket", bucket, bucketNameSizeMax);
  const keyBytes = fileKeyBytes(key);
  return { bucket: bucketBytes, key: keyBytes, file: `${bucketBytes}\0${keyBytes}` };
}

/** Says early that this file will be made. */
export function wantNewFile(tx: Transaction, name: FileName): void {
  tx.want?.(Table.bucket + name.bucket);
  tx.wantNew?.(Table.file + name.file);
}

/** A file that a write was checked against; nothing is changed yet. */
export interface FilePlan extends FileName {
  readonly versioning: Versioning;
  /** The newest version, where it is no delete marker. */
  readonly current: StoredVersion | undefined;
  readonly previousNull: { readonly order: number; readonly stored: StoredVersion } | undefined;
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Checks bucket and condition. */
export function planVersion(tx: Transaction, name: FileName, condition?: Condition): FilePlan {
  const { bucket, key, file } = name;
  tx.want?.(Table.bucket + bucket, Table.file + file);
  const versioning = versioningOf(tx, bucket);
  const current = getRecord<StoredVersion>(tx, Table.file + file);
  if (condition !== undefined) checkCondition(condition, current, `${textOf(bucket)}/${textOf(key)}`);
  const previousNull = versioning === "suspended" && current?.null !== true ? findNull(tx, file) : undefined;
  return { bucket, key, file, versioning, current, previousNull };
}

/** Makes the new version (a delete marker without `object`) the newest, and lets go of what it replaces. */
export function applyVersion(
  tx: Transaction,
  plan: FilePlan,
  made: Omit<StoredVersion, "order" | "null">,
): StoredVersion {
  const { versioning, file, current, previousNull } = plan;
  // Whoever adds a delete marker does not change the record of the file where there is none.
  if (versioning !== "off" && current === undefined) tx.guard?.(...oldRange(file));
  const stored: StoredVersion =
    versioning === "off"
      ? { order: 0, null: true, ...made }
      : versioning === "suspended"
        ? { order: tx.nextOrder(), null: true, ...made }
        : { order: tx.nextOrder(), ...made };
  const replaced = stored.null === true && current?.null === true ? current : previousNull?.stored;
  if (current !== undefined && current !== replaced) putOld(tx, file, current);
  if (previousNull !== undefined) removeOld(tx, file, previousNull.order, true);
  if (stored.object === undefined) {
    if (current !== undefined) tx.delete(Table.file + file);
    putOld(tx, file, stored);
  } else {
    tx.put(Table.file + file, JSON.stringify(stored));
  }
  if (replaced?.object !== undefined) release(tx, replaced.object);
  return stored;
}

export function copyVersion(tx: Transaction, object: ObjectId, target: FileTarget, now: number): VersionRecord {
  tx.want?.(objectKey(object));
  const plan = planVersion(tx, fileName(target.bucket, target.key), target.condition);
  const source = getObjectRecord(tx, object);
  if (source?.status !== "saved") throw new StoreError("NOT_FOUND", `object ${object}: the source of the copy is gone`);
  addReference(tx, object, source);
  const { attributes } = target;
  return versionRecord(
    plan.key,
    applyVersion(tx, plan, { createdAt: now, object, size: source.size, attributes }),
    true,
  );
}

export function deleteFile(
  tx: Transaction,
  bucket: string,
  key: string,
  now: number,
  condition?: Condition,
  attributes: Attributes = {},
): VersionRecord | undefined {
  const plan = planVersion(tx, fileName(bucket, key), condition);
  if (plan.versioning !== "off") {
    return versionRecord(plan.key, applyVersion(tx, plan, { createdAt: now, attributes }), true);
  }
  if (plan.current !== undefined) {
    tx.delete(Table.file + plan.file);
    if (plan.current.object !== undefined) release(tx, plan.current.object);
  }
  return undefined;
}

export function deleteVersion(
  tx: Transaction,
  bucket: string,
  key: string,
  version: string,
  expected?: Attributes,
): VersionRecord | undefined {
  const found = findVersion(tx, bucket, key, version);
  if (found === undefined) return undefined;
  checkExpected(found, expected);
  const { file, stored, latest } = found;
  const next = latest ? firstOld(tx, file, 2).find((entry) => entry.key !== found.recordKey) : undefined;
  if (found.recordKey.startsWith(Table.file)) tx.delete(found.recordKey);
  else removeOld(tx, file, stored.order, stored.null === true);
  if (next !== undefined) {
    const promoted = parseRecord<StoredVersion>(next.key, next.value);
    if (promoted.object !== undefined) {
      removeOld(tx, file, promoted.order, promoted.null === true);
      tx.put(Table.file + file, next.value);
    }
  }
  if (stored.object !== undefined) release(tx, stored.object);
  return versionRecord(found.key, stored, latest);
}

export function updateVersion(
  tx: Transaction,
  bucket: string,
  key: string,
  version: string,
  attributes: Attributes,
  expected?: Attributes,
): VersionRecord {
  const found = findVersion(tx, bucket, key, version);
  if (found === undefined) throw new StoreError("NOT_FOUND", `${bucket}/${key}: there is no version ${version}`);
  checkExpected(found, expected);
  const stored = { ...found.stored, attributes };
  tx.put(found.recordKey, JSON.stringify(stored));
  return versionRecord(found.key, stored, found.latest);
}

function checkExpected({ key, stored }: FoundVersion, expected: Attributes | undefined): void {
  if (expected !== undefined && !sameJson(stored.attributes, expected)) {
    const version = `${textOf(key)}, version ${versionId(stored)}`;
    throw new StoreError("CONFLICT", `${version}: its attributes were changed by somebody else`);
  }
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export function getVersion(reader: Reader, bucket: string, key: string, version?: string): VersionRecord | undefined {
  const found = version === undefined ? findNewest(reader, bucket, key) : findVersion(reader, bucket, key, version);
  return found === undefined ? undefined : versionRecord(found.key, found.stored, found.latest);
}

interface FoundVersion {
  readonly file: string;
  readonly key: string;
  readonly recordKey: string;
  readonly stored: StoredVersion;
  readonly latest: boolean;
}

function findNewest(reader: Reader, bucket: string, key: string): FoundVersion | undefined {
  const { key: keyBytes, file } = fileName(bucket, key);
  const current = reader.get(Table.file + file);
  if (current !== undefined) {
    const recordKey = Table.file + file;
    return { file, key: keyBytes, recordKey, stored: parseRecord(recordKey, current), latest: true };
  }
  const first = firstOld(reader, file, 1)[0];
  if (first === undefined) {
    requireBucket(reader, bucket);
    return undefined;
  }
  return { file, key: keyBytes, recordKey: first.key, stored: parseRecord(first.key, first.value), latest: true };
}

function findVersion(reader: Reader, bucket: string, key: string, version: string): FoundVersion | undefined {
  const { key: keyBytes, file } = fileName(bucket, key);
  const byNull = version === nullVersion;
  const order = byNull ? undefined : orderOfText(version);
  reader.want?.(bucketKey(bucket), Table.file + file, byNull ? Table.nullVersion + file : versionKey(file, order ?? 0));
  requireBucket(reader, bucket);
  if (!byNull && order === undefined) return undefined;
  const current = getRecord<StoredVersion>(reader, Table.file + file);
  if (current !== undefined && (current.null === true) === byNull && (byNull || current.order === order)) {
    return { file, key: keyBytes, recordKey: Table.file + file, stored: current, latest: true };
  }
  const old = byNull ? findNull(reader, file) : findOrdered(reader, file, order!);
  if (old === undefined) return undefined;
  const recordKey = versionKey(file, old.order);
  const latest = current === undefined && firstOld(reader, file, 1)[0]?.key === recordKey;
  return { file, key: keyBytes, recordKey, stored: old.stored, latest };
}

/** The null version, where it is not the newest. */
function findNull(reader: Reader, file: string): { order: number; stored: StoredVersion } | undefined {
  const pointer = reader.get(Table.nullVersion + file);
  if (pointer === undefined) return undefined;
  const order = orderOfText(pointer)!;
  const stored = getRecord<StoredVersion>(reader, versionKey(file, order));
  if (stored === undefined)
    throw new StoreError("DAMAGED", `the null version of a file is gone: ${JSON.stringify(file)}`);
  return { order, stored };
}

function findOrdered(
  reader: Reader,
  file: string,
  order: number,
): { order: number; stored: StoredVersion } | undefined {
  const stored = getRecord<StoredVersion>(reader, versionKey(file, order));
  return stored === undefined || stored.null === true ? undefined : { order, stored };
}

function firstOld(reader: Reader, file: string, limit: number): readonly Entry[] {
  return reader.range(...oldRange(file), limit);
}

function oldRange(file: string): [string, string] {
  return [`${Table.version}${file}\0`, `${Table.version}${file}\0${lastByte}`];
}

// ── parts of a change ───────────────────────────────────────────────────────────────────────────────────────────────

function putOld(tx: Transaction, file: string, stored: StoredVersion): void {
  const recordKey = versionKey(file, stored.order);
  tx.put(recordKey, JSON.stringify(stored));
  if (stored.null === true) tx.put(Table.nullVersion + file, recordKey.slice(-orderDigits));
}

function removeOld(tx: Transaction, file: string, order: number, isNull: boolean): void {
  tx.delete(versionKey(file, order));
  if (isNull) tx.delete(Table.nullVersion + file);
}

function checkCondition(condition: Condition, current: StoredVersion | undefined, path: string): void {
  if (condition.kind === "absent") {
    if (current !== undefined) throw new StoreError("CONFLICT", `${path} exists`);
    return;
  }
  if (current === undefined) throw new StoreError("NOT_FOUND", `${path} does not exist`);
  if (condition.kind === "present") return;
  if (condition.kind === "object") {
    if (current.object === condition.object) return;
    throw new StoreError("CONFLICT", `${path}: it is another object by now`);
  }
  const { name, value } = condition;
  if (!sameJson(current.attributes[name], value)) {
    throw new StoreError("CONFLICT", `${path}: its ${name} is not ${JSON.stringify(value)}`);
  }
}
