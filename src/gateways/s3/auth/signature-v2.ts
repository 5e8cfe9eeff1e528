/**
 * Signature Version 2 (HMAC-SHA1), in a query or in the Authorization header: boto3 makes presigned URLs of it by default for
 * us-east-1, and older clients know nothing else. It covers neither the body nor sub-resources that came after it; a
 * request that has one of those is refused.
 *
 * Source: "Signing and authenticating REST requests" (docs.aws.amazon.com, Amazon S3 API, Signature Version 2).
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import type { AccessKey } from "./accounts.ts";
import { checkSkew, isSignedQuery, onlyOneMechanism } from "./claim.ts";
import type { Authentication, PayloadMode } from "./identity.ts";
import { readPayloadHash } from "./payload-hash.ts";
import { readBasicDate, readHttpDate, wholeSeconds } from "./signed-dates.ts";

/** Parameters that are part of what is signed. */
const signedParameters: ReadonlySet<string> = new Set([
  "acl",
  "accelerate",
  "analytics",
  "cors",
  "delete",
  "inventory",
  "lifecycle",
  "location",
  "logging",
  "metrics",
  "notification",
  "object-lock",
  "partNumber",
  "policy",
  "replication",
  "requestPayment",
  "response-cache-control",
  "response-content-disposition",
  "response-content-encoding",
  "response-content-language",
  "response-content-type",
  "response-expires",
  "restore",
  "tagging",
  "torrent",
  "uploadId",
  "uploads",
  "versionId",
  "versioning",
  "versions",
  "website",
]);

/** Parameters that are not signed and change no more than which part of a listing is shown. */
const otherParameters: ReadonlySet<string> = new Set([
  "AWSAccessKeyId",
  "Signature",
  "Expires",
  // boto3 says here which headers it has signed; the headers themselves must come with the request.
  "content-md5",
  "content-type",
  "continuation-token",
  "delimiter",
  "encoding-type",
  "fetch-owner",
  "key-marker",
  "list-type",
  "marker",
  "max-keys",
  "max-parts",
  "max-uploads",
  "part-number-marker",
  "prefix",
  "start-after",
  "upload-id-marker",
  "version-id-marker",
  "x-id",
]);

export interface OldClaim {
  readonly form: "header" | "query";
  readonly accessKey: string;
  readonly signature: string;
  /** As it is signed: when a URL expires, in seconds since 1970; in a header the Date, or nothing beside an x-amz-date. */
  readonly date: string;
  /** Milliseconds since 1970: when a URL expires, when a header was signed. */
  readonly time: number;
}

/** Undefined where the request is not signed in this way. */
export function readOldClaim(request: S3Request): OldClaim | undefined {
  const authorization = request.header("authorization") ?? "";
  if (authorization === "") return request.query.size === 0 ? undefined : readQuery(request);
  return /^AWS(\s|$)/.test(authorization) ? readHeader(request, authorization) : undefined;
}

function readQuery({ query }: S3Request): OldClaim | undefined {
  const [accessKey, signature, expires] = [query.get("AWSAccessKeyId"), query.get("Signature"), query.get("Expires")];
  if (accessKey === undefined || signature === undefined) return undefined;
  if (expires === undefined || !/^\d{1,12}$/.test(expires)) {
    const message = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters";
    throw new S3Error("AccessDenied", message);
  }
  return { form: "query", accessKey, signature, date: expires, time: Number(expires) * 1000 };
}

function readHeader(request: S3Request, authorization: string): OldClaim {
  if (isSignedQuery(request)) throw onlyOneMechanism(authorization);
  const match = /^AWS\s+([^:\s]+):(\S+)$/.exec(authorization);
  if (match === null) {
    const message = "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature";
    throw invalidArgument("Authorization", authorization, message);
  }
  const amazonDate = request.header("x-amz-date");
  const date = amazonDate ?? request.header("date") ?? "";
  const time = readHttpDate(date) ?? readBasicDate(date);
  if (time === undefined || time < 0) {
    throw new S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
  }
  const [, accessKey, signature] = match as unknown as [string, string, string];
  return { form: "header", accessKey, signature, date: amazonDate === undefined ? date : "", time };
}

