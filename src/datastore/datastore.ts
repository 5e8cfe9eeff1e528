/**
 * What the store remembers: files, versions, objects, runs, uploads, leases, volumes.
 *
 * Operations, not key-value calls: each is one atomic, durable step. A promise that resolves means that the change is
 * on disk (or, where durability was given up by choice, handed to the system). Two implementations, embedded and Redis,
 * pass the one contract in datastore.contract.ts. Putters never see any of this.
 *
 * Errors are StoreErrors: NOT_FOUND (bucket, upload, version named does not exist), CONFLICT (a condition did not hold,
 * a bucket is not empty, …), INVALID, UNAVAILABLE (the store does not answer; the change may or may not have been made,
 * wholly, and repeating the operation with the same ObjectID is safe), NO_SPACE (ids or disk), INCOMPATIBLE at opening.
 *
 * Times are milliseconds since 1970 and come in as arguments. Names are compared by their UTF-8 bytes.
 */
import type { ObjectId, TicketId } from "../core/ids.ts";
import type { Run } from "../core/run.ts";
import type { SnapshotStatus } from "./history.ts";
import type { RecordsChecked } from "./transaction.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type Attributes = { readonly [name: string]: Json };

// ── objects ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Where an object's bytes are: in runs of its own, or in other objects, one after the other (multipart). */
export type Content =
  | { readonly kind: "runs"; readonly runs: readonly Run[] }
  | { readonly kind: "parts"; readonly parts: readonly { readonly object: ObjectId; readonly size: number }[] };

/** The state of an object. Only saved ones can be read. */
export type ObjectRecord = WritingObject | SavedObject | FailedObject;

interface ObjectBase {
  readonly id: ObjectId;
  readonly createdAt: number;
  /** Tickets cut so far, and tickets durable on disk so far. */
  readonly ticketCount: number;
  readonly writeCount: number;
}

export interface WritingObject extends ObjectBase {
  readonly status: "writing";
  /** The router that writes it; see `closeRouter`. */
  readonly router: string;
}

export interface SavedObject extends ObjectBase {
  readonly status: "saved";
  readonly size: number;
  readonly content: Content;
  /** Versions, parts and composed objects that refer to it; plus one while it stands for itself (`standalone`). */
  readonly references: number;
  /** Stored over a byte stream: it has no file and is listed and removed by its id. */
  readonly standalone: boolean;
  /** What a gateway wants to keep with the bytes: etag, checksums. */
  readonly attributes: Attributes;
}

export interface FailedObject extends ObjectBase {
  readonly status: "error";
  readonly reason: string;
}

// ── buckets, files, versions ────────────────────────────────────────────────────────────────────────────────────────

export type Versioning = "off" | "enabled" | "suspended";

export interface BucketRecord {
  readonly name: string;
  readonly createdAt: number;
  readonly versioning: Versioning;
  readonly attributes: Attributes;
}

export interface BucketChange {
  readonly versioning?: Versioning;
  readonly attributes?: Attributes;
  /** The attributes that the change was made from. */
  readonly expected?: Attributes;
}

/** The version id of what was written while versioning was off or suspended. */
export const nullVersion = "null";

export interface VersionRecord {
  readonly key: string;
  /** `nullVersion`, or an opaque id; later versions of a file have ids that sort first. */
  readonly version: string;
  readonly createdAt: number;
  /** undefined: a delete marker. */
  readonly object: ObjectId | undefined;
  /** 0 for a delete marker. */
  readonly size: number;
  readonly attributes: Attributes;
  /** Whether it is the newest of its file. */
  readonly latest: boolean;
}

/** What must hold of the file's newest version (a delete marker counts as absent) for a write to happen, atomically. */
export type Condition =
  | { readonly kind: "absent" }
  /** There is a newest version; NOT_FOUND where there is none. */
  | { readonly kind: "present" }
  /** The newest version refers to this object; NOT_FOUND where there is none. */
  | { readonly kind: "object"; readonly object: ObjectId }
  /** The attribute `name` of the newest version equals `value`; NOT_FOUND where there is no version. */
  | { readonly kind: "attribute"; readonly name: string; readonly value: Json };

