/** ListObjectVersions. */
import type { HttpAnswer } from "../../../env/http.ts";
import type { Page, VersionRecord, VersionsRequest } from "../../../datastore/datastore.ts";
import { versionOf } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { invalidVersionId, isVersionId } from "../objects/version-id.ts";
import { longXml } from "../protocol/answer.ts";
import { invalidArgument } from "../protocol/error.ts";
import type { Query } from "../protocol/request.ts";
import { document, leaf, type Xml } from "../protocol/xml.ts";
import { checkOptionalAttributes, isEncoded, pageSizeOf } from "./listing-query.ts";
import {
  betweenEtagAndSize,
  commonPrefixes,
  EntryEnds,
  laterName,
  named,
  nameWriter,
  ownersOf,
  SecondWriter,
  type NameWriter,
} from "./listing-xml.ts";

export const listVersionsOperations: readonly Operation[] = [
  {
    name: "ListObjectVersions",
    method: "GET",
    scope: "bucket",
    when: "versions",
    parameters: ["prefix", "delimiter", "max-keys", "encoding-type", "key-marker", "version-id-marker"],
    action: "s3:ListBucketVersions",
    run: listVersions,
  },
];

async function listVersions(call: S3Call): Promise<HttpAnswer> {
  const { request, bucket, services } = call;
  const { query } = request;
  const maxKeys = pageSizeOf(query, "max-keys", "max-keys cannot be negative");
  const after = afterOf(query);
  const encoded = isEncoded(query);
  checkOptionalAttributes(request);
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") || undefined;
  const page: Page<VersionRecord> =
    maxKeys === 0
      ? { items: [], prefixes: [], more: false }
      : await services.datastore.listVersions({ bucket: bucket.name, prefix, delimiter, after, limit: maxKeys });
  const owners = await ownersOf(bucket.attributes.owner, page.items, services.accounts);
  const write = nameWriter(encoded);
  const next = page.more ? nextOf(page) : undefined;
  return longXml(
    document(
      "ListVersionsResult",
      leaf("Name", bucket.name),
      named("Prefix", prefix, write),
      named("KeyMarker", query.get("key-marker") ?? "", write),
      leaf("VersionIdMarker", query.get("version-id-marker") ?? ""),
      named("NextKeyMarker", next?.key, write),
      leaf("NextVersionIdMarker", next?.version),
      leaf("MaxKeys", maxKeys),
      named("Delimiter", delimiter, write),
      leaf("EncodingType", encoded ? "url" : undefined),
      leaf("IsTruncated", page.more),
      versionElements(page.items, write, bucket.attributes.owner, owners),
      commonPrefixes(page.prefixes, write),
    ),
  );
}

function afterOf(query: Query): VersionsRequest["after"] {
  const key = query.get("key-marker") ?? "";
  const version = query.get("version-id-marker");
  if (version !== undefined && key === "") {
    const message = "A version-id marker cannot be specified without a key marker.";
    throw invalidArgument("version-id-marker", version, message);
  }
  if (version === "") throw invalidArgument("version-id-marker", "", "A version-id marker cannot be empty.");
  if (version !== undefined && !isVersionId(version)) throw invalidVersionId("version-id-marker", version);
  return key === "" ? undefined : { key, version };
}

/** A common prefix at the end has no version. */
function nextOf({ items, prefixes }: Page<VersionRecord>): { key: string; version: string | undefined } {
  const item = items.at(-1);
  const key = laterName(item?.key, prefixes.at(-1))!;
  return { key, version: item?.key === key ? item.version : undefined };
}

export function versionElements(
  items: readonly VersionRecord[],
  write: NameWriter,
  bucketOwner: string,
  owners: ReadonlyMap<string, Xml>,
): Xml {
  const before = "</IsLatest><LastModified>";
  const ofVersions = new SecondWriter(before, "</LastModified><ETag>&quot;");
  const ofMarkers = new SecondWriter(before, "</LastModified>");
  const ends = new EntryEnds("Version", owners);
  let text = "";
  for (const item of items) {
    const { key, version, latest, createdAt, object, size, attributes } = versionOf(item);
    const owner = attributes.owner ?? bucketOwner;
    const name = `Key>${write(key)}</Key><VersionId>${version}</VersionId><IsLatest>${latest}`;
    text +=
      object === undefined
        ? `<DeleteMarker><${name}${ofMarkers.write(createdAt)}${owners.get(owner)!}</DeleteMarker>`
        : `<Version><${name}${ofVersions.write(createdAt)}${attributes.etag}` +
          `${betweenEtagAndSize(attributes)}${size}${ends.of(owner, attributes.class)}`;
  }
  return text as Xml;
}
