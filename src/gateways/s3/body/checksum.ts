/** The checksums that S3 knows beside MD5 (docs.aws.amazon.com, "Checking object integrity"). */
import type { DigestAlgorithm } from "../../../env/digests.ts";

export const checksumAlgorithms = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] as const;
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number];

/** Base64, by algorithm; of composite ones with `-N` behind. */
export type Checksums = { readonly [Name in ChecksumAlgorithm]?: string };

export type ChecksumType = "FULL_OBJECT" | "COMPOSITE";

/** Bytes of each. */
export const checksumSizes: { readonly [Name in ChecksumAlgorithm]: number } = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
};

export function digestOf(algorithm: ChecksumAlgorithm): DigestAlgorithm {
  return algorithm.toLowerCase() as DigestAlgorithm;
}

/** `x-amz-checksum-crc32` and its like. */
export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** `ChecksumCRC32` and its like, the name of the element. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm}`;
}
