/** What an object has beside its bytes: from the library's options to the headers that S3 knows them by, and back. */
import { StoreError } from "../core/errors.ts";
import type { Version } from "../gateways/s3/model.ts";
import { defaultContentType } from "../gateways/s3/objects/metadata.ts";
import type { Description, ObjectInfo, WriteConditions } from "./store.ts";

const headerNames = {
  contentType: "content-type",
  cacheControl: "cache-control",
  contentDisposition: "content-disposition",
  contentEncoding: "content-encoding",
  contentLanguage: "content-language",
  expires: "expires",
} as const;
type Named = keyof typeof headerNames;
const named = Object.keys(headerNames) as Named[];

export type Headers = { [name: string]: string };

/** INVALID for what cannot be in a header. */
export function descriptionHeaders(description: Description): Headers {
  const headers: Headers = {};
  for (const name of named) {
    const value = description[name];
    if (value !== undefined) headers[headerNames[name]] = headerValue(name, value);
  }
  for (const [name, value] of Object.entries(description.metadata ?? {})) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      throw new StoreError("INVALID", `metadata: a name is letters, digits and hyphens, not ${JSON.stringify(name)}`);
    }
    headers[`x-amz-meta-${name.toLowerCase()}`] = headerValue(`metadata ${name}`, value);
  }
  if (description.tags !== undefined) headers["x-amz-tagging"] = taggingHeader(description.tags);
  return headers;
}

export function taggingHeader(tags: { readonly [name: string]: string }): string {
  return Object.entries(tags)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join("&");
}

export function conditionHeaders({ ifMatch, ifNoneMatch }: WriteConditions): Headers {
  return {
    ...(ifMatch === undefined ? {} : { "if-match": ifMatch }),
    ...(ifNoneMatch === undefined ? {} : { "if-none-match": ifNoneMatch }),
  };
}

/** Bytes of UTF-8, each a character, as the gateway has headers. */
function headerValue(field: string, value: string): string {
  // oxlint-disable-next-line no-control-regex
  if (typeof value !== "string" || /[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) {
    throw new StoreError("INVALID", `${field}: a text without control characters, not ${JSON.stringify(value)}`);
  }
  return Buffer.from(value, "utf8").toString("latin1");
}

function textOf(value: string): string {
  return Buffer.from(value, "latin1").toString("utf8");
}

export function infoOf({ key, version, createdAt, size, attributes }: Version, keepsVersions: boolean): ObjectInfo {
  const { headers = {}, meta = {}, tags = {}, checksums = {}, type, etag } = attributes;
  const described: { [Name in Named]?: string } = {};
  for (const name of named) {
    const value = name === "contentType" ? undefined : headers[headerNames[name]];
    if (value !== undefined) described[name] = textOf(value);
  }
  return {
    key,
    size,
    etag,
    lastModified: new Date(createdAt),
    versionId: keepsVersions ? version : undefined,
    ...described,
    contentType: textOf(type ?? defaultContentType),
    metadata: Object.fromEntries(Object.entries(meta).map(([name, value]) => [name, textOf(value)])),
    tags: { ...tags },
    checksums: { ...checksums },
  };
}
