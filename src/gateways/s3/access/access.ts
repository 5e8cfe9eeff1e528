/**
 * Who may do what (docs.aws.amazon.com, "How Amazon S3 authorizes a request"), in this order:
 *
 * 1. The key's own limits (read-only, certain buckets) are never exceeded.
 * 2. What the bucket's policy denies is denied; but the owner's unlimited keys can always see to the policy.
 * 3. The account that owns the bucket may do everything to it, and to the objects that it owns.
 * 4. Others, known or not: what the bucket's policy allows, for objects that the bucket's owner owns, and what ACLs
 *    allow, where the bucket's ownership has them. Public access blocks take away what is public of both.
 *
 * An object belongs to another account only where ownership is ObjectWriter (or none was set, which means the same), or
 * BucketOwnerPreferred.
 */
import type { Datastore } from "../../../datastore/datastore.ts";
import { accountOf, type Identity } from "../auth/identity.ts";
import { versionOf, type Bucket, type Permission, type Version } from "../model.ts";
import { S3Error } from "../protocol/error.ts";
import { checkKey } from "../protocol/key.ts";
import { isReading, knownActions } from "./actions.ts";
import { bucketPermission, granted, objectPermission } from "./grants.ts";
import { parsePolicy, type Effect, type Policy } from "./policy.ts";
import { accountNumber, isOwner } from "./principals.ts";
import type { AccessRequest } from "./request.ts";

const policyActions = new Set([
  "s3:GetBucketPolicy",
  "s3:PutBucketPolicy",
  "s3:DeleteBucketPolicy",
  "s3:GetBucketPolicyStatus",
]);

/** What is needed of the services. */
interface AccessServices {
  readonly datastore: Datastore;
}

export class Access {
  /** By the record of the bucket, which is the same object while it does not change. */
  readonly #policies = new WeakMap<Bucket, Policy>();

  /** AccessDenied where it is not allowed. Without a promise for an owner in a bucket without policy or ACLs. */
  authorize(services: AccessServices, ask: AccessRequest): void | Promise<void> {
    const answer = this.allowed(services, ask);
    if (answer === true) return undefined;
    if (answer === false) throw new S3Error("AccessDenied");
    return answer.then((isAllowed) => {
      if (!isAllowed) throw new S3Error("AccessDenied");
    });
  }

  allowed(services: AccessServices, ask: AccessRequest): boolean | Promise<boolean> {
    const { identity, bucket, action } = ask;
    if (!withinLimits(ask)) return false;
    // The bucket is yet to be made (where there is one already, that is told in other words), or all of them are meant.
    if (bucket === undefined || action === "s3:CreateBucket") return identity.kind === "user";
    const { attributes } = bucket;
    const owns = isOwner(identity, attributes.owner);
    if (owns && attributes.policy === undefined) {
      if (attributes.ownership === "BucketOwnerEnforced") return true;
      return (
        ask.key === undefined || objectPermission(action) === undefined || this.#withVersion(services, ask, bucket)
      );
    }
    if (owns && policyActions.has(action) && isUnlimited(ask)) return true;
    const needsVersion =
      this.#policyOf(bucket)?.needsVersion === true || attributes.ownership !== "BucketOwnerEnforced";
    if (ask.key !== undefined && needsVersion) return this.#withVersion(services, ask, bucket);
    return this.#decide(ask, bucket, undefined);
  }

  /** Whether that is how the account is called: its twelve digits or its canonical id. */
  isAccount(named: string, id: string | undefined): boolean {
    return named === id || named === accountNumber(id);
  }

  /**
   * What is told of a key or version that is not there, where that is what `error` says: who may not list the bucket is
   * not told that.
   */
  async absence(services: AccessServices, ask: AccessRequest, error: S3Error): Promise<S3Error> {
    const list = { ...ask, action: "s3:ListBucket", key: undefined, versionId: undefined };
    return (await this.allowed(services, list)) ? error : new S3Error("AccessDenied");
  }

