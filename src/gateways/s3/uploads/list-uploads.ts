/** ListMultipartUploads and ListParts. */
import type { HttpAnswer } from "../../../env/http.ts";
import type { Page, PartRecord, UploadRecord, VersionsRequest } from "../../../datastore/datastore.ts";
import { checksumElement, type Checksums, type ChecksumAlgorithm } from "../body/checksum.ts";
import { abortHeaders } from "../buckets/lifecycle.ts";
import { countOf, isEncoded, pageSizeOf } from "../buckets/listing-query.ts";
import {
  commonPrefixes,
  laterName,
  named,
  nameWriter,
  SecondWriter,
  storageClassElement,
  type NameWriter,
} from "../buckets/listing-xml.ts";
import { accountElement, accountElements } from "../buckets/owner.ts";
import { partOf, uploadOf, type Upload, type UploadAttributes } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { xml } from "../protocol/answer.ts";
import { document, leaf, type Xml } from "../protocol/xml.ts";
import { findUpload, uploadError } from "./find-upload.ts";

export const listUploadsOperations: readonly Operation[] = [
  {
    name: "ListMultipartUploads",
    method: "GET",
    scope: "bucket",
    when: "uploads",
    parameters: ["prefix", "delimiter", "max-uploads", "encoding-type", "key-marker", "upload-id-marker"],
    action: "s3:ListBucketMultipartUploads",
    run: listUploads,
  },
  {
    name: "ListParts",
    method: "GET",
    scope: "object",
    when: "uploadId",
    parameters: ["max-parts", "part-number-marker", "encoding-type"],
    action: "s3:ListMultipartUploadParts",
    run: listParts,
  },
];

// ── uploads of a bucket ─────────────────────────────────────────────────────────────────────────────────────────────

async function listUploads(call: S3Call): Promise<HttpAnswer> {
  const { bucket, services, request } = call;
  const { query } = request;
  const maxUploads = pageSizeOf(query, "max-uploads");
  const encoded = isEncoded(query);
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") || undefined;
  const keyMarker = query.get("key-marker") ?? "";
  // Without a key to go with it, it says nothing.
  const uploadMarker = (keyMarker === "" ? undefined : query.get("upload-id-marker")) || undefined;
  const after: VersionsRequest["after"] = keyMarker === "" ? undefined : { key: keyMarker, version: uploadMarker };
  const page: Page<UploadRecord> =
    maxUploads === 0
      ? { items: [], prefixes: [], more: false }
      : await services.datastore.listUploads({ bucket: bucket.name, prefix, delimiter, after, limit: maxUploads });
  const write = nameWriter(encoded);
  const next = nextOf(page);
  return xml(
    document(
      "ListMultipartUploadsResult",
      leaf("Bucket", bucket.name),
      named("KeyMarker", keyMarker, write),
      leaf("UploadIdMarker", uploadMarker ?? ""),
      named("NextKeyMarker", next?.key, write),
      leaf("NextUploadIdMarker", next?.upload),
      named("Prefix", prefix, write),
      named("Delimiter", delimiter, write),
      leaf("MaxUploads", maxUploads),
      leaf("EncodingType", encoded ? "url" : undefined),
      leaf("IsTruncated", page.more),
      await uploadElements(call, page.items.map(uploadOf), write),
      commonPrefixes(page.prefixes, write),
    ),
  );
}

/** Also told where nothing follows, as S3 does. */
function nextOf({ items, prefixes }: Page<UploadRecord>): { key: string; upload: string } | undefined {
  const item = items.at(-1);
  const key = laterName(item?.key, prefixes.at(-1));
  if (key === undefined) return undefined;
  return { key, upload: item?.key === key ? item.upload : "" };
}

async function uploadElements(call: S3Call, uploads: readonly Upload[], write: NameWriter): Promise<Xml> {
  const { accounts } = call.services;
  const bucketOwner = call.bucket.attributes.owner;
  const initiators = await accountElements("Initiator", uploads.map(initiatorOf), accounts);
  const owners = await accountElements(
    "Owner",
    uploads.map(({ attributes }) => attributes.version.owner ?? bucketOwner),
    accounts,
  );
  const seconds = new SecondWriter("", "");
  let text = "";
  for (const { key, upload, createdAt, attributes } of uploads) {
    text +=
      `<Upload><Key>${write(key)}</Key>${leaf("UploadId", upload)}${initiators.get(attributes.initiator)!}` +
      `${owners.get(attributes.version.owner ?? bucketOwner)!}${storageClassElement(attributes.version)}` +
      `<Initiated>${seconds.write(createdAt)}</Initiated>${checksumKind(attributes)}</Upload>`;
  }
  return text as Xml;
}

function initiatorOf({ attributes }: Upload): string {
  return attributes.initiator;
}

function checksumKind({ algorithm, checksumType }: UploadAttributes): Xml {
  return `${leaf("ChecksumAlgorithm", algorithm)}${leaf("ChecksumType", checksumType)}` as Xml;
}

// ── parts of an upload ──────────────────────────────────────────────────────────────────────────────────────────────

async function listParts(call: S3Call): Promise<HttpAnswer> {
  const { bucket, key, services, request } = call;
  const { query } = request;
  const maxParts = pageSizeOf(query, "max-parts");
  const marker = countOf(query, "part-number-marker") ?? 0;
  const encoded = isEncoded(query);
  const upload = await findUpload(call);
  const { attributes } = upload;
  const found = maxParts === 0 ? [] : await partsAfter(call, upload.upload, marker, maxParts + 1);
  const parts = found.slice(0, maxParts);
  const headers: { [name: string]: string | number } = {};
  abortHeaders(services, bucket, upload, headers);
  return xml(
    document(
      "ListPartsResult",
      leaf("Bucket", bucket.name),
      named("Key", key, nameWriter(encoded)),
      leaf("UploadId", upload.upload),
      await accountElement("Initiator", attributes.initiator, services.accounts),
      await accountElement("Owner", attributes.version.owner ?? bucket.attributes.owner, services.accounts),
      storageClassElement(attributes.version) as Xml,
      leaf("PartNumberMarker", marker),
      leaf("NextPartNumberMarker", parts.at(-1)?.part ?? 0),
      leaf("MaxParts", maxParts),
      leaf("EncodingType", encoded ? "url" : undefined),
      leaf("IsTruncated", found.length > parts.length),
      partElements(parts),
      checksumKind(attributes),
    ),
    headers,
  );
}

async function partsAfter({ services }: S3Call, id: string, after: number, limit: number): Promise<PartRecord[]> {
  try {
    return await services.datastore.listParts(id, after, limit);
  } catch (error) {
    throw uploadError(id, error);
  }
}

function partElements(parts: readonly PartRecord[]): Xml {
  const seconds = new SecondWriter("", "");
  let text = "";
  for (const record of parts) {
    const { part, size, createdAt, attributes } = partOf(record);
    text +=
      `<Part><PartNumber>${part}</PartNumber><LastModified>${seconds.write(createdAt)}</LastModified>` +
      `<ETag>&quot;${attributes.etag}&quot;</ETag><Size>${size}</Size>${checksumElements(attributes.checksums)}</Part>`;
  }
  return text as Xml;
}

function checksumElements(checksums: Checksums = {}): string {
  let text = "";
  for (const [algorithm, value] of Object.entries(checksums)) {
    text += leaf(checksumElement(algorithm as ChecksumAlgorithm), value);
  }
  return text;
}
