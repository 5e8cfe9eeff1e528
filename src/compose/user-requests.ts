/**
 * What a router answers about users on its response port (docs/formats/wire.md), for `data-putter user`:
 *
 *   useradd    body: JSON, a new user                                          → json user, with its secret
 *   userlist                                                                   → json { users } …
 *   userrm     body: JSON { name }                                             → json { removed }
 *
 * Requests are authenticated but can be read under way, so that secrets travel sealed under the shared key.
 */
import { StoreError } from "../core/errors.ts";
import type { NewUser } from "../gateways/s3/auth/account-rules.ts";
import type { AccessKey, Accounts, User } from "../gateways/s3/auth/accounts.ts";
import type { Sealing } from "../gateways/s3/auth/sealing.ts";
import { fields, flag, line, listOf, optional, type Shape, text, time } from "../wire/answer-shape.ts";
import type { Handler } from "../wire/request-server.ts";

/** A user as it is told to clients. */
export interface UserSummary {
  readonly user: string;
  readonly accessKey: string;
  readonly account: string;
  /** The account's canonical id. */
  readonly id: string;
  readonly email?: string;
  readonly readOnly: boolean;
  readonly buckets?: readonly string[];
  readonly root: boolean;
}

/** `useradd`, as it travels: `secret` is `secretKey`, sealed. */
export type UserRequest = Omit<NewUser, "secretKey"> & { readonly secret?: string };
export type AddedUser = UserSummary & { readonly secret: string };
export type ListedUser = UserSummary & { readonly createdAt: number };

const userFields = {
  user: line,
  accessKey: line,
  account: line,
  id: line,
  email: optional(line),
  readOnly: flag,
  buckets: optional(listOf(line)),
  root: flag,
};
export const addedUserAnswer: Shape<AddedUser> = fields<AddedUser>({ ...userFields, secret: text });

interface UserPage {
  readonly users: readonly ListedUser[];
}
export const userListAnswer: Shape<UserPage> = fields<UserPage>({
  users: listOf(fields<ListedUser>({ ...userFields, createdAt: time })),
});

interface Removed {
  readonly removed: boolean;
}
export const removedAnswer: Shape<Removed> = fields<Removed>({ removed: flag });

/** Users in one JSON value: with all that each can be limited to, it stays below what a message may have. */
const usersPerAnswer = 25;

/** Takes requests about users, and hands all others on. */
export function userRequests(accounts: Accounts, sealing: Sealing, others: Handler): Handler {
  return async (request, body, reply) => {
    switch (request.operation) {
      case "useradd": {
        const { secret, ...user } = userRequestOf(body);
        const secretKey = secret === undefined ? undefined : openSecret(sealing, "request", user.name, secret);
        const added = await accounts.add({ ...user, secretKey });
        const sealed = sealSecret(sealing, "answer", user.name, added.secretKey);
        return reply.json({ ...summaryOf(added), secret: sealed } satisfies AddedUser);
      }
      case "userlist": {
        const users = await accounts.list();
        for (let at = 0; at === 0 || at < users.length; at += usersPerAnswer) {
          await reply.json({ users: users.slice(at, at + usersPerAnswer).map(listed) } satisfies UserPage);
        }
        return;
      }
      case "userrm": {
        const wanted = fieldsOf(body, { name: "string" });
        return reply.json({ removed: await accounts.remove(String(wanted["name"])) } satisfies Removed);
      }
      default:
        return others(request, body, reply);
    }
  };
}

/** For the banner: root's secret is shown once, when it was made by chance. */
export function rootRows(
  { accessKey, created }: { readonly accessKey: AccessKey; readonly created: boolean },
  isGiven: boolean,
): (readonly [label: string, value: string])[] {
  const rows: [string, string][] = [["access key", accessKey.accessKey]];
  if (!created || isGiven) return rows;
  return [...rows, ["secret key", accessKey.secretKey], ["keep it", "the secret key is shown this once"]];
}

/** On its way between the command line and the router; bound to the direction and the user's name. */
export function sealSecret(sealing: Sealing, way: "request" | "answer", name: string, secretKey: string): string {
  return sealing.seal("user-request", `${way} ${name}`, Buffer.from(secretKey, "utf8"));
}

export function openSecret(sealing: Sealing, way: "request" | "answer", name: string, sealed: string): string {
  return Buffer.from(sealing.unseal("user-request", `${way} ${name}`, sealed)).toString("utf8");
}

function listed(user: User): ListedUser {
  return { ...summaryOf(user), createdAt: user.createdAt };
}

function summaryOf({ user, accessKey, account, readOnly, buckets, root }: Omit<AccessKey, "secretKey">): UserSummary {
  return {
    user,
    accessKey,
    account: account.name,
    id: account.id,
    ...(account.email === undefined ? {} : { email: account.email }),
    readOnly,
    ...(buckets === undefined ? {} : { buckets }),
    root,
  };
}

// ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

type FieldType = "string" | "boolean" | "strings";

function userRequestOf(body: Uint8Array): UserRequest {
  const wanted = fieldsOf(body, {
    name: "string",
    email: "string",
    account: "string",
    readOnly: "boolean",
    buckets: "strings",
    accessKey: "string",
    secret: "string",
  });
  return wanted as unknown as UserRequest;
}

/** `name` must be there; others can be left out; what is not known is refused, not ignored. */
function fieldsOf(body: Uint8Array, types: { readonly [field: string]: FieldType }): { [field: string]: unknown } {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch (cause) {
    throw new StoreError("INVALID", "body: must be JSON", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new StoreError("INVALID", "body: must be a JSON object");
  }
  for (const [field, given] of Object.entries(value)) {
    const type = Object.hasOwn(types, field) ? types[field]! : undefined;
    if (type === undefined) throw new StoreError("INVALID", `body: ${JSON.stringify(field)} is not known`);
    const fits = type === "strings" ? isStrings(given) : typeof given === type;
    if (!fits) throw new StoreError("INVALID", `${field}: must be ${type === "strings" ? "a list of strings" : type}`);
  }
  if (!("name" in value)) throw new StoreError("INVALID", "name: must be given");
  return { ...value };
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
