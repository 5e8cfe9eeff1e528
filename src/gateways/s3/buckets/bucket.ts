/** CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation. */
import type { HttpAnswer } from "../../../env/http.ts";
import { StoreError } from "../../../core/errors.ts";
import { pageSizeMax, xmlSizeMax } from "../../../core/limits.ts";
import type { Datastore } from "../../../datastore/datastore.ts";
import { accountOf } from "../auth/identity.ts";
import { aclForNewBucket } from "../access/new-acl.ts";
import { bucketOf, plain, type Bucket, type BucketAttributes } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, noContent, xml } from "../protocol/answer.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import { bucketTagsMax, checkedTags } from "../protocol/tags.ts";
import { document, escapeText, parseXml, type XmlNode } from "../protocol/xml.ts";
import { checkBucketName } from "./bucket-name.ts";
import { regionOf, regionUnsaid } from "./bucket-region.ts";

export const bucketOperations: readonly Operation[] = [
  {
    name: "CreateBucket",
    method: "PUT",
    scope: "bucket",
    action: "s3:CreateBucket",
    withoutBucket: true,
    run: createBucket,
  },
  { name: "HeadBucket", method: "HEAD", scope: "bucket", action: "s3:ListBucket", run: headBucket },
  { name: "DeleteBucket", method: "DELETE", scope: "bucket", action: "s3:DeleteBucket", run: deleteBucket },
  {
    name: "GetBucketLocation",
    method: "GET",
    scope: "bucket",
    when: "location",
    action: "s3:GetBucketLocation",
    run: getLocation,
  },
];

// ── creating ────────────────────────────────────────────────────────────────────────────────────────────────────────

async function createBucket(call: S3Call): Promise<HttpAnswer> {
  const { services, request, identity, now } = call;
  const { datastore } = services;
  const name = request.bucket!;
  checkBucketName(name);
  const owner = accountOf(identity);
  if (owner === undefined) throw new S3Error("AccessDenied");
  const unlocked = await attributesOf(call, owner);
  const attributes: BucketAttributes = wantsLock(request) ? { ...unlocked, lock: {} } : unlocked;
  const answer = empty({ Location: `/${name}` });
  try {
    await datastore.createBucket(name, plain(unlocked), now);
  } catch (error) {
    const existing = isConflict(error) ? await datastore.getBucket(name) : undefined;
    if (existing === undefined) throw error;
    checkExisting(call, bucketOf(existing), attributes);
    return answer;
  }
  if (attributes.lock !== undefined) {
    // One step for both: there is no bucket with object lock that is not versioned.
    await datastore.updateBucket(name, { versioning: "enabled", attributes: plain(attributes) });
  }
  return answer;
}

async function attributesOf(call: S3Call, owner: string): Promise<BucketAttributes> {
  const { location, tags } = await readConfiguration(call);
  const { ownership, acl } = await aclForNewBucket(call, call.request.header);
  return {
    owner,
    ...(location === undefined ? {} : { location }),
    ownership,
    ...(acl === undefined ? {} : { acl }),
    ...(tags === undefined ? {} : { tags }),
  };
}

/** What the body says, where there is one. */
async function readConfiguration({ body }: S3Call): Promise<Pick<BucketAttributes, "location" | "tags">> {
  const bytes = await body.collect(xmlSizeMax);
  if (bytes.length === 0) return {};
  const configuration = parseXml(bytes, "CreateBucketConfiguration");
  for (const name of ["Location", "Bucket"]) {
    if (configuration.child(name) !== undefined) throw new S3Error("NotImplemented", "There are no directory buckets.");
  }
  configuration.only("LocationConstraint", "Tags");
  const tags = configuration.child("Tags")?.only("Tag").all("Tag").map(readTag);
  return {
    ...locationOf(configuration.value("LocationConstraint") ?? ""),
    ...(tags === undefined || tags.length === 0 ? {} : { tags: checkedTags(tags, bucketTagsMax) }),
  };
}

function readTag(tag: XmlNode): [string, string] {
  tag.only("Key", "Value");
  return [tag.require("Key").text, tag.require("Value").text];
}

