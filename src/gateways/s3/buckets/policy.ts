/** GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus. What a policy means is in access/. */
import type { HttpAnswer } from "../../../env/http.ts";
import { isPublicAcl } from "../access/grants.ts";
import { malformed } from "../access/malformed.ts";
import { parsePolicy, type Policy, policySizeMax } from "../access/policy.ts";
import type { Operation, S3Call } from "../operation.ts";
import { json, noContent, xml } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";
import { document, leaf } from "../protocol/xml.ts";
import { changeBucket, without } from "./change-bucket.ts";

const common = { scope: "bucket", when: "policy" } as const;

export const policyOperations: readonly Operation[] = [
  { ...common, name: "GetBucketPolicy", method: "GET", action: "s3:GetBucketPolicy", run: getPolicy },
  { ...common, name: "PutBucketPolicy", method: "PUT", action: "s3:PutBucketPolicy", run: putPolicy },
  { ...common, name: "DeleteBucketPolicy", method: "DELETE", action: "s3:DeleteBucketPolicy", run: deletePolicy },
  {
    name: "GetBucketPolicyStatus",
    method: "GET",
    scope: "bucket",
    when: "policyStatus",
    action: "s3:GetBucketPolicyStatus",
    run: getStatus,
  },
];

async function getPolicy({ bucket }: S3Call): Promise<HttpAnswer> {
  const { policy } = bucket.attributes;
  if (policy === undefined) throw noPolicy(bucket.name);
  return json(policy);
}

async function putPolicy(call: S3Call): Promise<HttpAnswer> {
  const { bucket, body } = call;
  const text = textOf(await body.collect(policySizeMax * 2));
  if (Buffer.byteLength(text) > policySizeMax) throw malformed(`Policies cannot exceed ${policySizeMax} bytes`);
  const policy = parsePolicy(text, bucket.name);
  await checkAccounts(policy, call);
  await changeBucket(call, (attributes) => {
    if (attributes.publicAccess?.blockPublicPolicy === true && policy.isPublic) throw new S3Error("AccessDenied");
    return { ...attributes, policy: text };
  });
  return noContent();
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new S3Error("MalformedPolicy", undefined, { cause });
  }
}

/** An account that is called by a name has to be there, so that a slip of the pen is no rule without effect. */
async function checkAccounts(policy: Policy, { services }: S3Call): Promise<void> {
  for (const name of policy.accountNames) {
    if ((await services.accounts.accountByName(name)) === undefined) {
      throw malformed(`Invalid principal in policy: there is no account ${JSON.stringify(name)}`);
    }
  }
}

async function deletePolicy(call: S3Call): Promise<HttpAnswer> {
  await changeBucket(call, (attributes) => without(attributes, "policy"));
  return noContent();
}

/** AWS looks at the policy alone; an ACL that lets everybody in is told, too, so that it is not taken for private. */
async function getStatus({ bucket }: S3Call): Promise<HttpAnswer> {
  const { policy, acl, ownership, publicAccess } = bucket.attributes;
  const aclCounts = ownership !== "BucketOwnerEnforced" && publicAccess?.ignorePublicAcls !== true;
  const byAcl = aclCounts && isPublicAcl(acl);
  if (policy === undefined && !byAcl) throw noPolicy(bucket.name);
  const isPublic = byAcl || (policy !== undefined && parsePolicy(policy, bucket.name).isPublic);
  return xml(document("PolicyStatus", leaf("IsPublic", isPublic)));
}

function noPolicy(bucket: string): S3Error {
  return new S3Error("NoSuchBucketPolicy", undefined, { elements: { BucketName: bucket } });
}
