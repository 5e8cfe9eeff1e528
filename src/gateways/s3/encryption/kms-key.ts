/**
 * How clients name a key: by key id, `alias/…`, the ARN of either, or MinIO's short ARN. The store has names only, so
 * that all of these mean the key of that name; answers give back what was given.
 */
import { S3Error } from "../protocol/error.ts";
import { defaultKeyName } from "./keyring.ts";

const arn = /^arn:aws[a-z-]*:kms:(?:[^:]*:[^:]*:(?:key|alias)\/)?(.+)$/;

/** Its name in the keyring. */
export function keyNameOf(keyId: string): string {
  return arn.exec(keyId)?.[1] ?? keyId.replace(/^alias\//, "");
}

/** What stands for a key that was not named: an ARN, as AWS answers, because some clients refuse what is none. */
export function defaultKeyId(region: string): string {
  return `arn:aws:kms:${region}:000000000000:alias/${defaultKeyName}`;
}

export function keyNotFound(keyId: string): S3Error {
  const text = arn.test(keyId) ? `Key '${keyId}' does not exist` : `Invalid keyId '${keyId}'`;
  return new S3Error("KMS.NotFoundException", text);
}
