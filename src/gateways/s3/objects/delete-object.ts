/**
 * DeleteObject and DeleteObjects (docs.aws.amazon.com, "Deleting object versions from a versioning-enabled bucket", "How
 * to perform conditional deletes").
 */
import type { HttpAnswer } from "../../../env/http.ts";
import { StoreError } from "../../../core/errors.ts";
import { deleteAttemptsMax } from "../../../core/limits.ts";
import type { Attributes, Condition, VersionRecord } from "../../../datastore/datastore.ts";
import { accountOf } from "../auth/identity.ts";
import { plain, versionOf } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { noContent } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";
import { checkKey } from "../protocol/key.ts";
import type { S3Request } from "../protocol/request.ts";
import { conditionError, writeCondition } from "./conditions.ts";
import { checkVersionId } from "./find-version.ts";
import { mayDelete } from "./object-lock-rule.ts";

export const deleteObjectOperations: readonly Operation[] = [
  {
    name: "DeleteObject",
    method: "DELETE",
    scope: "object",
    parameters: ["versionId"],
    action: ({ query, header }) => deleteActions(query.get("versionId"), header("if-match")),
    run: deleteObject,
  },
];

/** What is asked to be deleted, in either form. */
export interface Deletion {
  readonly key: string;
  readonly versionId: string | undefined;
  readonly condition: Condition | undefined;
  /** Removes in spite of retention in governance mode: asked for, and allowed. */
  readonly bypassesGovernance: boolean;
}

/** Whether what was removed, or is there now, is a delete marker; and the version it is about. */
export interface Deleted {
  readonly marker: boolean;
  readonly version: string | undefined;
}

async function deleteObject(call: S3Call): Promise<HttpAnswer> {
  const { request, key } = call;
  const versionId = checkVersionId(request.query.get("versionId"));
  const condition = conditionOf(request, versionId);
  const bypassesGovernance = wantsBypass(request) && (await mayBypass(call, key, versionId));
  const { marker, version } = await deleteOne(call, { key, versionId, condition, bypassesGovernance });
  return noContent({
    ...(marker ? { "x-amz-delete-marker": "true" } : {}),
    ...(version === undefined ? {} : { "x-amz-version-id": version }),
  });
}

/** To compare ETags tells of an object, so that reading it must be allowed as well. */
export function deleteActions(versionId: string | undefined, ifMatch: string | undefined): string[] {
  const action = versionId === undefined ? "s3:DeleteObject" : "s3:DeleteObjectVersion";
  return ifMatch === undefined || ifMatch === "*" ? [action] : [action, "s3:GetObject"];
}

const conditionsOfOthers = [
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "x-amz-if-match-last-modified-time",
  "x-amz-if-match-size",
];

/** A condition that is not understood, or that AWS has for directory buckets only, is refused rather than ignored. */
function conditionOf({ header }: S3Request, versionId: string | undefined): Condition | undefined {
  for (const name of conditionsOfOthers) if (header(name) !== undefined) throw unknownCondition(name);
  const condition = writeCondition(header);
  // Conditions are about the newest version.
  if (condition !== undefined && versionId !== undefined) throw unknownCondition("If-Match");
  return condition;
}

export function unknownCondition(name: string): S3Error {
  return new S3Error("NotImplemented", undefined, { elements: { Header: name } });
}

export function wantsBypass({ header }: S3Request): boolean {
  return header("x-amz-bypass-governance-retention")?.toLowerCase() === "true";
}

/** Whether the caller has s3:BypassGovernanceRetention for this object. */
export async function mayBypass(call: S3Call, key: string, versionId: string | undefined): Promise<boolean> {
  const { services, identity, authentication, request, bucket, now } = call;
  // Nothing else is ever retained.
  if (bucket.attributes.lock === undefined || versionId === undefined) return false;
  const action = "s3:BypassGovernanceRetention";
  return services.access.allowed(services, { identity, authentication, request, action, bucket, key, versionId, now });
}

// ── one of them ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** NoSuchKey or PreconditionFailed where the condition does not hold, AccessDenied where object lock protects it. */
export function deleteOne(call: S3Call, deletion: Deletion): Promise<Deleted> {
  checkKey(deletion.key);
  return deletion.versionId === undefined
    ? deleteNewest(call, deletion)
    : deleteVersion(call, deletion, deletion.versionId);
}

async function deleteNewest(call: S3Call, { key, condition }: Deletion): Promise<Deleted> {
  const { services, bucket, now } = call;
  try {
    const marker = await services.datastore.deleteFile(bucket.name, key, now, condition, markerAttributes(call));
    return { marker: marker !== undefined, version: marker?.version };
  } catch (error) {
    throw conditionError(condition, error);
  }
}

/** A delete marker belongs to who made it, if that is not the bucket's owner anyway. */
function markerAttributes({ identity, bucket }: S3Call): Attributes | undefined {
  const account = accountOf(identity);
  const isOwners = account === undefined || account === bucket.attributes.owner;
  return isOwners || bucket.attributes.ownership === "BucketOwnerEnforced" ? undefined : { owner: account };
}

async function deleteVersion(call: S3Call, deletion: Deletion, version: string): Promise<Deleted> {
  const { services, bucket } = call;
  const removed =
    bucket.attributes.lock === undefined
      ? await services.datastore.deleteVersion(bucket.name, deletion.key, version)
      : await deleteUnlocked(call, deletion, version);
  // Also of a version that was not there: deleting again is no error.
  return { marker: removed !== undefined && removed.object === undefined, version };
}

/** What is looked at is what is removed: a legal hold that is put on it in between stays in force. */
async function deleteUnlocked(
  { services, bucket, now }: S3Call,
  { key, bypassesGovernance }: Deletion,
  version: string,
): Promise<VersionRecord | undefined> {
  const { datastore } = services;
  for (let attempt = 1; ; attempt++) {
    const record = await datastore.getVersion(bucket.name, key, version);
    if (record === undefined) return undefined;
    const found = versionOf(record);
    mayDelete(found, { now, bypassesGovernance });
    try {
      return await datastore.deleteVersion(bucket.name, key, version, plain(found.attributes));
    } catch (error) {
      const isChanged = error instanceof StoreError && error.code === "CONFLICT";
      if (!isChanged || attempt >= deleteAttemptsMax) throw error;
    }
  }
}
