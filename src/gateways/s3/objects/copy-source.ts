/** The object that CopyObject and UploadPartCopy copy: `x-amz-copy-source` and the conditions on it. */
import { checkExpectedOwner } from "../buckets/expected-owner.ts";
import type { S3Call } from "../operation.ts";
import { type Bucket, bucketOf } from "../model.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { percentDecoded } from "../protocol/request.ts";
import { checkReadConditions } from "./conditions.ts";
import { checkVersionId, findVersion, type FoundVersion } from "./find-version.ts";

export interface CopySource extends FoundVersion {
  readonly bucket: Bucket;
  readonly key: string;
  readonly versionId: string | undefined;
}

/** `bucket/key` or `/bucket/key`, percent-encoded, with or without `?versionId=`. */
export function parseCopySource(text: string): { bucket: string; key: string; versionId: string | undefined } {
  const mark = text.search(/\?versionId=/);
  const path = percentDecoded(mark < 0 ? text : text.slice(0, mark)).replace(/^\//, "");
  const slash = path.indexOf("/");
  if (slash < 1 || slash === path.length - 1) {
    const rule = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
    throw invalidArgument("x-amz-copy-source", text, rule);
  }
  const versionId = mark < 0 ? undefined : percentDecoded(text.slice(mark + "?versionId=".length));
  return { bucket: path.slice(0, slash), key: path.slice(slash + 1), versionId };
}

/** Checks that the caller may read it and that it is as the request's conditions want it. */
export async function findCopySource(call: S3Call): Promise<CopySource> {
  const { services, request, identity, authentication, now } = call;
  const named = parseCopySource(request.header("x-amz-copy-source")!);
  const versionId = checkVersionId(named.versionId);
  const record = await services.datastore.getBucket(named.bucket);
  if (record === undefined) throw new S3Error("NoSuchBucket", undefined, { elements: { BucketName: named.bucket } });
  const bucket = bucketOf(record);
  checkExpectedOwner(request.header("x-amz-source-expected-bucket-owner"), bucket.attributes.owner);
  const action = versionId === undefined ? "s3:GetObject" : "s3:GetObjectVersion";
  const ask = { identity, authentication, request, action, bucket, key: named.key, versionId, now };
  await services.access.authorize(services, ask);
  let found: FoundVersion;
  try {
    found = await findVersion(services, bucket, named.key, versionId);
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    // A delete marker cannot be copied, and the request is not one to that object.
    if (error.code === "MethodNotAllowed") {
      const message = "The source of a copy request may not specifically refer to a delete marker by version id.";
      throw new S3Error("InvalidRequest", message);
    }
    throw await services.access.absence(services, ask, error);
  }
  const { etag } = found.version.attributes;
  checkReadConditions(request.header, etag, found.version.createdAt, "x-amz-copy-source-");
  return { ...found, bucket, key: named.key, versionId };
}
