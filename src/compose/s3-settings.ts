/** S3 as it is where nobody says otherwise. */
import type { S3Settings } from "../gateways/s3/operation.ts";

/** How long S3 says that a day is. */
const dayMs = 86_400_000;

export const defaultSettings: S3Settings = {
  region: "us-east-1",
  domains: ["localhost"],
  ownership: "BucketOwnerEnforced",
  dayMs,
};