  async #withVersion(services: AccessServices, ask: AccessRequest, bucket: Bucket): Promise<boolean> {
    checkKey(ask.key!);
    const record = await services.datastore.getVersion(bucket.name, ask.key!, ask.versionId);
    return this.#decide(ask, bucket, record?.object === undefined ? undefined : versionOf(record));
  }

  /** `version`: that is asked for, where there is one and it was needed. */
  #decide(ask: AccessRequest, bucket: Bucket, version: Version | undefined): boolean {
    const { attributes } = bucket;
    const policy = this.#policyOf(bucket);
    const effect: Effect | undefined = policy?.evaluate({ ask, bucket, version });
    if (effect === "Deny") return false;
    const owns = isOwner(ask.identity, attributes.owner);
    const aclsCount = attributes.ownership !== "BucketOwnerEnforced";
    const objectOwner = (aclsCount ? version?.attributes.owner : undefined) ?? attributes.owner;
    const isForeign =
      objectOwner !== attributes.owner && objectPermission(ask.action) !== undefined && !isCreating(ask);
    if (owns && !isForeign) return true;
    if (effect === "Allow" && !isForeign) {
      const restricted = attributes.publicAccess?.restrictPublicBuckets === true && policy!.isPublic;
      if (!restricted) return true;
    }
    return aclsCount && allowedByAcl(ask, bucket, version, objectOwner);
  }

  #policyOf(bucket: Bucket): Policy | undefined {
    const text = bucket.attributes.policy;
    if (text === undefined) return undefined;
    let policy = this.#policies.get(bucket);
    if (policy === undefined) {
      policy = parsePolicy(text, bucket.name);
      this.#policies.set(bucket, policy);
    }
    return policy;
  }
}

function withinLimits({ identity, action, bucket, request }: AccessRequest): boolean {
  if (identity.kind === "anonymous") return true;
  if (identity.key.readOnly && !isReading(action)) return false;
  return action === "s3:ListAllMyBuckets" || isForBucket(identity, bucket?.name ?? request.bucket);
}

/** Whether the key is not limited to other buckets. */
export function isForBucket(identity: Identity, name: string | undefined): boolean {
  if (identity.kind === "anonymous" || identity.key.buckets === undefined) return true;
  return name !== undefined && identity.key.buckets.includes(name);
}

function isUnlimited({ identity }: AccessRequest): boolean {
  return identity.kind === "user" && !identity.key.readOnly && identity.key.buckets === undefined;
}

/** An ACL, or tags, that a new object is to have are asked for by the action that changes them. */
function isCreating({ action, request }: AccessRequest): boolean {
  if (action === "s3:PutObjectTagging") return !request.query.has("tagging");
  return action === "s3:PutObjectAcl" && !request.query.has("acl");
}

function allowedByAcl(ask: AccessRequest, bucket: Bucket, version: Version | undefined, objectOwner: string): boolean {
  const { attributes } = bucket;
  const account = accountOf(ask.identity);
  const ignorePublic = attributes.publicAccess?.ignorePublicAcls === true;
  const byBucket = (permission: Permission): boolean =>
    attributes.acl !== undefined && granted(attributes.acl, permission, account, ignorePublic);
  const action = isCreating(ask) ? "s3:PutObject" : ask.action;
  const ofBucket = bucketPermission(action);
  if (ofBucket !== undefined) return byBucket(ofBucket);
  if (knownActions.get(action.toLowerCase()) !== "object") return false;
  const permission = objectPermission(action);
  if (version === undefined) {
    // Who may list the bucket may know that there is no such key. Not just allowed: it could be there a moment later.
    if (permission === "READ" && byBucket("READ"))
      throw new S3Error("NoSuchKey", undefined, { elements: { Key: ask.key ?? "" } });
    return false;
  }
  const owns = account !== undefined && account === objectOwner;
  if (permission === undefined) return owns && isReading(action);
  // The owner of an object can always see to its ACL.
  if (owns && permission !== "READ") return true;
  const { acl } = version.attributes;
  return acl === undefined ? owns : granted(acl, permission, account, ignorePublic);
}
