/**
 * GetObject and HeadObject: which version, whether the conditions hold, which of its bytes, and the way of those from
 * disk to socket, verified, without a copy for what is large.
 */
import { andThen, type Soon } from "../../../core/soon.ts";
import type { SavedObject } from "../../../datastore/datastore.ts";
import type { HttpAnswer, HttpStream } from "../../../env/http.ts";
import { expirationHeader } from "../buckets/lifecycle.ts";
import { type Decryption, openEncryption } from "../encryption/object-encryption.ts";
import type { ObjectAttributes, PartSummary, VersionAttributes } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { httpDate } from "../protocol/dates.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { partsMax } from "../../../core/limits.ts";
import { checkReadConditions } from "./conditions.ts";
import { explainDamage } from "./damage.ts";
import { checkVersionId, findVersion, type FoundVersion } from "./find-version.ts";
import { applyOverrides, describingHeaders, overrideParameters } from "./metadata.ts";
import { checksumHeaders, versionHeader } from "./new-object.ts";
import { lockHeaders } from "./object-lock.ts";
import { ObjectPieces } from "./object-pieces.ts";
import { type ByteRange, parseRange } from "./range.ts";

const parameters = ["versionId", "partNumber", ...overrideParameters];

export const getObjectOperations: readonly Operation[] = [
  { name: "GetObject", method: "GET", scope: "object", parameters, action: readActions, run: getObject },
  { name: "HeadObject", method: "HEAD", scope: "object", parameters, action: readActions, run: headObject },
];

function readActions({ query }: S3Call["request"]): readonly string[] {
  return [query.has("versionId") ? "s3:GetObjectVersion" : "s3:GetObject"];
}

/** Objects up to so many bytes are read at once: no stream is worth it. */
export const wholeSizeMax = 65_536;

function getObject(call: S3Call): Soon<HttpAnswer> {
  return andThen(openRead(call), (read) => {
    const bytes = read.object.size <= wholeSizeMax ? call.services.router.getNow(read.object) : undefined;
    return bytes === undefined ? getLater(call, read) : wholeAnswer(read, bytes);
  });
}

async function getLater(call: S3Call, read: Read): Promise<HttpAnswer> {
  const { services, request } = call;
  const { router } = services;
  const { object, version, status, headers, range } = read;
  const explain = (error: unknown): Promise<unknown> => {
    const read = { request: request.id, bucket: call.bucket.name, key: call.key, version, object };
    return explainDamage(services, read, error);
  };
  if (object.size <= wholeSizeMax) {
    try {
      return wholeAnswer(read, await router.get(object));
    } catch (error) {
      throw await explain(error);
    }
  }
  const source = router.read(object, range.offset, range.length);
  const body: HttpStream = {
    size: range.length,
    pieces: await ObjectPieces.open({ router, source, decrypt: decryptOf(read), explain }),
  };
  return { status, headers, body };
}

/** `bytes`: all of the object's. */
function wholeAnswer(read: Read, bytes: Uint8Array): HttpAnswer {
  const { status, headers, range } = read;
  const wanted = range.length === bytes.length ? bytes : bytes.subarray(range.offset, range.offset + range.length);
  return { status, headers, body: decryptOf(read)?.(wanted) ?? wanted };
}

function decryptOf({ object, range, decryption }: Read): ((bytes: Uint8Array) => Uint8Array) | undefined {
  const { cipher = [] } = object.attributes as unknown as ObjectAttributes;
  return decryption?.decryptor(cipher, range.offset);
}

function headObject(call: S3Call): Soon<HttpAnswer> {
  return andThen(openRead(call), ({ status, headers, range }) => {
    headers["Content-Length"] = range.length;
    return { status, headers };
  });
}

interface Read {
  readonly object: SavedObject;
  readonly version: string;
  readonly status: 200 | 206;
  readonly headers: { [name: string]: string | number };
  readonly range: ByteRange;
  readonly decryption: Decryption | undefined;
}

function openRead(call: S3Call): Soon<Read> {
  const { services, request, bucket, key } = call;
  const { query } = request;
  const versionId = query.size === 0 ? undefined : checkVersionId(query.get("versionId"));
  return andThen(findVersion(services, bucket, key, versionId), (found) =>
    andThen(openEncryption(services, found.version.attributes, request), (decryption) =>
      describeRead(call, found, decryption),
    ),
  );
}

