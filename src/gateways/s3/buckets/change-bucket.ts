/** Changes of a bucket's attributes. */
import { StoreError } from "../../../core/errors.ts";
import { type Bucket, type BucketAttributes, bucketOf, plain } from "../model.ts";
import type { S3Call } from "../operation.ts";

/** How often a change is begun again because somebody else changed the same record. */
const attemptsMax = 20;

/**
 * Replaces the attributes by what `change` makes of them; it is asked again where somebody else was faster. What it
 * throws comes through and nothing is changed.
 */
export async function changeBucket(
  { services: { datastore }, bucket }: Pick<S3Call, "services" | "bucket">,
  change: (attributes: BucketAttributes) => BucketAttributes,
): Promise<Bucket> {
  let current = bucket;
  for (let attempt = 1; ; attempt++) {
    const expected = plain(current.attributes);
    try {
      const attributes = plain(change(current.attributes));
      return bucketOf(await datastore.updateBucket(bucket.name, { attributes, expected }));
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "CONFLICT" || attempt === attemptsMax) throw error;
    }
    const record = await datastore.getBucket(bucket.name);
    if (record === undefined) throw new StoreError("NOT_FOUND", `bucket ${bucket.name} does not exist`);
    current = bucketOf(record);
  }
}

/** The attributes without one of them. */
export function without(
  attributes: BucketAttributes,
  name: Exclude<keyof BucketAttributes, "owner">,
): BucketAttributes {
  const { [name]: _, ...rest } = attributes;
  return rest;
}
