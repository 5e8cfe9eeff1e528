/**
 * The store's own named keys for server-side encryption. Each has versions: rotating adds one, what was wrapped under
 * earlier ones still opens, and no object is touched. They lie in the datastore sealed under the store's key
 * (docs/formats/s3.md, "Encryption"; permanent), and are never removed: nobody can know whether an object still needs
 * one.
 */
import { createSecretKey, type KeyObject } from "node:crypto";
import { StoreError } from "../../../core/errors.ts";
import * as limits from "../../../core/limits.ts";
import type { Attributes, Datastore } from "../../../datastore/datastore.ts";
import type { Clock, Random } from "../../../env/host.ts";
import { RecentLookups } from "../auth/recent-lookups.ts";
import type { Sealing } from "../auth/sealing.ts";
import { dataKeySize, type WrappingKey } from "./key-wrap.ts";

/** What SSE-S3 wraps with. */
export const ownKeyName = "data-putter/sse-s3";
/** What SSE-KMS wraps with where no key is named, as AWS calls it. */
export const defaultKeyName = "aws/s3";

/** Made when they are first used, and by nobody else. */
const reservedNames: readonly string[] = [ownKeyName, defaultKeyName];
const reservedPrefixes = /^(aws|data-putter|alias)\//;
const nameRule = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;

const registry = "encryption-key";

/** What can be told of a key without giving it away. */
export interface KeyDescription {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly version: number;
  readonly rotatedAt: number;
}

interface KeyVersion {
  /** Counts from 1. */
  readonly version: number;
  readonly createdAt: number;
  readonly sealed: string;
}

interface KeyRecord {
  readonly versions: readonly KeyVersion[];
}

interface LoadedKey {
  /** Versions as they were found: the same ones need not be unsealed again. */
  readonly record: KeyRecord;
  readonly keys: ReadonlyMap<number, KeyObject>;
  readonly current: WrappingKey;
}

export interface KeyringOptions {
  readonly datastore: Datastore;
  readonly sealing: Sealing;
  readonly random: Random;
  readonly clock: Clock;
}

export class Keyring {
  readonly #options: KeyringOptions;
  readonly #loaded: RecentLookups<LoadedKey>;

