/** The buckets of a test server: made as its options say, by the operations that clients use, and emptied between tests. */
import { StoreError } from "../core/errors.ts";
import { pageSizeMax } from "../core/limits.ts";
import type { Datastore } from "../datastore/datastore.ts";
import type { AccessKey } from "../gateways/s3/auth/accounts.ts";
import { checkBucketName } from "../gateways/s3/buckets/bucket-name.ts";
import { plain } from "../gateways/s3/model.ts";
import type { Services } from "../gateways/s3/operation.ts";
import { operations } from "../gateways/s3/operations.ts";
import { document, element, leaf } from "../gateways/s3/protocol/xml.ts";
import { inStoreWords } from "./errors.ts";
import { documentBody, rootCall } from "./root-call.ts";
import type { CorsRule, ServerBucket } from "./server.ts";

export async function makeBuckets(
  services: Services,
  root: AccessKey,
  buckets: readonly (string | ServerBucket)[],
): Promise<void> {
  const named = buckets.map((bucket) => (typeof bucket === "string" ? { name: bucket } : bucket));
  // At once: they share commits.
  await Promise.all(
    named.map((bucket) => inStoreWords(`bucket ${bucket.name}`, () => makeBucket(services, root, bucket))),
  );
}

/** One that is there already gets what is said of it, and keeps the rest. */
async function makeBucket(services: Services, root: AccessKey, bucket: ServerBucket): Promise<void> {
  const { name, objectLock = false, versioning = objectLock !== false } = bucket;
  const { datastore, host, settings } = services;
  checkBucketName(name);
  if ((await datastore.getBucket(name)) === undefined) {
    const owner = await ownerOf(services, root, bucket);
    const attributes = plain({ owner, ownership: settings.ownership, ...(objectLock === false ? {} : { lock: {} }) });
    await datastore.createBucket(name, attributes, host.clock.now());
  }
  if (versioning || objectLock !== false) await datastore.updateBucket(name, { versioning: "enabled" });
  for (const [operation, text] of documentsOf(bucket)) {
    const call = await rootCall(services, root, { bucket: name, body: documentBody(text) });
    await operations.find((each) => each.name === operation)!.run(call);
  }
}

async function ownerOf({ accounts }: Services, root: AccessKey, { name, owner }: ServerBucket): Promise<string> {
  if (owner === undefined) return root.account.id;
  const user = (await accounts.list()).find((each) => each.user === owner);
  if (user === undefined) throw new StoreError("INVALID", `buckets: ${name} is to belong to ${owner}, who is no user`);
  return user.account.id;
}

/** Which operations configure it, each with its body. */
function* documentsOf({ objectLock, cors, policy, lifecycle }: ServerBucket): Generator<readonly [string, string]> {
  if (typeof objectLock === "object") yield ["PutObjectLockConfiguration", lockDocument(objectLock)];
  if (cors !== undefined) yield ["PutBucketCors", typeof cors === "string" ? cors : corsDocument(cors)];
  if (policy !== undefined) yield ["PutBucketPolicy", typeof policy === "string" ? policy : JSON.stringify(policy)];
  if (lifecycle !== undefined) yield ["PutBucketLifecycleConfiguration", lifecycle];
}

function lockDocument({ mode, days }: Exclude<NonNullable<ServerBucket["objectLock"]>, boolean>): string {
  const retention = element("DefaultRetention", leaf("Mode", mode), leaf("Days", days));
  return document("ObjectLockConfiguration", leaf("ObjectLockEnabled", "Enabled"), element("Rule", retention));
}

function corsDocument(rules: readonly CorsRule[]): string {
  const elements = rules.map(({ origins, methods, headers = [], expose = [], maxAge }) =>
    element(
      "CORSRule",
      ...headers.map((each) => leaf("AllowedHeader", each)),
      ...methods.map((each) => leaf("AllowedMethod", each)),
      ...origins.map((each) => leaf("AllowedOrigin", each)),
      ...expose.map((each) => leaf("ExposeHeader", each)),
      leaf("MaxAgeSeconds", maxAge),
    ),
  );
  return document("CORSConfiguration", ...elements);
}

// ── emptying ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** How often a bucket is emptied again that somebody writes to meanwhile. */
const attemptsMax = 10;

/** Removes all buckets with all that is in them, also what object lock would keep. */
export async function emptyStore({ datastore }: Services): Promise<void> {
  await Promise.all((await datastore.listBuckets()).map(({ name }) => removeBucket(datastore, name)));
}

async function removeBucket(datastore: Datastore, name: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await empty(datastore, name);
      await datastore.deleteBucket(name);
      return;
    } catch (error) {
      const code = error instanceof StoreError ? error.code : undefined;
      // Somebody else removed it, or put something into it.
      if (code === "NOT_FOUND") return;
      if (code !== "CONFLICT" || attempt >= attemptsMax) throw error;
    }
  }
}

async function empty(datastore: Datastore, bucket: string): Promise<void> {
  const request = { bucket, prefix: "", delimiter: undefined, after: undefined, limit: pageSizeMax };
  for (;;) {
    const [versions, uploads] = await Promise.all([datastore.listVersions(request), datastore.listUploads(request)]);
    if (versions.items.length === 0 && uploads.items.length === 0) return;
    await Promise.all([
      ...versions.items.map(({ key, version }) => datastore.deleteVersion(bucket, key, version)),
      ...uploads.items.map(({ upload }) => datastore.abortUpload(upload)),
    ]);
  }
}
