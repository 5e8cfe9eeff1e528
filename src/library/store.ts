/**
 * The store as a library has it: what `openStore` gives. Objects are what S3 would have stored (same ETags, metadata,
 * tags, versions), so that a directory that was written here can be served by `data-putter router`, and the other way
 * round; by one of them at a time.
 *
 * Absence is `undefined`. What goes wrong is a StoreError: INVALID (a name, an option), NOT_FOUND (the bucket; the source
 * of a copy), CONFLICT (a condition did not hold, a bucket exists or is not empty, object lock protects a version),
 * ABORTED (`signal`, or the store was closed), NO_SPACE, BUSY, DAMAGED (stored bytes do not verify), UNAVAILABLE (the disk),
 * INCOMPATIBLE and WRONG_KEY at opening.
 */
import type { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";

/** A string is stored as UTF-8. Bytes must not be changed before `put` resolves. */
export type Body = string | Uint8Array | ReadableStream<Uint8Array> | Readable | AsyncIterable<Uint8Array | string>;

export type Versioning = "off" | "enabled" | "suspended";

export interface BucketInfo {
  readonly name: string;
  readonly createdAt: Date;
  readonly versioning: Versioning;
}

export type ChecksumAlgorithm = "CRC32" | "CRC32C" | "CRC64NVME" | "SHA1" | "SHA256";

/** What is kept with an object beside its bytes. */
export interface Description {
  /** Content-Type; `binary/octet-stream` where nothing was said. */
  readonly contentType?: string;
  readonly cacheControl?: string;
  readonly contentDisposition?: string;
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  /** The Expires header as a text; nothing expires by it. */
  readonly expires?: string;
  /** x-amz-meta-*: names of letters, digits and hyphens, which are kept in lower case; 2 KB in all. */
  readonly metadata?: { readonly [name: string]: string };
  /** At most ten. */
  readonly tags?: { readonly [name: string]: string };
}

export interface WriteConditions {
  /** `"*"`: only where there is no object under this key. */
  readonly ifNoneMatch?: "*";
  /** Only over the object with this ETag, or over any for `"*"`. */
  readonly ifMatch?: string;
}

export interface PutOptions extends Description, WriteConditions {
  /** Computes a checksum beside the MD5 and keeps it with the object. */
  readonly checksum?: ChecksumAlgorithm;
  /** Ends the write; nothing of it stays. */
  readonly signal?: AbortSignal;
}

export interface PutResult {
  /** Without quotes: MD5 in hex, but for objects that are encrypted under a named key. */
  readonly etag: string;
  /** undefined while the bucket keeps no versions. */
  readonly versionId: string | undefined;
  readonly size: number;
}

export interface HeadOptions {
  readonly versionId?: string;
  /** CONFLICT where its ETag is another one. */
  readonly ifMatch?: string;
}

export interface GetOptions extends HeadOptions {
  /** `length` bytes from `offset` on, or what there is of them; `suffix`: the last ones. INVALID where `offset` is beyond the end. */
  readonly range?: { readonly offset: number; readonly length?: number } | { readonly suffix: number };
  /** Ends the reading of the body. */
  readonly signal?: AbortSignal;
}

export interface ObjectInfo extends Description {
  readonly key: string;
  /** Of the whole object. */
  readonly size: number;
  readonly etag: string;
  readonly lastModified: Date;
  readonly versionId: string | undefined;
  readonly contentType: string;
  readonly metadata: { readonly [name: string]: string };
  readonly tags: { readonly [name: string]: string };
  /** In base64; of some objects that were uploaded in parts, with the number of parts behind. */
  readonly checksums: { readonly [Name in ChecksumAlgorithm]?: string };
}

export interface StoredObject extends ObjectInfo {
  readonly body: ObjectBody;
}

/**
 * The bytes of an object, or of the asked range of it, each verified before it is handed out. They can be read once, in one
 * of these ways. Nothing has to be closed: who stops reading holds no buffer and no lock.
 *
 * A body that is not read at once is of the object as it was at `get`. Where that object is overwritten and its space given
 * back before it was read, reading rejects with CONFLICT; objects of up to 64 KB are read by `get` itself.
 */
export interface ObjectBody extends AsyncIterable<Uint8Array> {
  /** Bytes that will come. */
  readonly size: number;
  /** A web stream; it reads ahead nothing. */
  stream(): ReadableStream<Uint8Array>;
  /** A Node stream. */
  node(): Readable;
  bytes(): Promise<Uint8Array>;
  /** As UTF-8. */
  text(): Promise<string>;
  json(): Promise<unknown>;
}

export interface ListOptions {
  readonly prefix?: string;
  /** Keys that share the text from `prefix` up to and with the next delimiter are listed as one common prefix. */
  readonly delimiter?: string;
  /** Only what sorts after this; keys are in order of their UTF-8 bytes. */
  readonly startAfter?: string;
}

export type ListEntry =
  | {
      readonly kind: "object";
      readonly key: string;
      readonly size: number;
      readonly etag: string;
      readonly lastModified: Date;
    }
  | { readonly kind: "prefix"; readonly prefix: string };

export type VersionEntry =
  | {
      readonly kind: "version";
      readonly key: string;
      readonly versionId: string;
      /** Whether it is what `get` gives. */
      readonly latest: boolean;
      readonly size: number;
      readonly etag: string;
      readonly lastModified: Date;
    }
  | {
      readonly kind: "delete-marker";
      readonly key: string;
      readonly versionId: string;
      readonly latest: boolean;
      readonly lastModified: Date;
    }
  | { readonly kind: "prefix"; readonly prefix: string };

export interface DeleteOptions {
  /** Removes this version for good. Without it a bucket that keeps versions gets a delete marker. */
  readonly versionId?: string;
  /** Only the object with this ETag, or any for `"*"`; not together with `versionId`. */
  readonly ifMatch?: string;
  /** Also what is retained in governance mode. */
  readonly bypassGovernance?: boolean;
}

export interface DeleteResult {
  readonly key: string;
  /** Of what was removed, or of the delete marker that was made. */
  readonly versionId: string | undefined;
  readonly deleteMarker: boolean;
}

export type DeleteOutcome = DeleteResult | { readonly key: string; readonly error: Error };

export interface CopySource {
  readonly bucket: string;
  readonly key: string;
  readonly versionId?: string;
}

export interface CopyOptions extends WriteConditions {
  /** In the place of what the source has. */
  readonly replace?: Omit<Description, "tags">;
  readonly replaceTags?: { readonly [name: string]: string };
}

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Store extends AsyncDisposable {
  /** Absolute. */
  readonly root: string;

  /** CONFLICT where it exists. It belongs to root's account. */
  createBucket(name: string, options?: { readonly versioning?: boolean }): Promise<void>;
  /** False where there is none, CONFLICT where it holds objects, versions or delete markers. */
  deleteBucket(name: string): Promise<boolean>;
  /** By name. */
  listBuckets(): Promise<BucketInfo[]>;
  bucket(name: string): Promise<BucketInfo | undefined>;
  setVersioning(bucket: string, state: "enabled" | "suspended"): Promise<void>;

  /** Resolves when the object is on disk and everybody sees it; where it rejects, nothing of it is there. */
  put(bucket: string, key: string, body: Body, options?: PutOptions): Promise<PutResult>;
  get(bucket: string, key: string, options?: GetOptions): Promise<StoredObject | undefined>;
  head(bucket: string, key: string, options?: HeadOptions): Promise<ObjectInfo | undefined>;
  /** No bytes move. NOT_FOUND where there is no source. */
  copy(source: CopySource, bucket: string, key: string, options?: CopyOptions): Promise<PutResult>;
  /** To delete what is not there is no error. */
  delete(bucket: string, key: string, options?: DeleteOptions): Promise<DeleteResult>;
  /** Each has its own outcome, in the same order. They share syncs: much faster than one after the other. */
  deleteMany(
    bucket: string,
    objects: Iterable<string | { readonly key: string; readonly versionId?: string }>,
    options?: { readonly bypassGovernance?: boolean },
  ): Promise<DeleteOutcome[]>;

  /** In order of key. Pages are fetched as they are needed; what is written meanwhile may or may not be there. */
  list(bucket: string, options?: ListOptions): AsyncIterable<ListEntry>;
  /** All versions and delete markers, newest first within a key. */
  versions(bucket: string, options?: ListOptions): AsyncIterable<VersionEntry>;

  /** Root's access key, for a server over this directory: made when the directory was. */
  credentials(): Promise<Credentials>;
  /** Lets what is under way come to its end, then lets go of the directory. */
  close(): Promise<void>;
}
