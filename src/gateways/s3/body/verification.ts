/** What was computed of a body, held against what its client said of it. */
import type { DigestAlgorithm } from "../../../env/digests.ts";
import { S3Error } from "../protocol/error.ts";
import { type Checksums, digestOf } from "./checksum.ts";
import type { Expectations, ExpectedChecksum } from "./expectations.ts";
import type { ReceivedBody, Wanted } from "./request-body.ts";

/** What has to be computed to know. */
export function neededDigests(expected: Expectations, wanted: Wanted): readonly DigestAlgorithm[] {
  const needed: DigestAlgorithm[] = [];
  if (wanted.md5 || expected.md5 !== undefined) needed.push("md5");
  if (expected.sha256 !== undefined) needed.push("sha256");
  const algorithm = expected.checksum?.algorithm ?? wanted.algorithm;
  if (algorithm === undefined) return needed;
  const digest = digestOf(algorithm);
  if (!needed.includes(digest)) needed.push(digest);
  return needed;
}

const noChecksums: Checksums = {};

/** Throws where something is not as the client said. `checksum`: with its value, wherever that came from. */
export function verified(
  size: number,
  digests: ReadonlyMap<DigestAlgorithm, Uint8Array>,
  expected: Expectations,
  checksum: ExpectedChecksum | undefined,
  wanted: Wanted,
): ReceivedBody {
  const md5 = digests.get("md5");
  if (expected.sha256 !== undefined) checkSha256(expected.sha256, text(digests.get("sha256")!, "hex"));
  if (expected.md5 !== undefined) checkMd5(expected.md5, text(md5!, "base64"));
  const algorithm = checksum?.algorithm ?? wanted.algorithm;
  if (algorithm === undefined) return { size, md5, checksums: noChecksums };
  const value = text(digests.get(digestOf(algorithm))!, "base64");
  if (checksum !== undefined && checksum.value !== value) {
    throw new S3Error("BadDigest", `The ${algorithm} you specified did not match the calculated checksum.`);
  }
  return { size, md5, checksums: { [algorithm]: value } };
}

function checkSha256(expected: string, computed: string): void {
  if (expected === computed) return;
  throw new S3Error("XAmzContentSHA256Mismatch", undefined, {
    elements: { ClientComputedContentSHA256: expected, S3ComputedContentSHA256: computed },
  });
}

function checkMd5(expected: string, computed: string): void {
  if (expected === computed) return;
  throw new S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.", {
    elements: { ExpectedDigest: expected, CalculatedDigest: computed },
  });
}

function text(bytes: Uint8Array, encoding: "hex" | "base64"): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(encoding);
}
