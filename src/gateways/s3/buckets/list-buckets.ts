/** ListBuckets: those of the account that asks; to a key that is limited to certain buckets, these. */
import type { HttpAnswer } from "../../../env/http.ts";
import { bucketOf, type Bucket } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { xml } from "../protocol/answer.ts";
import { isoDate } from "../protocol/dates.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import type { Query } from "../protocol/request.ts";
import { document, element, join, leaf, type Xml } from "../protocol/xml.ts";
import { regionOf } from "./bucket-region.ts";
import { afterToken, tokenAfter } from "./continuation-token.ts";
import { countOf } from "./listing-query.ts";
import { accountElement } from "./owner.ts";

/** Of one page, and without one being asked for. */
const maxBucketsMax = 10_000;

export const listBucketsOperations: readonly Operation[] = [
  {
    name: "ListBuckets",
    method: "GET",
    scope: "service",
    parameters: ["max-buckets", "continuation-token", "prefix", "bucket-region"],
    action: "s3:ListAllMyBuckets",
    run: listBuckets,
  },
];

async function listBuckets(call: S3Call): Promise<HttpAnswer> {
  const { services, request, identity } = call;
  const { query } = request;
  if (identity.kind !== "user") throw new S3Error("AccessDenied");
  const { account, buckets: limits } = identity.key;
  const limit = limitOf(query);
  const prefix = query.get("prefix");
  const region = query.get("bucket-region");
  const after = afterToken(query.get("continuation-token") ?? "");
  const all = (await services.datastore.listBuckets()).map(bucketOf);
  const wanted = all.filter(
    (bucket) =>
      bucket.attributes.owner === account.id &&
      (limits === undefined || limits.includes(bucket.name)) &&
      bucket.name > after &&
      bucket.name.startsWith(prefix ?? "") &&
      (region === undefined || regionOf(bucket, services.settings) === region),
  );
  const page = wanted.slice(0, limit);
  const isPaged = query.has("max-buckets") || prefix !== undefined || region !== undefined;
  return xml(
    document(
      "ListAllMyBucketsResult",
      await accountElement("Owner", account.id, services.accounts),
      element(
        "Buckets",
        join(page.map((bucket) => bucketElement(bucket, isPaged ? regionOf(bucket, services.settings) : undefined))),
      ),
      leaf("ContinuationToken", wanted.length > page.length ? tokenAfter(page.at(-1)!.name) : undefined),
      leaf("Prefix", prefix),
    ),
  );
}

function limitOf(query: Query): number {
  const limit = countOf(query, "max-buckets") ?? maxBucketsMax;
  if (limit >= 1 && limit <= maxBucketsMax) return limit;
  const message = `Argument max-buckets must be an integer between 1 and ${maxBucketsMax}`;
  throw invalidArgument("max-buckets", String(limit), message);
}

/** S3 tells the region only where a page, or some of them, were asked for. */
function bucketElement({ name, createdAt }: Bucket, region: string | undefined): Xml {
  return element(
    "Bucket",
    leaf("Name", name),
    leaf("CreationDate", isoDate(Math.floor(createdAt / 1000) * 1000)),
    leaf("BucketRegion", region),
  );
}
