/** Listings, page by page as the caller goes on. */
import type { Page, VersionRecord } from "../datastore/datastore.ts";
import { pageSizeMax } from "../core/limits.ts";
import { versionOf } from "../gateways/s3/model.ts";
import type { Services } from "../gateways/s3/operation.ts";
import { requireBucket } from "./root-call.ts";
import type { ListEntry, ListOptions, VersionEntry } from "./store.ts";

/** Runs one fetch of a page, in the library's words. */
export type Fetch = <Value>(work: () => Promise<Value>) => Promise<Value>;

export async function* listFiles(
  services: Services,
  bucket: string,
  { prefix = "", delimiter, startAfter }: ListOptions,
  fetch: Fetch,
): AsyncGenerator<ListEntry, void, undefined> {
  let after = startAfter === "" ? undefined : startAfter;
  const request = { bucket, prefix, delimiter: delimiter === "" ? undefined : delimiter, limit: pageSizeMax };
  for (;;) {
    const page = await fetch(async () => {
      await requireBucket(services, bucket);
      return services.datastore.listFiles({ ...request, after });
    });
    for (const entry of merged(page)) yield typeof entry === "string" ? prefixEntry(entry) : fileEntry(entry);
    if (!page.more) return;
    after = laterName(page.items.at(-1)?.key, page.prefixes.at(-1));
  }
}

export async function* listVersions(
  services: Services,
  bucket: string,
  { prefix = "", delimiter, startAfter }: ListOptions,
  fetch: Fetch,
): AsyncGenerator<VersionEntry, void, undefined> {
  let after: { key: string; version: string | undefined } | undefined =
    startAfter === undefined || startAfter === "" ? undefined : { key: startAfter, version: undefined };
  const request = { bucket, prefix, delimiter: delimiter === "" ? undefined : delimiter, limit: pageSizeMax };
  for (;;) {
    const page = await fetch(async () => {
      await requireBucket(services, bucket);
      return services.datastore.listVersions({ ...request, after });
    });
    for (const entry of merged(page)) yield typeof entry === "string" ? prefixEntry(entry) : versionEntry(entry);
    if (!page.more) return;
    const last = page.items.at(-1);
    const key = laterName(last?.key, page.prefixes.at(-1))!;
    after = { key, version: last?.key === key ? last.version : undefined };
  }
}

/** Items and common prefixes in one order. No key is a common prefix of the same page. */
function* merged({ items, prefixes }: Page<VersionRecord>): Generator<VersionRecord | string, void, undefined> {
  let next = 0;
  for (const item of items) {
    while (next < prefixes.length && laterName(item.key, prefixes[next]) === item.key) yield prefixes[next++]!;
    yield item;
  }
  yield* prefixes.slice(next);
}

function prefixEntry(prefix: string): { readonly kind: "prefix"; readonly prefix: string } {
  return { kind: "prefix", prefix };
}

function fileEntry(record: VersionRecord): ListEntry {
  const { key, size, createdAt, attributes } = versionOf(record);
  return { kind: "object", key, size, etag: attributes.etag, lastModified: new Date(createdAt) };
}

function versionEntry(record: VersionRecord): VersionEntry {
  const { key, version: versionId, latest, size, createdAt, object, attributes } = versionOf(record);
  const lastModified = new Date(createdAt);
  if (object === undefined) return { kind: "delete-marker", key, versionId, latest, lastModified };
  return { kind: "version", key, versionId, latest, size, etag: attributes.etag, lastModified };
}

/** The one that sorts last, by bytes of UTF-8. */
function laterName(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Buffer.compare(Buffer.from(one), Buffer.from(other)) > 0 ? one : other;
}
