/**
 * Signature Version 4 as pure functions (docs.aws.amazon.com, "Signature Calculations for the Authorization Header"):
 * what is signed, and with which key. Who may sign, and when, is authenticate.ts.
 *
 * S3's own rules: the path is encoded once, never normalised ("//", "." and ".." stay), and is what decoding each of its
 * segments as sent and encoding it again gives; so clients agree that encode more or less than others.
 */
import { hash } from "node:crypto";
import type { S3Request } from "../protocol/request.ts";
import { hmacSha256 } from "./hmac.ts";

export const algorithm = "AWS4-HMAC-SHA256";
export const terminal = "aws4_request";
export const serviceName = "s3";
/** SHA-256 of nothing, in chunk signatures. */
export const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export interface Credential {
  readonly accessKey: string;
  /** yyyyMMdd */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly terminal: string;
}

/** `AKID/20261122/region/s3/aws4_request`, read from the right: an access key may have a slash. Undefined if not that. */
export function readCredential(text: string): Credential | undefined {
  const parts = text.split("/");
  if (parts.length < 5) return undefined;
  const [date, region, service, terminal] = parts.slice(-4) as [string, string, string, string];
  const accessKey = parts.length === 5 ? parts[0]! : parts.slice(0, -4).join("/");
  if (accessKey === "") return undefined;
  return { accessKey, date, region, service, terminal };
}

export function scopeOf({ date, region, service }: Credential): string {
  return `${date}/${region}/${service}/${terminal}`;
}

export function signingKey(secretKey: string, { date, region, service }: Credential): Buffer {
  const dated = hmacSha256(`AWS4${secretKey}`, date);
  return hmacSha256(hmacSha256(hmacSha256(dated, region), service), terminal);
}

export function stringToSign(date: string, scope: string, canonicalRequest: string): string {
  return `${algorithm}\n${date}\n${scope}\n${sha256OfLatin1(canonicalRequest)}`;
}

/** Headers can hold any byte; each is one character here. */
function sha256OfLatin1(text: string): string {
  return hash("sha256", Buffer.byteLength(text) === text.length ? text : Buffer.from(text, "latin1"), "hex");
}

export function chunkStringToSign(date: string, scope: string, previous: string, chunkSha256: string): string {
  return `${algorithm}-PAYLOAD\n${date}\n${scope}\n${previous}\n${emptyHash}\n${chunkSha256}`;
}

export function trailerStringToSign(date: string, scope: string, previous: string, trailerSha256: string): string {
  return `${algorithm}-TRAILER\n${date}\n${scope}\n${previous}\n${trailerSha256}`;
}

/** Headers as the client listed them: lower case, with semicolons, and one by one. */
export interface SignedHeaders {
  readonly signedHeaders: string;
  readonly signedNames: readonly string[];
}

export function canonicalRequest(request: S3Request, signed: SignedHeaders, payloadHash: string): string {
  const { headers } = request.http;
  let lines = "";
  for (const name of signed.signedNames) lines += `${name}:${canonicalValue(headers[name])}\n`;
  const path = canonicalPath(request.rawPath);
  const query = canonicalQuery(request.rawQuery);
  return `${request.http.method}\n${path}\n${query}\n${lines}\n${signed.signedHeaders}\n${payloadHash}`;
}

const blank = /\s/;
const uneven = /^\s|\s$|\s\s|[\t\v\f]/;

function canonicalValue(value: unknown): string {
  // The names are the client's: "constructor" finds something that is no header.
  if (typeof value !== "string") return "";
  return blank.test(value) && uneven.test(value) ? value.trim().replace(/\s+/g, " ") : value;
}

const plainPath = /^[A-Za-z0-9\-._~/]*$/;

export function canonicalPath(rawPath: string): string {
  if (plainPath.test(rawPath)) return rawPath;
  return reencoded(rawPath, true, false);
}

const plainQuery = /^[A-Za-z0-9\-._~]*$/;

/** Sorted by name, then value, as encoded; without the signature itself. */
export function canonicalQuery(rawQuery: string): string {
  if (rawQuery === "") return "";
  if (plainQuery.test(rawQuery)) return `${rawQuery}=`;
  const pairs: [name: string, value: string][] = [];
  for (const part of rawQuery.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = canonicalQueryPart(equals < 0 ? part : part.slice(0, equals));
    if (name === "X-Amz-Signature") continue;
    pairs.push([name, equals < 0 ? "" : canonicalQueryPart(part.slice(equals + 1))]);
  }
  if (pairs.length > 1) pairs.sort(byNameThenValue);
  return pairs.map(([name, value]) => `${name}=${value}`).join("&");
}

function byNameThenValue(left: readonly [string, string], right: readonly [string, string]): number {
  if (left[0] !== right[0]) return left[0] < right[0] ? -1 : 1;
  if (left[1] === right[1]) return 0;
  return left[1] < right[1] ? -1 : 1;
}

function canonicalQueryPart(raw: string): string {
  return plainQuery.test(raw) ? raw : reencoded(raw, false, true);
}

const escapes = Array.from({ length: 256 }, (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`);

/** What decoding and encoding again gives, byte by byte: no text in between, so that any bytes will do. */
function reencoded(raw: string, slashStays: boolean, plusIsSpace: boolean): string {
  let text = "";
  for (let at = 0; at < raw.length; at++) {
    let byte = raw.charCodeAt(at) & 0xff;
    if (byte === 0x2f && slashStays) {
      text += "/";
      continue;
    }
    if (byte === 0x25) {
      const decoded = hexByte(raw, at + 1);
      if (decoded !== undefined) {
        byte = decoded;
        at += 2;
      }
    } else if (byte === 0x2b && plusIsSpace) byte = 0x20;
    text += isUnreserved(byte) ? String.fromCharCode(byte) : escapes[byte]!;
  }
  return text;
}

function isUnreserved(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2d ||
    byte === 0x2e ||
    byte === 0x5f ||
    byte === 0x7e
  );
}

/** Undefined where there are no two hex digits. */
function hexByte(raw: string, at: number): number | undefined {
  const digits = raw.slice(at, at + 2);
  return /^[0-9a-fA-F]{2}$/.test(digits) ? Number.parseInt(digits, 16) : undefined;
}
