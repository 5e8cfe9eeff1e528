/**
 * A request as S3 reads it: which bucket, which key, which sub-resource.
 *
 * Path style (`/bucket/key`) and virtual-host style (`bucket.domain`). A key is what percent-decoding the path gives,
 * and nothing else happens to it: no normalising, no joining, no file path.
 */
import type { HttpRequest } from "../../../env/http.ts";
import { S3Error } from "./error.ts";

export interface S3Request {
  readonly http: HttpRequest;
  /** 16 hex digits, upper case; in the answer as x-amz-request-id. */
  readonly id: string;
  readonly method: string;
  /** The path as it was sent, for signatures. */
  readonly rawPath: string;
  /** The query as it was sent, without "?". */
  readonly rawQuery: string;
  readonly bucket: string | undefined;
  readonly key: string | undefined;
  /** The bucket is in the host name; the path is the key alone. */
  readonly hosted: boolean;
  readonly query: Query;
  /** A header, trimmed; undefined where there is none. Bytes as Latin-1, see `utf8Header`. */
  readonly header: (name: string) => string | undefined;
}

/** Query parameters by name, decoded; of repeated ones the first. */
export type Query = ReadonlyMap<string, string>;

/** The host names under which buckets are sub-domains. */
export type Domains = readonly string[];

export function readRequest(http: HttpRequest, id: string, domains: Domains): S3Request {
  const { target } = http;
  const mark = target.indexOf("?");
  const rawPath = mark < 0 ? target : target.slice(0, mark);
  const rawQuery = mark < 0 ? "" : target.slice(mark + 1);
  if (!rawPath.startsWith("/")) throw new S3Error("InvalidURI");
  const query = readQuery(rawQuery);
  const hosted = bucketOfHost(http.headers["host"], domains);
  const path = decodePath(rawPath.slice(1));
  const { bucket, key } = hosted === undefined ? split(path) : { bucket: hosted, key: emptyIsNone(path) };
  return {
    http,
    id,
    method: http.method,
    rawPath,
    rawQuery,
    bucket,
    key,
    hosted: hosted !== undefined,
    query,
    header: (name) => http.headers[name]?.trim(),
  };
}

/**
 * What a presigned URL says in its query instead of in headers, as headers: SDKs move x-amz- headers there. After the
 * signature, which covers the query, was checked.
 */
export function withQueryHeaders(request: S3Request): S3Request {
  let headers: { [name: string]: string | undefined } | undefined;
  for (const [name, value] of request.query) {
    const lower = name.toLowerCase();
    if (!lower.startsWith("x-amz-") || signing.has(lower) || request.http.headers[lower] !== undefined) continue;
    if (ofBody.test(lower)) continue;
    (headers ??= { ...request.http.headers })[lower] = Buffer.from(value, "utf8").toString("latin1");
  }
  if (headers === undefined) return request;
  const merged = headers;
  const { method, target, peer, secure, body } = request.http;
  return {
    ...request,
    http: { method, target, peer, secure, body, headers: merged },
    header: (name) => merged[name]?.trim(),
  };
}

/**
 * AWS checks no checksum that stands in a URL: who signed it did not have the body. The SDK for JavaScript puts the
 * one of no bytes there by default.
 */
const ofBody = /^x-amz-(sdk-checksum-algorithm|checksum-(crc|sha).*)$/;

const signing: ReadonlySet<string> = new Set([
  "x-amz-algorithm",
  "x-amz-credential",
  "x-amz-date",
  "x-amz-expires",
  "x-amz-signedheaders",
  "x-amz-signature",
  "x-amz-security-token",
  "x-amz-content-sha256",
]);

function split(path: string): { bucket: string | undefined; key: string | undefined } {
  const slash = path.indexOf("/");
  if (slash < 0) return { bucket: emptyIsNone(path), key: undefined };
  return { bucket: path.slice(0, slash), key: emptyIsNone(path.slice(slash + 1)) };
}

function emptyIsNone(text: string): string | undefined {
  return text === "" ? undefined : text;
}

/** `bucket.domain`, without port, in any case. */
function bucketOfHost(host: string | undefined, domains: Domains): string | undefined {
  if (host === undefined || domains.length === 0) return undefined;
  const name = withoutPort(host).toLowerCase();
  for (const domain of domains) {
    if (name.length > domain.length + 1 && name.endsWith(`.${domain}`)) return name.slice(0, -domain.length - 1);
  }
  return undefined;
}

function withoutPort(host: string): string {
  const colon = host.lastIndexOf(":");
  return colon >= 0 && /^\d+$/.test(host.slice(colon + 1)) ? host.slice(0, colon) : host;
}

function decodePath(raw: string): string {
  if (!raw.includes("%")) {
    if (isPlain(raw)) return raw;
    return utf8(Buffer.from(raw, "latin1"));
  }
  return percentDecoded(raw);
}

const plain = /^[\u0020-\u007e]*$/;
function isPlain(text: string): boolean {
  return plain.test(text);
}

/** Percent-decoding into UTF-8; InvalidURI where it is neither. */
export function percentDecoded(raw: string): string {
  const bytes = Buffer.allocUnsafe(raw.length);
  let size = 0;
  for (let at = 0; at < raw.length; at++) {
    let code = raw.charCodeAt(at);
    if (code === 0x25) {
      const digits = raw.slice(at + 1, at + 3);
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) throw new S3Error("InvalidURI");
      code = Number.parseInt(digits, 16);
      at += 2;
    }
    bytes[size++] = code;
  }
  return utf8(bytes.subarray(0, size));
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new S3Error("InvalidURI", undefined, { cause });
  }
}

const noQuery: Query = new Map();

function readQuery(raw: string): Query {
  if (raw === "") return noQuery;
  const query = new Map<string, string>();
  for (const part of raw.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = decodeQuery(equals < 0 ? part : part.slice(0, equals));
    if (!query.has(name)) query.set(name, equals < 0 ? "" : decodeQuery(part.slice(equals + 1)));
  }
  return query;
}

function decodeQuery(raw: string): string {
  const spaced = raw.includes("+") ? raw.replaceAll("+", " ") : raw;
  return spaced.includes("%") || !isPlain(spaced) ? percentDecoded(spaced) : spaced;
}

/** The text of a header whose bytes are UTF-8 (user metadata, tags): node and HTTP have them as Latin-1. */
export function utf8Header(value: string): string {
  return isPlain(value) ? value : Buffer.from(value, "latin1").toString("utf8");
}
