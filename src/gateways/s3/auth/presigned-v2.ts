/**
 * Presigned URLs of Signature Version 2 (HMAC-SHA1), and nothing else of it: boto3 makes such URLs by default for
 * us-east-1, and what they allow is one request for a limited time. Requests signed so in a header are refused.
 *
 * Source: "Signing and authenticating REST requests" (docs.aws.amazon.com, Amazon S3 API, Signature Version 2).
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import type { AccessKey } from "./accounts.ts";
import type { Authentication } from "./identity.ts";
import { wholeSeconds } from "./signed-dates.ts";

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
  readonly accessKey: string;
  readonly signature: string;
  /** Seconds since 1970, as it was written. */
  readonly expires: string;
}

/** Undefined where the query is not signed in this way. */
export function readOldClaim({ query }: S3Request): OldClaim | undefined {
  const [accessKey, signature, expires] = [query.get("AWSAccessKeyId"), query.get("Signature"), query.get("Expires")];
  if (accessKey === undefined || signature === undefined) return undefined;
  if (expires === undefined || !/^\d{1,12}$/.test(expires)) {
    const message = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters";
    throw new S3Error("AccessDenied", message);
  }
  return { accessKey, signature, expires };
}

export function verifyOldClaim(
  request: S3Request,
  claim: OldClaim,
  key: AccessKey | undefined,
  now: number,
): Authentication {
  if (key === undefined) {
    throw new S3Error("InvalidAccessKeyId", undefined, { elements: { AWSAccessKeyId: claim.accessKey } });
  }
  const expiresAt = Number(claim.expires) * 1000;
  if (now >= expiresAt) {
    const elements = { Expires: wholeSeconds(expiresAt), ServerTime: wholeSeconds(now) };
    throw new S3Error("AccessDenied", "Request has expired", { elements });
  }
  // Version 2 knows no newer sub-resources: added to a URL behind its back they would make another request of it.
  const unsigned = [...request.query.keys()].filter(
    (name) => !signedParameters.has(name) && !otherParameters.has(name) && !isAmazon(name),
  );
  if (unsigned.length > 0) {
    const message = `Parameters that signature version 2 does not cover: ${unsigned.join(", ")}`;
    throw new S3Error("AccessDenied", message);
  }
  const text = stringToSign(request, claim);
  const expected = createHmac("sha1", key.secretKey).update(text, "latin1").digest();
  const provided = Buffer.from(claim.signature, "base64");
  if (expected.length !== provided.length || !timingSafeEqual(expected, provided)) {
    throw new S3Error("SignatureDoesNotMatch", undefined, {
      elements: { AWSAccessKeyId: claim.accessKey, StringToSign: text, SignatureProvided: claim.signature },
    });
  }
  return { identity: { kind: "user", key }, payload: { kind: "unsigned" }, type: "query", signedAt: undefined };
}

function stringToSign(request: S3Request, { expires }: OldClaim): string {
  const { method } = request;
  const amz = [...amazonHeaders(request)]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `${name}:${value}\n`);
  const md5 = request.header("content-md5") ?? "";
  const type = request.header("content-type") ?? "";
  return `${method}\n${md5}\n${type}\n${expires}\n${amz.join("")}${canonicalResource(request)}`;
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

function canonicalResource({ bucket, key, hosted, rawPath, query }: S3Request): string {
  const asked = hosted ? `/${bucket}${rawPath}` : rawPath;
  // A bucket by itself is signed with a slash behind it, as boto3 does, however it is asked for.
  const path = key === undefined && bucket !== undefined ? `${asked.replace(/\/$/, "")}/` : asked;
  const parameters = [...query]
    .filter(([name]) => signedParameters.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => (value === "" ? name : `${name}=${value}`));
  return parameters.length === 0 ? path : `${path}?${parameters.join("&")}`;
}
