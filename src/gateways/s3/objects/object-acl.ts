/** GetObjectAcl and PutObjectAcl. */
import type { HttpAnswer } from "../../../env/http.ts";
import { grantsOf } from "../access/acl-request.ts";
import { aclDocument } from "../access/acl-xml.ts";
import { isPublicAcl } from "../access/grants.ts";
import { refuseAcl } from "../access/new-acl.ts";
import { accountOf } from "../auth/identity.ts";
import { readAcl } from "../buckets/acl.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, xml } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import { changeVersion } from "./change-version.ts";
import { checkVersionId, findVersion } from "./find-version.ts";
import { versionHeader } from "./new-object.ts";

const common = { scope: "object", when: "acl", parameters: ["versionId"] } as const;

export const objectAclOperations: readonly Operation[] = [
  { ...common, name: "GetObjectAcl", method: "GET", action: getActions, run: getAcl },
  { ...common, name: "PutObjectAcl", method: "PUT", action: putActions, run: putAcl },
];

function getActions({ query }: S3Request): readonly string[] {
  return [query.has("versionId") ? "s3:GetObjectVersionAcl" : "s3:GetObjectAcl"];
}

function putActions({ query }: S3Request): readonly string[] {
  return [query.has("versionId") ? "s3:PutObjectVersionAcl" : "s3:PutObjectAcl"];
}

async function getAcl(call: S3Call): Promise<HttpAnswer> {
  const { services, bucket, key, request } = call;
  const { version } = await findVersion(services, bucket, key, checkVersionId(request.query.get("versionId")));
  const aclsCount = bucket.attributes.ownership !== "BucketOwnerEnforced";
  const owner = (aclsCount ? version.attributes.owner : undefined) ?? bucket.attributes.owner;
  const headers: { [name: string]: string | number } = {};
  versionHeader(call, version.version, headers);
  return xml(await aclDocument(owner, aclsCount ? version.attributes.acl : undefined, services.accounts), headers);
}

async function putAcl(call: S3Call): Promise<HttpAnswer> {
  const { services, bucket, key, request, identity } = call;
  const { owner: bucketOwner, ownership, publicAccess } = bucket.attributes;
  const { version } = await findVersion(services, bucket, key, checkVersionId(request.query.get("versionId")));
  const isEnforced = ownership === "BucketOwnerEnforced";
  const owner = (isEnforced ? undefined : version.attributes.owner) ?? bucketOwner;
  const asked = await readAcl(call, owner);
  if (isEnforced) {
    refuseAcl(asked, bucketOwner, accountOf(identity));
    return empty();
  }
  const acl = await grantsOf(asked, { owner, bucketOwner }, services.accounts);
  if (publicAccess?.blockPublicAcls === true && isPublicAcl(acl)) throw new S3Error("AccessDenied");
  const changed = await changeVersion(call, (attributes) => {
    // Another object, of somebody else, has taken its place: this was asked of the one that was there.
    if ((attributes.owner ?? bucketOwner) !== owner) throw new S3Error("OperationAborted");
    const { acl: _, ...rest } = attributes;
    return acl === undefined ? rest : { ...attributes, acl };
  });
  const headers: { [name: string]: string | number } = {};
  versionHeader(call, changed.version, headers);
  return empty(headers);
}
