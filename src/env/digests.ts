/**
 * Digests of bytes that arrive piece by piece. MD5 is the slowest thing that happens to a large object, so that whoever
 * plugs this in may make it somewhere else than on the thread that receives (node-digests.ts does).
 */
export type DigestAlgorithm = "md5" | "sha1" | "sha256" | "crc32" | "crc32c" | "crc64nvme";

export interface Digests {
  /** `sizeHint`: how many bytes will come, where that is known; it decides where they are hashed, not what comes out. */
  open(algorithms: readonly DigestAlgorithm[], sizeHint: number | undefined): Digest;
  /** A CRC is big-endian: 4 bytes, or 8. */
  once(algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array;
  close(): Promise<void>;
}

/** One body under several algorithms. Either `finish` or `abort` is called, once; after that nothing. */
export interface Digest {
  /** The bytes may be changed when it returns; where it returns a promise, the next ones are given when that resolves. */
  update(bytes: Uint8Array): void | Promise<void>;
  /** UNAVAILABLE where the thread that made them has ended. */
  finish(): Promise<ReadonlyMap<DigestAlgorithm, Uint8Array>>;
  abort(): void;
}
