/** Operations on buckets. */
import { StoreError } from "../core/errors.ts";
import { bucketNameSizeMax } from "../core/limits.ts";
import type { Attributes, BucketChange, BucketRecord, Versioning } from "./datastore.ts";
import { lastByte, nameBytes, Table, textOf } from "./keys.ts";
import { getRecord, parseRecord, sameJson, type StoredBucket } from "./records.ts";
import type { Reader, Transaction } from "./transaction.ts";

/** More than anybody has: S3 allows an account 1,000, or 10,000 on request. */
const bucketsMax = 100_000;

export function createBucket(tx: Transaction, name: string, attributes: Attributes, now: number): BucketRecord {
  const key = bucketKey(name);
  if (tx.get(key) !== undefined) throw new StoreError("CONFLICT", `bucket ${name} exists`);
  const stored: StoredBucket = { createdAt: now, versioning: "off", attributes };
  tx.put(key, JSON.stringify(stored));
  tx.add("buckets", 1);
  return { name, ...stored };
}

export function getBucket(reader: Reader, name: string): BucketRecord | undefined {
  const stored = getRecord<StoredBucket>(reader, bucketKey(name));
  return stored === undefined ? undefined : { name, ...stored };
}

/** The versioning of a bucket, for a write in it; `bucket` in bytes. */
export function versioningOf(tx: Transaction, bucket: string): Versioning {
  const stored = tx.shared(Table.bucket + bucket, parseRecord<StoredBucket>);
  if (stored === undefined) throw new StoreError("NOT_FOUND", `bucket ${textOf(bucket)} does not exist`);
  return stored.versioning;
}

export function requireBucket(reader: Reader, name: string): BucketRecord {
  const bucket = getBucket(reader, name);
  if (bucket === undefined) throw new StoreError("NOT_FOUND", `bucket ${name} does not exist`);
  return bucket;
}

export function listBuckets(reader: Reader): BucketRecord[] {
  return reader
    .range(Table.bucket, Table.bucket + lastByte, bucketsMax)
    .map(({ key, value }) => ({ name: textOf(key.slice(1)), ...parseRecord<StoredBucket>(key, value) }));
}

export function updateBucket(tx: Transaction, name: string, change: BucketChange): BucketRecord {
  const { createdAt, versioning, attributes } = requireBucket(tx, name);
  if (change.expected !== undefined && !sameJson(attributes, change.expected)) {
    throw new StoreError("CONFLICT", `bucket ${name}: its attributes were changed by somebody else`);
  }
  if (change.versioning === "off" && versioning !== "off") {
    throw new StoreError("CONFLICT", `bucket ${name}: versioning was enabled once and can only be suspended`);
  }
  const stored: StoredBucket = {
    createdAt,
    versioning: change.versioning ?? versioning,
    attributes: change.attributes ?? attributes,
  };
  tx.put(bucketKey(name), JSON.stringify(stored));
  return { name, ...stored };
}

export function deleteBucket(tx: Transaction, name: string): void {
  requireBucket(tx, name);
  const base = `${nameBytes("bucket", name, bucketNameSizeMax)}\0`;
  for (const table of [Table.file, Table.version, Table.uploadOrder]) {
    if (tx.range(table + base, table + base + lastByte, 1).length > 0) {
      const what = table === Table.uploadOrder ? "an unfinished upload" : "files or versions of files";
      throw new StoreError("CONFLICT", `bucket ${name} is not empty: it holds ${what}`);
    }
  }
  tx.delete(bucketKey(name));
  tx.add("buckets", -1);
}

export function bucketKey(name: string): string {
  return Table.bucket + nameBytes("bucket", name, bucketNameSizeMax);
}
