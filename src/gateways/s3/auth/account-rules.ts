/** What names, keys and limits of users may look like. Broken rules are told with field, rule and value. */
import { StoreError } from "../../../core/errors.ts";
import { keyBucketsMax } from "../../../core/limits.ts";

export interface NewUser {
  readonly name: string;
  /** Of the account that is made: only where one is. */
  readonly email?: string | undefined;
  /** Within this account; without it and without limits, an account of its own is made. */
  readonly account?: string | undefined;
  readonly readOnly?: boolean | undefined;
  readonly buckets?: readonly string[] | undefined;
  /** Made by chance where they are not given. */
  readonly accessKey?: string | undefined;
  readonly secretKey?: string | undefined;
}

export interface RootKeys {
  readonly accessKey: string;
  readonly secretKey: string;
}

export const nameRule = "1 to 64 of A-Z, a-z, 0-9 and + = , . @ _ -";
export const emailRule = "an address with one @, at most 128 characters of ASCII";
export const bucketRule = "a bucket's name: 3 to 255 of A-Z, a-z, 0-9 and . _ -";
export const accessKeyRule = "3 to 128 of A-Z, a-z, 0-9 and . _ -";
export const secretKeyRule = "4 to 128 visible ASCII characters";

export function checkNewUser(user: NewUser): void {
  checkName("name", user.name);
  if (user.account !== undefined) checkName("account", user.account);
  if (user.email !== undefined) checkEmail(user);
  for (const bucket of user.buckets ?? []) {
    check("bucket", bucketRule, isBucketName, bucket);
  }
  const count = user.buckets?.length;
  if (count !== undefined && (count < 1 || count > keyBucketsMax)) {
    throw new StoreError("INVALID", `buckets: 1 to ${keyBucketsMax} of them, not ${count}`);
  }
  if (user.accessKey !== undefined) check("access key", accessKeyRule, isAccessKey, user.accessKey);
  if (user.secretKey !== undefined) checkSecretKey("secret key", user.secretKey);
}

/** A key within an account, rather than an account of its own. */
export function isWithinAccount({ account, readOnly, buckets }: NewUser): boolean {
  return account !== undefined || readOnly === true || buckets !== undefined;
}

/** Both or none. */
export function checkedRootKeys({ accessKey, secretKey }: Partial<RootKeys>): RootKeys | undefined {
  if (accessKey === undefined && secretKey === undefined) return undefined;
  if (accessKey === undefined || secretKey === undefined) {
    const [there, missing] = accessKey === undefined ? ["secret", "access"] : ["access", "secret"];
    throw new StoreError("INVALID", `root's keys: both or none, not the ${there} key without the ${missing} key`);
  }
  check("root's access key", accessKeyRule, isAccessKey, accessKey);
  checkSecretKey("root's secret key", secretKey);
  return { accessKey, secretKey };
}

export function isName(text: string): boolean {
  return /^[A-Za-z0-9+=,.@_-]{1,64}$/.test(text);
}

export function isAccountId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

export function isEmail(text: string): boolean {
  return text.length <= 128 && /^[!-?A-~]+@[!-?A-~]+$/.test(text);
}

export function isBucketName(text: string): boolean {
  return /^[\w.-]{3,255}$/.test(text);
}

export function isAccessKey(text: string): boolean {
  return /^[\w.-]{3,128}$/.test(text);
}

export function isSecretKey(text: string): boolean {
  return /^[!-~]{4,128}$/.test(text);
}

/** Does not repeat it. */
function checkSecretKey(field: string, text: string): void {
  if (isSecretKey(text)) return;
  throw new StoreError("INVALID", `${field}: ${secretKeyRule}; what was given has ${text.length} characters`);
}

function checkName(field: string, text: string): void {
  check(field, nameRule, isName, text);
}

function checkEmail(user: NewUser): void {
  if (isWithinAccount(user)) {
    const why = "an account has one, and this would be a key within an account";
    throw new StoreError("INVALID", `email: ${why}, not ${JSON.stringify(user.email)}`);
  }
  check("email", emailRule, isEmail, user.email!);
}

function check(field: string, rule: string, holds: (text: string) => boolean, text: string): void {
  if (holds(text)) return;
  throw new StoreError("INVALID", `${field}: ${rule}, not ${JSON.stringify(text.slice(0, 300))}`);
}
