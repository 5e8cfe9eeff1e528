/** UploadPart and UploadPartCopy. */
import type { HttpAnswer } from "../../../env/http.ts";
import type { SavedObject } from "../../../datastore/datastore.ts";
import type { ChecksumAlgorithm, Checksums } from "../body/checksum.ts";
import { type Decryption, type EncryptionPlan, openEncryption, resumePlan } from "../encryption/object-encryption.ts";
import { type ObjectAttributes, type PartAttributes, plain, type Upload } from "../model.ts";
import { checksumLeaves, copyAttemptsMax, isSourceGone, sourceBody } from "../objects/copy-object.ts";
import { type CopySource, findCopySource } from "../objects/copy-source.ts";
import { checksumHeaders, hex } from "../objects/new-object.ts";
import { storeBody } from "../objects/object-write.ts";
import type { ByteRange } from "../objects/range.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, xml } from "../protocol/answer.ts";
import { isoDate } from "../protocol/dates.ts";
import { invalidArgument } from "../protocol/error.ts";
import { document, leaf } from "../protocol/xml.ts";
import type { RequestBody } from "../body/request-body.ts";
import { findUpload, partNumberOf, uploadError } from "./find-upload.ts";
import { checkPartAlgorithm } from "./upload-checksum.ts";

export const uploadPartOperations: readonly Operation[] = [
  {
    name: "UploadPart",
    method: "PUT",
    scope: "object",
    when: "uploadId",
    parameters: ["partNumber"],
    action: "s3:PutObject",
    run: uploadPart,
  },
  {
    name: "UploadPartCopy",
    method: "PUT",
    scope: "object",
    when: "uploadId",
    header: "x-amz-copy-source",
    parameters: ["partNumber"],
    action: "s3:PutObject",
    run: uploadPartCopy,
  },
  // So that a part whose upload was forgotten does not become the object.
  { name: "UploadPart", method: "PUT", scope: "object", when: "partNumber", action: "s3:PutObject", run: refusePart },
];

async function refusePart(): Promise<HttpAnswer> {
  throw invalidArgument("partNumber", "partNumber", "This operation does not accept partNumber without uploadId");
}

async function uploadPart(call: S3Call): Promise<HttpAnswer> {
  const { services, request, body } = call;
  const part = partNumberOf(call);
  const upload = await findUpload(call);
  checkPartAlgorithm(upload.attributes, body.algorithm);
  const encryption = await resumePlan(services, upload.attributes.version.encryption, request);
  const { etag, checksums } = await storePart(call, upload, part, body, encryption).catch((error: unknown) => {
    throw uploadError(upload.upload, error);
  });
  const headers: { [name: string]: string | number } = { ETag: `"${etag}"`, ...encryption?.headers };
  checksumHeaders(checksums, undefined, headers);
  delete headers["x-amz-checksum-type"];
  return empty(headers);
}

/** Stores bytes as a part. */
async function storePart(
  { services }: S3Call,
  upload: Upload,
  part: number,
  body: RequestBody,
  encryption: EncryptionPlan | undefined,
): Promise<PartAttributes> {
  let attributes: PartAttributes | undefined;
  // The part's record must tell how its bytes are encrypted, and is made before they are all there.
  const stretch = encryption?.newStretch();
  await storeBody(services, {
    body,
    algorithm: upload.attributes.algorithm,
    encryption: stretch === undefined ? undefined : { newStretch: () => stretch },
    target: ({ md5, size, checksums }) => {
      attributes = {
        etag: encryption?.etagOf(md5) ?? hex(md5),
        ...(Object.keys(checksums).length === 0 ? {} : { checksums }),
        ...(stretch === undefined ? {} : { cipher: [{ size, iv: stretch.iv }] }),
      };
      return { kind: "part", upload: upload.upload, part, attributes: plain(attributes) };
    },
  });
  return attributes!;
}

