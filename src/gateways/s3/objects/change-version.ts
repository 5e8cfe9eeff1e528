/** Changing what is kept with a version: read, change, and write only where nobody else did meanwhile. */
import { StoreError } from "../../../core/errors.ts";
import { changeAttemptsMax } from "../../../core/limits.ts";
import { plain, type Version, type VersionAttributes, versionOf } from "../model.ts";
import type { S3Call } from "../operation.ts";
import { S3Error } from "../protocol/error.ts";
import { checkVersionId, findVersion } from "./find-version.ts";

/**
 * Of the version that the request names, or of the newest. `change` may throw; it is called again where the version was
 * changed between. OperationAborted where that goes on too long.
 */
export async function changeVersion(
  { services, bucket, key, request }: S3Call,
  change: (attributes: VersionAttributes) => VersionAttributes,
): Promise<Version> {
  const versionId = checkVersionId(request.query.get("versionId"));
  for (let attempt = 1; attempt <= changeAttemptsMax; attempt++) {
    const { version } = await findVersion(services, bucket, key, versionId);
    const changed = change(version.attributes);
    try {
      const record = await services.datastore.updateVersion(
        bucket.name,
        key,
        version.version,
        plain(changed),
        plain(version.attributes),
      );
      return versionOf(record);
    } catch (error) {
      const isChanged = error instanceof StoreError && (error.code === "CONFLICT" || error.code === "NOT_FOUND");
      if (!isChanged) throw error;
    }
  }
  throw new S3Error("OperationAborted");
}
