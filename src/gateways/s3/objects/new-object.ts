/**
 * What a new object will have beside its bytes, read from the headers (or form fields) that ask for it: the same for
 * PutObject, CreateMultipartUpload, CopyObject and form uploads.
 */
import { andThen, type Soon } from "../../../core/soon.ts";
import { nullVersion } from "../../../datastore/datastore.ts";
import type { HttpHeaders } from "../../../env/http.ts";
import { aclForNewObject } from "../access/new-acl.ts";
import { checksumAlgorithms, checksumHeader, type Checksums, type ChecksumType } from "../body/checksum.ts";
import type { VersionAttributes } from "../model.ts";
import { type EncryptionPlan, planEncryption } from "../encryption/object-encryption.ts";
import type { S3Call } from "../operation.ts";
import type { S3Request } from "../protocol/request.ts";
import { parseTaggingHeader } from "../protocol/tags.ts";
import { describedObject, placementAttributes } from "./metadata.ts";
import { lockForNewObject } from "./object-lock.ts";

export interface NewObject {
  /** All but what is known only when the bytes are there. */
  readonly attributes: Omit<VersionAttributes, "etag">;
  readonly encryption: EncryptionPlan | undefined;
}

/** What the caller must be allowed to do, by what the new object is to have. */
export function newObjectActions(request: S3Request): readonly string[] {
  return newObjectActionsOf(request.header);
}

export function newObjectActionsOf(header: (name: string) => string | undefined): readonly string[] {
  const actions = ["s3:PutObject"];
  if (header("x-amz-tagging") !== undefined) actions.push("s3:PutObjectTagging");
  if (header("x-amz-object-lock-mode") !== undefined) actions.push("s3:PutObjectRetention");
  if (header("x-amz-object-lock-legal-hold") !== undefined) actions.push("s3:PutObjectLegalHold");
  if (header("x-amz-acl") !== undefined) actions.push("s3:PutObjectAcl");
  return actions;
}

/** `headers`: names in lower case. */
export function newObject(call: S3Call, headers: HttpHeaders = call.request.http.headers): Soon<NewObject> {
  const header = (name: string): string | undefined => headers[name]?.trim();
  const planned = planEncryption(call.services, call.bucket, { header, http: call.request.http });
  return andThen(planned, (encryption) =>
    andThen(aclForNewObject(call, header), (acl) => {
      const tags = parseTaggingHeader(headers["x-amz-tagging"]);
      return {
        attributes: {
          ...describedObject(headers),
          ...placementAttributes(header),
          ...acl,
          ...lockForNewObject(call.bucket, header, call.now),
          ...(tags === undefined ? {} : { tags }),
          ...(encryption === undefined ? {} : { encryption: encryption.attributes }),
        },
        encryption,
      };
    }),
  );
}

export function checksumHeaders(
  checksums: Checksums | undefined,
  type: ChecksumType | undefined,
  into: { [name: string]: string | number },
): void {
  if (checksums === undefined) return;
  let some = false;
  for (const algorithm of checksumAlgorithms) {
    const value = checksums[algorithm];
    if (value === undefined) continue;
    into[checksumHeader(algorithm)] = value;
    some = true;
  }
  if (some) into["x-amz-checksum-type"] = type ?? "FULL_OBJECT";
}

/** The new version's attributes, once the bytes are known. */
export function versionAttributes(
  made: NewObject,
  received: { readonly md5: Uint8Array; readonly checksums: Checksums },
): VersionAttributes {
  const etag = made.encryption?.etagOf(received.md5) ?? hex(received.md5);
  for (const _ in received.checksums) return { etag, ...made.attributes, checksums: received.checksums };
  return { etag, ...made.attributes };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** x-amz-version-id of a version that is there, where the bucket keeps versions. */
export function versionHeader(call: S3Call, version: string, into: { [name: string]: string | number }): void {
  if (call.bucket.versioning !== "off") into["x-amz-version-id"] = version;
}

/** x-amz-version-id of a version that was just made. A null version has none: AWS names it to who reads, not to who writes. */
export function newVersionHeader(version: string, into: { [name: string]: string | number }): void {
  if (version !== nullVersion) into["x-amz-version-id"] = version;
}