function locationOf(location: string): Pick<BucketAttributes, "location"> {
  if (location === "" || location === regionUnsaid) return {};
  if (/^[A-Za-z0-9-]{2,63}$/.test(location)) return { location };
  throw new S3Error("InvalidLocationConstraint", undefined, { elements: { LocationConstraint: location } });
}

function wantsLock({ header }: S3Request): boolean {
  const name = "x-amz-bucket-object-lock-enabled";
  const wanted = header(name)?.toLowerCase() ?? "false";
  if (wanted === "true") return true;
  if (wanted === "false") return false;
  throw invalidArgument(name, wanted, `Invalid ${name} header: ${wanted}`);
}

/**
 * In us-east-1, AWS lets the owner create a bucket again and answers 200; everywhere else it is refused. That is done
 * here too, but only for a request that asks for what is there: AWS would reset the ACL, which nobody wants by accident.
 */
function checkExisting({ services }: S3Call, existing: Bucket, wanted: BucketAttributes): void {
  const elements = { BucketName: existing.name };
  if (existing.attributes.owner !== wanted.owner) throw new S3Error("BucketAlreadyExists", undefined, { elements });
  const regions = [existing.attributes, wanted].map((attributes) => regionOf({ attributes }, services.settings));
  if (regions.some((region) => region !== regionUnsaid)) {
    throw new S3Error("BucketAlreadyOwnedByYou", undefined, { elements });
  }
  if (!isSameAsWanted(existing, wanted)) throw new S3Error("BucketAlreadyExists", undefined, { elements });
}

function isSameAsWanted({ attributes }: Bucket, wanted: BucketAttributes): boolean {
  return (
    attributes.ownership === wanted.ownership &&
    (attributes.lock === undefined) === (wanted.lock === undefined) &&
    JSON.stringify(attributes.acl) === JSON.stringify(wanted.acl)
  );
}

// ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────

async function headBucket({ bucket, services }: S3Call): Promise<HttpAnswer> {
  return empty({
    "Content-Type": "application/xml",
    "x-amz-bucket-region": regionOf(bucket, services.settings),
    "x-amz-access-point-alias": "false",
  });
}

/** The constraint itself, not an element in the root. */
async function getLocation({ bucket, services }: S3Call): Promise<HttpAnswer> {
  const location = bucket.attributes.location ?? services.settings.region;
  return xml(document("LocationConstraint", location === regionUnsaid ? undefined : escapeText(location)));
}

// ── deleting ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** How often uploads are aborted again that were begun in the meantime. */
const attemptsMax = 5;

/** Unfinished uploads go with it, as on AWS; versions and delete markers must have gone before. */
export async function deleteBucket({ bucket, services }: Pick<S3Call, "bucket" | "services">): Promise<HttpAnswer> {
  const { datastore } = services;
  const { name } = bucket;
  for (let attempt = 1; ; attempt++) {
    const request = { bucket: name, prefix: "", delimiter: undefined, after: undefined, limit: 1 };
    if ((await datastore.listVersions(request)).items.length > 0) throw notEmpty(name);
    await abortUploads(datastore, name);
    try {
      await datastore.deleteBucket(name);
      return noContent();
    } catch (error) {
      if (!isConflict(error)) throw error;
      if (attempt >= attemptsMax) throw notEmpty(name);
    }
  }
}

async function abortUploads(datastore: Datastore, bucket: string): Promise<void> {
  const request = { bucket, prefix: "", delimiter: undefined, after: undefined, limit: pageSizeMax };
  for (;;) {
    const { items } = await datastore.listUploads(request);
    if (items.length === 0) return;
    // All at once: they share commits.
    await Promise.all(items.map(({ upload }) => datastore.abortUpload(upload)));
  }
}

function notEmpty(name: string): S3Error {
  return new S3Error("BucketNotEmpty", undefined, { elements: { BucketName: name } });
}

function isConflict(error: unknown): boolean {
  return error instanceof StoreError && error.code === "CONFLICT";
}
