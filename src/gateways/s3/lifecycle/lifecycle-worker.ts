/**
 * Carries lifecycle rules out: now and then it goes through the buckets that have some, page by page, and does what is
 * due. Each deletion is on condition that nothing was put there since: what is new never goes in place of what is old.
 */
import { messageOf, StoreError } from "../../../core/errors.ts";
import { lifecycleIntervalMs, pageSizeMax } from "../../../core/limits.ts";
import { nullVersion } from "../../../datastore/datastore.ts";
import type { Timer } from "../../../env/host.ts";
import { type Bucket, bucketOf, plain, type Version, versionOf } from "../model.ts";
import { mayDelete } from "../objects/object-lock-rule.ts";
import type { Services } from "../operation.ts";
import { S3Error } from "../protocol/error.ts";
import { abortionOf, actionsFor, type LifecycleAction } from "./evaluation.ts";
import type { Lifecycle } from "./rules.ts";

export interface LifecycleStatus {
  readonly expired: number;
  readonly removed: number;
  readonly aborted: number;
  readonly lastRunAt: number | undefined;
  readonly lastError: string | undefined;
}

/** Versions of one key that are looked at together; of a key with more, the oldest ones wait for the next time. */
const versionsPerKeyMax = 100_000;

export class LifecycleWorker {
  readonly #services: Services;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;
  #expired = 0;
  #removed = 0;
  #aborted = 0;
  #lastRunAt: number | undefined;
  #lastError: string | undefined;

  constructor(services: Services) {
    this.#services = services;
  }

  get status(): LifecycleStatus {
    return {
      expired: this.#expired,
      removed: this.#removed,
      aborted: this.#aborted,
      lastRunAt: this.#lastRunAt,
      lastError: this.#lastError,
    };
  }

  start(): void {
    const { host, settings } = this.#services;
    // Where days are short, for tests, it looks more than once a day.
    const intervalMs = Math.min(lifecycleIntervalMs, settings.dayMs / 4);
    const plan = (): void => {
      if (this.#isStopped) return;
      this.#timer = host.clock.after(intervalMs, () => void this.run().then(plan));
    };
    plan();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  /** Goes through all buckets once; joins the run that is under way. Never rejects. */
  run(): Promise<void> {
    this.#running ??= this.#runAll().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #runAll(): Promise<void> {
    const { datastore, host } = this.#services;
    try {
      for (const record of await datastore.listBuckets()) {
        const bucket = bucketOf(record);
        const lifecycle = bucket.attributes.lifecycle as Lifecycle | undefined;
        if (lifecycle?.rules.some(({ enabled }) => enabled) !== true) continue;
        await this.#runVersions(bucket, lifecycle);
        await this.#runUploads(bucket, lifecycle);
        if (this.#isStopped) return;
      }
      this.#lastError = undefined;
    } catch (error) {
      this.#lastError = messageOf(error);
      host.log.warn("lifecycle rules could not be carried out; they are tried again", { error: this.#lastError });
    }
    this.#lastRunAt = host.clock.now();
  }

  async #runVersions(bucket: Bucket, lifecycle: Lifecycle): Promise<void> {
    const { datastore } = this.#services;
    let after: { key: string; version: string | undefined } | undefined;
    let versions: Version[] = [];
    for (let more = true; more && !this.#isStopped;) {
      const request = { bucket: bucket.name, prefix: "", delimiter: undefined, after, limit: pageSizeMax };
      const page = await datastore.listVersions(request);
      for (const record of page.items) {
        const version = versionOf(record);
        if (versions.length > 0 && versions[0]!.key !== version.key) {
          await this.#runKey(bucket, lifecycle, versions);
          versions = [];
        }
        if (versions.length < versionsPerKeyMax) versions.push(version);
      }
      const last = page.items.at(-1);
      more = page.more && last !== undefined;
      if (last !== undefined) after = { key: last.key, version: last.version };
    }
    if (!this.#isStopped) await this.#runKey(bucket, lifecycle, versions);
  }

  async #runKey(bucket: Bucket, lifecycle: Lifecycle, versions: readonly Version[]): Promise<void> {
    const { host, settings } = this.#services;
    const now = host.clock.now();
    for (const action of actionsFor(lifecycle, versions, now, settings.dayMs)) {
      await this.#carryOut(bucket, action, now);
    }
  }

  async #carryOut(bucket: Bucket, { kind, version, rule }: LifecycleAction, now: number): Promise<void> {
    const { datastore, host, router } = this.#services;
    try {
      if (kind === "expire") {
        await datastore.deleteFile(bucket.name, version.key, now, { kind: "object", object: version.object! });
        this.#expired++;
      } else {
        if (version.object !== undefined) mayDelete(version, { now, bypassesGovernance: false });
        if (version.version === nullVersion && !(await this.#isSame(bucket, version))) return;
        await datastore.deleteVersion(bucket.name, version.key, version.version, plain(version.attributes));
        this.#removed++;
      }
      router.reclaimer.noteFreed();
      host.log.debug("lifecycle", {
        bucket: bucket.name,
        key: version.key,
        version: version.version,
        rule,
        done: kind,
      });
    } catch (error) {
      // It is locked, or another one by now: both are looked at anew the next time.
      const isOther = error instanceof StoreError && (error.code === "CONFLICT" || error.code === "NOT_FOUND");
      if (!isOther && !(error instanceof S3Error)) throw error;
    }
  }

  /** The null version keeps its name when it is replaced, and the new one may be described as the old one was. */
  async #isSame(bucket: Bucket, { key, version, object }: Version): Promise<boolean> {
    const current = await this.#services.datastore.getVersion(bucket.name, key, version);
    return current?.object === object;
  }

  async #runUploads(bucket: Bucket, lifecycle: Lifecycle): Promise<void> {
    const { datastore, host, router, settings } = this.#services;
    let after: { key: string; version: string | undefined } | undefined;
    for (let more = true; more && !this.#isStopped;) {
      const request = { bucket: bucket.name, prefix: "", delimiter: undefined, after, limit: pageSizeMax };
      const page = await datastore.listUploads(request);
      for (const upload of page.items) {
        after = { key: upload.key, version: upload.upload };
        const due = abortionOf(lifecycle, upload, settings.dayMs);
        if (due === undefined || due.at > host.clock.now()) continue;
        if (await datastore.abortUpload(upload.upload)) this.#aborted++;
        router.reclaimer.noteFreed();
      }
      more = page.more && page.items.length > 0;
    }
  }
}