/** What a saved object becomes. */
export type Target =
  | { readonly kind: "standalone" }
  | FileTarget
  | { readonly kind: "part"; readonly upload: string; readonly part: number; readonly attributes: Attributes };

export interface FileTarget {
  readonly kind: "file";
  readonly bucket: string;
  readonly key: string;
  readonly attributes: Attributes;
  readonly condition?: Condition;
}

export interface NewObject {
  readonly id: ObjectId;
  readonly size: number;
  readonly runs: readonly Run[];
  readonly attributes: Attributes;
}

export interface ListRequest {
  readonly bucket: string;
  readonly prefix: string;
  /** Names that share the text from `prefix` up to and with the first delimiter after it are one common prefix. */
  readonly delimiter: string | undefined;
  /**
   * Only keys and common prefixes that sort after this. A common prefix that it begins with was passed, with all that
   * is in it.
   */
  readonly after: string | undefined;
  /** Files and common prefixes together; 1 to `pageSizeMax`. */
  readonly limit: number;
}

export interface Page<Item> {
  /** In order of key (UTF-8 bytes). */
  readonly items: readonly Item[];
  readonly prefixes: readonly string[];
  /** Whether more follows; the next page starts after the last item or prefix, whichever sorts last. */
  readonly more: boolean;
}

export interface VersionsRequest extends Omit<ListRequest, "after"> {
  /** With a version: after this version of this key; without: after all versions of this key or common prefix. */
  readonly after: { readonly key: string; readonly version: string | undefined } | undefined;
}

// ── multipart ───────────────────────────────────────────────────────────────────────────────────────────────────────

export interface UploadRecord {
  readonly upload: string;
  readonly bucket: string;
  readonly key: string;
  readonly createdAt: number;
  readonly attributes: Attributes;
}

export interface PartRecord {
  readonly part: number;
  readonly object: ObjectId;
  readonly size: number;
  readonly createdAt: number;
  readonly attributes: Attributes;
}

// ── leases and volumes ──────────────────────────────────────────────────────────────────────────────────────────────

/** A range of ids that one router alone may hand out. */
export interface Lease<Id> {
  readonly first: Id;
  readonly count: number;
}

/** A volume at `placementDepth`: a range of TicketIDs whose tickets lie on one putter. */
export interface VolumeRecord {
  readonly volume: number;
  readonly putter: string;
  /** No further lease will be given in it. */
  readonly sealed: boolean;
  /** Open leases in it. A volume without any that is sealed never changes, but for what is deleted. */
  readonly leases: number;
  /** Tickets leased from its start on, whether used or not. */
  readonly leasedCount: number;
  /** Tickets that saved objects refer to. */
  readonly liveCount: number;
  /** leasedCount − liveCount at the time it was last reclaimed: so many dead ones cost nothing any more. */
  readonly reclaimedCount: number;
}

/** Records of gateways by name: who may ask, and keys that data is sealed with. */
export type Registry = "account" | "access-key" | "encryption-key";

export interface RegistryEntry {
  readonly name: string;
  readonly attributes: Attributes;
}

export interface EntryChange {
  readonly registry: Registry;
  readonly name: string;
  /** undefined removes it. */
  readonly attributes: Attributes | undefined;
  /** What must be there; null: nothing. Without it: whatever is there. */
  readonly expected?: Attributes | null;
}

export interface Counters {
  readonly buckets: number;
  /** Saved objects, with and without runs of their own, and the bytes of those with: each stored byte counts once. */
  readonly objects: number;
  readonly bytes: number;
  readonly uploads: number;
}

/** Reads of what is at hand: as the operations of the same names, which wait for nothing else. */
export interface ReadsNow {
  getBucket(name: string): BucketRecord | undefined;
  getVersion(bucket: string, key: string, version?: string): VersionRecord | undefined;
  getObject(id: ObjectId): ObjectRecord | undefined;
}

