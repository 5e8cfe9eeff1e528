/** Version ids as clients send them. */
import { nullVersion } from "../../../datastore/datastore.ts";
import { invalidArgument, type S3Error } from "../protocol/error.ts";

/** Whether the datastore could have made it. */
export function isVersionId(text: string): boolean {
  return text === nullVersion || /^\d{16}$/.test(text);
}

export function invalidVersionId(parameter: string, id: string): S3Error {
  return invalidArgument(parameter, id, "Invalid version id specified");
}