function describeRead(call: S3Call, found: FoundVersion, decryption: Decryption | undefined): Read {
  const { services, request, bucket, identity } = call;
  const { query } = request;
  const { version, object } = found;
  const { attributes } = version;
  const headers: { [name: string]: string | number } = {
    "Last-Modified": httpDate(version.createdAt),
    ETag: `"${attributes.etag}"`,
    "Accept-Ranges": "bytes",
  };
  checkConditions(call, found, headers);
  if (decryption !== undefined) Object.assign(headers, decryption.headers);
  versionHeader(call, version.version, headers);
  describingHeaders(attributes, headers);
  if (attributes.tags !== undefined) headers["x-amz-tagging-count"] = Object.keys(attributes.tags).length;
  lockHeaders(attributes, headers);
  expirationHeader(services, bucket, version, headers);
  applyOverrides(query, identity.kind === "user", headers);
  const part = query.size === 0 ? undefined : partOf(query.get("partNumber"), object, attributes);
  const asked = request.header("range");
  if (part !== undefined && asked !== undefined) {
    throw new S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter");
  }
  const range = part ?? parseRange(asked, object.size);
  if (part?.count !== undefined) headers["x-amz-mp-parts-count"] = part.count;
  if (request.header("x-amz-checksum-mode")?.toUpperCase() === "ENABLED")
    addChecksums(attributes, part, range, headers);
  if (range === undefined) {
    const whole = { offset: 0, length: object.size };
    return { object, version: version.version, status: 200, headers, range: whole, decryption };
  }
  // An empty object's only part has no first byte to name.
  if (range.length > 0) {
    headers["Content-Range"] = `bytes ${range.offset}-${range.offset + range.length - 1}/${object.size}`;
  }
  return { object, version: version.version, status: 206, headers, range, decryption };
}

/** The 304 and the 412 tell what the 200 would have told. */
function checkConditions(call: S3Call, { version }: FoundVersion, headers: { [name: string]: string | number }): void {
  const { request } = call;
  try {
    checkReadConditions(request.header, version.attributes.etag, version.createdAt);
  } catch (error) {
    if (!(error instanceof S3Error) || error.code !== "NotModified") throw error;
    const told: { [name: string]: string } = {
      ETag: String(headers["ETag"]),
      "Last-Modified": String(headers["Last-Modified"]),
    };
    const cacheControl = version.attributes.headers?.["cache-control"];
    const expires = version.attributes.headers?.expires;
    if (cacheControl !== undefined) told["Cache-Control"] = cacheControl;
    if (expires !== undefined) told["Expires"] = expires;
    if (call.bucket.versioning !== "off") told["x-amz-version-id"] = version.version;
    throw new S3Error("NotModified", undefined, { headers: told });
  }
}

interface PartRange extends ByteRange {
  /** How many there are; undefined for an object that was not uploaded in parts. */
  readonly count: number | undefined;
  readonly summary: PartSummary | undefined;
}

function partOf(text: string | undefined, object: SavedObject, attributes: VersionAttributes): PartRange | undefined {
  if (text === undefined) return undefined;
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > partsMax) {
    throw invalidArgument("partNumber", text, `Part number must be an integer between 1 and ${partsMax}, inclusive`);
  }
  const { parts } = object.attributes as unknown as ObjectAttributes;
  if (parts === undefined || attributes.parts === undefined) {
    if (number > 1) throw unknownPart(number, 1);
    return { offset: 0, length: object.size, count: undefined, summary: undefined };
  }
  const index = number - 1;
  const summary = parts[index];
  if (summary === undefined) throw unknownPart(number, parts.length);
  const offset = parts.slice(0, index).reduce((sum, { size }) => sum + size, 0);
  return { offset, length: summary.size, count: parts.length, summary };
}

/** AWS's list of errors has no other code for it, and clients look for this one. */
function unknownPart(asked: number, count: number): S3Error {
  return new S3Error("InvalidPart", "The requested partnumber is not satisfiable", {
    elements: { PartNumberRequested: String(asked), ActualPartCount: String(count) },
  });
}

/** Of the whole object, or of the one part that is read: a range in between has none. */
function addChecksums(
  attributes: VersionAttributes,
  part: PartRange | undefined,
  range: ByteRange | undefined,
  headers: { [name: string]: string | number },
): void {
  if (part?.summary !== undefined) checksumHeaders(part.summary.checksums, attributes.checksumType, headers);
  else if (range === undefined || part !== undefined)
    checksumHeaders(attributes.checksums, attributes.checksumType, headers);
}
