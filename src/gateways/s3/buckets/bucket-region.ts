/** Where a bucket is: whatever was said when it was made; nothing depends on it. */
import type { Bucket } from "../model.ts";
import type { S3Settings } from "../operation.ts";

/** The region that S3 leaves unsaid: a bucket in it has no location constraint. */
export const regionUnsaid = "us-east-1";

export function regionOf({ attributes }: Pick<Bucket, "attributes">, settings: Pick<S3Settings, "region">): string {
  const { location } = attributes;
  // The name of Ireland in S3's first years.
  return location === "EU" ? "eu-west-1" : (location ?? settings.region);
}
