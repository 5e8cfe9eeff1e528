/**
 * Who sent a request: Signature Version 4, or 2, in the Authorization header or in the query. A request without signature is nobody's, which may be enough; one with a wrong signature is refused whatever it asks for.
 *
 * Nothing here waits where the access key is known: verifying is a few microseconds on the path of every request.
 */
import { timingSafeEqual } from "node:crypto";
import * as limits from "../../../core/limits.ts";
import { S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import type { AccessKey, Accounts } from "./accounts.ts";
import { checkSkew, type Claim, readClaim } from "./claim.ts";
import { anonymous, type Authentication, type PayloadMode } from "./identity.ts";
import { KnownHeads } from "./known-heads.ts";
import { readPayloadHash } from "./payload-hash.ts";
import { type OldClaim, readOldClaim, verifyOldClaim } from "./signature-v2.ts";
import { wholeSeconds } from "./signed-dates.ts";
import { canonicalRequest, scopeOf, stringToSign } from "./sigv4.ts";
import { type SigningKey, SigningKeys } from "./signing-keys.ts";

export interface AuthenticatorOptions {
  readonly accounts: Pick<Accounts, "find">;
  readonly clockSkewMs?: number;
}

const signatureSize = 64;

export class Authenticator {
  readonly #accounts: Pick<Accounts, "find">;
  readonly #clockSkewMs: number;
  readonly #keys = new SigningKeys();
  readonly #heads = new KnownHeads();
  readonly #expected = Buffer.alloc(signatureSize);
  readonly #provided = Buffer.alloc(signatureSize);

  constructor({ accounts, clockSkewMs = limits.signatureClockSkewMs }: AuthenticatorOptions) {
    this.#accounts = accounts;
    this.#clockSkewMs = clockSkewMs;
  }

  /** Throws (or rejects with) an S3Error where the signature is wrong. `now`: milliseconds since 1970. */
  authenticate(request: S3Request, now: number): Authentication | Promise<Authentication> {
    const old = readOldClaim(request);
    if (old !== undefined) return this.#authenticateOld(request, old, now);
    const claim = readClaim(request, this.#heads);
    if (claim === undefined) return unauthenticated(request);
    checkToken(request);
    checkTime(claim, now, this.#clockSkewMs);
    const key = this.#accounts.find(claim.credential.accessKey);
    if (key instanceof Promise) return key.then((found) => this.#verify(request, claim, found));
    return this.#verify(request, claim, key);
  }

  #authenticateOld(request: S3Request, claim: OldClaim, now: number): Authentication | Promise<Authentication> {
    checkToken(request);
    const key = this.#accounts.find(claim.accessKey);
    const time = { now, clockSkewMs: this.#clockSkewMs };
    if (key instanceof Promise) return key.then((found) => verifyOldClaim(request, claim, found, time));
    return verifyOldClaim(request, claim, key, time);
  }

  /** In constant time. */
  #isSame(expected: string, provided: string): boolean {
    if (provided.length !== signatureSize || expected.length !== signatureSize) return false;
    this.#expected.write(expected, "latin1");
    this.#provided.write(provided, "latin1");
    return timingSafeEqual(this.#expected, this.#provided);
  }

  #verify(request: S3Request, claim: Claim, key: AccessKey | undefined): Authentication {
    if (key === undefined) throw unknownKey(claim.credential.accessKey);
    checkAllSigned(request, claim.signedNames);
    const payload = readPayloadHash(claim.payloadHash);
    const signingKey = this.#keys.find(claim.credentialText, claim.credential, key);
    const canonical = canonicalRequest(request, claim, claim.payloadHash);
    const scope = scopeOf(claim.credential);
    const text = stringToSign(claim.date, scope, canonical);
    if (!this.#isSame(signingKey.hmac.sign(text), claim.signature)) throw mismatch(claim, text, canonical);
    return {
      identity: { kind: "user", key },
      payload: payload.kind === "signed-chunks" ? chunked(payload.trailer, claim, scope, signingKey) : payload,
      type: claim.form,
      signedAt: claim.signedAt,
    };
  }
}

function chunked(trailer: boolean, claim: Claim, scope: string, key: SigningKey): PayloadMode {
  const chain = { signingKey: key.bytes, date: claim.date, scope, seedSignature: claim.signature };
  return { kind: "signed-chunks", trailer, chain };
}

/** A body that says how it is hashed is held to it, signed or not. */
function unauthenticated(request: S3Request): Authentication {
  const hash = request.header("x-amz-content-sha256");
  const payload = hash === undefined ? ({ kind: "unsigned" } as const) : readPayloadHash(hash);
  if (payload.kind === "signed-chunks") {
    throw new S3Error("InvalidRequest", "A request whose chunks are signed must be signed itself");
  }
  return { identity: anonymous, payload, type: "anonymous", signedAt: undefined };
}

/** Temporary credentials: there are none here. */
function checkToken(request: S3Request): void {
  const token = request.header("x-amz-security-token") ?? request.query.get("X-Amz-Security-Token");
  if (token === undefined || token === "") return;
  throw new S3Error("InvalidToken", undefined, { elements: { "Token-0": token } });
}

function checkTime(claim: Claim, now: number, clockSkewMs: number): void {
  const { signedAt, expiresSeconds } = claim;
  if (expiresSeconds === undefined) return checkSkew(signedAt, claim.date, now, clockSkewMs);
  if (signedAt - now > clockSkewMs) {
    const elements = { "X-Amz-Date": claim.date, ServerTime: wholeSeconds(now) };
    throw new S3Error("AccessDenied", "Request is not valid yet", { elements });
  }
  const expires = signedAt + expiresSeconds * 1_000;
  if (now < expires) return;
  const elements = {
    "X-Amz-Expires": String(expiresSeconds),
    Expires: wholeSeconds(expires),
    ServerTime: wholeSeconds(now),
  };
  throw new S3Error("AccessDenied", "Request has expired", { elements });
}

/**
 * What S3 acts on must be signed: every x-amz- header that was sent. The hash of the body is exempt, being in the
 * canonical request by itself.
 */
function checkAllSigned(request: S3Request, signedNames: readonly string[]): void {
  const unsigned: string[] = [];
  for (const name in request.http.headers) {
    if (!name.startsWith("x-amz-") || name === "x-amz-content-sha256") continue;
    if (!signedNames.includes(name)) unsigned.push(name);
  }
  if (unsigned.length === 0) return;
  throw new S3Error("AccessDenied", "There were headers present in the request which were not signed", {
    elements: { HeadersNotSigned: unsigned.join(", ") },
  });
}

function unknownKey(accessKey: string): S3Error {
  return new S3Error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", {
    elements: { AWSAccessKeyId: accessKey },
  });
}

function mismatch(claim: Claim, text: string, canonical: string): S3Error {
  const elements = {
    AWSAccessKeyId: claim.credential.accessKey,
    StringToSign: text,
    SignatureProvided: claim.signature,
    StringToSignBytes: spacedHex(text),
    CanonicalRequest: canonical,
    CanonicalRequestBytes: spacedHex(canonical),
  };
  const message =
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
  return new S3Error("SignatureDoesNotMatch", message, { elements });
}

function spacedHex(text: string): string {
  return Buffer.from(text, "latin1")
    .toString("hex")
    .replace(/..(?!$)/g, "$& ");
}
