/** GetPublicAccessBlock, PutPublicAccessBlock, DeletePublicAccessBlock. What they do is in access/. */
import { xmlSizeMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import type { PublicAccessBlock } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, noContent, xml } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";
import { document, leaf, parseXml, type XmlNode } from "../protocol/xml.ts";
import { changeBucket, without } from "./change-bucket.ts";

const common = { scope: "bucket", when: "publicAccessBlock" } as const;
const putAction = "s3:PutBucketPublicAccessBlock";

export const publicAccessOperations: readonly Operation[] = [
  { ...common, name: "GetPublicAccessBlock", method: "GET", action: "s3:GetBucketPublicAccessBlock", run: getBlock },
  { ...common, name: "PutPublicAccessBlock", method: "PUT", action: putAction, run: putBlock },
  { ...common, name: "DeletePublicAccessBlock", method: "DELETE", action: putAction, run: deleteBlock },
];

async function getBlock({ bucket }: S3Call): Promise<HttpAnswer> {
  const block = bucket.attributes.publicAccess;
  if (block === undefined) {
    throw new S3Error("NoSuchPublicAccessBlockConfiguration", undefined, { elements: { BucketName: bucket.name } });
  }
  return xml(
    document(
      "PublicAccessBlockConfiguration",
      leaf("BlockPublicAcls", block.blockPublicAcls),
      leaf("IgnorePublicAcls", block.ignorePublicAcls),
      leaf("BlockPublicPolicy", block.blockPublicPolicy),
      leaf("RestrictPublicBuckets", block.restrictPublicBuckets),
    ),
  );
}

async function putBlock(call: S3Call): Promise<HttpAnswer> {
  const root = parseXml(await call.body.collect(xmlSizeMax), "PublicAccessBlockConfiguration");
  root.only("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets");
  const publicAccess: PublicAccessBlock = {
    blockPublicAcls: flag(root, "BlockPublicAcls"),
    ignorePublicAcls: flag(root, "IgnorePublicAcls"),
    blockPublicPolicy: flag(root, "BlockPublicPolicy"),
    restrictPublicBuckets: flag(root, "RestrictPublicBuckets"),
  };
  await changeBucket(call, (attributes) => ({ ...attributes, publicAccess }));
  return empty();
}

function flag(root: XmlNode, name: string): boolean {
  const text = root.value(name)?.toLowerCase() ?? "false";
  if (text !== "true" && text !== "false") throw new S3Error("MalformedXML");
  return text === "true";
}

async function deleteBlock(call: S3Call): Promise<HttpAnswer> {
  await changeBucket(call, (attributes) => without(attributes, "publicAccess"));
  return noContent();
}
