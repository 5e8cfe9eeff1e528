/**
 * CopyObject. The copy refers to the same stored object: no bytes move, whatever its size. Only where the copy is to be
 * encrypted and the source is not, or the other way round, are the bytes read and written anew.
 */
import { StoreError } from "../../../core/errors.ts";
import type { Condition, FileTarget, VersionRecord } from "../../../datastore/datastore.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import { type ChecksumAlgorithm, checksumAlgorithms, checksumElement, type Checksums } from "../body/checksum.ts";
import { objectBody } from "../body/object-body.ts";
import type { RequestBody } from "../body/request-body.ts";
import { expirationHeader } from "../buckets/lifecycle.ts";
import { copiedEtag, type Decryption, openEncryption, rewrap } from "../encryption/object-encryption.ts";
import { type ObjectAttributes, type ObjectEncryption, plain, type VersionAttributes, versionOf } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { xml } from "../protocol/answer.ts";
import { isoDate } from "../protocol/dates.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { checkKey } from "../protocol/key.ts";
import { tagCount } from "../protocol/tags.ts";
import { document, leaf } from "../protocol/xml.ts";
import { conditionError, writeCondition } from "./conditions.ts";
import { type CopySource, findCopySource } from "./copy-source.ts";
import { explainingBody } from "./damage.ts";
import { type NewObject, newObject, newObjectActions, newVersionHeader, versionAttributes } from "./new-object.ts";
import { storeBody } from "./object-write.ts";
import { checkEarly } from "./put-object.ts";

export const copyObjectOperations: readonly Operation[] = [
  {
    name: "CopyObject",
    method: "PUT",
    scope: "object",
    header: "x-amz-copy-source",
    action: newObjectActions,
    run: copyObject,
  },
];

/** How often a copy is begun again because its source was replaced meanwhile. */
export const copyAttemptsMax = 5;

async function copyObject(call: S3Call): Promise<HttpAnswer> {
  const { source, copied } = await copyNamed(call);
  return answer(call, source, copied);
}

/** Copies what x-amz-copy-source names, as the other headers say. */
export async function copyNamed(call: S3Call): Promise<{ readonly source: CopySource; readonly copied: Copied }> {
  checkKey(call.key);
  const directives = readDirectives(call);
  const condition = writeCondition(call.request.header);
  if (condition !== undefined) await checkEarly(call, condition);
  for (let attempt = 1; ; attempt++) {
    const source = await findCopySource(call);
    refuseCopyToItself(call, source, directives);
    if (directives.tagging === "COPY") await checkTags(call, source);
    try {
      return { source, copied: await copy(call, source, directives, condition) };
    } catch (error) {
      if (!isSourceGone(error) || attempt === copyAttemptsMax) throw conditionError(condition, error);
    }
  }
}

/** Who may read an object need not be allowed to read its tags, nor who may write one to give it some. */
async function checkTags(call: S3Call, { version, bucket, key, versionId }: CopySource): Promise<void> {
  const { services, request, identity, authentication, now } = call;
  if (tagCount(version.attributes.tags) === 0) return;
  const ask = { identity, authentication, request, now };
  const action = versionId === undefined ? "s3:GetObjectTagging" : "s3:GetObjectVersionTagging";
  await services.access.authorize(services, { ...ask, action, bucket, key, versionId });
  const put = { action: "s3:PutObjectTagging", bucket: call.bucket, key: call.key, versionId: undefined };
  await services.access.authorize(services, { ...ask, ...put });
}

/** Whether the object that was to be shared was replaced or removed since it was looked at. */
export function isSourceGone(error: unknown): boolean {
  return error instanceof StoreError && error.code === "NOT_FOUND" && /source of the copy/.test(error.message);
}

interface Directives {
  /** Metadata and tags: the source's, or the request's. */
  readonly metadata: "COPY" | "REPLACE";
  readonly tagging: "COPY" | "REPLACE";
  readonly algorithm: ChecksumAlgorithm | undefined;
}

