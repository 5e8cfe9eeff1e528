/**
 * Whose a new object or bucket is and which ACL it gets, and what ownership has to say to that (docs.aws.amazon.com,
 * "Controlling ownership of objects and disabling ACLs").
 */
import { accountOf } from "../auth/identity.ts";
import type { Grant, Ownership } from "../model.ts";
import type { S3Call } from "../operation.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { aclOfHeaders, type AclRequest, grantsOf, type HeaderOf } from "./acl-request.ts";
import { isPublicAcl } from "./grants.ts";

/** As attributes of a version have it. */
export interface ObjectAcl {
  readonly owner?: string;
  readonly acl?: readonly Grant[];
}

/** As attributes of a bucket have it. */
export interface BucketAcl {
  readonly ownership: Ownership;
  readonly acl?: readonly Grant[];
}

export const ownerships: readonly Ownership[] = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"];

const nothing: ObjectAcl = {};

/**
 * For all that makes objects; `header` reads the request's headers or the fields of a form, names in lower case. What is
 * written by nobody known belongs to the bucket's owner. Without a promise unless accounts have to be looked up.
 */
export function aclForNewObject(
  { services, bucket, identity }: Pick<S3Call, "services" | "bucket" | "identity">,
  header: HeaderOf,
): ObjectAcl | Promise<ObjectAcl> {
  const { owner: bucketOwner, ownership, publicAccess } = bucket.attributes;
  const asked = aclOfHeaders(header);
  const writer = accountOf(identity) ?? bucketOwner;
  if (ownership === "BucketOwnerEnforced") {
    if (asked !== undefined) refuseAcl(asked, bucketOwner, writer);
    return nothing;
  }
  const isGivenAway =
    ownership === "BucketOwnerPreferred" && asked?.kind === "canned" && asked.name === "bucket-owner-full-control";
  const owner = isGivenAway ? bucketOwner : writer;
  const finish = (acl: readonly Grant[] | undefined): ObjectAcl => {
    if (publicAccess?.blockPublicAcls === true && isPublicAcl(acl)) throw new S3Error("AccessDenied");
    return { ...(owner === bucketOwner ? {} : { owner }), ...(acl === undefined ? {} : { acl }) };
  };
  const grants = grantsOf(asked, { owner, bucketOwner }, services.accounts);
  return grants instanceof Promise ? grants.then(finish) : finish(grants);
}

/**
 * AccessControlListNotSupported, unless it asks for what is so anyway: all for the bucket's owner. `private` is that only
 * where it comes from the owner; many clients send it by default.
 */
export function refuseAcl(asked: AclRequest, bucketOwner: string, writer: string | undefined): void {
  if (asked.kind === "canned") {
    if (asked.name === "bucket-owner-full-control" || (asked.name === "private" && writer === bucketOwner)) return;
  } else if (asked.grants.length === 1) {
    const { grantee, permission } = asked.grants[0]!;
    if (permission === "FULL_CONTROL" && grantee.kind === "id" && grantee.text === bucketOwner) return;
  }
  throw new S3Error("AccessControlListNotSupported");
}

/** For CreateBucket, by the headers x-amz-object-ownership, x-amz-acl and x-amz-grant-*. */
export async function aclForNewBucket(
  { services, identity }: Pick<S3Call, "services" | "identity">,
  header: HeaderOf,
): Promise<BucketAcl> {
  const named = header("x-amz-object-ownership");
  const ownership = named === undefined ? services.settings.ownership : ownerships.find((each) => each === named);
  if (ownership === undefined) {
    throw invalidArgument("x-amz-object-ownership", named!, `Invalid x-amz-object-ownership header: ${named}`);
  }
  const asked = aclOfHeaders(header);
  const acl = await grantsOf(asked, { owner: accountOf(identity) ?? "", bucketOwner: undefined }, services.accounts);
  if (acl === undefined) return { ownership };
  if (ownership === "BucketOwnerEnforced") throw new S3Error("InvalidBucketAclWithObjectOwnership");
  return { ownership, acl };
}
