/** The Store over a router of this process: the modules of the gateway, called without HTTP. */
import { StoreError } from "../core/errors.ts";
import { deleteObjectsMax } from "../core/limits.ts";
import { nullVersion } from "../datastore/datastore.ts";
import type { AccessKey } from "../gateways/s3/auth/accounts.ts";
import { deleteBucket } from "../gateways/s3/buckets/bucket.ts";
import { checkBucketName } from "../gateways/s3/buckets/bucket-name.ts";
import { setVersioning } from "../gateways/s3/buckets/versioning.ts";
import { openEncryption } from "../gateways/s3/encryption/object-encryption.ts";
import { type Bucket, bucketOf, type ObjectAttributes, plain } from "../gateways/s3/model.ts";
import type { S3Call, Services } from "../gateways/s3/operation.ts";
import { copyNamed } from "../gateways/s3/objects/copy-object.ts";
import { bareEtag, etagMatches } from "../gateways/s3/objects/conditions.ts";
import { deleteOne } from "../gateways/s3/objects/delete-object.ts";
import { checkVersionId, findVersion, type FoundVersion } from "../gateways/s3/objects/find-version.ts";
import { wholeSizeMax } from "../gateways/s3/objects/get-object.ts";
import { putObject } from "../gateways/s3/objects/put-object.ts";
import { alive } from "./alive.ts";
import { libraryBodyOf } from "./body-source.ts";
import { conditionHeaders, descriptionHeaders, infoOf, taggingHeader } from "./descriptions.ts";
import { inStoreWords, isNotFound } from "./errors.ts";
import { listFiles, listVersions } from "./listings.ts";
import { checkedKey, copySourceHeader, rangeOf } from "./names-and-ranges.ts";
import { requireBucket, rootCallTo } from "./root-call.ts";
import { StoredBody } from "./stored-body.ts";
import type {
  Body,
  BucketInfo,
  CopyOptions,
  CopySource,
  Credentials,
  DeleteOptions,
  DeleteOutcome,
  DeleteResult,
  GetOptions,
  HeadOptions,
  ListEntry,
  ListOptions,
  ObjectInfo,
  PutOptions,
  PutResult,
  Store,
  StoredObject,
  VersionEntry,
} from "./store.ts";

export interface LocalStoreOptions {
  readonly root: string;
  readonly services: Services;
  readonly close: () => Promise<void>;
}

interface Found extends FoundVersion {
  readonly bucket: Bucket;
}

export class LocalStore implements Store {
  readonly root: string;
  readonly #services: Services;
  readonly #close: () => Promise<void>;
  #closing: Promise<void> | undefined;
  #rootKey: Promise<AccessKey> | undefined;

  constructor({ root, services, close }: LocalStoreOptions) {
    this.root = root;
    this.#services = services;
    this.#close = close;
  }

  // ── buckets ───────────────────────────────────────────────────────────────────────────────────────────────────────