export interface Datastore {
  /** For the banner: kind, place, and whether a resolved promise is on disk. */
  readonly description: string;
  /** Why a resolved commit might still be lost in a power cut; undefined where it cannot. */
  readonly durabilityGap: string | undefined;
  /** What there is to restore it from; undefined where that is not this program's business. */
  snapshots?(): Promise<SnapshotStatus | undefined>;
  /** Reads so many records from `from` on, in the order of the store, and says which are not what was written. */
  checkRecords?(from: string, limit: number): Promise<RecordsChecked>;
  /** Finishes what is under way and lets go of everything. */
  close(): Promise<void>;

  /** Not there where reads have to be waited for. */
  readonly now?: ReadsNow | undefined;

  // Leases. `router` names a router across restarts.

  /** Leases the next `count` ObjectIDs. */
  leaseObjects(router: string, count: number): Promise<Lease<ObjectId>>;
  /**
   * Leases up to `count` TicketIDs of the putter's open volume, or of a new volume where it has none. The lease lies in
   * one volume and ends at a group boundary or the volume's end; it can be a little shorter or longer than asked.
   */
  leaseTickets(router: string, putter: string, count: number): Promise<Lease<TicketId>>;
  /** Ends a lease of which ids before `next` were handed out. The rest goes back if nothing was leased after it. */
  releaseObjects(router: string, lease: Lease<ObjectId>, next: ObjectId): Promise<void>;
  releaseTickets(router: string, lease: Lease<TicketId>, next: TicketId): Promise<void>;
  /** No further lease in this volume. */
  sealVolume(volume: number): Promise<void>;
  /**
   * What a router calls when it starts: ends all its leases (their ids are never handed out again) and turns its
   * unfinished objects into failed ones. Returns how many objects that were.
   */
  closeRouter(router: string): Promise<number>;

  // Objects.

  /** Creates or updates the record of an object that is being written. May be lost in a crash; never delays a commit. */
  noteProgress(progress: WritingObject): Promise<void>;
  /** The write came to nothing. Does nothing to an object that is saved. */
  failObject(id: ObjectId, reason: string, now: number): Promise<void>;
  /**
   * The commit of a write: the object is saved and becomes what `target` says, in one step. What it replaces (the null
   * version, an earlier part) is released. Idempotent for the same ObjectID.
   */
  saveObject(object: NewObject, target: Target, now: number): Promise<VersionRecord | undefined>;
  getObject(id: ObjectId): Promise<ObjectRecord | undefined>;
  /** Objects in order of id, after `after`. */
  listObjects(after: ObjectId | undefined, limit: number): Promise<ObjectRecord[]>;
  /**
   * Lets go of a standalone object, or forgets a failed one. False if there is none; CONFLICT if it is not standalone
   * (a file refers to it) or is being written.
   */
  removeObject(id: ObjectId): Promise<boolean>;

  // Buckets.

  /** CONFLICT where it exists. */
  createBucket(name: string, attributes: Attributes, now: number): Promise<BucketRecord>;
  /** While the bucket does not change, the very same object (frozen), so that what follows from it can be kept by it. */
  getBucket(name: string): Promise<BucketRecord | undefined>;
  listBuckets(): Promise<BucketRecord[]>;
  /**
   * CONFLICT where versioning was enabled once and is to be off: it can only be suspended; or where its attributes are
   * not `expected` any more.
   */
  updateBucket(name: string, change: BucketChange): Promise<BucketRecord>;
  /** CONFLICT where it holds a version, a delete marker or an unfinished upload. */
  deleteBucket(name: string): Promise<void>;

  // Files and versions.

