/**
 * Who there is: accounts, which own buckets, and access keys within them, which can be limited. Each user has one
 * access key. The account `root` is made at the first start.
 *
 * Other processes change the same records (several routers on one Redis), so that what was looked up is believed for
 * `accountCacheMs`; changes through this instance count at once. Secrets are in no message and no log.
 */
import { StoreError } from "../../../core/errors.ts";
import type { Key } from "../../../core/key.ts";
import * as limits from "../../../core/limits.ts";
import type { Attributes, Datastore, EntryChange, Registry } from "../../../datastore/datastore.ts";
import { sameJson } from "../../../datastore/records.ts";
import type { Host } from "../../../env/host.ts";
import {
  accessKeyOf,
  accountOf,
  change,
  names,
  newAccount,
  newKey,
  openedSecret,
  sealedSecret,
  storedKey,
  type StoredAccessKey,
  type StoredAccount,
  type StoredEntry,
  type StoredReference,
  type StoredUser,
} from "./account-records.ts";
import {
  checkedRootKeys,
  checkNewUser,
  isAccessKey,
  isAccountId,
  isEmail,
  isName,
  isWithinAccount,
  type NewUser,
  type RootKeys,
} from "./account-rules.ts";
import { randomAccessKey, randomAccountId, randomSecretKey } from "./random-text.ts";
import { RecentLookups } from "./recent-lookups.ts";
import { Sealing } from "./sealing.ts";

export interface Account {
  /** The canonical id: 64 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly email: string | undefined;
  readonly createdAt: number;
}

export interface AccessKey {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly user: string;
  readonly account: Account;
  readonly readOnly: boolean;
  /** Limited to these; undefined: all that the account may. */
  readonly buckets: readonly string[] | undefined;
  readonly root: boolean;
}

/** What is told of a user: all but the secret. */
export type User = Omit<AccessKey, "secretKey"> & { readonly createdAt: number };

export interface AccountsOptions {
  readonly datastore: Datastore;
  readonly host: Host;
  /** The store's. */
  readonly key: Key;
}

export const rootName = "root";
/** How often a change is begun again because somebody else changed the same records. */
const attemptsMax = 20;
/** What a plan wants to change, and what comes of it. */
interface Planned<Result> {
  readonly changes: readonly EntryChange[];
  readonly result: Result;
}

/** Records that belong together were read while somebody changed them. */
class ChangedMeanwhile extends StoreError {}

/** Buckets that are named where an account cannot go. */
const bucketsNamedMax = 10;

export class Accounts {
  readonly #datastore: Datastore;
  readonly #host: Host;
  readonly #sealing: Sealing;
  readonly #keys: RecentLookups<AccessKey>;
  readonly #accounts: RecentLookups<Account>;
  /** What they were made from, to see whether it has changed. */
  readonly #madeFrom = new WeakMap<AccessKey | Account, Attributes>();

  private constructor({ datastore, host, key }: AccountsOptions) {
    this.#datastore = datastore;
    this.#host = host;
    this.#sealing = new Sealing(key, host.random);
    const common = {
      clock: host.clock,
      believedMs: limits.accountCacheMs,
      foundMax: limits.accountsCachedMax,
      missedMax: limits.unknownAccountsCachedMax,
    };
    this.#keys = new RecentLookups({ ...common, look: (name, before) => this.#readKey(name, before) });
    this.#accounts = new RecentLookups({ ...common, look: (id, before) => this.#readAccount(id, before) });
  }

  static async open(options: AccountsOptions): Promise<Accounts> {
    return new Accounts(options);
  }

  // ── looking up ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Without a promise where it is known. While nothing changes it is the same object, so that more can be kept by it. */
  find(accessKey: string): AccessKey | undefined | Promise<AccessKey | undefined> {
    return isAccessKey(accessKey) ? this.#keys.get(accessKey) : undefined;
  }

