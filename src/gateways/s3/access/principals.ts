/**
 * How policies name those who ask.
 *
 * An account has a canonical id of 64 hex digits. Tools want the twelve digits that AWS has beside it, so each has such
 * a number, too: the first 48 bits of the canonical id, modulo 10^12. It is never stored, and two accounts of a store
 * have the same one with a chance of one in 10^12; policies can name accounts by canonical id or by name as well.
 */
import type { AccessKey } from "../auth/accounts.ts";
import { accountOf, type Identity } from "../auth/identity.ts";

export type Principal =
  | { readonly kind: "all" }
  /** By canonical id, number or name. */
  | { readonly kind: "account"; readonly account: string }
  | { readonly kind: "user"; readonly account: string; readonly user: string };

const numberPattern = /^\d{12}$/;
const canonicalPattern = /^[0-9a-f]{64}$/;
const arnPattern = /^arn:aws:iam::([^:]+):(root|user\/(?:[^/]+\/)*([^/*]+))$/;

/** Of a bucket that has no owner it is twelve zeros. */
export function accountNumber(id: string | undefined): string {
  const bits = Number.parseInt((id ?? "").slice(0, 12), 16);
  return String(Number.isNaN(bits) ? 0 : bits % 1e12).padStart(12, "0");
}

/** By name alone: such an account has to be there for a policy to make sense. */
export function isAccountName(account: string): boolean {
  return !numberPattern.test(account) && !canonicalPattern.test(account);
}

/** What stands in `"AWS"`; undefined where it names nobody that could be here. */
export function parsePrincipal(text: string): Principal | undefined {
  if (text === "*") return { kind: "all" };
  if (numberPattern.test(text) || canonicalPattern.test(text)) return { kind: "account", account: text };
  const match = arnPattern.exec(text);
  if (match === null) return undefined;
  const [, account, , user] = match;
  return user === undefined ? { kind: "account", account: account! } : { kind: "user", account: account!, user };
}

/** What stands in `"CanonicalUser"`. */
export function parseCanonicalUser(text: string): Principal | undefined {
  return canonicalPattern.test(text) ? { kind: "account", account: text } : undefined;
}

export function isPrincipal(principal: Principal, identity: Identity): boolean {
  if (principal.kind === "all") return true;
  if (identity.kind === "anonymous" || !isAccount(principal.account, identity.key)) return false;
  return principal.kind === "account" || (!identity.key.root && principal.user === identity.key.user);
}

function isAccount(named: string, { account }: AccessKey): boolean {
  if (numberPattern.test(named)) return named === accountNumber(account.id);
  return named === account.id || (isAccountName(named) && named === account.name);
}

export function principalArn({ account, user, root }: AccessKey): string {
  return `arn:aws:iam::${accountNumber(account.id)}:${root ? "root" : `user/${user}`}`;
}

/** aws:userid: the account's number for root; a user has no other id than its name. */
export function userId({ account, user, root }: AccessKey): string {
  return root ? accountNumber(account.id) : user;
}

/** Whether they ask for the account that owns the bucket. One without owner belongs to root's account. */
export function isOwner(identity: Identity, owner: string | undefined): boolean {
  if (identity.kind === "anonymous") return false;
  return owner === undefined ? identity.key.root : owner === accountOf(identity);
}
