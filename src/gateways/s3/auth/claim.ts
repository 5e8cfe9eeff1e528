/**
 * What a request says about its signature, in its Authorization header or in its query, checked for form. Codes and
 * messages are AWS's: clients show them to people, and some tell cases apart by them.
 */
import * as limits from "../../../core/limits.ts";
import { S3Error, invalidArgument } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import type { KnownHead, KnownHeads } from "./known-heads.ts";
import { unsignedPayload } from "./payload-hash.ts";
import { basicDate, readBasicDate, readHttpDate, wholeSeconds } from "./signed-dates.ts";
import { algorithm, type Credential, readCredential, serviceName, terminal } from "./sigv4.ts";

export interface Claim {
  readonly form: "header" | "query";
  readonly credential: Credential;
  /** As it was written. */
  readonly credentialText: string;
  readonly signedHeaders: string;
  /** The same, one by one. */
  readonly signedNames: readonly string[];
  readonly signature: string;
  /** ISO 8601 basic. */
  readonly date: string;
  /** Milliseconds since 1970. */
  readonly signedAt: number;
  /** Of a presigned URL. */
  readonly expiresSeconds: number | undefined;
  /** As in x-amz-content-sha256. */
  readonly payloadHash: string;
}

/** Undefined where the request is not signed at all. */
export function readClaim(request: S3Request, known: KnownHeads): Claim | undefined {
  const { query } = request;
  const authorization = request.header("authorization");
  const inQuery = query.size > 0 && isSignedQuery(request);
  if (authorization === undefined || authorization === "") return inQuery ? readQueryClaim(request) : undefined;
  if (inQuery) throw onlyOneMechanism(authorization);
  return readHeaderClaim(request, authorization, known);
}

export function isSignedQuery({ query }: S3Request): boolean {
  if (query.has("AWSAccessKeyId") && query.has("Signature")) return true;
  return query.has("X-Amz-Algorithm") || query.has("X-Amz-Credential") || query.has("X-Amz-Signature");
}

export function onlyOneMechanism(authorization: string): S3Error {
  const message =
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified";
  return invalidArgument("Authorization", authorization, message);
}

/** Of a signature in a header. `date`: `signedAt` as it was written. */
export function checkSkew(signedAt: number, date: string, now: number, clockSkewMs: number): void {
  if (Math.abs(now - signedAt) <= clockSkewMs) return;
  const elements = {
    RequestTime: date,
    ServerTime: wholeSeconds(now),
    MaxAllowedSkewMilliseconds: String(clockSkewMs),
  };
  throw new S3Error("RequestTimeTooSkewed", undefined, { elements });
}

// ── header ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function readHeaderClaim(request: S3Request, authorization: string, known: KnownHeads): Claim {
  const before = known.find(authorization);
  const { head, signature } =
    before === undefined ? readHead(authorization) : { head: before, signature: known.signatureOf(authorization) };
  const { credential, credentialText, signedHeaders } = head;
  const { date, signedAt } = dateOf(request, known);
  if (!date.startsWith(credential.date)) {
    throw malformed(
      `Invalid credential date "${credential.date}". This date is not the same as X-Amz-Date: "${date.slice(0, 8)}".`,
    );
  }
  const signedNames = before?.signedNames ?? readSignedNames(signedHeaders);
  const payloadHash = request.header("x-amz-content-sha256");
  if (payloadHash === undefined) {
    throw new S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256");
  }
  if (before === undefined) known.keep(authorization, { ...head, signedNames }, signature);
  return {
    form: "header",
    credential,
    credentialText,
    signedHeaders,
    signedNames,
    signature,
    date,
    signedAt,
    expiresSeconds: undefined,
    payloadHash,
  };
}

function readHead(authorization: string): { head: Omit<KnownHead, "signedNames">; signature: string } {
  if (!authorization.startsWith(algorithm)) throw otherMechanism(authorization);
  const { credentialText, signedHeaders, signature } = readComponents(authorization.slice(algorithm.length));
  const credential = readCredential(credentialText);
  if (credential === undefined) {
    throw malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".');
  }
  checkScope(credential, malformed);
  return { head: { credential, credentialText, signedHeaders }, signature };
}

function otherMechanism(authorization: string): S3Error {
  if (authorization.startsWith("AWS4-ECDSA-P256-SHA256")) return new S3Error("NotImplemented");
  return invalidArgument("Authorization", authorization, "Unsupported Authorization Type");
}

interface Components {
  readonly credentialText: string;
  readonly signedHeaders: string;
  readonly signature: string;
}

/** `Credential=…, SignedHeaders=…, Signature=…`, in any order, with or without spaces. */
function readComponents(text: string): Components {
  let credentialText = "";
  let signedHeaders = "";
  let signature = "";
  for (const part of text.split(",")) {
    const trimmed = part.trim();
    if (trimmed.startsWith("Credential=")) credentialText = trimmed.slice(11);
    else if (trimmed.startsWith("SignedHeaders=")) signedHeaders = trimmed.slice(14);
    else if (trimmed.startsWith("Signature=")) signature = trimmed.slice(10);
  }
  if (credentialText === "" || signedHeaders === "" || signature === "") {
    throw malformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.");
  }
  return { credentialText, signedHeaders, signature };
}

