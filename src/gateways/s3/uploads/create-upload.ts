/** CreateMultipartUpload and AbortMultipartUpload. */
import type { HttpAnswer } from "../../../env/http.ts";
import { abortHeaders } from "../buckets/lifecycle.ts";
import { plain, type UploadAttributes } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { noContent, xml } from "../protocol/answer.ts";
import { checkKey } from "../protocol/key.ts";
import { document, leaf } from "../protocol/xml.ts";
import { hex, newObject, newObjectActions } from "../objects/new-object.ts";
import { findUpload, noSuchUpload } from "./find-upload.ts";
import { uploadChecksum } from "./upload-checksum.ts";

export const createUploadOperations: readonly Operation[] = [
  {
    name: "CreateMultipartUpload",
    method: "POST",
    scope: "object",
    when: "uploads",
    action: newObjectActions,
    run: createUpload,
  },
  {
    name: "AbortMultipartUpload",
    method: "DELETE",
    scope: "object",
    when: "uploadId",
    action: "s3:AbortMultipartUpload",
    run: abortUpload,
  },
];

async function createUpload(call: S3Call): Promise<HttpAnswer> {
  const { services, request, bucket, key, identity, now } = call;
  checkKey(key);
  const checksum = uploadChecksum(request.header);
  const made = await newObject(call);
  const upload = hex(services.host.random.bytes(16));
  const attributes: UploadAttributes = {
    version: made.attributes,
    initiator: identity.kind === "user" ? identity.key.account.id : bucket.attributes.owner,
    ...(checksum === undefined ? {} : { algorithm: checksum.algorithm, checksumType: checksum.type }),
  };
  await services.datastore.createUpload({
    upload,
    bucket: bucket.name,
    key,
    createdAt: now,
    attributes: plain(attributes),
  });
  const headers: { [name: string]: string | number } = { ...made.encryption?.headers };
  abortHeaders(services, bucket, { key, createdAt: now }, headers);
  if (checksum !== undefined) {
    headers["x-amz-checksum-algorithm"] = checksum.algorithm;
    headers["x-amz-checksum-type"] = checksum.type;
  }
  const body = document(
    "InitiateMultipartUploadResult",
    leaf("Bucket", bucket.name),
    leaf("Key", key),
    leaf("UploadId", upload),
  );
  return xml(body, headers);
}

async function abortUpload(call: S3Call): Promise<HttpAnswer> {
  const { upload } = await findUpload(call);
  if (!(await call.services.datastore.abortUpload(upload))) throw noSuchUpload(upload);
  return noContent();
}
