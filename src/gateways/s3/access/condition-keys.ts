/**
 * What conditions in policies can look at (docs.aws.amazon.com, "AWS global condition context keys" and "Condition keys
 * for Amazon S3"), and what it is for a request. Keys are in lower case here, but for the name of a tag.
 */
import type { Bucket, Version } from "../model.ts";
import { parseCopySource } from "../objects/copy-source.ts";
import { isoDate, parseDate } from "../protocol/dates.ts";
import { utf8Header } from "../protocol/request.ts";
import { malformed } from "./malformed.ts";
import { accountNumber, principalArn, userId } from "./principals.ts";
import type { AccessRequest } from "./request.ts";

export interface Asked {
  readonly ask: AccessRequest;
  readonly bucket: Bucket;
  /** The version that is asked for, where there is one and the policy wants to know. */
  readonly version: Version | undefined;
}

type Value = (asked: Asked) => string | undefined;

const existingTag = "s3:existingobjecttag/";
const requestTag = "s3:requestobjecttag/";
const requestTagKeys = "s3:requestobjecttagkeys";

const ofHeader =
  (name: string): Value =>
  ({ ask }) =>
    headerOf(ask, name);

const ofQuery =
  (name: string): Value =>
  ({ ask }) =>
    ask.request.query.get(name);

const byKey =
  (value: (key: Extract<AccessRequest["identity"], { kind: "user" }>["key"]) => string | undefined): Value =>
  ({ ask }) =>
    ask.identity.kind === "user" ? value(ask.identity.key) : undefined;

const owner: Value = ({ bucket }) => accountNumber(bucket.attributes.owner);

/** Said in headers of the same name. */
const headerKeys = [
  "x-amz-acl",
  "x-amz-grant-full-control",
  "x-amz-grant-read",
  "x-amz-grant-read-acp",
  "x-amz-grant-write",
  "x-amz-grant-write-acp",
  "x-amz-metadata-directive",
  "x-amz-server-side-encryption",
  "x-amz-server-side-encryption-aws-kms-key-id",
  "x-amz-server-side-encryption-customer-algorithm",
  "x-amz-storage-class",
  "x-amz-website-redirect-location",
  "x-amz-content-sha256",
  "x-amz-object-ownership",
  "if-match",
  "if-none-match",
];

const keys: ReadonlyMap<string, Value> = new Map<string, Value>([
  ...headerKeys.map((name): [string, Value] => [`s3:${name}`, ofHeader(name)]),
  ["aws:sourceip", ({ ask }) => ask.request.http.peer],
  ["aws:securetransport", ({ ask }) => String(ask.request.http.secure)],
  ["aws:currenttime", ({ ask }) => isoDate(ask.now)],
  ["aws:epochtime", ({ ask }) => String(Math.floor(ask.now / 1000))],
  ["aws:useragent", ofHeader("user-agent")],
  ["aws:referer", ofHeader("referer")],
  ["aws:username", byKey((key) => (key.root ? undefined : key.user))],
  ["aws:userid", ({ ask }) => (ask.identity.kind === "user" ? userId(ask.identity.key) : "anonymous")],
  ["aws:principalarn", byKey(principalArn)],
  ["aws:principalaccount", byKey((key) => accountNumber(key.account.id))],
  [
    "aws:principaltype",
    ({ ask }) => (ask.identity.kind === "anonymous" ? "Anonymous" : ask.identity.key.root ? "Account" : "User"),
  ],
  ["aws:resourceaccount", owner],
  ["s3:resourceaccount", owner],
  ["s3:prefix", ofQuery("prefix")],
  ["s3:delimiter", ofQuery("delimiter")],
  ["s3:max-keys", ofQuery("max-keys")],
  ["s3:versionid", ({ ask }) => ask.versionId ?? ask.request.query.get("versionId")],
  ["s3:x-amz-copy-source", copySource],
  ["s3:object-lock-mode", ofHeader("x-amz-object-lock-mode")],
  ["s3:object-lock-legal-hold", ofHeader("x-amz-object-lock-legal-hold")],
  ["s3:object-lock-retain-until-date", ofHeader("x-amz-object-lock-retain-until-date")],
  ["s3:object-lock-remaining-retention-days", remainingDays],
  ["s3:signatureversion", ({ ask }) => (ask.authentication.type === "anonymous" ? undefined : "AWS4-HMAC-SHA256")],
  ["s3:authtype", ({ ask }) => authTypes[ask.authentication.type]],
  ["s3:signatureage", signatureAge],
  // The least that it can be: servers take no older one.
  ["s3:tlsversion", ({ ask }) => (ask.request.http.secure ? "1.2" : undefined)],
  // Only in CreateBucket, which no bucket's policy is asked about.
  ["s3:locationconstraint", () => undefined],
  ["s3:objectcreationoperation", creation],
]);

