/**
 * What the gateway keeps with buckets, versions, uploads and parts: the attributes of the datastore's records, with
 * types (docs/formats/s3.md; permanent). A name that is not there says "as by default".
 */
import type { Attributes, BucketRecord, PartRecord, UploadRecord, VersionRecord } from "../../datastore/datastore.ts";
import type { ChecksumAlgorithm, Checksums, ChecksumType } from "./body/checksum.ts";

// ── buckets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export type Ownership = "BucketOwnerEnforced" | "BucketOwnerPreferred" | "ObjectWriter";

export interface PublicAccessBlock {
  readonly blockPublicAcls: boolean;
  readonly ignorePublicAcls: boolean;
  readonly blockPublicPolicy: boolean;
  readonly restrictPublicBuckets: boolean;
}

export type Permission = "FULL_CONTROL" | "READ" | "WRITE" | "READ_ACP" | "WRITE_ACP";

export type Grantee =
  | { readonly kind: "account"; readonly id: string }
  | { readonly kind: "group"; readonly uri: string };

export interface Grant {
  readonly grantee: Grantee;
  readonly permission: Permission;
}

export type Tags = { readonly [key: string]: string };

export interface CorsRule {
  readonly id?: string;
  readonly origins: readonly string[];
  readonly methods: readonly string[];
  readonly headers?: readonly string[];
  readonly expose?: readonly string[];
  readonly maxAge?: number;
}

export interface DefaultRetention {
  readonly mode: LockMode;
  readonly days?: number;
  readonly years?: number;
}

export interface BucketLock {
  readonly default?: DefaultRetention;
}

export interface BucketEncryption {
  /** Without it: what a request does not ask to encrypt lies as it is. */
  readonly algorithm?: "AES256" | "aws:kms" | "aws:kms:dsse";
  readonly keyId?: string;
  readonly bucketKey?: boolean;
  /** As it was put: whether writes under customers' keys are refused. */
  readonly blocked?: "SSE-C" | "NONE";
}

export interface BucketAttributes {
  /** The id of the account that owns it. */
  readonly owner: string;
  /** LocationConstraint as given. */
  readonly location?: string;
  readonly ownership?: Ownership;
  /** Without it: the owner has FULL_CONTROL. */
  readonly acl?: readonly Grant[];
  /** The policy's JSON text as it was put. */
  readonly policy?: string;
  readonly publicAccess?: PublicAccessBlock;
  readonly cors?: readonly CorsRule[];
  readonly tags?: Tags;
  /** Rules as lifecycle/rules.ts has them. */
  readonly lifecycle?: unknown;
  /** There where object lock is enabled. */
  readonly lock?: BucketLock;
  readonly encryption?: BucketEncryption;
}

export interface Bucket extends Omit<BucketRecord, "attributes"> {
  readonly attributes: BucketAttributes;
}

export function bucketOf(record: BucketRecord): Bucket {
  return record as unknown as Bucket;
}

// ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────

export type LockMode = "GOVERNANCE" | "COMPLIANCE";

export interface Retention {
  readonly mode: LockMode;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** How an object's bytes are encrypted; encryption/ has the meaning of each. */
export interface ObjectEncryption {
  readonly mode: "SSE-S3" | "SSE-KMS" | "SSE-KMS-DSSE" | "SSE-C";
  /** SSE-KMS: the named key. */
  readonly keyId?: string;
  /** SSE-C: MD5 of the customer's key, base64, as the client gave it. */
  readonly keyMd5?: string;
  /** The object's own key, wrapped. */
  readonly wrapped: string;
  readonly bucketKey?: boolean;
  /** SSE-KMS: the client's encryption context, base64 of JSON. */
  readonly context?: string;
}

/** What S3 calls system metadata: header name in lower case → value as given. */
export const systemHeaders = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
] as const;
export type SystemHeader = (typeof systemHeaders)[number];

export interface VersionAttributes {
  /** Without quotes. */
  readonly etag: string;
  /** Content-Type; without it, binary/octet-stream. */
  readonly type?: string;
  readonly headers?: { readonly [Name in SystemHeader]?: string };
  /** User metadata: names in lower case without x-amz-meta-, values as bytes in Latin-1. */
  readonly meta?: { readonly [name: string]: string };
  readonly class?: string;
  readonly redirect?: string;
  /** The account that owns it, where that is not the bucket's owner. */
  readonly owner?: string;
  readonly acl?: readonly Grant[];
  readonly tags?: Tags;
  readonly checksums?: Checksums;
  /** Without it: FULL_OBJECT. */
  readonly checksumType?: ChecksumType;
  /** Number of parts, of an object that was uploaded in parts. */
  readonly parts?: number;
  /** The upload that made it: a repeated CompleteMultipartUpload is answered from it. */
  readonly upload?: string;
  readonly encryption?: ObjectEncryption;
  readonly retention?: Retention;
  /** Legal hold; false where it was taken off. */
  readonly hold?: boolean;
}

export interface Version extends Omit<VersionRecord, "attributes"> {
  readonly attributes: VersionAttributes;
}

export function versionOf(record: VersionRecord): Version {
  return record as unknown as Version;
}

/** With the object's own record, because it belongs to the bytes and can be long. */
export interface ObjectAttributes {
  /** Of an object uploaded in parts. */
  readonly parts?: readonly PartSummary[];
  /** Of an encrypted object: where the key stream of each stretch of bytes begins. */
  readonly cipher?: readonly CipherStretch[];
}

export interface PartSummary {
  /** The part's number as it was uploaded. */
  readonly part: number;
  readonly size: number;
  readonly checksums?: Checksums;
}

/** `size` bytes encrypted with AES-256-CTR from this initial counter block on. */
export interface CipherStretch {
  readonly size: number;
  /** 16 bytes, base64. */
  readonly iv: string;
}

// ── uploads ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface UploadAttributes {
  /** What the version will have, but for etag, checksums and parts. */
  readonly version: Omit<VersionAttributes, "etag">;
  /** The account that began it, and who within it. */
  readonly initiator: string;
  readonly algorithm?: ChecksumAlgorithm;
  readonly checksumType?: ChecksumType;
}

export interface Upload extends Omit<UploadRecord, "attributes"> {
  readonly attributes: UploadAttributes;
}

export function uploadOf(record: UploadRecord): Upload {
  return record as unknown as Upload;
}

export interface PartAttributes {
  readonly etag: string;
  readonly checksums?: Checksums;
  /** Of an encrypted part. */
  readonly cipher?: readonly CipherStretch[];
}

export interface Part extends Omit<PartRecord, "attributes"> {
  readonly attributes: PartAttributes;
}

export function partOf(record: PartRecord): Part {
  return record as unknown as Part;
}

/** The typed attributes as the datastore takes them: they are JSON, names without value left out. */
export function plain(
  attributes: BucketAttributes | VersionAttributes | ObjectAttributes | UploadAttributes | PartAttributes,
): Attributes {
  return attributes as unknown as Attributes;
}
