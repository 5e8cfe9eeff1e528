/**
 * What a request's headers say of encryption (docs.aws.amazon.com, "Protecting data with server-side encryption").
 * Order of the checks and texts are those that AWS answers with, down to the argument names it gets wrong.
 */
import { createHash, createSecretKey, type KeyObject } from "node:crypto";
import type { HttpRequest } from "../../../env/http.ts";
import type { BucketEncryption, ObjectEncryption } from "../model.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { dataKeySize } from "./key-wrap.ts";

export const sseHeader = "x-amz-server-side-encryption";
export const kmsKeyHeader = "x-amz-server-side-encryption-aws-kms-key-id";
export const contextHeader = "x-amz-server-side-encryption-context";
export const bucketKeyHeader = "x-amz-server-side-encryption-bucket-key-enabled";

/** An S3Request is one. Of a form upload, `header` looks at the form's fields. */
export interface EncryptionRequest {
  header(name: string): string | undefined;
  readonly http: Pick<HttpRequest, "secure" | "peer">;
}

/** Which headers of SSE-C: those of what is asked for, or those of what is copied from. */
export type CustomerKeyOf = "request" | "copy-source";

const customerPrefixes = {
  request: "x-amz-server-side-encryption-customer",
  "copy-source": "x-amz-copy-source-server-side-encryption-customer",
} as const;

export interface CustomerKey {
  readonly key: KeyObject;
  /** Base64, as it was sent. */
  readonly md5: string;
}

/** How an object is to be encrypted. */
export type Wish =
  | { readonly mode: "SSE-C"; readonly customer: CustomerKey }
  | { readonly mode: "SSE-S3" }
  | {
      readonly mode: "SSE-KMS" | "SSE-KMS-DSSE";
      /** As it was named; undefined: the default one. */
      readonly keyId: string | undefined;
      readonly bucketKey: boolean;
      readonly context: string | undefined;
    };

/** What the request wishes, or else what the bucket has as default; undefined: the bytes lie as they are. */
export function readWish(
  request: EncryptionRequest,
  bucket: BucketEncryption | undefined,
  customerKeysOverHttp: boolean,
): Wish | undefined {
  const algorithm = request.header(sseHeader);
  const customer = readCustomerKey(request, "request", customerKeysOverHttp, algorithm);
  if (customer !== undefined) return { mode: "SSE-C", customer: fullSize(customer) };
  const keyId = request.header(kmsKeyHeader);
  const context = request.header(contextHeader);
  if (algorithm === undefined && keyId === undefined && context === undefined) return bucketWish(request, bucket);
  const mode = modeOf(algorithm ?? "", keyId ?? context);
  if (mode === "SSE-S3") {
    if (keyId !== undefined) throw needsKms(kmsKeyHeader, keyId);
    if (context !== undefined) throw needsKms(contextHeader, context);
    return { mode };
  }
  const bucketKey = mode === "SSE-KMS" && (readBucketKey(request) ?? bucket?.bucketKey ?? false);
  return { mode, keyId: emptyIsNone(keyId), bucketKey, context: checkedContext(emptyIsNone(context)) };
}

function modeOf(algorithm: string, kms: string | undefined): Exclude<ObjectEncryption["mode"], "SSE-C"> {
  switch (algorithm) {
    case "AES256":
      return "SSE-S3";
    case "aws:kms":
      return "SSE-KMS";
    case "aws:kms:dsse":
      return "SSE-KMS-DSSE";
    default:
      if (algorithm === "" && kms !== undefined) throw needsKms(kmsKeyHeader, kms);
      throw invalidArgument(sseHeader, algorithm, "The encryption method specified is not supported");
  }
}

function needsKms(name: string, value: string): S3Error {
  const message = `Server Side Encryption with AWS KMS managed key requires HTTP header ${sseHeader} : aws:kms`;
  return invalidArgument(name, value, message);
}

function bucketWish(request: EncryptionRequest, bucket: BucketEncryption | undefined): Wish | undefined {
  if (bucket?.algorithm === undefined) return undefined;
  if (bucket.algorithm === "AES256") return { mode: "SSE-S3" };
  const mode = bucket.algorithm === "aws:kms" ? "SSE-KMS" : "SSE-KMS-DSSE";
  const bucketKey = mode === "SSE-KMS" && (readBucketKey(request) ?? bucket.bucketKey ?? false);
  return { mode, keyId: bucket.keyId, bucketKey, context: undefined };
}

