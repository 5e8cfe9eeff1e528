/** A commit of an ObjectID of which something is known already. */
import { StoreError } from "../core/errors.ts";
import { formatId, type ObjectId } from "../core/ids.ts";
import type { NewObject, Target, VersionRecord } from "./datastore.ts";
import type { StoredFailed, StoredObject } from "./records.ts";
import type { Transaction } from "./transaction.ts";
import { getVersion } from "./versions.ts";

/** The commit had succeeded although its caller did not hear of it: answers as it was answered, or would have been. */
export function repeated(
  tx: Transaction,
  existing: StoredObject | undefined,
  object: Pick<NewObject, "id" | "size">,
  target: Target,
  now: number,
): VersionRecord | undefined {
  if (target.kind !== "file") return undefined;
  const { bucket, key, attributes } = target;
  const version = (existing?.status === "saved" ? existing.version : tx.buried(object.id)) ?? "";
  const found = version === "" ? undefined : getVersion(tx, bucket, key, version);
  if (found !== undefined && found.object === object.id) return found;
  // It has been replaced or deleted since.
  return { key, version, createdAt: now, object: object.id, size: object.size, attributes, latest: false };
}

export function givenUp(id: ObjectId, failed: StoredFailed): StoreError {
  return new StoreError("CONFLICT", `object ${formatId(id)} was given up: ${failed.reason}`);
}
