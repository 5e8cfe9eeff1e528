/** Who asks, as far as the signature tells, and how the body is signed. */
import type { AccessKey } from "./accounts.ts";

export type Identity =
  | { readonly kind: "anonymous" }
  /** The signature was right. */
  | { readonly kind: "user"; readonly key: AccessKey };

export const anonymous: Identity = { kind: "anonymous" };

/** The id of the account that asks; undefined for nobody. */
export function accountOf(identity: Identity): string | undefined {
  return identity.kind === "user" ? identity.key.account.id : undefined;
}

/** What the client said of its body (docs.aws.amazon.com, "Signature calculations for the authorization header"). */
export type PayloadMode =
  /** UNSIGNED-PAYLOAD, or no signature at all. */
  | { readonly kind: "unsigned" }
  /** x-amz-content-sha256 has the hash of the whole body. */
  | { readonly kind: "hash"; readonly sha256: string }
  /** aws-chunked, each chunk signed, with or without a signed trailer. */
  | { readonly kind: "signed-chunks"; readonly trailer: boolean; readonly chain: ChunkChain }
  /** aws-chunked without signatures, with a trailer. */
  | { readonly kind: "unsigned-chunks" };

/** What the signature of the first chunk builds on. */
export interface ChunkChain {
  readonly signingKey: Uint8Array;
  /** ISO 8601 basic, as in x-amz-date. */
  readonly date: string;
  readonly scope: string;
  readonly seedSignature: string;
}

export interface Authentication {
  readonly identity: Identity;
  readonly payload: PayloadMode;
  /** How it was signed, for policies (s3:authType) and the access log. */
  readonly type: "anonymous" | "header" | "query" | "form";
  /** Milliseconds since 1970 at which it was signed. */
  readonly signedAt: number | undefined;
}
