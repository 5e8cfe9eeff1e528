/**
 * Accounts and access keys as they are kept (docs/formats/accounts.md; permanent), in the datastore's registries:
 *
 *   account      id/ID          an account
 *                name/NAME      which account has this name
 *                email/EMAIL    which account has this e-mail address, in lower case
 *                user/NAME      the account and access key of a user
 *   access-key   ACCESSKEY      an access key, its secret sealed
 *
 * Whatever belongs together changes in one step.
 */
import type { Attributes, EntryChange, Registry } from "../../../datastore/datastore.ts";
import type { NewUser } from "./account-rules.ts";
import type { AccessKey, Account } from "./accounts.ts";
import type { Sealing } from "./sealing.ts";

export interface StoredAccount {
  readonly name: string;
  readonly email?: string;
  readonly createdAt: number;
  /** Access keys of it: the last one goes with the account. */
  readonly keyCount: number;
}

export interface StoredUser {
  readonly account: string;
  readonly accessKey: string;
}

export interface StoredAccessKey {
  readonly user: string;
  readonly account: string;
  readonly createdAt: number;
  readonly secret: string;
  readonly readOnly?: true;
  readonly buckets?: readonly string[];
  readonly root?: true;
}

export interface StoredReference {
  readonly account: string;
}

export type StoredEntry = StoredAccount | StoredUser | StoredAccessKey | StoredReference;

export const names = {
  id: (id: string) => `id/${id}`,
  name: (name: string) => `name/${name}`,
  email: (email: string) => `email/${email.toLowerCase()}`,
  user: (name: string) => `user/${name}`,
} as const;

const purpose = "access-key";

export function sealedSecret(sealing: Sealing, accessKey: string, secretKey: string): string {
  return sealing.seal(purpose, accessKey, Buffer.from(secretKey, "utf8"));
}

export function openedSecret(sealing: Sealing, accessKey: string, { secret }: StoredAccessKey): string {
  return Buffer.from(sealing.unseal(purpose, accessKey, secret)).toString("utf8");
}

export function accountOf(id: string, { name, email, createdAt }: StoredAccount): Account {
  return Object.freeze({ id, name, email, createdAt });
}

export function accessKeyOf(
  accessKey: string,
  secretKey: string,
  { user, readOnly, buckets, root }: StoredAccessKey,
  account: Account,
): AccessKey {
  const limits = { readOnly: readOnly === true, buckets };
  return Object.freeze({ accessKey, secretKey, user, account, ...limits, root: root === true });
}

/** `undefined` in place of an entry removes it; without `expected`, nothing must be there. */
export function change(
  registry: Registry,
  name: string,
  entry: StoredEntry | undefined,
  expected: StoredEntry | null = null,
): EntryChange {
  const attributes = entry as unknown as Attributes | undefined;
  return { registry, name, attributes, expected: expected as unknown as Attributes | null };
}

/** What makes an account with its first access key. */
export function newAccount(
  id: string,
  account: Omit<StoredAccount, "keyCount">,
  accessKey: string,
  key: StoredAccessKey,
): EntryChange[] {
  const reference: StoredReference = { account: id };
  return [
    change("account", names.name(account.name), reference),
    ...(account.email === undefined ? [] : [change("account", names.email(account.email), reference)]),
    change("account", names.id(id), { ...account, keyCount: 1 }),
    ...newKey(accessKey, key),
  ];
}

export function newKey(accessKey: string, key: StoredAccessKey): EntryChange[] {
  return [
    change("account", names.user(key.user), { account: key.account, accessKey }),
    change("access-key", accessKey, key),
  ];
}

export function storedKey(
  user: Pick<NewUser, "name" | "readOnly" | "buckets">,
  account: string,
  secret: string,
  createdAt: number,
): StoredAccessKey {
  return {
    user: user.name,
    account,
    createdAt,
    secret,
    ...(user.readOnly === true ? { readOnly: true } : {}),
    ...(user.buckets === undefined ? {} : { buckets: user.buckets }),
  };
}
