/** x-amz-expected-bucket-owner and its like for the source of a copy: a request that is meant for one account's bucket only. */
import { accountNumber } from "../access/principals.ts";
import { S3Error } from "../protocol/error.ts";

/** AccessDenied where the bucket is another's. `expected`: as the header says, an account's number or its id. */
export function checkExpectedOwner(expected: string | undefined, owner: string): void {
  if (expected === undefined || expected === owner || expected === accountNumber(owner)) return;
  throw new S3Error(/^\d{12}$/.test(expected) ? "AccessDenied" : "InvalidBucketOwnerAWSAccountID");
}
