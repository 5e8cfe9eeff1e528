/** CompleteMultipartUpload: parts become a version, by reference, in one commit. */
import { createHash } from "node:crypto";
import { StoreError } from "../../../core/errors.ts";
import { completeUploadSizeMax, partSizeMin, partsMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import { checksumAlgorithms, checksumElement, checksumHeader, type Checksums } from "../body/checksum.ts";
import { checkedValue } from "../body/expectations.ts";
import { expirationHeader } from "../buckets/lifecycle.ts";
import { completeEncryption } from "../encryption/object-encryption.ts";
import {
  type ObjectAttributes,
  type Part,
  partOf,
  type PartSummary,
  plain,
  type Upload,
  type Version,
  type VersionAttributes,
  versionOf,
} from "../model.ts";
import { bareEtag, conditionError, writeCondition } from "../objects/conditions.ts";
import { checksumLeaves } from "../objects/copy-object.ts";
import { newVersionHeader } from "../objects/new-object.ts";
import { checkEarly } from "../objects/put-object.ts";
import type { Operation, S3Call } from "../operation.ts";
import { type AnswerHeaders, xml } from "../protocol/answer.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { document, leaf, parseXml, type XmlNode } from "../protocol/xml.ts";
import { findUpload, uploadError } from "./find-upload.ts";
import { combinedChecksums, type UploadChecksum } from "./upload-checksum.ts";

export const completeUploadOperations: readonly Operation[] = [
  {
    name: "CompleteMultipartUpload",
    method: "POST",
    scope: "object",
    when: "uploadId",
    action: "s3:PutObject",
    checksumsOf: "object",
    run: completeUpload,
  },
];

interface NamedPart {
  readonly part: number;
  readonly etag: string;
  readonly checksums: Checksums;
}

async function completeUpload(call: S3Call): Promise<HttpAnswer> {
  const { services, request, bucket, key, body } = call;
  const { datastore } = services;
  const named = readParts(
    parseXml(await body.collect(completeUploadSizeMax), "CompleteMultipartUpload", "CompleteMultipartUploadResult"),
  );
  const id = request.query.get("uploadId")!;
  const upload = await findUpload(call).catch((error: unknown) => error as S3Error);
  if (upload instanceof Error) return repeated(call, id, upload);
  const condition = writeCondition(request.header);
  if (condition !== undefined) await checkEarly(call, condition);
  const { version: planned, algorithm } = upload.attributes;
  const encryption = await completeEncryption(services, planned.encryption, request, algorithm !== undefined);
  const parts = await chosenParts(call, upload, named);
  const attributes = versionAttributesOf(call, upload, parts);
  const target = { kind: "file", bucket: bucket.name, key, attributes: plain(attributes) } as const;
  try {
    const version = await datastore.completeUpload(
      upload.upload,
      parts.map(({ part }) => part),
      await services.router.newObjectId(),
      plain(objectAttributesOf(parts)),
      condition === undefined ? target : { ...target, condition },
      call.now,
    );
    return answer(call, versionOf(version), encryption);
  } catch (error) {
    const known = uploadError(id, error);
    if (known !== error) return repeated(call, id, known);
    // A part was replaced or the upload aborted since it was looked at.
    if (error instanceof StoreError && /there is no part/.test(error.message)) throw new S3Error("InvalidPart");
    throw conditionError(condition, error);
  }
}

/** Who did not hear the first answer asks again: the upload is gone, and what it made is there. */
async function repeated(call: S3Call, id: string, error: unknown): Promise<HttpAnswer> {
  const record = await call.services.datastore.getVersion(call.bucket.name, call.key);
  if (record?.object === undefined) throw error;
  const version = versionOf(record);
  if (version.attributes.upload !== id) throw error;
  return answer(call, version, {});
}

function readParts(root: XmlNode): NamedPart[] {
  const nodes = root.only("Part").all("Part");
  if (nodes.length < 1 || nodes.length > partsMax) throw new S3Error("MalformedXML");
  const named = nodes.map((node) => {
    node.only("PartNumber", "ETag", "Size", ...checksumAlgorithms.map(checksumElement));
    const text = node.requireValue("PartNumber");
    if (!/^-?\d{1,10}$/.test(text)) throw new S3Error("MalformedXML", `PartNumber ${text}: must be a number`);
    const part = Number(text);
    if (part < 1) throw invalidArgument("PartNumber", text, "PartNumber must be >= 1");
    if (part > partsMax) {
      const rule = `Part number must be an integer between 1 and ${partsMax}, inclusive`;
      throw invalidArgument("PartNumber", text, rule);
    }
    const given = checksumAlgorithms.map((algorithm) => [algorithm, node.value(checksumElement(algorithm))] as const);
    const checksums = Object.fromEntries(given.filter(([, value]) => value !== undefined));
    return { part, etag: bareEtag(node.requireValue("ETag")), checksums };
  });
  if (named.some(({ part }, index) => index > 0 && part <= named[index - 1]!.part))
    throw new S3Error("InvalidPartOrder");
  return named;
}

async function chosenParts(call: S3Call, upload: Upload, named: readonly NamedPart[]): Promise<Part[]> {
  const { datastore } = call.services;
  const found = new Map<number, Part>();
  for (let after = 0; found.size < partsMax;) {
    const page = await datastore.listParts(upload.upload, after, 1000);
    for (const record of page) found.set(record.part, partOf(record));
    if (page.length < 1000) break;
    after = page.at(-1)!.part;
  }
  const chosen = named.map((wanted) => {
    const part = found.get(wanted.part);
    if (part === undefined || part.attributes.etag !== wanted.etag) throw invalidPart(upload, wanted);
    for (const algorithm of checksumAlgorithms) {
      const given = wanted.checksums[algorithm];
      const stored = part.attributes.checksums?.[algorithm];
      if (given !== undefined && stored !== undefined && given !== stored) throw invalidPart(upload, wanted);
    }
    return part;
  });
  requireChecksums(upload, named);
  for (const { part, size, attributes } of chosen.slice(0, -1)) {
    if (size >= partSizeMin) continue;
    throw new S3Error("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", {
      elements: {
        ProposedSize: String(size),
        MinSizeAllowed: String(partSizeMin),
        PartNumber: String(part),
        ETag: attributes.etag,
      },
    });
  }
  return chosen;
}

function invalidPart({ upload }: Upload, { part, etag }: NamedPart): S3Error {
  return new S3Error("InvalidPart", undefined, {
    elements: { UploadId: upload, PartNumber: String(part), ETag: etag },
  });
}

/** As AWS: who announced a composite checksum names that of every part. */
function requireChecksums({ attributes }: Upload, named: readonly NamedPart[]): void {
  const { algorithm, checksumType } = attributes;
  if (algorithm === undefined || checksumType !== "COMPOSITE") return;
  const without = named.find(({ checksums }) => checksums[algorithm] === undefined);
  if (without === undefined) return;
  throw new S3Error(
    "InvalidRequest",
    `The upload was created using a ${algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${without.part} in the request.`,
  );
}

function versionAttributesOf(call: S3Call, upload: Upload, parts: readonly Part[]): VersionAttributes {
  const { request, services } = call;
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const announced = request.header("x-amz-mp-object-size");
  if (announced !== undefined && !/^\d{1,16}$/.test(announced)) {
    throw new S3Error("InvalidRequest", `Value for x-amz-mp-object-size header is invalid: '${announced}'`);
  }
  if (announced !== undefined && Number(announced) !== size) {
    throw new S3Error(
      "InvalidRequest",
      `The provided 'x-amz-mp-object-size' header value ${announced} does not match what was computed: ${size}`,
    );
  }
  const md5 = createHash("md5");
  for (const { attributes } of parts) md5.update(Buffer.from(attributes.etag, "hex"));
  const etag = `${md5.digest("hex")}-${parts.length}`;
  const checksum = checksumOf(upload);
  const checksums =
    checksum === undefined
      ? undefined
      : combinedChecksums(
          services.digests,
          checksum,
          parts.map((part) => ({ size: part.size, checksums: part.attributes.checksums })),
        );
  verifyGiven(call, checksum, checksums);
  return {
    etag,
    ...upload.attributes.version,
    ...(checksums === undefined ? {} : { checksums }),
    ...(checksums === undefined || checksum?.type !== "COMPOSITE" ? {} : { checksumType: checksum.type }),
    parts: parts.length,
    upload: upload.upload,
  };
}

function checksumOf({ attributes }: Upload): UploadChecksum | undefined {
  const { algorithm, checksumType } = attributes;
  return algorithm === undefined ? undefined : { algorithm, type: checksumType ?? "COMPOSITE" };
}

/** The checksum of the whole that came with the request. */
function verifyGiven({ request }: S3Call, checksum: UploadChecksum | undefined, computed: Checksums | undefined): void {
  const type = request.header("x-amz-checksum-type")?.toUpperCase();
  if (type !== undefined && checksum !== undefined && type !== checksum.type) {
    throw new S3Error(
      "InvalidRequest",
      `The upload was created using the ${checksum.type} checksum mode. The complete request must use the same checksum mode.`,
    );
  }
  for (const algorithm of checksumAlgorithms) {
    const given = request.header(checksumHeader(algorithm));
    const stored = computed?.[algorithm];
    if (given === undefined) continue;
    checkedValue(algorithm, given.replace(/-\d+$/, ""), "header");
    if (stored !== undefined && given !== stored && given !== stored.replace(/-\d+$/, "")) {
      throw new S3Error(
        "BadDigest",
        `The ${algorithm.toLowerCase()} you specified did not match the calculated checksum.`,
      );
    }
  }
}

function objectAttributesOf(parts: readonly Part[]): ObjectAttributes {
  const summaries = parts.map(({ part, size, attributes }): PartSummary => {
    return { part, size, ...(attributes.checksums === undefined ? {} : { checksums: attributes.checksums }) };
  });
  const cipher = parts.flatMap(({ attributes }) => attributes.cipher ?? []);
  return cipher.length === 0 ? { parts: summaries } : { parts: summaries, cipher };
}

function answer(call: S3Call, version: Version, encryption: AnswerHeaders): HttpAnswer {
  const { bucket, key, request, services } = call;
  const { attributes } = version;
  const headers: { [name: string]: string | number } = { ...encryption };
  newVersionHeader(version.version, headers);
  expirationHeader(services, bucket, version, headers);
  const path = `/${bucket.name}/${key}`.split("/").map(encodeURIComponent).join("/");
  const scheme = request.http.secure ? "https" : "http";
  const host = request.header("host") ?? "localhost";
  const body = document(
    "CompleteMultipartUploadResult",
    leaf("Location", `${scheme}://${host}${path}`),
    leaf("Bucket", bucket.name),
    leaf("Key", key),
    leaf("ETag", `"${attributes.etag}"`),
    ...checksumLeaves(attributes.checksums),
    leaf("ChecksumType", attributes.checksums === undefined ? undefined : (attributes.checksumType ?? "FULL_OBJECT")),
  );
  return xml(body, headers);
}
