/**
 * GetBucketOwnershipControls, PutBucketOwnershipControls, DeleteBucketOwnershipControls. A bucket without any is as with
 * ObjectWriter.
 */
import { xmlSizeMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import { isOwnerOnly } from "../access/acl-request.ts";
import { ownerships } from "../access/new-acl.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, noContent, xml } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";
import { document, element, leaf, parseXml } from "../protocol/xml.ts";
import { changeBucket, without } from "./change-bucket.ts";

const common = { scope: "bucket", when: "ownershipControls" } as const;
const putAction = "s3:PutBucketOwnershipControls";

export const ownershipOperations: readonly Operation[] = [
  { ...common, name: "GetBucketOwnershipControls", method: "GET", action: "s3:GetBucketOwnershipControls", run: get },
  { ...common, name: "PutBucketOwnershipControls", method: "PUT", action: putAction, run: put },
  { ...common, name: "DeleteBucketOwnershipControls", method: "DELETE", action: putAction, run: remove },
];

async function get({ bucket }: S3Call): Promise<HttpAnswer> {
  const { ownership } = bucket.attributes;
  if (ownership === undefined) {
    throw new S3Error("OwnershipControlsNotFoundError", undefined, { elements: { BucketName: bucket.name } });
  }
  return xml(document("OwnershipControls", element("Rule", leaf("ObjectOwnership", ownership))));
}

async function put(call: S3Call): Promise<HttpAnswer> {
  const root = parseXml(await call.body.collect(xmlSizeMax), "OwnershipControls").only("Rule");
  const named = root.require("Rule").only("ObjectOwnership").requireValue("ObjectOwnership");
  const ownership = ownerships.find((each) => each === named);
  if (ownership === undefined) throw new S3Error("MalformedXML");
  await changeBucket(call, (attributes) => {
    const { acl, owner } = attributes;
    if (ownership !== "BucketOwnerEnforced" || acl === undefined) return { ...attributes, ownership };
    // What an ACL gives to others would be taken away without a word.
    if (!isOwnerOnly(acl, owner)) throw new S3Error("InvalidBucketAclWithObjectOwnership");
    return { ...without(attributes, "acl"), ownership };
  });
  return empty();
}

async function remove(call: S3Call): Promise<HttpAnswer> {
  await changeBucket(call, (attributes) => without(attributes, "ownership"));
  return noContent();
}
