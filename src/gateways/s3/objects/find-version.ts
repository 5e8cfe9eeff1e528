/** Which version a read means, and what S3 says where there is none. */
import type { ObjectId } from "../../../core/ids.ts";
import type { Soon } from "../../../core/soon.ts";
import {
  type Datastore,
  nullVersion,
  type ObjectRecord,
  type ReadsNow,
  type SavedObject,
  type VersionRecord,
} from "../../../datastore/datastore.ts";
import { type Bucket, type Version, versionOf } from "../model.ts";
import type { Services } from "../operation.ts";
import { httpDate } from "../protocol/dates.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { checkKey } from "../protocol/key.ts";

export interface FoundVersion {
  readonly version: Version;
  readonly object: SavedObject;
}

/** A version id as it may be given; InvalidArgument where it can be none. */
export function checkVersionId(id: string | undefined): string | undefined {
  if (id === undefined) return undefined;
  if (id !== nullVersion && !/^\d{16}$/.test(id))
    throw invalidArgument("versionId", id, "Invalid version id specified");
  return id;
}

/**
 * The newest version, or the one that is named, with its object. NoSuchKey, NoSuchVersion; MethodNotAllowed for a delete
 * marker that is named.
 */
export function findVersion(
  { datastore }: Services,
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
): Soon<FoundVersion> {
  checkKey(key);
  return (
    (datastore.now === undefined ? undefined : findNow(datastore.now, bucket, key, versionId)) ??
    findLater(datastore, bucket, key, versionId)
  );
}

/** Undefined where it was replaced between the two reads. */
function findNow(now: ReadsNow, bucket: Bucket, key: string, versionId: string | undefined): FoundVersion | undefined {
  const record = present(now.getVersion(bucket.name, key, versionId), key, versionId);
  const object = now.getObject(record.object);
  return isSaved(object) ? { version: versionOf(record), object } : undefined;
}

async function findLater(
  datastore: Datastore,
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
): Promise<FoundVersion> {
  for (;;) {
    const record = present(await datastore.getVersion(bucket.name, key, versionId), key, versionId);
    const object = await datastore.getObject(record.object);
    if (isSaved(object)) return { version: versionOf(record), object };
    // It was replaced between the two reads: there is another one now, or none.
    const again = await datastore.getVersion(bucket.name, key, versionId);
    if (again?.object === record.object) throw new S3Error("InternalError", `object of ${key} is not there`);
  }
}

function present(
  record: VersionRecord | undefined,
  key: string,
  versionId: string | undefined,
): VersionRecord & { readonly object: ObjectId } {
  if (record === undefined) throw missing(key, versionId);
  if (record.object === undefined) throw deleted(versionOf(record), versionId);
  return record as VersionRecord & { readonly object: ObjectId };
}

function isSaved(record: ObjectRecord | undefined): record is SavedObject {
  return record?.status === "saved";
}

export function missing(key: string, versionId: string | undefined): S3Error {
  if (versionId === undefined) return new S3Error("NoSuchKey", undefined, { elements: { Key: key } });
  return new S3Error("NoSuchVersion", undefined, { elements: { Key: key, VersionId: versionId } });
}

function deleted(marker: Version, versionId: string | undefined): S3Error {
  const headers = { "x-amz-delete-marker": "true", "x-amz-version-id": marker.version };
  if (versionId === undefined) return new S3Error("NoSuchKey", undefined, { elements: { Key: marker.key }, headers });
  return new S3Error("MethodNotAllowed", undefined, {
    elements: { Method: "GET", ResourceType: "DeleteMarker" },
    headers: { ...headers, Allow: "DELETE", "Last-Modified": httpDate(marker.createdAt) },
  });
}