async function uploadPartCopy(call: S3Call): Promise<HttpAnswer> {
  const part = partNumberOf(call);
  const upload = await findUpload(call);
  for (let attempt = 1; ; attempt++) {
    const source = await findCopySource(call);
    try {
      return await copyIntoPart(call, upload, part, source);
    } catch (error) {
      if (!isSourceGone(error) || attempt === copyAttemptsMax) throw uploadError(upload.upload, error);
    }
  }
}

async function copyIntoPart(call: S3Call, upload: Upload, part: number, source: CopySource): Promise<HttpAnswer> {
  const { services, request, now } = call;
  const range = copyRange(request.header("x-amz-copy-source-range"), source.object.size);
  const decryption = await openEncryption(services, source.version.attributes, request, "copy-source");
  const encryption = await resumePlan(services, upload.attributes.version.encryption, request);
  const canShare = range === undefined && decryption === undefined && encryption === undefined;
  const attributes = canShare
    ? await sharePart(call, upload, part, source)
    : await storePart(call, upload, part, bodyOf(call, source, decryption, range), encryption);
  const headers: { [name: string]: string | number } = { ...encryption?.headers };
  if (source.bucket.versioning !== "off") headers["x-amz-copy-source-version-id"] = source.version.version;
  const body = document(
    "CopyPartResult",
    leaf("LastModified", isoDate(now)),
    leaf("ETag", `"${attributes.etag}"`),
    ...checksumLeaves(attributes.checksums),
  );
  return xml(body, headers);
}

function bodyOf(
  call: S3Call,
  source: CopySource,
  decryption: Decryption | undefined,
  range: ByteRange | undefined,
): RequestBody {
  return sourceBody(call, source, decryption, range?.offset, range?.length);
}

/** The whole source as a part, by reference. Its bytes are read where its ETag is no MD5, or for another checksum. */
async function sharePart(call: S3Call, upload: Upload, part: number, source: CopySource): Promise<PartAttributes> {
  const { services, now } = call;
  const known = knownAttributes(source, upload.attributes.algorithm);
  const attributes = known ?? (await computedAttributes(call, source, upload.attributes.algorithm));
  await services.datastore.copyPart(source.object.id, upload.upload, part, plain(attributes), now);
  return attributes;
}

function knownAttributes(
  { version, object }: CopySource,
  algorithm: ChecksumAlgorithm | undefined,
): PartAttributes | undefined {
  const { etag, checksums, checksumType } = version.attributes;
  if (!isMd5(etag, object)) return undefined;
  if (algorithm === undefined) return { etag };
  const known = checksumType === "COMPOSITE" ? undefined : checksums?.[algorithm];
  return known === undefined ? undefined : { etag, checksums: { [algorithm]: known } };
}

function isMd5(etag: string, { attributes }: SavedObject): boolean {
  const { parts, cipher } = attributes as unknown as ObjectAttributes;
  return /^[0-9a-f]{32}$/.test(etag) && parts === undefined && cipher === undefined;
}

async function computedAttributes(
  call: S3Call,
  source: CopySource,
  algorithm: ChecksumAlgorithm | undefined,
): Promise<PartAttributes> {
  const body = sourceBody(call, source, undefined);
  const { md5, checksums } = await body.stream(() => undefined, { md5: true, algorithm });
  const some: { checksums?: Checksums } = algorithm === undefined ? {} : { checksums };
  return { etag: hex(md5!), ...some };
}

/** `bytes=first-last`, both there: as AWS, stricter than a read's range. */
function copyRange(text: string | undefined, size: number): ByteRange | undefined {
  if (text === undefined) return undefined;
  const match = /^bytes=(\d+)-(\d+)$/.exec(text);
  const name = "x-amz-copy-source-range";
  if (match === null || Number(match[1]) > Number(match[2])) {
    const form = "bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy";
    throw invalidArgument(name, text, `The x-amz-copy-source-range value must be of the form ${form}`);
  }
  const [first, last] = [Number(match[1]), Number(match[2])];
  if (last >= size)
    throw invalidArgument(name, text, `Range specified is not valid for source object of size: ${size}`);
  return { offset: first, length: last - first + 1 };
}
