/** The Datastore over a Backend: each of its operations is one read or one commit of the function that says how. */
import type { ObjectId, TicketId } from "../core/ids.ts";
import type { Clock, Log } from "../env/host.ts";
import { BucketCache } from "./bucket-cache.ts";
import * as buckets from "./buckets.ts";
import type {
  Attributes,
  BucketChange,
  BucketRecord,
  Condition,
  Counters,
  Datastore,
  EntryChange,
  FileTarget,
  Lease,
  ListRequest,
  NewObject,
  ObjectRecord,
  Page,
  PartRecord,
  ReadsNow,
  Registry,
  RegistryEntry,
  Target,
  UploadRecord,
  VersionRecord,
  VersionsRequest,
  VolumeRecord,
  WritingObject,
} from "./datastore.ts";
import type { SnapshotStatus } from "./history.ts";
import * as leases from "./leases.ts";
import * as listing from "./listing.ts";
import * as objects from "./objects.ts";
import * as registries from "./registries.ts";
import type { Run } from "../core/run.ts";
import type { Backend, RecordsChecked } from "./transaction.ts";
import * as uploads from "./uploads.ts";
import * as versions from "./versions.ts";

export class TransactionalDatastore implements Datastore {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #buckets = new BucketCache();
  readonly now: ReadsNow | undefined;

