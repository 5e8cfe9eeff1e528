/** What the modules of the gateway throw, in the library's words: one class, few codes, no HTTP. */
import type { Soon } from "../core/soon.ts";
import { StoreError, type ErrorCode } from "../core/errors.ts";
import { S3Error } from "../gateways/s3/protocol/error.ts";

const codes: { readonly [code: string]: ErrorCode } = {
  NoSuchBucket: "NOT_FOUND",
  NoSuchKey: "NOT_FOUND",
  NoSuchVersion: "NOT_FOUND",
  MethodNotAllowed: "NOT_FOUND",
  "KMS.NotFoundException": "NOT_FOUND",
  PreconditionFailed: "CONFLICT",
  OperationAborted: "CONFLICT",
  BucketNotEmpty: "CONFLICT",
  BucketAlreadyExists: "CONFLICT",
  BucketAlreadyOwnedByYou: "CONFLICT",
  InvalidBucketState: "CONFLICT",
  AccessDenied: "CONFLICT",
  SlowDown: "BUSY",
  ServiceUnavailable: "UNAVAILABLE",
};

/** `about`: bucket and key, for the message. */
export function storeErrorOf(error: unknown, about: string): unknown {
  if (!(error instanceof S3Error)) return error;
  const code = codes[error.code] ?? (error.status < 500 ? "INVALID" : undefined);
  // A bug, or a damage that has its own words.
  if (code === undefined) return error.cause instanceof StoreError ? error.cause : error;
  const details = Object.entries(error.elements).map(([name, value]) => `${name} ${value}`);
  const more = details.length === 0 ? "" : ` (${details.join(", ")})`;
  return new StoreError(code, `${about}: ${error.message}${more}`, { cause: error });
}

/** Runs `work`; what it throws comes as a StoreError. */
export async function inStoreWords<Value>(about: string, work: () => Soon<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    throw storeErrorOf(error, about);
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof StoreError && error.code === "NOT_FOUND";
}

export function abortedError(signal: AbortSignal): StoreError {
  return new StoreError("ABORTED", "the signal was aborted", { cause: signal.reason });
}