  constructor(options: KeyringOptions) {
    this.#options = options;
    this.#loaded = new RecentLookups({
      clock: options.clock,
      believedMs: limits.encryptionKeyBelievedMs,
      foundMax: limits.encryptionKeysCachedMax,
      missedMax: limits.encryptionKeysCachedMax,
      look: (name, before) => this.#load(name, before),
    });
  }

  static open(options: KeyringOptions): Keyring {
    return new Keyring(options);
  }

  /** The newest version of a key, to wrap with; undefined where there is no such key. Reserved ones are always there. */
  wrapping(name: string): WrappingKey | undefined | Promise<WrappingKey | undefined> {
    if (!isKeyName(name)) return undefined;
    const found = this.#loaded.get(name);
    if (found instanceof Promise || (found === undefined && reservedNames.includes(name))) {
      return this.#wrapping(name, found);
    }
    return found?.current;
  }

  /** A version of a key, to unwrap with. DAMAGED where there is none: an object needs it, and keys are never removed. */
  unwrapping(name: string, version: number): KeyObject | Promise<KeyObject> {
    const found = this.#loaded.get(name);
    if (found instanceof Promise) return this.#unwrapping(name, version, found);
    return found?.keys.get(version) ?? this.#reloaded(name, version);
  }

  /** CONFLICT where it exists, INVALID where nothing can be called so. */
  async add(name: string): Promise<KeyDescription> {
    requireName(name);
    return this.#make(name);
  }

  /** Adds a version, with which everything new is wrapped from now on. NOT_FOUND where there is no such key. */
  async rotate(name: string): Promise<KeyDescription> {
    const { datastore, clock } = this.#options;
    const found = await datastore.getEntry(registry, name);
    if (found === undefined) throw new StoreError("NOT_FOUND", `encryption key ${name}: there is none`);
    const { versions } = recordOf(found);
    if (versions.length >= limits.encryptionKeyVersionsMax) {
      throw new StoreError("INVALID", `encryption key ${name} has ${versions.length} versions: no key can have more`);
    }
    const version = versions.at(-1)!.version + 1;
    const record: KeyRecord = { versions: [...versions, this.#newVersion(name, version, clock.now())] };
    await datastore.saveEntry(registry, name, attributesOf(record), found);
    this.#loaded.forget();
    return describe(name, record);
  }

  /** In order of name. */
  async list(): Promise<KeyDescription[]> {
    const entries = await this.#options.datastore.listEntries(registry);
    return entries.map(({ name, attributes }) => describe(name, recordOf(attributes)));
  }

  async #wrapping(name: string, found: undefined | Promise<LoadedKey | undefined>): Promise<WrappingKey | undefined> {
    const known = await found;
    if (known !== undefined) return known.current;
    if (!reservedNames.includes(name)) return undefined;
    try {
      await this.#make(name);
    } catch (error) {
      // Somebody else was first: theirs it is.
      if (!(error instanceof StoreError && error.code === "CONFLICT")) throw error;
      this.#loaded.forget();
    }
    return (await this.#loaded.get(name))?.current;
  }

  async #unwrapping(name: string, version: number, found: Promise<LoadedKey | undefined>): Promise<KeyObject> {
    return (await found)?.keys.get(version) ?? this.#reloaded(name, version);
  }

  /** Another process may have rotated it a moment ago. */
  async #reloaded(name: string, version: number): Promise<KeyObject> {
    this.#loaded.forget();
    const key = (await this.#loaded.get(name))?.keys.get(version);
    if (key === undefined) throw new StoreError("DAMAGED", `version ${version} of encryption key ${name} is gone`);
    return key;
  }

  async #make(name: string): Promise<KeyDescription> {
    const { datastore, clock } = this.#options;
    const record: KeyRecord = { versions: [this.#newVersion(name, 1, clock.now())] };
    await datastore.saveEntry(registry, name, attributesOf(record), null);
    this.#loaded.forget();
    return describe(name, record);
  }

  #newVersion(name: string, version: number, now: number): KeyVersion {
    const { sealing, random } = this.#options;
    const sealed = sealing.seal(registry, associated(name, version), random.bytes(dataKeySize));
    return { version, createdAt: now, sealed };
  }

  async #load(name: string, before: LoadedKey | undefined): Promise<LoadedKey | undefined> {
    const found = await this.#options.datastore.getEntry(registry, name);
    if (found === undefined) return undefined;
    const record = recordOf(found);
    if (before !== undefined && before.record.versions.length === record.versions.length) return before;
    const keys = new Map<number, KeyObject>();
    for (const { version, sealed } of record.versions) {
      const known = before?.keys.get(version);
      keys.set(version, known ?? this.#unseal(name, version, sealed));
    }
    const { version } = record.versions.at(-1)!;
    return { record, keys, current: { key: keys.get(version)!, version } };
  }

  #unseal(name: string, version: number, sealed: string): KeyObject {
    return createSecretKey(this.#options.sealing.unseal(registry, associated(name, version), sealed));
  }
}

/** Whether a key can be called so. */
export function isKeyName(name: string): boolean {
  return name.length <= limits.encryptionKeyNameSizeMax && nameRule.test(name);
}

function requireName(name: string): void {
  if (!isKeyName(name)) {
    const rule = `1 to ${limits.encryptionKeyNameSizeMax} letters, digits, . _ - and /, beginning with a letter or digit`;
    throw new StoreError("INVALID", `NAME of an encryption key: ${rule}, not ${JSON.stringify(name)}`);
  }
  if (reservedPrefixes.test(name)) {
    throw new StoreError(
      "INVALID",
      `NAME of an encryption key: ${name} is reserved, as all of aws/, alias/, data-putter/`,
    );
  }
}

function associated(name: string, version: number): string {
  return `${name} version ${version}`;
}

function describe(name: string, { versions }: KeyRecord): KeyDescription {
  const [first, last] = [versions[0]!, versions.at(-1)!];
  return { name, createdAt: first.createdAt, version: last.version, rotatedAt: last.createdAt };
}

function recordOf(attributes: Attributes): KeyRecord {
  return attributes as unknown as KeyRecord;
}

function attributesOf(record: KeyRecord): Attributes {
  return record as unknown as Attributes;
}
