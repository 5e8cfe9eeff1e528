/** All operations, by subject; and which one a request means. */
import { bucketAclOperations } from "./buckets/acl.ts";
import { bucketEncryptionOperations } from "./buckets/bucket-encryption.ts";
import { bucketTaggingOperations } from "./buckets/bucket-tagging.ts";
import { bucketOperations } from "./buckets/bucket.ts";
import { corsOperations } from "./buckets/cors.ts";
import { lifecycleOperations } from "./buckets/lifecycle.ts";
import { listBucketsOperations } from "./buckets/list-buckets.ts";
import { listObjectsOperations } from "./buckets/list-objects.ts";
import { listVersionsOperations } from "./buckets/list-versions.ts";
import { notConfiguredOperations } from "./buckets/not-configured.ts";
import { ownershipOperations } from "./buckets/ownership.ts";
import { policyOperations } from "./buckets/policy.ts";
import { publicAccessOperations } from "./buckets/public-access.ts";
import { versioningOperations } from "./buckets/versioning.ts";
import { copyObjectOperations } from "./objects/copy-object.ts";
import { deleteObjectOperations } from "./objects/delete-object.ts";
import { deleteObjectsOperations } from "./objects/delete-objects.ts";
import { getAttributesOperations } from "./objects/get-attributes.ts";
import { getObjectOperations } from "./objects/get-object.ts";
import { objectAclOperations } from "./objects/object-acl.ts";
import { objectLockOperations } from "./objects/object-lock.ts";
import { objectTaggingOperations } from "./objects/object-tagging.ts";
import { postObjectOperations } from "./objects/post-object.ts";
import { putObjectOperations } from "./objects/put-object.ts";
import { completeUploadOperations } from "./uploads/complete-upload.ts";
import { createUploadOperations } from "./uploads/create-upload.ts";
import { listUploadsOperations } from "./uploads/list-uploads.ts";
import { uploadPartOperations } from "./uploads/upload-part.ts";
import type { Method, Operation, Scope } from "./operation.ts";
import { S3Error } from "./protocol/error.ts";
import type { Query, S3Request } from "./protocol/request.ts";

export const operations: readonly Operation[] = [
  ...bucketAclOperations,
  ...bucketEncryptionOperations,
  ...bucketTaggingOperations,
  ...bucketOperations,
  ...corsOperations,
  ...lifecycleOperations,
  ...listBucketsOperations,
  ...listObjectsOperations,
  ...listVersionsOperations,
  ...notConfiguredOperations,
  ...ownershipOperations,
  ...policyOperations,
  ...publicAccessOperations,
  ...versioningOperations,
  ...copyObjectOperations,
  ...deleteObjectOperations,
  ...deleteObjectsOperations,
  ...getAttributesOperations,
  ...getObjectOperations,
  ...objectAclOperations,
  ...objectLockOperations,
  ...objectTaggingOperations,
  ...postObjectOperations,
  ...putObjectOperations,
  ...completeUploadOperations,
  ...createUploadOperations,
  ...listUploadsOperations,
  ...uploadPartOperations,
];

/** Query parameters that any operation takes: of signatures, and what SDKs add for themselves. */
const common = /^(x-.*|X-Amz-.*|AWSAccessKeyId|Signature|Expires|content-type|content-md5)$/;

const methods: readonly Method[] = ["DELETE", "GET", "HEAD", "POST", "PUT"];

/** Sub-resources of S3 that exist; one that no operation here has is refused as not implemented. */
export class OperationTable {
  readonly #byMethod = new Map<string, readonly Operation[]>();
  readonly #known = new Map<Operation, ReadonlySet<string>>();
  readonly #selectors = new Set<string>();

  constructor(all: readonly Operation[]) {
    for (const operation of all) {
      const place = `${operation.scope} ${operation.method}`;
      // What is more special is looked at first.
      const list = [...(this.#byMethod.get(place) ?? []), operation].sort((one, other) => weight(other) - weight(one));
      this.#byMethod.set(place, list);
      const selector = selectorOf(operation);
      if (selector !== undefined) this.#selectors.add(selector);
      this.#known.set(
        operation,
        new Set([...(selector === undefined ? [] : [selector]), ...(operation.parameters ?? [])]),
      );
    }
  }

  /** MethodNotAllowed, or NotImplemented, where there is none. */
  find(request: S3Request): Operation {
    const { method, query } = request;
    const scope = scopeOf(request);
    const candidates = this.#byMethod.get(`${scope} ${method}`) ?? [];
    const found = candidates.find((operation) => matches(operation, request));
    if (found === undefined) {
      for (const name of query.keys()) if (!this.#selectors.has(name) && !common.test(name)) throw notImplemented(name);
      throw new S3Error("MethodNotAllowed", undefined, {
        elements: { Method: method, ResourceType: scope.toUpperCase() },
        headers: { Allow: this.#methods(request, scope).join(", ") },
      });
    }
    if (query.size > 0) this.#checkParameters(found, query);
    return found;
  }

  /** What else the request's place can be asked for. */
  #methods(request: S3Request, scope: Scope): Method[] {
    return methods.filter((method) => {
      const candidates = this.#byMethod.get(`${scope} ${method}`) ?? [];
      return candidates.some((operation) => matches(operation, request));
    });
  }

  /** What is not understood is refused: who adds `?versionsId=` to a DELETE must not lose another version. */
  #checkParameters(operation: Operation, query: Query): void {
    const known = this.#known.get(operation)!;
    for (const [name, value] of query) {
      if (known.has(name) || common.test(name)) continue;
      // AWS ignores such parameters; where nothing is changed by it, so do we.
      const isReading = operation.method === "GET" || operation.method === "HEAD";
      if (value === "" || this.#selectors.has(name) || !isReading) throw notImplemented(name);
    }
  }
}

function notImplemented(name: string): S3Error {
  return new S3Error("NotImplemented", undefined, { elements: { Header: name } });
}

function scopeOf({ bucket, key }: S3Request): Scope {
  if (bucket === undefined) return "service";
  return key === undefined ? "bucket" : "object";
}

function selectorOf({ when }: Operation): string | undefined {
  return typeof when === "object" ? when.parameter : when;
}

function weight({ when, header }: Operation): number {
  return (when === undefined ? 0 : 2) + (typeof when === "object" ? 1 : 0) + (header === undefined ? 0 : 1);
}

function matches({ when, header }: Operation, request: S3Request): boolean {
  if (header !== undefined && request.header(header) === undefined) return false;
  if (when === undefined) return true;
  if (typeof when === "string") return request.query.has(when);
  return request.query.get(when.parameter) === when.value;
}
