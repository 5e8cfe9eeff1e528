/**
 * What access control lists permit (docs.aws.amazon.com, "Access control list (ACL) overview", mapping of ACL
 * permissions and access policy permissions).
 */
import type { Grant, Permission } from "../model.ts";

export const allUsers = "http://acs.amazonaws.com/groups/global/AllUsers";
export const authenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
export const logDelivery = "http://acs.amazonaws.com/groups/s3/LogDelivery";
export const groups: readonly string[] = [allUsers, authenticatedUsers, logDelivery];
export const permissions: readonly Permission[] = ["FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"];

const bucketActions: ReadonlyMap<string, Permission> = new Map([
  ["s3:ListBucket", "READ"],
  ["s3:ListBucketVersions", "READ"],
  ["s3:ListBucketMultipartUploads", "READ"],
  ["s3:PutObject", "WRITE"],
  ["s3:DeleteObject", "WRITE"],
  ["s3:AbortMultipartUpload", "WRITE"],
  ["s3:ListMultipartUploadParts", "WRITE"],
  ["s3:GetBucketAcl", "READ_ACP"],
  ["s3:PutBucketAcl", "WRITE_ACP"],
]);

const objectActions: ReadonlyMap<string, Permission> = new Map([
  ["s3:GetObject", "READ"],
  ["s3:GetObjectVersion", "READ"],
  ["s3:GetObjectAttributes", "READ"],
  ["s3:GetObjectVersionAttributes", "READ"],
  ["s3:GetObjectAcl", "READ_ACP"],
  ["s3:GetObjectVersionAcl", "READ_ACP"],
  ["s3:PutObjectAcl", "WRITE_ACP"],
  ["s3:PutObjectVersionAcl", "WRITE_ACP"],
]);

/** Which permission in the bucket's ACL allows it. */
export function bucketPermission(action: string): Permission | undefined {
  return bucketActions.get(action);
}

/** Which permission in the object's ACL allows it. */
export function objectPermission(action: string): Permission | undefined {
  return objectActions.get(action);
}

/** What follows from `acl` for `account` (undefined: nobody is known). */
export function granted(
  acl: readonly Grant[],
  permission: Permission,
  account: string | undefined,
  ignorePublic: boolean,
): boolean {
  return acl.some(
    (grant) =>
      (grant.permission === permission || grant.permission === "FULL_CONTROL") &&
      includes(grant, account, ignorePublic),
  );
}

function includes({ grantee }: Grant, account: string | undefined, ignorePublic: boolean): boolean {
  if (grantee.kind === "account") return grantee.id === account;
  if (ignorePublic) return false;
  return grantee.uri === allUsers || (grantee.uri === authenticatedUsers && account !== undefined);
}

/** Grants anything to all, or to all that have any account. */
export function isPublicAcl(acl: readonly Grant[] | undefined): boolean {
  return acl?.some(({ grantee }) => grantee.kind === "group" && grantee.uri !== logDelivery) ?? false;
}