  /** The newest version (which can be a delete marker), or the one that is named. NOT_FOUND without the bucket. */
  getVersion(bucket: string, key: string, version?: string): Promise<VersionRecord | undefined>;
  /** Makes a version that refers to the object of another one; no bytes move. NOT_FOUND if that object is gone. */
  copyVersion(object: ObjectId, target: FileTarget, now: number): Promise<VersionRecord>;
  /** Replaces the attributes of a version; CONFLICT where they are not `expected` any more. */
  updateVersion(
    bucket: string,
    key: string,
    version: string,
    attributes: Attributes,
    expected?: Attributes,
  ): Promise<VersionRecord>;
  /**
   * Deletes a file as its bucket's versioning says: removes the null version (off), adds a delete marker (enabled), or
   * replaces the null version by one (suspended). Returns the delete marker, if one was made; it has `attributes`.
   */
  deleteFile(
    bucket: string,
    key: string,
    now: number,
    condition?: Condition,
    attributes?: Attributes,
  ): Promise<VersionRecord | undefined>;
  /**
   * Removes one version for good; returns it as it was. The one before it becomes the newest. CONFLICT where its
   * attributes are not `expected` any more.
   */
  deleteVersion(
    bucket: string,
    key: string,
    version: string,
    expected?: Attributes,
  ): Promise<VersionRecord | undefined>;
  /** Newest versions that are not delete markers. Cost follows what is returned. */
  listFiles(request: ListRequest): Promise<Page<VersionRecord>>;
  /** All versions and delete markers, newest first within a file. */
  listVersions(request: VersionsRequest): Promise<Page<VersionRecord>>;

  // Multipart uploads.

  createUpload(upload: UploadRecord): Promise<void>;
  getUpload(upload: string): Promise<UploadRecord | undefined>;
  /** In order of key, then of start; `after` as in VersionsRequest, with the upload's id for the version. */
  listUploads(request: VersionsRequest): Promise<Page<UploadRecord>>;
  listParts(upload: string, after: number, limit: number): Promise<PartRecord[]>;
  /** Makes a part that refers to a whole existing object. */
  copyPart(object: ObjectId, upload: string, part: number, attributes: Attributes, now: number): Promise<void>;
  /**
   * Makes a version out of the named parts, in this order, under a new ObjectID; parts that are not named are released,
   * and the upload is gone. CONFLICT where a part is missing. Idempotent for the same ObjectID.
   */
  completeUpload(
    upload: string,
    parts: readonly number[],
    id: ObjectId,
    object: Attributes,
    target: FileTarget,
    now: number,
  ): Promise<VersionRecord>;
  /** Releases its parts. False if there is no such upload. */
  abortUpload(upload: string): Promise<boolean>;

  // Volumes and reclaiming.

  getVolume(volume: number): Promise<VolumeRecord | undefined>;
  listVolumes(after: number | undefined, limit: number): Promise<VolumeRecord[]>;
  /** Runs that saved objects refer to, in order of id, that begin at or after `from` and before `end`. */
  listRuns(from: TicketId, end: TicketId, limit: number): Promise<(Run & { readonly object: ObjectId })[]>;
  /** Remembers that a volume's dead tickets, as many as it had at `deadCount`, take no space any more. */
  noteReclaimed(volume: number, deadCount: number): Promise<void>;
  /** Forgets objects whose write came to nothing before `before`; returns how many, at most `limit`. */
  forgetFailed(before: number, limit: number): Promise<number>;

  // Records of gateways.

  getEntry(registry: Registry, name: string): Promise<Attributes | undefined>;
  /** All of them, in order of name. */
  listEntries(registry: Registry): Promise<RegistryEntry[]>;
  /**
   * Creates or replaces. CONFLICT where `expected` is given and is not what is there; null: nothing must be there.
   */
  saveEntry(registry: Registry, name: string, attributes: Attributes, expected?: Attributes | null): Promise<void>;
  /** False if there is none. */
  removeEntry(registry: Registry, name: string): Promise<boolean>;
  /** Several at once, all or none, no name twice; CONFLICT where one is not what its change expected. */
  changeEntries(changes: readonly EntryChange[]): Promise<void>;

  counters(): Promise<Counters>;
}
