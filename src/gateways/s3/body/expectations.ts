/** What a request's headers say of its body: how it is framed, and what it must turn out to be. */
import * as limits from "../../../core/limits.ts";
import type { Authentication, ChunkChain } from "../auth/identity.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import { type ChecksumAlgorithm, checksumAlgorithms, checksumHeader, checksumSizes } from "./checksum.ts";

export interface Expectations {
  /** Bytes when decoded. */
  readonly size: number | undefined;
  /** aws-chunked, signed where there is a chain. */
  readonly chunks: { readonly chain: ChunkChain | undefined; readonly trailers: readonly string[] } | undefined;
  /** Hex, of the whole body. */
  readonly sha256: string | undefined;
  /** Base64. */
  readonly md5: string | undefined;
  readonly checksum: ExpectedChecksum | undefined;
}

export interface ExpectedChecksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64; undefined where the trailer has it. */
  readonly value: string | undefined;
}

export interface BodyOptions {
  /**
   * Whether x-amz-checksum-* headers speak of this body. They do not where a request is about an object that is
   * elsewhere: CompleteMultipartUpload.
   */
  readonly checksumsDescribeBody: boolean;
}

/** Throws an S3Error where the headers contradict each other or themselves. */
export function readExpectations(
  request: S3Request,
  { payload }: Authentication,
  { checksumsDescribeBody }: BodyOptions,
): Expectations {
  const chunked = isChunked(request, payload.kind);
  const trailers = readTrailerNames(request.header("x-amz-trailer"));
  if (trailers.length > 0 && (!chunked || (payload.kind === "signed-chunks" && !payload.trailer))) {
    throw new S3Error("InvalidRequest", "x-amz-trailer is only for bodies that are sent with a trailer.");
  }
  const chain = payload.kind === "signed-chunks" ? payload.chain : undefined;
  return {
    size: chunked ? readDecodedSize(request) : request.http.body.size,
    chunks: chunked ? { chain, trailers } : undefined,
    sha256: payload.kind === "hash" ? payload.sha256 : undefined,
    md5: readMd5(request.header("content-md5")),
    checksum: checksumsDescribeBody ? readChecksum(request, trailers) : undefined,
  };
}

/** Anonymous clients and such that sign no payload still send chunks, and say so in Content-Encoding alone. */
export function isChunked(request: S3Request, kind: Authentication["payload"]["kind"]): boolean {
  if (kind === "signed-chunks" || kind === "unsigned-chunks") return true;
  if (kind === "hash") return false;
  const encoding = request.header("content-encoding");
  return (
    encoding !== undefined &&
    encoding.includes("aws-chunked") &&
    request.header("x-amz-decoded-content-length") !== undefined
  );
}

export function readDecodedSize(request: S3Request): number {
  const text = request.header("x-amz-decoded-content-length");
  if (text === undefined || text === "") throw new S3Error("MissingContentLength");
  if (!/^\d{1,15}$/.test(text)) {
    throw invalidArgument("x-amz-decoded-content-length", text, "x-amz-decoded-content-length must be a number");
  }
  return Number(text);
}

function readTrailerNames(text: string | undefined): readonly string[] {
  if (text === undefined || text === "") return [];
  const names = text.split(",").map((name) => name.trim().toLowerCase());
  if (names.length > 1) throw severalChecksums();
  if (!checksumAlgorithms.some((algorithm) => checksumHeader(algorithm) === names[0])) {
    throw new S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported");
  }
  return names;
}

function readMd5(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (isBase64Of(text, 16)) return text;
  throw new S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.", {
    elements: { "Content-MD5": text },
  });
}

const headerNames = checksumAlgorithms.map((algorithm) => ({ algorithm, name: checksumHeader(algorithm) }));
/** They begin like a checksum and are none. */
const otherHeaders: ReadonlySet<string> = new Set([
  "x-amz-checksum-algorithm",
  "x-amz-checksum-mode",
  "x-amz-checksum-type",
]);

/** What the client named, in a header or for the trailer; values are not looked at. */
export function namedAlgorithm(request: S3Request): ChecksumAlgorithm | undefined {
  const trailer = request.header("x-amz-trailer")?.toLowerCase();
  const { headers } = request.http;
  const found = headerNames.find(({ name }) => headers[name] !== undefined || trailer === name);
  if (found !== undefined) return found.algorithm;
  const named = request.header("x-amz-sdk-checksum-algorithm")?.toUpperCase();
  return checksumAlgorithms.find((algorithm) => algorithm === named);
}

function readChecksum(request: S3Request, trailers: readonly string[]): ExpectedChecksum | undefined {
  let found: ExpectedChecksum | undefined;
  for (const name in request.http.headers) {
    if (!name.startsWith("x-amz-checksum-") || otherHeaders.has(name)) continue;
    const known = headerNames.find((each) => each.name === name);
    if (known === undefined) {
      throw new S3Error("InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid.");
    }
    if (found !== undefined || trailers.length > 0) throw severalChecksums();
    found = { algorithm: known.algorithm, value: checkedValue(known.algorithm, request.header(name)!, "header") };
  }
  const announced = headerNames.find(({ name }) => name === trailers[0]);
  if (announced !== undefined) found = { algorithm: announced.algorithm, value: undefined };
  checkSdkAlgorithm(request.header("x-amz-sdk-checksum-algorithm"), found);
  return found;
}

/** InvalidRequest where it is no base64 of that algorithm's size. */
export function checkedValue(algorithm: ChecksumAlgorithm, value: string, place: "header" | "trailer"): string {
  if (isBase64Of(value, checksumSizes[algorithm])) return value;
  throw new S3Error("InvalidRequest", `Value for ${checksumHeader(algorithm)} ${place} is invalid.`);
}

function isBase64Of(text: string, size: number): boolean {
  const bytes = Buffer.from(text, "base64");
  return bytes.length === size && bytes.toString("base64") === text;
}

function checkSdkAlgorithm(text: string | undefined, found: ExpectedChecksum | undefined): void {
  if (text === undefined) return;
  const named = checksumAlgorithms.find((algorithm) => algorithm === text.toUpperCase());
  if (named === undefined) {
    const valid = checksumAlgorithms.join(", ");
    throw new S3Error(
      "InvalidRequest",
      `Checksum algorithm provided is unsupported. Please try again with any of the valid types: [${valid}]`,
    );
  }
  if (found === undefined) {
    throw new S3Error(
      "InvalidRequest",
      "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
    );
  }
  if (found.algorithm !== named) {
    throw new S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.");
  }
}

function severalChecksums(): S3Error {
  const message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
  return new S3Error("InvalidRequest", message);
}

/** Of what is to be stored. */
export function checkObjectSize(size: number | undefined): void {
  if (size === undefined || size <= limits.objectSizeMax) return;
  throw new S3Error("EntityTooLarge", undefined, {
    elements: { ProposedSize: String(size), MaxSizeAllowed: String(limits.objectSizeMax) },
  });
}
