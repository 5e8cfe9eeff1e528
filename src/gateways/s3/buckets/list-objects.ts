/** ListObjects and ListObjectsV2. */
import type { HttpAnswer } from "../../../env/http.ts";
import type { Page, VersionRecord } from "../../../datastore/datastore.ts";
import { versionOf } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { longXml } from "../protocol/answer.ts";
import { document, leaf, type Xml } from "../protocol/xml.ts";
import { afterToken, tokenAfter } from "./continuation-token.ts";
import { checkOptionalAttributes, isEncoded, pageSizeOf, refuse } from "./listing-query.ts";
import {
  betweenEtagAndSize,
  commonPrefixes,
  EntryEnds,
  laterName,
  named,
  nameWriter,
  ownersOf,
  SecondWriter,
  sparinglyEncoded,
  type NameWriter,
} from "./listing-xml.ts";

const parameters = ["prefix", "delimiter", "max-keys", "encoding-type", "list-type"];

export const listObjectsOperations: readonly Operation[] = [
  {
    name: "ListObjects",
    method: "GET",
    scope: "bucket",
    parameters: [...parameters, "marker", "start-after", "continuation-token", "fetch-owner"],
    action: "s3:ListBucket",
    run: listObjects,
  },
  {
    name: "ListObjectsV2",
    method: "GET",
    scope: "bucket",
    when: { parameter: "list-type", value: "2" },
    parameters: [...parameters, "start-after", "continuation-token", "fetch-owner", "marker"],
    action: "s3:ListBucket",
    run: listObjectsV2,
  },
];

interface Listing {
  readonly prefix: string;
  /** Without one it is empty. */
  readonly delimiter: string;
  readonly maxKeys: number;
  readonly isEncoded: boolean;
}

async function listObjects(call: S3Call): Promise<HttpAnswer> {
  const { query } = call.request;
  const listing = readListing(call);
  refuse(query, "continuation-token", "continuation-token only supported in REST.GET.BUCKET with list-type=2");
  refuse(query, "start-after", "startAfter only supported in REST.GET.BUCKET with list-type=2");
  const marker = query.get("marker") ?? "";
  const page = await readPage(call, listing, marker);
  const owners = await ownersOf(call.bucket.attributes.owner, page.items, call.services.accounts);
  const { prefix, delimiter, maxKeys } = listing;
  const write = nameWriter(listing.isEncoded);
  const next = page.more && delimiter !== "" ? lastOf(page) : undefined;
  return longXml(
    document(
      "ListBucketResult",
      leaf("Name", call.bucket.name),
      named("Prefix", prefix, listing.isEncoded ? sparinglyEncoded : write),
      named("Marker", marker, write),
      named("NextMarker", next, write),
      leaf("MaxKeys", maxKeys),
      named("Delimiter", delimiter === "" ? undefined : delimiter, write),
      leaf("EncodingType", listing.isEncoded ? "url" : undefined),
      leaf("IsTruncated", page.more),
      contents(page.items, write, call.bucket.attributes.owner, owners),
      commonPrefixes(page.prefixes, write),
    ),
  );
}

async function listObjectsV2(call: S3Call): Promise<HttpAnswer> {
  const { query } = call.request;
  const listing = readListing(call);
  refuse(query, "marker", "Marker unsupported with REST.GET.BUCKET in list-type=2");
  const token = query.get("continuation-token");
  const startAfter = query.get("start-after");
  // The first page's start-after comes along with the token of the next, which is further on.
  const page = await readPage(call, listing, token === undefined ? (startAfter ?? "") : afterToken(token));
  const isOwned = query.get("fetch-owner")?.toLowerCase() === "true";
  const owners = isOwned ? await ownersOf(call.bucket.attributes.owner, page.items, call.services.accounts) : undefined;
  const { prefix, delimiter, maxKeys } = listing;
  const write = nameWriter(listing.isEncoded);
  return longXml(
    document(
      "ListBucketResult",
      leaf("Name", call.bucket.name),
      named("Prefix", prefix, write),
      named("StartAfter", startAfter, write),
      leaf("ContinuationToken", token),
      leaf("NextContinuationToken", page.more ? tokenAfter(lastOf(page)!) : undefined),
      leaf("KeyCount", page.items.length + page.prefixes.length),
      leaf("MaxKeys", maxKeys),
      named("Delimiter", delimiter === "" ? undefined : delimiter, write),
      leaf("EncodingType", listing.isEncoded ? "url" : undefined),
      leaf("IsTruncated", page.more),
      contents(page.items, write, call.bucket.attributes.owner, owners),
      commonPrefixes(page.prefixes, write),
    ),
  );
}

function readListing({ request }: S3Call): Listing {
  const { query } = request;
  const maxKeys = pageSizeOf(query, "max-keys", "Argument maxKeys must be an integer between 0 and 2147483647");
  checkOptionalAttributes(request);
  return {
    prefix: query.get("prefix") ?? "",
    delimiter: query.get("delimiter") ?? "",
    maxKeys,
    isEncoded: isEncoded(query),
  };
}

const nothing: Page<VersionRecord> = { items: [], prefixes: [], more: false };

async function readPage(call: S3Call, listing: Listing, after: string): Promise<Page<VersionRecord>> {
  const { prefix, delimiter, maxKeys } = listing;
  // Also where there is more: a page of nothing could never be continued.
  if (maxKeys === 0) return nothing;
  return call.services.datastore.listFiles({
    bucket: call.bucket.name,
    prefix,
    delimiter: delimiter === "" ? undefined : delimiter,
    after: after === "" ? undefined : after,
    limit: maxKeys,
  });
}

function lastOf({ items, prefixes }: Page<VersionRecord>): string | undefined {
  return laterName(items.at(-1)?.key, prefixes.at(-1));
}

// ── entries ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `owners` are the elements by id; without it, entries have none. */
export function contents(
  items: readonly VersionRecord[],
  write: NameWriter,
  bucketOwner: string,
  owners: ReadonlyMap<string, Xml> | undefined,
): Xml {
  const seconds = new SecondWriter("</Key><LastModified>", "</LastModified><ETag>&quot;");
  const ends = new EntryEnds("Contents", owners);
  let text = "";
  for (const item of items) {
    const { key, createdAt, size, attributes } = versionOf(item);
    text +=
      `<Contents><Key>${write(key)}${seconds.write(createdAt)}${attributes.etag}` +
      `${betweenEtagAndSize(attributes)}${size}${ends.of(attributes.owner ?? bucketOwner, attributes.class)}`;
  }
  return text as Xml;
}
