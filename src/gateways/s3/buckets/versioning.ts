/** GetBucketVersioning and PutBucketVersioning. */
import type { HttpAnswer } from "../../../env/http.ts";
import { xmlSizeMax } from "../../../core/limits.ts";
import type { Versioning } from "../../../datastore/datastore.ts";
import { plain } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, xml } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";
import { document, leaf, parseXml, type XmlNode } from "../protocol/xml.ts";

export const versioningOperations: readonly Operation[] = [
  {
    name: "GetBucketVersioning",
    method: "GET",
    scope: "bucket",
    when: "versioning",
    action: "s3:GetBucketVersioning",
    run: getVersioning,
  },
  {
    name: "PutBucketVersioning",
    method: "PUT",
    scope: "bucket",
    when: "versioning",
    action: "s3:PutBucketVersioning",
    run: putVersioning,
  },
];

const statuses: ReadonlyMap<string, Versioning> = new Map([
  ["Enabled", "enabled"],
  ["Suspended", "suspended"],
]);

async function getVersioning({ bucket }: S3Call): Promise<HttpAnswer> {
  const status = [...statuses].find(([, versioning]) => versioning === bucket.versioning)?.[0];
  return xml(document("VersioningConfiguration", leaf("Status", status)));
}

async function putVersioning(call: S3Call): Promise<HttpAnswer> {
  const versioning = readVersioning(parseXml(await call.body.collect(xmlSizeMax), "VersioningConfiguration"));
  await setVersioning(call, versioning);
  return empty();
}

/** InvalidBucketState where object lock needs the versions. */
export async function setVersioning(
  { bucket, services }: Pick<S3Call, "bucket" | "services">,
  versioning: Versioning,
): Promise<void> {
  if (versioning === "suspended" && bucket.attributes.lock !== undefined) {
    const why = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.";
    throw new S3Error("InvalidBucketState", why);
  }
  const expected = plain(bucket.attributes);
  // Nobody may have turned object lock on since.
  await services.datastore.updateBucket(
    bucket.name,
    versioning === "suspended" ? { versioning, expected } : { versioning },
  );
}

function readVersioning(configuration: XmlNode): Versioning {
  configuration.only("Status", "MfaDelete", "MFADelete");
  const mfaDelete = configuration.value("MfaDelete") ?? configuration.value("MFADelete") ?? "Disabled";
  if (mfaDelete !== "Disabled") {
    if (mfaDelete !== "Enabled") throw new S3Error("MalformedXML");
    throw new S3Error("NotImplemented", "Deleting with multi-factor authentication is not implemented.");
  }
  const status = configuration.value("Status");
  if (status === undefined)
    throw new S3Error("IllegalVersioningConfigurationException", "The Versioning element must be specified");
  const versioning = statuses.get(status);
  if (versioning === undefined) throw new S3Error("MalformedXML");
  return versioning;
}
