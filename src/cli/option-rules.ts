/**
 * Texts to values, for options. Each rule says in words what it takes and reads a text by it; undefined is "breaks the
 * rule". Nothing is read or looked up here: whether a file is there is found out by whoever opens it.
 */
import type { DatastoreChoice } from "../compose/datastore.ts";
import { type Address, parseAddress } from "../core/address.ts";
import { StoreError } from "../core/errors.ts";
import { idCount, parseId, type TicketId } from "../core/ids.ts";
import { type Key, parseKey } from "../core/key.ts";
import type { Depth } from "../core/layout.ts";
import type { LogLevel } from "../env/node-log.ts";
import * as users from "../gateways/s3/auth/account-rules.ts";

export interface Rule<Value> {
  readonly rule: string;
  readonly parse: (text: string) => Value | undefined;
}

export const listenPort = wholeNumber(0, 65_535, "a port, 0 to 65535 (0 takes a free one)");
export const remotePort = wholeNumber(1, 65_535, "a port, 1 to 65535");

export const bindAddress: Rule<string> = {
  rule: "an IP address or a host name, without a port",
  parse: hostOf,
};

export const path: Rule<string> = {
  rule: "a path",
  parse: (text) => (text === "" || text.includes("\0") ? undefined : text),
};

export const depth: Rule<Depth> = {
  rule: "2, 3 or 4",
  parse: (text) => (/^[234]$/.test(text) ? (Number(text) as Depth) : undefined),
};

export const hostNames: Rule<readonly string[]> = {
  rule: "host names without ports, name,name,…",
  parse: (text) => {
    const names = text.split(",").map((name) => name.trim().toLowerCase());
    return names.every((name) => /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name)) ? names : undefined;
  },
};

export const region: Rule<string> = {
  rule: "letters, digits and hyphens, at most 64",
  parse: (text) => (/^[A-Za-z0-9-]{1,64}$/.test(text) ? text : undefined),
};

export const objectOwnership = oneOf("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter");
export const durability = oneOf("disk", "os");
export const logLevel: Rule<LogLevel> = oneOf("debug", "info", "warn", "error", "silent");

export const address: Rule<Address> = { rule: "host:port with a port from 1 to 65535", parse: addressOf };

export const addresses: Rule<readonly Address[]> = {
  rule: "host:port,host:port,… with ports from 1 to 65535, none of them twice",
  parse: (text) => {
    const parts = text.split(",").map((part) => part.trim());
    const parsed = parts.map(addressOf);
    if (parsed.includes(undefined) || new Set(parts).size < parts.length) return undefined;
    return parsed as Address[];
  },
};

export const datastore: Rule<DatastoreChoice> = {
  rule: "embedded, redis://host:port, or rediss://host:port for TLS; with user:password@ only in DATA_PUTTER_DATASTORE",
  parse: (text) => (text.includes("@") ? undefined : datastoreOf(text)),
};

/** Where no list of processes shows it. */
export const datastoreWithPassword: Rule<DatastoreChoice> = {
  rule: "embedded, redis://[[user]:password@]host:port, or rediss:// for TLS; what is none of 0-9 A-Z a-z . _ ~ - in a password as %XX",
  parse: datastoreOf,
};

export const redisHostPort: Rule<DatastoreChoice> = { rule: address.rule, parse: redisOf };

/** The rule never shows what it was given. */
export const key: Rule<Key> = {
  rule: "32 hex digits (16 bytes)",
  parse: (text) => unlessInvalid(() => parseKey(text, "key")),
};

export const ticketId: Rule<TicketId> = {
  rule: "a TicketID: 1 to 8 characters of 0-9 and A-Z",
  parse: (text) => parseId<TicketId>(text),
};

export const userName = matching(users.nameRule, users.isName);
export const email = matching(users.emailRule, users.isEmail);
export const accessKey = matching(users.accessKeyRule, users.isAccessKey);
export const secretKey = matching(users.secretKeyRule, users.isSecretKey);

export const buckets: Rule<readonly string[]> = {
  rule: `${users.bucketRule}; several as B,B or with the flag for each`,
  parse: (text) => {
    const names = text.split(",").map((name) => name.trim());
    return names.every(users.isBucketName) ? [...new Set(names)] : undefined;
  },
};

/** A switch that a variable or a file can set, too: the flag alone means true. */
export const yesOrNo: Rule<boolean> = {
  rule: "true or false",
  parse: (text) => (text === "true" ? true : text === "false" ? false : undefined),
};

/** Given or not: no text to read. */
export const given: Rule<boolean> = { rule: "nothing behind it", parse: () => true };

export function wholeNumber(min: number, max: number, rule?: string): Rule<number> {
  return {
    rule: rule ?? `a whole number from ${min} to ${max}`,
    parse: (text) => {
      const value = /^\d{1,16}$/.test(text) ? Number(text) : -1;
      return value >= min && value <= max ? value : undefined;
    },
  };
}

export const byteCount = wholeNumber(0, Number.MAX_SAFE_INTEGER - 1, "a whole number of bytes");
export const ticketCount = wholeNumber(1, idCount, "a whole number of tickets, at least 1");

function matching(rule: string, holds: (text: string) => boolean): Rule<string> {
  return { rule, parse: (text) => (holds(text) ? text : undefined) };
}

export function oneOf<Choice extends string>(...choices: readonly Choice[]): Rule<Choice> {
  const last = choices.at(-1)!;
  return {
    rule: `${choices.slice(0, -1).join(", ")} or ${last}`,
    parse: (text) => choices.find((choice) => choice === text),
  };
}

function hostOf(text: string): string | undefined {
  const isAddress = /^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(%\w+)?$/.test(text) && text.split(":").length > 2;
  return isAddress || /^[\w.-]+$/.test(text) ? text : undefined;
}

function addressOf(text: string): Address | undefined {
  return unlessInvalid(() => parseAddress(text, "address"));
}

function datastoreOf(text: string): DatastoreChoice | undefined {
  if (text === "embedded") return { kind: "embedded" };
  const parts = /^(rediss?:\/\/)([\w.~%-]*:[\w.~%-]+@)?(.*?)\/?$/.exec(text);
  const [, scheme = "", credentials = "", hostPort = ""] = parts ?? [];
  const url = `${scheme}${credentials}${hostPort}`;
  return parts === null || addressOf(hostPort) === undefined || !URL.canParse(url) ? undefined : { kind: "redis", url };
}

function redisOf(text: string): DatastoreChoice | undefined {
  const url = `redis://${text}`;
  return addressOf(text) === undefined || !URL.canParse(url) ? undefined : { kind: "redis", url };
}

function unlessInvalid<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof StoreError && error.code === "INVALID") return undefined;
    throw error;
  }
}