function malformed(why: string, elements: { readonly [name: string]: string } = {}): S3Error {
  return new S3Error("AuthorizationHeaderMalformed", `The authorization header is malformed; ${why}`, { elements });
}

/** x-amz-date before Date: some clients cannot set the latter, others only that. */
function dateOf(request: S3Request, known: KnownHeads): { date: string; signedAt: number } {
  const text = request.header("x-amz-date") ?? request.header("date") ?? "";
  const basic = known.date(text);
  // What lies before 1970 is no date that a clock tells.
  if (basic !== undefined && basic >= 0) return { date: text, signedAt: basic };
  const http = readHttpDate(text);
  if (http !== undefined && http >= 0) return { date: basicDate(http), signedAt: http };
  throw new S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
}

// ── both ────────────────────────────────────────────────────────────────────────────────────────────────────────────

type Complaint = (why: string, elements?: { readonly [name: string]: string }) => S3Error;

/** Any region will do, as long as there is one. */
function checkScope(credential: Credential, complain: Complaint): void {
  if (credential.terminal !== terminal) {
    throw complain(`incorrect terminal "${credential.terminal}". This endpoint uses "${terminal}".`);
  }
  if (credential.service !== serviceName) {
    throw complain(`incorrect service "${credential.service}". This endpoint belongs to "${serviceName}".`);
  }
  if (!/^\d{8}$/.test(credential.date)) {
    throw complain(
      `incorrect date format "${credential.date}". This date in the credential must be in the format "yyyyMMdd".`,
    );
  }
  if (credential.region === "") {
    throw complain("the region '' is wrong; expecting 'us-east-1'", { Region: "us-east-1" });
  }
}

function readSignedNames(signedHeaders: string): readonly string[] {
  const names = signedHeaders.split(";");
  if (names.includes("host")) return names;
  throw new S3Error("AccessDenied", "There were headers present in the request which were not signed", {
    elements: { HeadersNotSigned: "host" },
  });
}

// ── query ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const queryNames = [
  "X-Amz-Algorithm",
  "X-Amz-Credential",
  "X-Amz-Signature",
  "X-Amz-Date",
  "X-Amz-SignedHeaders",
  "X-Amz-Expires",
] as const;

function readQueryClaim(request: S3Request): Claim {
  const [algorithmText, credentialText, signature, date, signedHeaders, expires] = queryNames.map((name) => {
    const value = request.query.get(name);
    if (value === undefined || value === "") {
      throw wrongParameters(
        "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
      );
    }
    return value;
  }) as [string, string, string, string, string, string];
  if (algorithmText === "AWS4-ECDSA-P256-SHA256") throw new S3Error("NotImplemented");
  if (algorithmText !== algorithm) {
    throw wrongParameters('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"');
  }
  const credential = readCredential(credentialText);
  if (credential === undefined) {
    throw wrongCredential(
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  }
  checkScope(credential, wrongCredential);
  const signedAt = readBasicDate(date);
  if (signedAt === undefined) {
    throw wrongParameters("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  }
  if (credential.date !== date.slice(0, 8)) {
    throw wrongCredential(
      `Invalid credential date "${credential.date}". This date is not the same as X-Amz-Date: "${date.slice(0, 8)}".`,
    );
  }
  const signedNames = readSignedNames(signedHeaders);
  return {
    form: "query",
    credential,
    credentialText,
    signedHeaders,
    signedNames,
    signature,
    date,
    signedAt,
    expiresSeconds: readExpires(expires),
    payloadHash: request.header("x-amz-content-sha256") ?? request.query.get("X-Amz-Content-Sha256") ?? unsignedPayload,
  };
}

function wrongParameters(message: string, status?: number): S3Error {
  return new S3Error("AuthorizationQueryParametersError", message, status === undefined ? {} : { status });
}

function wrongCredential(why: string, elements: { readonly [name: string]: string } = {}): S3Error {
  const message = `Error parsing the X-Amz-Credential parameter; ${why}`;
  return new S3Error("AuthorizationQueryParametersError", message, { elements });
}

/** A well-formed number that is out of range is answered 403, as other stores and their suites have it. */
function readExpires(text: string): number {
  if (!/^-?\d{1,18}$/.test(text)) throw wrongParameters("X-Amz-Expires should be a number");
  const seconds = Number(text);
  if (seconds < 0) throw wrongParameters("X-Amz-Expires must be non-negative", 403);
  const max = limits.presignedSecondsMax;
  if (seconds > max) {
    const rule = `the given X-Amz-Expires must be less than ${max} seconds`;
    throw wrongParameters(`X-Amz-Expires must be less than a week (in seconds); that is, ${rule}`, 403);
  }
  return seconds;
}