  private constructor(backend: Backend, clock: Clock) {
    this.#backend = backend;
    this.#clock = clock;
    if (backend.readNow !== undefined) this.now = readsNow(backend, backend.readNow.bind(backend), this.#buckets);
  }

  static async open(backend: Backend, clock: Clock, log: Log): Promise<Datastore> {
    const isRestored = await backend.commit(leases.skipAfterRestore).catch(async (error: unknown) => {
      await backend.close();
      throw error;
    });
    if (isRestored) log.warn("the datastore was put back from a copy: ids that may have been used since are skipped");
    return new TransactionalDatastore(backend, clock);
  }

  /** Over a backend that only reads. */
  static openReader(backend: Backend, clock: Clock): Datastore {
    return new TransactionalDatastore(backend, clock);
  }

  get description(): string {
    return this.#backend.description;
  }

  get durabilityGap(): string | undefined {
    return this.#backend.durabilityGap;
  }

  async snapshots(): Promise<SnapshotStatus | undefined> {
    return this.#backend.snapshots?.();
  }

  async checkRecords(from: string, limit: number): Promise<RecordsChecked> {
    return (await this.#backend.inspect?.(from, limit)) ?? { count: 0, damages: [], next: undefined };
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  // Leases.

  leaseObjects(router: string, count: number): Promise<Lease<ObjectId>> {
    return this.#backend.commit((tx) => leases.leaseObjects(tx, router, count));
  }

  leaseTickets(router: string, putter: string, count: number): Promise<Lease<TicketId>> {
    return this.#backend.commit((tx) => leases.leaseTickets(tx, router, putter, count));
  }

  releaseObjects(router: string, lease: Lease<ObjectId>, next: ObjectId): Promise<void> {
    return this.#backend.commit((tx) => leases.releaseObjects(tx, router, lease, next));
  }

  releaseTickets(router: string, lease: Lease<TicketId>, next: TicketId): Promise<void> {
    return this.#backend.commit((tx) => leases.releaseTickets(tx, router, lease, next));
  }

  sealVolume(volume: number): Promise<void> {
    return this.#backend.commit((tx) => leases.sealVolume(tx, volume));
  }

  closeRouter(router: string): Promise<number> {
    const now = this.#clock.now();
    return this.#backend.commit((tx) => {
      leases.endLeases(tx, router);
      return objects.failUnfinished(tx, router, "its router stopped before it was written", now);
    });
  }

  // Objects.

  noteProgress(progress: WritingObject): Promise<void> {
    return this.#backend.commit((tx) => objects.noteProgress(tx, progress));
  }

  failObject(id: ObjectId, reason: string, now: number): Promise<void> {
    return this.#backend.commit((tx) => objects.failObject(tx, id, reason, now));
  }

  saveObject(object: NewObject, target: Target, now: number): Promise<VersionRecord | undefined> {
    return this.#backend.commit((tx) => objects.saveObject(tx, object, target, now));
  }

  getObject(id: ObjectId): Promise<ObjectRecord | undefined> {
    return this.#backend.read((reader) => objects.getObject(reader, id));
  }

  listObjects(after: ObjectId | undefined, limit: number): Promise<ObjectRecord[]> {
    return this.#backend.read((reader) => objects.listObjects(reader, after, limit));
  }

  removeObject(id: ObjectId): Promise<boolean> {
    return this.#backend.commit((tx) => objects.removeObject(tx, id));
  }

  // Buckets.

  createBucket(name: string, attributes: Attributes, now: number): Promise<BucketRecord> {
    return this.#backend.commit((tx) => buckets.createBucket(tx, name, attributes, now));
  }

  getBucket(name: string): Promise<BucketRecord | undefined> {
    return this.#backend.read((reader) => this.#buckets.get(reader, name, this.#backend.generation));
  }

  listBuckets(): Promise<BucketRecord[]> {
    return this.#backend.read((reader) => buckets.listBuckets(reader));
  }

  updateBucket(name: string, change: BucketChange): Promise<BucketRecord> {
    return this.#backend.commit((tx) => buckets.updateBucket(tx, name, change));
  }

  deleteBucket(name: string): Promise<void> {
    return this.#backend.commit((tx) => buckets.deleteBucket(tx, name));
  }

  // Files and versions.

  getVersion(bucket: string, key: string, version?: string): Promise<VersionRecord | undefined> {
    return this.#backend.read((reader) => versions.getVersion(reader, bucket, key, version));
  }

  copyVersion(object: ObjectId, target: FileTarget, now: number): Promise<VersionRecord> {
    return this.#backend.commit((tx) => versions.copyVersion(tx, object, target, now));
  }

  updateVersion(
    bucket: string,
    key: string,
    version: string,
    attributes: Attributes,
    expected?: Attributes,
  ): Promise<VersionRecord> {
    return this.#backend.commit((tx) => versions.updateVersion(tx, bucket, key, version, attributes, expected));
  }

  deleteFile(
    bucket: string,
    key: string,
    now: number,
    condition?: Condition,
    attributes?: Attributes,
  ): Promise<VersionRecord | undefined> {
    return this.#backend.commit((tx) => versions.deleteFile(tx, bucket, key, now, condition, attributes));
  }

  deleteVersion(
    bucket: string,
    key: string,
    version: string,
    expected?: Attributes,
  ): Promise<VersionRecord | undefined> {
    return this.#backend.commit((tx) => versions.deleteVersion(tx, bucket, key, version, expected));
  }

  listFiles(request: ListRequest): Promise<Page<VersionRecord>> {
    return this.#backend.read((reader) => listing.listFiles(reader, request));
  }

  listVersions(request: VersionsRequest): Promise<Page<VersionRecord>> {
    return this.#backend.read((reader) => listing.listVersions(reader, request));
  }

  // Multipart uploads.

  createUpload(upload: UploadRecord): Promise<void> {
    return this.#backend.commit((tx) => uploads.createUpload(tx, upload));
  }

  getUpload(upload: string): Promise<UploadRecord | undefined> {
    return this.#backend.read((reader) => uploads.getUpload(reader, upload));
  }

  listUploads(request: VersionsRequest): Promise<Page<UploadRecord>> {
    return this.#backend.read((reader) => listing.listUploads(reader, request));
  }

  listParts(upload: string, after: number, limit: number): Promise<PartRecord[]> {
    return this.#backend.read((reader) => uploads.listParts(reader, upload, after, limit));
  }

  copyPart(object: ObjectId, upload: string, part: number, attributes: Attributes, now: number): Promise<void> {
    return this.#backend.commit((tx) => uploads.copyPart(tx, object, upload, part, attributes, now));
  }

  completeUpload(
    upload: string,
    parts: readonly number[],
    id: ObjectId,
    object: Attributes,
    target: FileTarget,
    now: number,
  ): Promise<VersionRecord> {
    return this.#backend.commit((tx) => uploads.completeUpload(tx, upload, parts, id, object, target, now));
  }

  abortUpload(upload: string): Promise<boolean> {
    return this.#backend.commit((tx) => uploads.abortUpload(tx, upload));
  }

  // Volumes and reclaiming.

  getVolume(volume: number): Promise<VolumeRecord | undefined> {
    return this.#backend.read((reader) => leases.getVolume(reader, volume));
  }

  listVolumes(after: number | undefined, limit: number): Promise<VolumeRecord[]> {
    return this.#backend.read((reader) => leases.listVolumes(reader, after, limit));
  }

  listRuns(from: TicketId, end: TicketId, limit: number): Promise<(Run & { readonly object: ObjectId })[]> {
    return this.#backend.read((reader) => objects.listRuns(reader, from, end, limit));
  }

  noteReclaimed(volume: number, deadCount: number): Promise<void> {
    return this.#backend.commit((tx) => leases.noteReclaimed(tx, volume, deadCount));
  }

  forgetFailed(before: number, limit: number): Promise<number> {
    return this.#backend.commit((tx) => objects.forgetFailed(tx, before, limit));
  }

  // Records of gateways.

  getEntry(registry: Registry, name: string): Promise<Attributes | undefined> {
    return this.#backend.read((reader) => registries.getEntry(reader, registry, name));
  }

  listEntries(registry: Registry): Promise<RegistryEntry[]> {
    return this.#backend.read((reader) => registries.listEntries(reader, registry));
  }

  saveEntry(registry: Registry, name: string, attributes: Attributes, expected?: Attributes | null): Promise<void> {
    return this.changeEntries([{ registry, name, attributes, ...(expected === undefined ? {} : { expected }) }]);
  }

  removeEntry(registry: Registry, name: string): Promise<boolean> {
    return this.#backend.commit((tx) => registries.removeEntry(tx, registry, name));
  }

  changeEntries(changes: readonly EntryChange[]): Promise<void> {
    return this.#backend.commit((tx) => registries.changeEntries(tx, changes));
  }

  counters(): Promise<Counters> {
    return this.#backend.read((reader) => ({
      buckets: reader.counter("buckets"),
      objects: reader.counter("objects"),
      bytes: reader.counter("bytes"),
      uploads: reader.counter("uploads"),
    }));
  }
}

function readsNow(backend: Backend, read: NonNullable<Backend["readNow"]>, cache: BucketCache): ReadsNow {
  return {
    getBucket: (name) => read((reader) => cache.get(reader, name, backend.generation)),
    getVersion: (bucket, key, version) => read((reader) => versions.getVersion(reader, bucket, key, version)),
    getObject: (id) => read((reader) => objects.getObject(reader, id)),
  };
}