  createBucket(name: string, { versioning = false }: { readonly versioning?: boolean } = {}): Promise<void> {
    return this.#run(name, async () => {
      checkBucketName(name);
      const { datastore, host, settings } = this.#services;
      const { account } = await this.#root();
      const attributes = plain({ owner: account.id, ownership: settings.ownership });
      await datastore.createBucket(name, attributes, host.clock.now());
      if (versioning) await datastore.updateBucket(name, { versioning: "enabled" });
    });
  }

  deleteBucket(name: string): Promise<boolean> {
    return this.#run(name, async () => {
      const record = await this.#services.datastore.getBucket(name);
      if (record === undefined) return false;
      await deleteBucket({ bucket: bucketOf(record), services: this.#services });
      return true;
    });
  }

  listBuckets(): Promise<BucketInfo[]> {
    return this.#run("buckets", async () => (await this.#services.datastore.listBuckets()).map(bucketInfo));
  }

  bucket(name: string): Promise<BucketInfo | undefined> {
    return this.#run(name, async () => {
      const record = await this.#services.datastore.getBucket(name);
      return record === undefined ? undefined : bucketInfo(record);
    });
  }

  setVersioning(bucket: string, state: "enabled" | "suspended"): Promise<void> {
    return this.#run(bucket, async () => {
      if (state !== "enabled" && state !== "suspended") {
        throw new StoreError("INVALID", `versioning: enabled or suspended, not ${String(state)}`);
      }
      await setVersioning({ services: this.#services, bucket: await requireBucket(this.#services, bucket) }, state);
    });
  }

  // ── objects ───────────────────────────────────────────────────────────────────────────────────────────────────────

  put(bucket: string, key: string, body: Body, options: PutOptions = {}): Promise<PutResult> {
    return this.#run(about(bucket, key), async () => {
      const given = libraryBodyOf(body, this.#services.digests, options);
      try {
        const headers = { ...descriptionHeaders(options), ...conditionHeaders(options) };
        const call = await this.#call(bucket, { key: checkedKey(key), headers, body: given });
        const { headers: said } = await putObject(call);
        return {
          etag: bareEtag(String(said["ETag"])),
          versionId: versionIdIn(call.bucket, String(said["x-amz-version-id"] ?? nullVersion)),
          size: given.receivedSize,
        };
      } catch (error) {
        given.cancel(error);
        throw error;
      }
    });
  }

  get(bucket: string, key: string, options: GetOptions = {}): Promise<StoredObject | undefined> {
    return this.#run(about(bucket, key), async () => {
      const found = await this.#find(bucket, key, options);
      if (found === undefined) return undefined;
      const { object, version } = found;
      const call = rootCallTo(this.#services, await this.#root(), found.bucket, { key });
      const decryption = await openEncryption(this.#services, version.attributes, call.request);
      const { offset, length } = rangeOf(options.range, object.size);
      const { cipher = [] } = object.attributes as unknown as ObjectAttributes;
      const decryptorAt = decryption && ((position: number) => decryption.decryptor(cipher, position));
      const { router, host } = this.#services;
      let bytes: Uint8Array | undefined;
      if (object.size <= wholeSizeMax) {
        const wanted = (await router.get(object)).subarray(offset, offset + length);
        // A copy: it may lie in memory that Node shares between buffers.
        bytes = new Uint8Array(decryptorAt?.(offset)(wanted) ?? wanted);
      }
      const { signal } = options;
      const body = new StoredBody({ router, clock: host.clock, object, offset, length, decryptorAt, signal, bytes });
      return { ...this.#info(found), body };
    });
  }

  head(bucket: string, key: string, options: HeadOptions = {}): Promise<ObjectInfo | undefined> {
    return this.#run(about(bucket, key), async () => {
      const found = await this.#find(bucket, key, options);
      return found === undefined ? undefined : this.#info(found);
    });
  }

  copy(source: CopySource, bucket: string, key: string, options: CopyOptions = {}): Promise<PutResult> {
    return this.#run(`${about(source.bucket, source.key)} to ${about(bucket, key)}`, async () => {
      const { replace, replaceTags } = options;
      const headers = {
        ...conditionHeaders(options),
        ...(replace === undefined ? {} : { ...descriptionHeaders(replace), "x-amz-metadata-directive": "REPLACE" }),
        ...(replaceTags === undefined
          ? {}
          : { "x-amz-tagging": taggingHeader(replaceTags), "x-amz-tagging-directive": "REPLACE" }),
        "x-amz-copy-source": copySourceHeader(source),
      };
      const call = await this.#call(bucket, { key: checkedKey(key), headers });
      const { version, attributes } = (await copyNamed(call)).copied;
      return { etag: attributes.etag, versionId: versionIdIn(call.bucket, version.version), size: version.size };
    });
  }

  delete(bucket: string, key: string, options: DeleteOptions = {}): Promise<DeleteResult> {
    return this.#run(about(bucket, key), async () => this.#delete(await this.#call(bucket, {}), key, options));
  }

  async deleteMany(
    bucket: string,
    objects: Iterable<string | { readonly key: string; readonly versionId?: string }>,
    options: { readonly bypassGovernance?: boolean } = {},
  ): Promise<DeleteOutcome[]> {
    const named = Array.from(objects, (object) => (typeof object === "string" ? { key: object } : object));
    const outcomes: DeleteOutcome[] = [];
    const call = await this.#run(bucket, () => this.#call(bucket, {}));
    for (let from = 0; from < named.length; from += deleteObjectsMax) {
      const some = named.slice(from, from + deleteObjectsMax);
      const deletions = some.map(({ key, ...rest }) =>
        this.#run(about(bucket, key), () => this.#delete(call, key, { ...options, ...rest })).catch(
          (error: Error): DeleteOutcome => ({ key, error }),
        ),
      );
      outcomes.push(...(await Promise.all(deletions)));
    }
    return outcomes;
  }

  // ── listings ──────────────────────────────────────────────────────────────────────────────────────────────────────

  list(bucket: string, options: ListOptions = {}): AsyncIterable<ListEntry> {
    return listFiles(this.#services, bucket, options, (work) => this.#run(bucket, work));
  }

  versions(bucket: string, options: ListOptions = {}): AsyncIterable<VersionEntry> {
    return listVersions(this.#services, bucket, options, (work) => this.#run(bucket, work));
  }

  // ── the whole ─────────────────────────────────────────────────────────────────────────────────────────────────────

  credentials(): Promise<Credentials> {
    return this.#run("credentials", async () => {
      const { accessKey, secretKey } = await this.#root();
      return { accessKeyId: accessKey, secretAccessKey: secretKey };
    });
  }

  close(): Promise<void> {
    return (this.#closing ??= alive(this.#close));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ── what they share ───────────────────────────────────────────────────────────────────────────────────────────────

  #run<Value>(name: string, work: () => Promise<Value>): Promise<Value> {
    if (this.#closing !== undefined) {
      return Promise.reject(new StoreError("ABORTED", `${name}: the store in ${this.root} is closed`));
    }
    return alive(() => inStoreWords(name, work));
  }

  #root(): Promise<AccessKey> {
    return (this.#rootKey ??= this.#findRoot());
  }

  async #findRoot(): Promise<AccessKey> {
    try {
      return (await this.#services.accounts.ensureRoot()).accessKey;
    } catch (error) {
      // The next one may have more luck.
      this.#rootKey = undefined;
      throw error;
    }
  }

  async #call(bucket: string, options: Parameters<typeof rootCallTo>[3]): Promise<S3Call> {
    const found = await requireBucket(this.#services, bucket);
    return rootCallTo(this.#services, await this.#root(), found, options);
  }

  async #find(name: string, key: string, { versionId, ifMatch }: HeadOptions): Promise<Found | undefined> {
    const bucket = await requireBucket(this.#services, name);
    let found: FoundVersion;
    try {
      found = await inStoreWords(about(name, key), () =>
        findVersion(this.#services, bucket, checkedKey(key), checkVersionId(versionId)),
      );
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    const { etag } = found.version.attributes;
    if (ifMatch !== undefined && !etagMatches(ifMatch, etag)) {
      throw new StoreError("CONFLICT", `${about(name, key)}: its ETag is ${etag}, not ${ifMatch}`);
    }
    return { ...found, bucket };
  }

  #info({ version, bucket }: Found): ObjectInfo {
    return infoOf(version, bucket.versioning !== "off");
  }

  async #delete(call: S3Call, key: string, options: DeleteOptions): Promise<DeleteResult> {
    const { ifMatch, bypassGovernance: bypassesGovernance = false } = options;
    const versionId = checkVersionId(options.versionId);
    if (ifMatch !== undefined && versionId !== undefined) {
      throw new StoreError("INVALID", "ifMatch: it is about the newest version, so not together with versionId");
    }
    const condition = ifMatch === undefined ? undefined : conditionOf(ifMatch);
    const deletion = { key: checkedKey(key), versionId, condition, bypassesGovernance };
    const { marker, version } = await deleteOne(call, deletion);
    return { key, versionId: version, deleteMarker: marker };
  }
}

function conditionOf(ifMatch: string): NonNullable<Parameters<typeof deleteOne>[1]["condition"]> {
  return ifMatch === "*" ? { kind: "present" } : { kind: "attribute", name: "etag", value: bareEtag(ifMatch) };
}

function about(bucket: string, key: string): string {
  return `${bucket}/${key}`;
}

function versionIdIn(bucket: Bucket, version: string): string | undefined {
  return bucket.versioning === "off" ? undefined : version;
}

function bucketInfo({ name, createdAt, versioning }: Pick<Bucket, "name" | "createdAt" | "versioning">): BucketInfo {
  return { name, createdAt: new Date(createdAt), versioning };
}
