/** PutObject. */
import type { HttpAnswer } from "../../../env/http.ts";
import type { Condition, Target } from "../../../datastore/datastore.ts";
import { expirationHeader } from "../buckets/lifecycle.ts";
import { plain, versionOf } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";
import { checkKey } from "../protocol/key.ts";
import { conditionError, writeCondition } from "./conditions.ts";
import { checksumHeaders, newObject, newObjectActions, versionAttributes, newVersionHeader } from "./new-object.ts";
import { storeBody } from "./object-write.ts";

export const putObjectOperations: readonly Operation[] = [
  { name: "PutObject", method: "PUT", scope: "object", action: newObjectActions, run: putObject },
];

export async function putObject(call: S3Call): Promise<HttpAnswer> {
  const { services, request, bucket, key, body } = call;
  checkKey(key);
  const condition = writeCondition(request.header);
  if (condition !== undefined) await checkEarly(call, condition);
  const planned = newObject(call);
  const made = planned instanceof Promise ? await planned : planned;
  let etag = "";
  const target = (received: Parameters<typeof versionAttributes>[1]): Target => {
    const attributes = versionAttributes(made, received);
    etag = attributes.etag;
    const file = { kind: "file", bucket: bucket.name, key, attributes: plain(attributes) } as const;
    return condition === undefined ? file : { ...file, condition };
  };
  try {
    const { written, received } = await storeBody(services, { body, encryption: made.encryption, target });
    const headers: { [name: string]: string | number } = { ETag: `"${etag}"`, ...made.encryption?.headers };
    newVersionHeader(written.version!.version, headers);
    checksumHeaders(received.checksums, "FULL_OBJECT", headers);
    expirationHeader(services, bucket, versionOf(written.version!), headers);
    return empty(headers);
  } catch (error) {
    throw conditionError(condition, error);
  }
}

/** So that a client need not send a body for nothing. What counts is the check at the commit. */
export async function checkEarly({ services, bucket, key }: S3Call, condition: Condition): Promise<void> {
  const record = await services.datastore.getVersion(bucket.name, key);
  const current = record?.object === undefined ? undefined : versionOf(record);
  if (condition.kind === "absent") {
    if (current !== undefined)
      throw new S3Error("PreconditionFailed", undefined, { elements: { Condition: "If-None-Match" } });
    return;
  }
  if (current === undefined) throw new S3Error("NoSuchKey", undefined, { elements: { Key: key } });
  if (condition.kind === "attribute" && current.attributes.etag !== condition.value) {
    throw new S3Error("PreconditionFailed", undefined, { elements: { Condition: "If-Match" } });
  }
}