  /** As `find`. */
  accountById(id: string): Account | undefined | Promise<Account | undefined> {
    return isAccountId(id) ? this.#accounts.get(id) : undefined;
  }

  /** Upper and lower case are the same. */
  async accountByEmail(email: string): Promise<Account | undefined> {
    return isEmail(email) ? this.#referredTo(names.email(email)) : undefined;
  }

  async accountByName(name: string): Promise<Account | undefined> {
    return isName(name) ? this.#referredTo(names.name(name)) : undefined;
  }

  /** All users, in order of access key. */
  async list(): Promise<User[]> {
    const [keys, entries] = await Promise.all([
      this.#datastore.listEntries("access-key"),
      this.#datastore.listEntries("account"),
    ]);
    const byName = new Map(entries.map(({ name, attributes }) => [name, attributes]));
    return keys.flatMap(({ name, attributes }) => {
      const stored = attributes as unknown as StoredAccessKey;
      const account = byName.get(names.id(stored.account));
      // It went between the two reads.
      if (account === undefined) return [];
      const { secretKey: _, ...user } = accessKeyOf(
        name,
        "",
        stored,
        accountOf(stored.account, account as unknown as StoredAccount),
      );
      return [{ ...user, createdAt: stored.createdAt }];
    });
  }

  async #readKey(accessKey: string, before: AccessKey | undefined): Promise<AccessKey | undefined> {
    const attributes = await this.#datastore.getEntry("access-key", accessKey);
    if (attributes === undefined) return undefined;
    const stored = attributes as unknown as StoredAccessKey;
    const account = await this.#accounts.get(stored.account);
    if (account === undefined) return undefined;
    if (before?.account === account && sameJson(this.#madeFrom.get(before), attributes)) return before;
    const key = accessKeyOf(accessKey, openedSecret(this.#sealing, accessKey, stored), stored, account);
    this.#madeFrom.set(key, attributes);
    return key;
  }

  async #readAccount(id: string, before: Account | undefined): Promise<Account | undefined> {
    const attributes = await this.#datastore.getEntry("account", names.id(id));
    if (attributes === undefined) return undefined;
    if (before !== undefined && sameJson(this.#madeFrom.get(before), attributes)) return before;
    const account = accountOf(id, attributes as unknown as StoredAccount);
    this.#madeFrom.set(account, attributes);
    return account;
  }

  async #referredTo(entry: string): Promise<Account | undefined> {
    const reference = await this.#read<StoredReference>("account", entry);
    return reference === undefined ? undefined : this.#accounts.get(reference.account);
  }

  // ── changing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Makes an account with one access key, or (with limits, or within a named account) an access key in an account, by
   * default in root's. CONFLICT for a name, e-mail address or access key in use, NOT_FOUND for an account.
   */
  async add(user: NewUser): Promise<AccessKey> {
    checkNewUser(user);
    return this.#change(async () => {
      if ((await this.#read("account", names.user(user.name))) !== undefined) {
        throw new StoreError("CONFLICT", `user ${user.name} exists`);
      }
      const accessKey = await this.#unusedAccessKey(user.accessKey);
      const secretKey = user.secretKey ?? randomSecretKey(this.#host.random);
      const now = this.#host.clock.now();
      const secret = sealedSecret(this.#sealing, accessKey, secretKey);
      if (isWithinAccount(user)) {
        const { id, stored } = await this.#requireAccount(user.account ?? rootName);
        const key = storedKey(user, id, secret, now);
        const counted = { ...stored, keyCount: stored.keyCount + 1 };
        const changes = [change("account", names.id(id), counted, stored), ...newKey(accessKey, key)];
        return { changes, result: accessKeyOf(accessKey, secretKey, key, accountOf(id, stored)) };
      }
      await this.#requireUnused(user);
      const id = randomAccountId(this.#host.random);
      const { name, email } = user;
      const account = { name, ...(email === undefined ? {} : { email }), createdAt: now };
      const key = storedKey(user, id, secret, now);
      const result = accessKeyOf(accessKey, secretKey, key, accountOf(id, { ...account, keyCount: 1 }));
      return { changes: newAccount(id, account, accessKey, key), result };
    });
  }

  /**
   * Removes a user's access key, and with the last one its account. False if there is none; CONFLICT for root, and
   * where the account still owns buckets.
   */
  async remove(name: string): Promise<boolean> {
    if (!isName(name)) return false;
    return this.#change(async () => {
      const user = await this.#read<StoredUser>("account", names.user(name));
      if (user === undefined) return { changes: [], result: false };
      const key = await this.#require<StoredAccessKey>("access-key", user.accessKey);
      if (key.root === true) throw new StoreError("CONFLICT", `user ${name} cannot be removed: it is the store's own`);
      const account = await this.#require<StoredAccount>("account", names.id(user.account));
      const changes = [
        change("account", names.user(name), undefined, user),
        change("access-key", user.accessKey, undefined, key),
        ...(await this.#withoutKey(user.account, account)),
      ];
      return { changes, result: true };
    });
  }

  /**
   * The access key of root: made at the first start, by chance or as given (both or none), and replaced where another
   * one is given. `created`: just now.
   */
  async ensureRoot(given: Partial<RootKeys> = {}): Promise<{ accessKey: AccessKey; created: boolean }> {
    const wanted = checkedRootKeys(given);
    return this.#change(async () => {
      const user = await this.#read<StoredUser>("account", names.user(rootName));
      if (user === undefined) return this.#newRoot(wanted);
      const stored = await this.#require<StoredAccessKey>("access-key", user.accessKey);
      const account = accountOf(user.account, await this.#require<StoredAccount>("account", names.id(user.account)));
      // Who gives another secret need not know the old one: so a store whose key was lost can still be opened.
      const secretKey =
        wanted === undefined
          ? openedSecret(this.#sealing, user.accessKey, stored)
          : this.#tryOpen(user.accessKey, stored);
      if (wanted === undefined) {
        const accessKey = accessKeyOf(user.accessKey, secretKey!, stored, account);
        return { changes: [], result: { accessKey, created: false } };
      }
      if (secretKey !== undefined && wanted.accessKey === user.accessKey && wanted.secretKey === secretKey) {
        const accessKey = accessKeyOf(user.accessKey, secretKey, stored, account);
        return { changes: [], result: { accessKey, created: false } };
      }
      const key = { ...stored, secret: sealedSecret(this.#sealing, wanted.accessKey, wanted.secretKey) };
      const accessKey = accessKeyOf(wanted.accessKey, wanted.secretKey, key, account);
      const result = { accessKey, created: false };
      if (wanted.accessKey === user.accessKey) {
        return { changes: [change("access-key", user.accessKey, key, stored)], result };
      }
      await this.#unusedAccessKey(wanted.accessKey);
      const changes = [
        change("access-key", user.accessKey, undefined, stored),
        change("access-key", wanted.accessKey, key),
        change("account", names.user(rootName), { ...user, accessKey: wanted.accessKey }, user),
      ];
      return { changes, result };
    });
  }

  #tryOpen(accessKey: string, stored: StoredAccessKey): string | undefined {
    try {
      return openedSecret(this.#sealing, accessKey, stored);
    } catch (error) {
      if (error instanceof StoreError && error.code === "WRONG_KEY") return undefined;
      throw error;
    }
  }

  async #newRoot(wanted: RootKeys | undefined): Promise<Planned<{ accessKey: AccessKey; created: boolean }>> {
    const { random, clock } = this.#host;
    const accessKey = wanted === undefined ? randomAccessKey(random) : await this.#unusedAccessKey(wanted.accessKey);
    const secretKey = wanted?.secretKey ?? randomSecretKey(random);
    const id = randomAccountId(random);
    const account = { name: rootName, createdAt: clock.now() };
    const secret = sealedSecret(this.#sealing, accessKey, secretKey);
    const key: StoredAccessKey = { ...storedKey({ name: rootName }, id, secret, account.createdAt), root: true };
    const made = accessKeyOf(accessKey, secretKey, key, accountOf(id, { ...account, keyCount: 1 }));
    return { changes: newAccount(id, account, accessKey, key), result: { accessKey: made, created: true } };
  }

  /** Plans on what is there and changes it, if it is still so; otherwise plans anew. */
  async #change<Result>(plan: () => Promise<Planned<Result>>): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      let planned: Planned<Result> | undefined;
      try {
        planned = await plan();
        if (planned.changes.length > 0) await this.#commit(planned.changes);
        return planned.result;
      } catch (error) {
        const isRefused = planned === undefined && !(error instanceof ChangedMeanwhile);
        const isConflict = error instanceof StoreError && error.code === "CONFLICT";
        if (isRefused || !isConflict || attempt >= attemptsMax) throw error;
      }
    }
  }

  async #commit(changes: readonly EntryChange[]): Promise<void> {
    try {
      await this.#datastore.changeEntries(changes);
    } finally {
      // Also where it failed: it can have been made all the same.
      this.#keys.forget();
      this.#accounts.forget();
    }
  }

  /** What an account becomes when a key of it goes. */
  async #withoutKey(id: string, account: StoredAccount): Promise<EntryChange[]> {
    if (account.keyCount > 1) {
      return [change("account", names.id(id), { ...account, keyCount: account.keyCount - 1 }, account)];
    }
    const buckets = (await this.#datastore.listBuckets()).filter(({ attributes }) => attributes["owner"] === id);
    if (buckets.length > 0) {
      const named = buckets.slice(0, bucketsNamedMax).map(({ name }) => name);
      const more = buckets.length > named.length ? `, and ${buckets.length - named.length} more` : "";
      const why = `with its last access key it would go, and it owns buckets: ${named.join(", ")}${more}`;
      throw new StoreError("CONFLICT", `account ${account.name}: ${why}`);
    }
    const reference: StoredReference = { account: id };
    return [
      change("account", names.id(id), undefined, account),
      change("account", names.name(account.name), undefined, reference),
      ...(account.email === undefined ? [] : [change("account", names.email(account.email), undefined, reference)]),
    ];
  }

  async #requireUnused({ name, email }: NewUser): Promise<void> {
    if ((await this.#read("account", names.name(name))) !== undefined) {
      throw new StoreError("CONFLICT", `account ${name} exists: for a further key of it, name it as the account`);
    }
    if (email !== undefined && (await this.#read("account", names.email(email))) !== undefined) {
      throw new StoreError("CONFLICT", `email ${email}: another account has it`);
    }
  }

  async #unusedAccessKey(given: string | undefined): Promise<string> {
    const accessKey = given ?? randomAccessKey(this.#host.random);
    const found = await this.#read<StoredAccessKey>("access-key", accessKey);
    if (found !== undefined) throw new StoreError("CONFLICT", `access key ${accessKey}: user ${found.user} has it`);
    return accessKey;
  }

  async #requireAccount(name: string): Promise<{ id: string; stored: StoredAccount }> {
    const reference = await this.#read<StoredReference>("account", names.name(name));
    if (reference === undefined) throw new StoreError("NOT_FOUND", `account ${name} does not exist`);
    return { id: reference.account, stored: await this.#require("account", names.id(reference.account)) };
  }

  async #read<Stored extends StoredEntry>(registry: Registry, name: string): Promise<Stored | undefined> {
    return (await this.#datastore.getEntry(registry, name)) as unknown as Stored | undefined;
  }

  /** A record that another one refers to. */
  async #require<Stored extends StoredEntry>(registry: Registry, name: string): Promise<Stored> {
    const found = await this.#read<Stored>(registry, name);
    if (found === undefined) throw new ChangedMeanwhile("CONFLICT", `${registry} ${name} is gone, or is damaged`);
    return found;
  }
}
