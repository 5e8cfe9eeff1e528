import { S3Error } from "../protocol/error.ts";

/** What a policy says that is not understood is refused, never ignored. */
export function malformed(message: string): S3Error {
  return new S3Error("MalformedPolicy", message);
}
