/**
 * The body of a request as an operation gets it: decoded (aws-chunked), verified (payload signature, Content-MD5,
 * checksums in headers or trailers). What does not verify rejects before the operation can make anything visible.
 */
import type { ChecksumAlgorithm, Checksums } from "./checksum.ts";

export interface RequestBody {
  /** Bytes of the decoded body; undefined where the client does not say. */
  readonly size: number | undefined;
  /** The checksum that the client names for this body (x-amz-sdk-checksum-algorithm, x-amz-checksum-*, x-amz-trailer). */
  readonly algorithm: ChecksumAlgorithm | undefined;
  /** All of it, verified. `MaxMessageLengthExceeded` beyond `sizeMax`. */
  collect(sizeMax: number): Promise<Uint8Array>;
  /** As `collect`, with what was computed on the way. For small objects: no promise but one per body. */
  receive(sizeMax: number, wanted: Wanted): Promise<ReceivedBody & { readonly bytes: Uint8Array }>;
  /**
   * Piece by piece; where `take` returns a promise the client waits. Resolves at the end, when all that was promised of
   * the body has been verified: only then may it be committed. A piece is valid during the call and its promise.
   */
  stream(take: (piece: Uint8Array) => void | Promise<void>, wanted: Wanted): Promise<ReceivedBody>;
}

/** What is to be computed of the body, beside what has to be verified anyway. */
export interface Wanted {
  /** For the ETag. */
  readonly md5: boolean;
  /** Which checksum to compute where the client names none. */
  readonly algorithm?: ChecksumAlgorithm | undefined;
}

export interface ReceivedBody {
  readonly size: number;
  /** 16 bytes, where wanted. */
  readonly md5: Uint8Array | undefined;
  /** The checksums of this body that were verified or wanted. */
  readonly checksums: Checksums;
}
