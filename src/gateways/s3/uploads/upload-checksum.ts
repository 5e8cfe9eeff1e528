/**
 * Which checksum an upload in parts has (docs.aws.amazon.com, "Checking object integrity": full object and composite),
 * and how it comes from those of its parts.
 */
import type { Digests } from "../../../env/digests.ts";
import {
  type ChecksumAlgorithm,
  checksumAlgorithms,
  type Checksums,
  type ChecksumType,
  digestOf,
} from "../body/checksum.ts";
import { combineCrcs, type CrcAlgorithm } from "../body/crc-combine.ts";
import type { UploadAttributes } from "../model.ts";
import { S3Error } from "../protocol/error.ts";

export interface UploadChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
}

type HeaderOf = (name: string) => string | undefined;

/** From x-amz-checksum-algorithm and x-amz-checksum-type of CreateMultipartUpload. */
export function uploadChecksum(header: HeaderOf): UploadChecksum | undefined {
  const named = header("x-amz-checksum-algorithm")?.toUpperCase();
  const type = header("x-amz-checksum-type")?.toUpperCase();
  if (named === undefined) {
    if (type === undefined) return undefined;
    throw invalid("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.");
  }
  const algorithm = checksumAlgorithms.find((each) => each === named);
  if (algorithm === undefined) {
    throw invalid(
      `Checksum algorithm provided is unsupported. Please try again with any of the valid types: [${checksumAlgorithms.join(", ")}]`,
    );
  }
  if (type === undefined) return { algorithm, type: algorithm === "CRC64NVME" ? "FULL_OBJECT" : "COMPOSITE" };
  if (type !== "COMPOSITE" && type !== "FULL_OBJECT") throw invalid("Value for x-amz-checksum-type header is invalid.");
  const isPossible = type === "COMPOSITE" ? algorithm !== "CRC64NVME" : algorithm.startsWith("CRC");
  if (!isPossible) {
    throw invalid(`The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`);
  }
  return { algorithm, type };
}

/** A part comes with no other checksum than the upload was begun with; with that one where a composite is made of them. */
export function checkPartAlgorithm(
  { algorithm, checksumType }: UploadAttributes,
  given: ChecksumAlgorithm | undefined,
): void {
  if (algorithm === undefined || given === algorithm) return;
  if (given === undefined && checksumType === "FULL_OBJECT") return;
  const actual = given?.toLowerCase() ?? "null";
  const names = `expected checksum Type: ${algorithm.toLowerCase()}, actual checksum Type: ${actual}`;
  throw invalid(`Checksum Type mismatch occurred, ${names}`);
}

/** The whole object's; undefined where a part has none. */
export function combinedChecksums(
  digests: Digests,
  { algorithm, type }: UploadChecksum,
  parts: readonly { readonly size: number; readonly checksums: Checksums | undefined }[],
): Checksums | undefined {
  const sums: { size: number; sum: Uint8Array }[] = [];
  for (const { size, checksums } of parts) {
    const text = checksums?.[algorithm];
    if (text === undefined) return undefined;
    sums.push({ size, sum: Buffer.from(text, "base64") });
  }
  if (type === "COMPOSITE") {
    const bytes = digests.once(digestOf(algorithm), Buffer.concat(sums.map(({ sum }) => sum)));
    return { [algorithm]: `${Buffer.from(bytes).toString("base64")}-${parts.length}` };
  }
  const whole = combineCrcs(
    digestOf(algorithm) as CrcAlgorithm,
    sums.map(({ size, sum }) => ({ size, crc: sum })),
  );
  return { [algorithm]: Buffer.from(whole).toString("base64") };
}

function invalid(message: string): S3Error {
  return new S3Error("InvalidRequest", message);
}