function readDirectives({ request }: S3Call): Directives {
  const directive = (name: string): "COPY" | "REPLACE" => {
    const value = request.header(name) ?? "COPY";
    if (value !== "COPY" && value !== "REPLACE") throw invalidArgument(name, value, `Unknown ${name}.`);
    return value;
  };
  const algorithm = request.header("x-amz-checksum-algorithm")?.toUpperCase();
  if (algorithm !== undefined && !(checksumAlgorithms as readonly string[]).includes(algorithm)) {
    throw new S3Error(
      "InvalidRequest",
      "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
    );
  }
  return {
    metadata: directive("x-amz-metadata-directive"),
    tagging: directive("x-amz-tagging-directive"),
    algorithm: algorithm as ChecksumAlgorithm | undefined,
  };
}

const changing = [
  "x-amz-storage-class",
  "x-amz-website-redirect-location",
  "x-amz-server-side-encryption",
  "x-amz-server-side-encryption-customer-algorithm",
];

function refuseCopyToItself(
  { request, bucket, key }: S3Call,
  source: CopySource,
  { metadata, tagging }: Directives,
): void {
  if (source.bucket.name !== bucket.name || source.key !== key || source.versionId !== undefined) return;
  if (metadata === "REPLACE" || tagging === "REPLACE" || bucket.attributes.encryption !== undefined) return;
  if (changing.some((name) => request.header(name) !== undefined)) return;
  throw new S3Error(
    "InvalidRequest",
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  );
}

export interface Copied {
  readonly version: VersionRecord;
  readonly attributes: VersionAttributes;
  readonly made: NewObject;
}

async function copy(
  call: S3Call,
  source: CopySource,
  directives: Directives,
  condition: Condition | undefined,
): Promise<Copied> {
  const { services, bucket, key, now } = call;
  const made = await newObject(call);
  const decryption = await openEncryption(services, source.version.attributes, call.request, "copy-source");
  const described = attributesOf(source.version.attributes, made.attributes, directives);
  const target = (attributes: VersionAttributes): FileTarget => {
    const file = { kind: "file", bucket: bucket.name, key, attributes: plain(attributes) } as const;
    return condition === undefined ? file : { ...file, condition };
  };
  const shared = sharedEncryption(decryption, made);
  if (shared === "none") return rewrite(call, source, directives, { made, decryption, described, target });
  const checked = await withChecksum(call, source, decryption, described, directives.algorithm);
  const attributes =
    shared === undefined
      ? checked
      : { ...checked, etag: copiedEtag(checked.etag, made.encryption!), encryption: shared };
  const version = await services.datastore.copyVersion(source.object.id, target(attributes), now);
  return { version, attributes, made };
}

/** How the copy's bytes are encrypted where it shares them: undefined for plain ones; "none" where it cannot. */
function sharedEncryption(
  decryption: Decryption | undefined,
  { encryption }: NewObject,
): ObjectEncryption | undefined | "none" {
  if (decryption === undefined && encryption === undefined) return undefined;
  if (decryption === undefined || encryption === undefined) return "none";
  return rewrap(decryption, encryption) ?? "none";
}

interface Rewriting {
  readonly made: NewObject;
  readonly decryption: Decryption | undefined;
  readonly described: VersionAttributes;
  readonly target: (attributes: VersionAttributes) => FileTarget;
}

/** Reads, decrypts, encrypts and writes: what was uploaded in parts becomes one. */
async function rewrite(
  call: S3Call,
  source: CopySource,
  directives: Directives,
  { made, decryption, described, target }: Rewriting,
): Promise<Copied> {
  const { checksums, checksumType, parts: _, etag: __, ...rest } = described;
  const kept = checksumType === "COMPOSITE" ? undefined : checksums;
  const algorithm = directives.algorithm ?? checksumAlgorithms.find((each) => checksums?.[each] !== undefined);
  const { encryption } = made;
  let attributes = described;
  const { written } = await storeBody(call.services, {
    body: sourceBody(call, source, decryption),
    algorithm,
    encryption,
    target: (received) => {
      const fresh = versionAttributes(
        { attributes: rest, encryption },
        { ...received, checksums: { ...kept, ...received.checksums } },
      );
      attributes = encryption === undefined ? fresh : { ...fresh, encryption: encryption.attributes };
      return target(attributes);
    },
  });
  return { version: written.version!, attributes, made };
}

