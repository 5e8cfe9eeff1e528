/** Version ids as clients send them. */
import { nullVersion } from "../../../datastore/datastore.ts";
import { invalidArgument } from "../protocol/error.ts";
import type { Query } from "../protocol/request.ts";

/** The parameter `versionId`; InvalidArgument where it cannot be the id of any version. */
export function versionIdOf(query: Query): string | undefined {
  const id = query.get("versionId");
  if (id === undefined) return undefined;
  if (id === "") throw invalidArgument("versionId", id, "Version id cannot be the empty string");
  if (!isVersionId(id)) throw invalidVersionId("versionId", id);
  return id;
}

/** Whether the datastore could have made it. */
export function isVersionId(text: string): boolean {
  return text === nullVersion || /^\d{16}$/.test(text);
}

export function invalidVersionId(parameter: string, id: string): Error {
  return invalidArgument(parameter, id, "Invalid version id specified");
}
