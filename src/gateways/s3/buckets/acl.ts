/** GetBucketAcl and PutBucketAcl. */
import { xmlSizeMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import { aclOfBody, aclOfHeaders, type AclRequest, grantsOf } from "../access/acl-request.ts";
import { aclDocument } from "../access/acl-xml.ts";
import { isPublicAcl } from "../access/grants.ts";
import { refuseAcl } from "../access/new-acl.ts";
import { accountOf } from "../auth/identity.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, xml } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";
import { changeBucket, without } from "./change-bucket.ts";

const common = { scope: "bucket", when: "acl" } as const;

export const bucketAclOperations: readonly Operation[] = [
  { ...common, name: "GetBucketAcl", method: "GET", action: "s3:GetBucketAcl", run: getAcl },
  { ...common, name: "PutBucketAcl", method: "PUT", action: "s3:PutBucketAcl", run: putAcl },
];

async function getAcl({ bucket, services }: S3Call): Promise<HttpAnswer> {
  const { owner, ownership, acl } = bucket.attributes;
  const counts = ownership === "BucketOwnerEnforced" ? undefined : acl;
  return xml(await aclDocument(owner, counts, services.accounts));
}

async function putAcl(call: S3Call): Promise<HttpAnswer> {
  const { owner } = call.bucket.attributes;
  const asked = await readAcl(call, owner);
  const grants = await grantsOf(asked, { owner, bucketOwner: undefined }, call.services.accounts);
  await changeBucket(call, (attributes) => {
    const { ownership, publicAccess } = attributes;
    if (ownership === "BucketOwnerEnforced") {
      refuseAcl(asked, owner, accountOf(call.identity));
      return attributes;
    }
    if (publicAccess?.blockPublicAcls === true && isPublicAcl(grants)) throw new S3Error("AccessDenied");
    return grants === undefined ? without(attributes, "acl") : { ...attributes, acl: grants };
  });
  return empty();
}

/** What a request to change an ACL asks for, in its headers or its body. */
export async function readAcl({ request, body }: Pick<S3Call, "request" | "body">, owner: string): Promise<AclRequest> {
  const bytes = await body.collect(xmlSizeMax);
  const inHeaders = aclOfHeaders((name) => request.header(name));
  if (inHeaders !== undefined && bytes.length > 0) throw new S3Error("UnexpectedContent");
  if (inHeaders !== undefined) return inHeaders;
  if (bytes.length > 0) return aclOfBody(bytes, owner);
  throw new S3Error("MissingSecurityHeader", undefined, { elements: { MissingHeaderName: "x-amz-acl" } });
}
