/** x-amz-content-sha256: what the client says of its body, and thereby how the body is read. */
import { S3Error, invalidArgument } from "../protocol/error.ts";
import { emptyHash } from "./sigv4.ts";

export const unsignedPayload = "UNSIGNED-PAYLOAD";

export type PayloadKind =
  | { readonly kind: "unsigned" }
  | { readonly kind: "hash"; readonly sha256: string }
  | { readonly kind: "signed-chunks"; readonly trailer: boolean }
  | { readonly kind: "unsigned-chunks" };

const hex = /^[0-9a-f]{64}$/;
const unsigned: PayloadKind = { kind: "unsigned" };
const ofNothing: PayloadKind = { kind: "hash", sha256: emptyHash };

const message =
  "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.";

/** InvalidArgument where it is none of S3's values, NotImplemented for those of SigV4A. */
export function readPayloadHash(value: string): PayloadKind {
  switch (value) {
    case emptyHash:
      return ofNothing;
    case unsignedPayload:
      return unsigned;
    case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
      return { kind: "signed-chunks", trailer: false };
    case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
      return { kind: "signed-chunks", trailer: true };
    case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
      return { kind: "unsigned-chunks" };
    case "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD":
    case "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER":
      throw new S3Error("NotImplemented");
    default:
      return { kind: "hash", sha256: lowerHex(value) };
  }
}

function lowerHex(value: string): string {
  if (hex.test(value)) return value;
  const lower = value.toLowerCase();
  if (!hex.test(lower)) throw invalidArgument("x-amz-content-sha256", value, message);
  return lower;
}