export function sourceBody(
  { services, request }: S3Call,
  { bucket, key, version, object }: CopySource,
  decryption: Decryption | undefined,
  offset = 0,
  length = object.size,
): RequestBody {
  const { router, digests } = services;
  const { cipher } = object.attributes as unknown as ObjectAttributes;
  const decrypt = decryption?.decryptor(cipher ?? [], offset);
  const body = objectBody({ router, digests, object, offset, length, decrypt });
  return explainingBody(
    services,
    { request: request.id, bucket: bucket.name, key, version: version.version, object },
    body,
  );
}

/** The source's bytes' attributes, with the metadata of one or the other. */
function attributesOf(
  source: VersionAttributes,
  wanted: Omit<VersionAttributes, "etag">,
  { metadata, tagging }: Directives,
): VersionAttributes {
  const { etag, checksums, checksumType, parts } = source;
  const { type, headers, meta } = metadata === "COPY" ? source : wanted;
  const { tags } = tagging === "COPY" ? source : wanted;
  const { class: storageClass, redirect, owner, acl, retention, hold } = wanted;
  return withoutMissing({
    etag,
    checksums,
    checksumType,
    parts,
    type,
    headers,
    meta,
    tags,
    class: storageClass,
    redirect,
    owner,
    acl,
    retention,
    hold,
  });
}

type Optional<Record> = { readonly [Name in keyof Record]: Record[Name] | undefined };

function withoutMissing(attributes: Optional<VersionAttributes>): VersionAttributes {
  return Object.fromEntries(
    Object.entries(attributes).filter(([, value]) => value !== undefined),
  ) as unknown as VersionAttributes;
}

/** Where another checksum is asked for than is known, the bytes are read once to make it. */
async function withChecksum(
  call: S3Call,
  source: CopySource,
  decryption: Decryption | undefined,
  attributes: VersionAttributes,
  algorithm: ChecksumAlgorithm | undefined,
): Promise<VersionAttributes> {
  if (algorithm === undefined) return attributes;
  if (attributes.checksums?.[algorithm] !== undefined && attributes.checksumType !== "COMPOSITE") return attributes;
  const body = sourceBody(call, source, decryption);
  const { checksums } = await body.stream(() => undefined, { md5: false, algorithm });
  const { checksumType: _, ...rest } = attributes;
  return { ...rest, checksums };
}

function answer(call: S3Call, source: CopySource, { version, attributes, made }: Copied): HttpAnswer {
  const headers: { [name: string]: string | number } = { ...made.encryption?.headers };
  newVersionHeader(version.version, headers);
  expirationHeader(call.services, call.bucket, versionOf(version), headers);
  if (source.bucket.versioning !== "off") headers["x-amz-copy-source-version-id"] = source.version.version;
  return xml(
    document(
      "CopyObjectResult",
      leaf("LastModified", isoDate(version.createdAt)),
      leaf("ETag", `"${attributes.etag}"`),
      ...checksumLeaves(attributes.checksums),
      leaf("ChecksumType", attributes.checksums === undefined ? undefined : (attributes.checksumType ?? "FULL_OBJECT")),
    ),
    headers,
  );
}

export function checksumLeaves(checksums: Checksums | undefined): ReturnType<typeof leaf>[] {
  if (checksums === undefined) return [];
  return checksumAlgorithms.map((algorithm) => leaf(checksumElement(algorithm), checksums[algorithm]));
}
