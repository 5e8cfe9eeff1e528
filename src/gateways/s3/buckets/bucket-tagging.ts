/** The tags of a bucket. */
import { xmlSizeMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, noContent, xml } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";

import { bucketTagsMax, parseTagging, tagCount, taggingDocument } from "../protocol/tags.ts";
import { changeBucket, without } from "./change-bucket.ts";

const common = { scope: "bucket", when: "tagging" } as const;

export const bucketTaggingOperations: readonly Operation[] = [
  { ...common, name: "GetBucketTagging", method: "GET", action: "s3:GetBucketTagging", run: getTagging },
  { ...common, name: "PutBucketTagging", method: "PUT", action: "s3:PutBucketTagging", run: putTagging },
  { ...common, name: "DeleteBucketTagging", method: "DELETE", action: "s3:PutBucketTagging", run: deleteTagging },
];

async function getTagging({ bucket }: S3Call): Promise<HttpAnswer> {
  const { tags } = bucket.attributes;
  if (tags === undefined || tagCount(tags) === 0) {
    throw new S3Error("NoSuchTagSet", undefined, { elements: { BucketName: bucket.name } });
  }
  return xml(taggingDocument(tags));
}

/** AWS's page says 200 and shows 204; there are clients that take the latter for a failure. */
async function putTagging(call: S3Call): Promise<HttpAnswer> {
  const tags = parseTagging(await call.body.collect(xmlSizeMax), bucketTagsMax);
  await changeBucket(call, (attributes) => ({ ...attributes, tags }));
  return empty();
}

async function deleteTagging(call: S3Call): Promise<HttpAnswer> {
  await changeBucket(call, (attributes) => without(attributes, "tags"));
  return noContent();
}