function readBucketKey(request: EncryptionRequest): boolean | undefined {
  const value = request.header(bucketKeyHeader);
  if (value === undefined) return undefined;
  const known = value.toLowerCase();
  if (known === "true" || known === "false") return known === "true";
  throw invalidArgument(bucketKeyHeader, value, `${bucketKeyHeader} must be true or false`);
}

function checkedContext(context: string | undefined): string | undefined {
  if (context === undefined || isContext(context)) return context;
  const what = "shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map";
  throw invalidArgument(contextHeader, context, `The header '${contextHeader}' ${what}`);
}

function isContext(text: string): boolean {
  const bytes = fromBase64(text);
  if (bytes === undefined) return false;
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    return Object.values(value).every((each) => typeof each === "string");
  } catch {
    return false;
  }
}

// ── SSE-C ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Algorithm, key, MD5: all or none. The key's size is not looked at: one that never fits is one that does not fit. */
export function readCustomerKey(
  request: EncryptionRequest,
  of: CustomerKeyOf,
  overHttp: boolean,
  algorithm?: string,
): CustomerKey | undefined {
  const prefix = customerPrefixes[of];
  const customerAlgorithm = request.header(`${prefix}-algorithm`);
  const key = request.header(`${prefix}-key`);
  const md5 = request.header(`${prefix}-key-md5`);
  if (customerAlgorithm === undefined && key === undefined && md5 === undefined) return undefined;
  if (algorithm !== undefined) {
    const message =
      "Server Side Encryption with Customer provided key is incompatible with the encryption method specified";
    throw invalidArgument(sseHeader, algorithm, message);
  }
  if (!isPrivate(request, overHttp)) {
    const message = "must be made over a secure connection.";
    throw new S3Error("InvalidRequest", `Requests ${withCustomerKeys} ${message}`);
  }
  if (customerAlgorithm === undefined) throw customerError("must provide a valid encryption algorithm.");
  if (customerAlgorithm !== "AES256") {
    const elements = { ArgumentName: sseHeader, ArgumentValue: customerAlgorithm };
    const message = "The Encryption request you specified is not valid. Supported value: AES256.";
    throw new S3Error("InvalidEncryptionAlgorithmError", message, { elements });
  }
  if (key === undefined) throw customerError("must provide an appropriate secret key.");
  if (md5 === undefined) throw customerError("must provide the client calculated MD5 of the secret key.");
  return { key: checkedKey(key, md5), md5 };
}

const withCustomerKeys = "specifying Server Side Encryption with Customer provided keys";

function customerError(what: string): S3Error {
  return invalidArgument(sseHeader, "null", `Requests ${withCustomerKeys} ${what}`);
}

/** MD5 first, as AWS does: it tells a key that was sent wrongly from one that is wrong. */
function checkedKey(text: string, md5: string): KeyObject {
  const bytes = fromBase64(text);
  if (bytes === undefined) throw invalidKeySize();
  if (createHash("md5").update(bytes).digest("base64") !== md5) {
    const message = "The calculated MD5 hash of the key did not match the hash that was provided.";
    throw invalidArgument(sseHeader, "null", message);
  }
  if (bytes.length === 0) throw invalidKeySize();
  return createSecretKey(bytes);
}

function fullSize(customer: CustomerKey): CustomerKey {
  if (!isFullSize(customer)) throw invalidKeySize();
  return customer;
}

export function isFullSize({ key }: CustomerKey): boolean {
  return key.symmetricKeySize === dataKeySize;
}

function invalidKeySize(): S3Error {
  return invalidArgument(sseHeader, "null", "The secret key was invalid for the specified algorithm.");
}

/**
 * AWS refuses SSE-C over plain HTTP, because the key is in the request. From this machine itself nobody else can read
 * it, and that is where test suites and local tools come from.
 */
function isPrivate({ http }: EncryptionRequest, overHttp: boolean): boolean {
  return overHttp || http.secure || isLoopback(http.peer);
}

function isLoopback(peer: string): boolean {
  const address = peer.toLowerCase().replace(/^::ffff:/, "");
  return address === "::1" || /^127\.\d+\.\d+\.\d+$/.test(address);
}

/** Undefined where it is not base64, with or without padding. */
function fromBase64(text: string): Buffer | undefined {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) ? Buffer.from(text, "base64") : undefined;
}

function emptyIsNone(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
