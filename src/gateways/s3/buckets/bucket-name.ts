/**
 * What a bucket may be called (docs.aws.amazon.com, "General purpose bucket naming rules"). Names in which a hyphen
 * stands beside a dot are no DNS labels and are refused too, as S3's own rules did for long.
 */
import { S3Error } from "../protocol/error.ts";

const letters = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const notBesideDots = /\.\.|\.-|-\./;
const address = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;
/** What AWS keeps for names of its own making. */
const reserved = /^(xn--|sthree-)|(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/;

/** InvalidBucketName. */
export function checkBucketName(name: string): void {
  if (letters.test(name) && !notBesideDots.test(name) && !address.test(name) && !reserved.test(name)) return;
  throw new S3Error("InvalidBucketName", undefined, { elements: { BucketName: name } });
}
