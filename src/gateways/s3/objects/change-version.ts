/** Changes of a version's attributes: ACL, tags, retention, legal hold. */
import { StoreError } from "../../../core/errors.ts";
import { plain, type Version, type VersionAttributes, versionOf } from "../model.ts";
import type { S3Call } from "../operation.ts";
import { checkVersionId, findVersion, missing } from "./find-version.ts";

/** How often a change is begun again because somebody else changed the same version. */
const attemptsMax = 20;

/**
 * Replaces the attributes of the version that the request means by what `change` makes of them; it is asked again where
 * somebody else was faster. NoSuchKey, NoSuchVersion, MethodNotAllowed for a delete marker.
 */
export async function changeVersion(
  { services, bucket, key, request }: Pick<S3Call, "services" | "bucket" | "key" | "request">,
  change: (attributes: VersionAttributes) => VersionAttributes,
): Promise<Version> {
  const versionId = checkVersionId(request.query.get("versionId"));
  for (let attempt = 1; ; attempt++) {
    const { version } = await findVersion(services, bucket, key, versionId);
    const expected = plain(version.attributes);
    const attributes = plain(change(version.attributes));
    try {
      return versionOf(await services.datastore.updateVersion(bucket.name, key, version.version, attributes, expected));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const isGone = error.code === "NOT_FOUND";
      if (!isGone && error.code !== "CONFLICT") throw error;
      if (attempt === attemptsMax) throw isGone ? missing(key, versionId) : error;
    }
  }
}