const authTypes = { anonymous: undefined, header: "REST-HEADER", query: "REST-QUERY-STRING", form: "POST" } as const;

/** The key as `conditionValues` takes it; MalformedPolicy where there is no such key. */
export function conditionKey(name: string): string {
  const lower = name.toLowerCase();
  for (const prefix of [existingTag, requestTag]) {
    if (lower.startsWith(prefix) && lower.length > prefix.length) return prefix + name.slice(prefix.length);
  }
  if (keys.has(lower) || lower === requestTagKeys) return lower;
  throw malformed(`Policy has an invalid condition key: ${name}`);
}

/** Whether the version that is asked for has to be looked at. */
export function needsVersion(key: string): boolean {
  return key.startsWith(existingTag);
}

/** Can have several values at once. */
export function isMultiValued(key: string): boolean {
  return key === requestTagKeys;
}

/** undefined where the request has nothing of that kind. */
export function conditionValues(key: string, asked: Asked): readonly string[] | undefined {
  const fact = asked.ask.facts?.get(key);
  if (fact !== undefined) return fact;
  if (key.startsWith(existingTag)) {
    const tags = asked.version?.attributes.tags;
    const name = key.slice(existingTag.length);
    return tags !== undefined && Object.hasOwn(tags, name) ? [tags[name]!] : undefined;
  }
  if (key.startsWith(requestTag)) {
    const value = requestTags(asked)?.get(key.slice(requestTag.length));
    return value === null || value === undefined ? undefined : [value];
  }
  if (key === requestTagKeys) {
    const tags = requestTags(asked);
    return tags === undefined ? undefined : [...tags.keys()];
  }
  const value = keys.get(key)!(asked);
  return value === undefined ? undefined : [value];
}

function headerOf({ header, request }: AccessRequest, name: string): string | undefined {
  return header === undefined ? request.header(name) : header(name);
}

function requestTags({ ask }: Asked): URLSearchParams | undefined {
  const header = headerOf(ask, "x-amz-tagging");
  return header === undefined ? undefined : new URLSearchParams(utf8Header(header));
}

/** `bucket/key`, as CopyObject reads it. */
function copySource({ ask }: Asked): string | undefined {
  const header = headerOf(ask, "x-amz-copy-source");
  if (header === undefined) return undefined;
  try {
    const { bucket, key } = parseCopySource(header);
    return `${bucket}/${key}`;
  } catch {
    // It will be refused for that.
    return header;
  }
}

function remainingDays({ ask }: Asked): string | undefined {
  const text =
    ask.facts?.get("s3:object-lock-retain-until-date")?.[0] ?? headerOf(ask, "x-amz-object-lock-retain-until-date");
  const until = text === undefined ? undefined : parseDate(text);
  return until === undefined ? undefined : String(Math.ceil((until - ask.now) / 86_400_000));
}

function signatureAge({ ask }: Asked): string | undefined {
  const { signedAt } = ask.authentication;
  return signedAt === undefined ? undefined : String(Math.max(0, ask.now - signedAt));
}

/** Whether it makes an object, of the several requests that s3:PutObject is the action of. */
function creation({ ask }: Asked): string | undefined {
  if (ask.action !== "s3:PutObject") return undefined;
  const { method, query } = ask.request;
  if (method === "POST") return String(!query.has("uploads"));
  return String(!query.has("uploadId"));
}
