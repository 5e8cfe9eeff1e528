/**
 * What a new object will have beside its bytes, read from the headers (or form fields) that ask for it: the same for
 * PutObject, CreateMultipartUpload, CopyObject and form uploads.
 */
import type { HttpHeaders } from "../../../env/http.ts";
import { checksumAlgorithms, checksumHeader, type Checksums, type ChecksumType } from "../body/checksum.ts";
import type { BodyEncryption } from "./object-write.ts";
import type { VersionAttributes } from "../model.ts";
import type { S3Call } from "../operation.ts";
import type { AnswerHeaders } from "../protocol/answer.ts";
import type { S3Request } from "../protocol/request.ts";
import { describedObject, placementAttributes } from "./metadata.ts";

export interface NewObject {
  /** All but what is known only when the bytes are there. */
  readonly attributes: Omit<VersionAttributes, "etag">;
  readonly encryption: ObjectEncryptionPlan | undefined;
}

/** How an object is going to be encrypted, as far as who stores it has to know. */
export interface ObjectEncryptionPlan extends BodyEncryption {
  readonly etagIsMd5: boolean;
  readonly headers: AnswerHeaders;
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
export async function newObject(call: S3Call, headers: HttpHeaders = call.request.http.headers): Promise<NewObject> {
  const header = (name: string): string | undefined => headers[name]?.trim();
  return {
    attributes: { ...describedObject(headers), ...placementAttributes(header) },
    encryption: undefined,
  };
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
  call: S3Call,
  made: NewObject,
  received: { readonly md5: Uint8Array; readonly checksums: Checksums },
): VersionAttributes {
  const isPlain = made.encryption === undefined || made.encryption.etagIsMd5;
  const etag = isPlain ? hex(received.md5) : hex(call.services.host.random.bytes(16));
  for (const _ in received.checksums) return { etag, ...made.attributes, checksums: received.checksums };
  return { etag, ...made.attributes };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** x-amz-version-id, where the bucket keeps versions. */
export function versionHeader(call: S3Call, version: string, into: { [name: string]: string | number }): void {
  if (call.bucket.versioning !== "off") into["x-amz-version-id"] = version;
}
