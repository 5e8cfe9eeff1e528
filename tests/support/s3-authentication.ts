/** Requests that are signed, presigned or changed afterwards, and what the authenticator says to them: for its tests. */
import { Authenticator } from "../../src/gateways/s3/auth/authenticate.ts";
import type { Authentication } from "../../src/gateways/s3/auth/identity.ts";
import { S3Error } from "../../src/gateways/s3/protocol/error.ts";
import type { S3Request } from "../../src/gateways/s3/protocol/request.ts";
import { accessKeyOf, rawRequest, receivedRequest } from "./s3-request.ts";
import { type PlainRequest, presign, signHeader } from "./s3-signer.ts";

export const keys = { accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
export const known = accessKeyOf(keys.accessKey, keys.secretKey);
export const authenticator = new Authenticator({
  accounts: { find: (name) => (name === known.accessKey ? known : undefined) },
});
export const now = Date.UTC(2013, 4, 24);
export const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export function authenticate(request: S3Request, at = now): Authentication {
  return authenticator.authenticate(request, at) as Authentication;
}

export function refusal(request: S3Request | (() => S3Request), at = now): S3Error {
  try {
    authenticate(typeof request === "function" ? request() : request, at);
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
  throw new Error("it was taken");
}

export function authorization(signedHeaders: string, signature: string): string {
  return `AWS4-HMAC-SHA256 Credential=${keys.accessKey}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${signedHeaders},Signature=${signature}`;
}

export const origin = "http://127.0.0.1:9000";

export function signed(plain: Partial<PlainRequest> = {}, signer = keys): S3Request {
  return receivedRequest(signHeader(signer, { method: "GET", url: `${origin}/b/k`, now, ...plain }));
}

export function presigned(
  plain: Partial<PlainRequest> = {},
  expires: number | string = 300,
  change = (url: string) => url,
): S3Request {
  const url = change(presign(keys, { method: "GET", url: `${origin}/b/k`, now, ...plain }, expires));
  return receivedRequest({ method: plain.method ?? "GET", url, headers: { ...plain.headers } });
}

/** A signed request with headers changed afterwards. */
export function changed(
  headers: { readonly [name: string]: string | undefined },
  plain: Partial<PlainRequest> = {},
): S3Request {
  const request = signHeader(keys, { method: "GET", url: `${origin}/b/k`, now, ...plain });
  const all = { host: "127.0.0.1:9000", ...request.headers, ...headers };
  const there = Object.entries(all).filter(([, value]) => value !== undefined);
  return rawRequest({ target: "/b/k", headers: Object.fromEntries(there) });
}