export function verifyOldClaim(
  request: S3Request,
  claim: OldClaim,
  key: AccessKey | undefined,
  { now, clockSkewMs }: { readonly now: number; readonly clockSkewMs: number },
): Authentication {
  if (key === undefined) {
    throw new S3Error("InvalidAccessKeyId", undefined, { elements: { AWSAccessKeyId: claim.accessKey } });
  }
  if (claim.form === "query") checkExpiry(claim.time, now);
  else checkSkew(claim.time, request.header("x-amz-date") ?? claim.date, now, clockSkewMs);
  // Version 2 knows no newer sub-resources: added to a URL behind its back they would make another request of it.
  const unsigned = [...request.query.keys()].filter(
    (name) => !signedParameters.has(name) && !otherParameters.has(name) && !isAmazon(name),
  );
  if (unsigned.length > 0) {
    const message = `Parameters that signature version 2 does not cover: ${unsigned.join(", ")}`;
    throw new S3Error("AccessDenied", message);
  }
  const texts = pathsOf(request).map((path) => stringToSign(request, claim, path));
  if (!texts.some((text) => isSignatureOf(text, key, claim))) {
    throw new S3Error("SignatureDoesNotMatch", undefined, {
      elements: { AWSAccessKeyId: claim.accessKey, StringToSign: texts[0]!, SignatureProvided: claim.signature },
    });
  }
  const signedAt = claim.form === "header" ? claim.time : undefined;
  return { identity: { kind: "user", key }, payload: payloadOf(request, claim), type: claim.form, signedAt };
}

function isSignatureOf(text: string, key: AccessKey, { signature }: OldClaim): boolean {
  const expected = createHmac("sha1", key.secretKey).update(text, "latin1").digest();
  const provided = Buffer.from(signature, "base64");
  return expected.length === provided.length && timingSafeEqual(expected, provided);
}

function checkExpiry(expiresAt: number, now: number): void {
  if (now < expiresAt) return;
  const elements = { Expires: wholeSeconds(expiresAt), ServerTime: wholeSeconds(now) };
  throw new S3Error("AccessDenied", "Request has expired", { elements });
}

/** The hash of a body is a header like others here: signed where it was sent, and then the body is held to it. */
function payloadOf(request: S3Request, claim: OldClaim): PayloadMode {
  const hash = claim.form === "header" ? request.header("x-amz-content-sha256") : undefined;
  const payload = hash === undefined ? ({ kind: "unsigned" } as const) : readPayloadHash(hash);
  if (payload.kind !== "signed-chunks") return payload;
  throw new S3Error("InvalidRequest", "Chunks cannot be signed in a request of signature version 2");
}

function stringToSign(request: S3Request, { date }: OldClaim, path: string): string {
  const { method } = request;
  const amz = [...amazonHeaders(request)]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `${name}:${value}\n`);
  const md5 = request.header("content-md5") ?? "";
  const type = request.header("content-type") ?? "";
  return `${method}\n${md5}\n${type}\n${date}\n${amz.join("")}${path}${signedQuery(request)}`;
}

/** Headers, and those that stand in the query instead: `withQueryHeaders` makes headers of them, so they are signed as such. */
function amazonHeaders({ http, query }: S3Request): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of query) {
    if (isAmazon(name)) found.set(name.toLowerCase(), Buffer.from(value, "utf8").toString("latin1"));
  }
  for (const name in http.headers) if (isAmazon(name)) found.set(name, http.headers[name]!.trim());
  return found;
}

function isAmazon(name: string): boolean {
  return name.toLowerCase().startsWith("x-amz-");
}

/** How the path can have been signed: a bucket by itself with a slash behind it, as boto3 does however it asks, or as asked. */
function pathsOf({ bucket, key, hosted, rawPath }: S3Request): readonly string[] {
  const asked = hosted ? `/${bucket}${rawPath}` : rawPath;
  const isBare = key === undefined && bucket !== undefined && !asked.endsWith("/");
  return isBare ? [`${asked}/`, asked] : [asked];
}

function signedQuery({ query }: S3Request): string {
  const parameters = [...query]
    .filter(([name]) => signedParameters.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => (value === "" ? name : `${name}=${value}`));
  return parameters.length === 0 ? "" : `?${parameters.join("&")}`;
}
