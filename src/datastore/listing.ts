/**
 * Listings: ordered scans that seek past common prefixes.
 *
 * An entry is a name or a common prefix, and a page holds the first entries that sort after `after`. A common prefix
 * that `after` begins with therefore belongs to what has been listed: everything in it is skipped.
 */
import { StoreError } from "../core/errors.ts";
import { bucketNameSizeMax, keySizeMax, pageSizeMax } from "../core/limits.ts";
import { requireBucket } from "./buckets.ts";
import {
  nullVersion,
  type ListRequest,
  type Page,
  type UploadRecord,
  type VersionRecord,
  type VersionsRequest,
} from "./datastore.ts";
import {
  bytesOf,
  lastByte,
  nameBytes,
  nameInKey,
  orderOfText,
  orderText,
  Table,
  textOf,
  uploadOrderKey,
} from "./keys.ts";
import { getRecord, parseRecord, versionRecord, type StoredUpload, type StoredVersion } from "./records.ts";
import { VersionParser } from "./version-parser.ts";
import type { Entry, Reader, ScanEntry, ScanRequest } from "./transaction.ts";

/** Sorts after NUL and what follows a name, and before any longer name. */
const afterName = "\u0001";

export function listFiles(reader: Reader, request: ListRequest): Page<VersionRecord> {
  const place = placeOf(reader, request);
  if (place === undefined) return { items: [], prefixes: [], more: false };
  const after = request.after === undefined ? undefined : cut(bytesOf(request.after));
  const start = after === undefined ? "" : (passedPrefix(place, after) ?? after + afterName);
  const [entries] = reader.scan([scanOf(Table.file, place, start)]) as [readonly ScanEntry[]];
  const parser = new VersionParser();
  return page(entries, request.limit, ({ key, value }) => {
    const name = nameInKey(key, place.base.length + 1);
    return versionRecord(name, parser.parse(key, value), true);
  });
}

export function listVersions(reader: Reader, request: VersionsRequest): Page<VersionRecord> {
  const place = placeOf(reader, request);
  if (place === undefined) return { items: [], prefixes: [], more: false };
  const from = versionsStart(reader, place, request.after);
  const [files, olds] = reader.scan([
    scanOf(Table.file, place, from.file),
    scanOf(Table.version, place, from.version),
  ]) as [readonly ScanEntry[], readonly ScanEntry[]];
  // Within a name that was begun on the page before, nothing is the newest.
  let previousName = from.begun;
  const parser = new VersionParser();
  return page(merge(files, olds, place.base.length + 1), request.limit, ({ key, value }) => {
    const name = nameInKey(key, place.base.length + 1);
    const latest = key.startsWith(Table.file) || name !== previousName;
    previousName = name;
    return versionRecord(name, parser.parse(key, value), latest);
  });
}

export function listUploads(reader: Reader, request: VersionsRequest): Page<UploadRecord> {
  const place = placeOf(reader, request);
  if (place === undefined) return { items: [], prefixes: [], more: false };
  const [entries] = reader.scan([scanOf(Table.uploadOrder, place, uploadsStart(reader, place, request.after))]) as [
    readonly ScanEntry[],
  ];
  return page(entries, request.limit, ({ key, value }) => parseRecord<StoredUpload>(key, value));
}

// ── where to start ──────────────────────────────────────────────────────────────────────────────────────────────────

/** A checked request, in bytes. */
interface Place {
  /** bucket NUL. */
  readonly base: string;
  readonly prefix: string;
  readonly delimiter: string | undefined;
  readonly limit: number;
}

/** Undefined where no key can begin with the prefix. */
function placeOf(reader: Reader, request: Omit<ListRequest, "after">): Place | undefined {
  const { bucket, limit } = request;
  requireBucket(reader, bucket);
  if (!(Number.isSafeInteger(limit) && limit >= 1 && limit <= pageSizeMax)) {
    throw new StoreError("INVALID", `limit ${limit}: must be 1 to ${pageSizeMax}`);
  }
  const delimiter =
    request.delimiter === "" || request.delimiter === undefined ? undefined : bytesOf(request.delimiter);
  const base = `${nameBytes("bucket", bucket, bucketNameSizeMax)}\0`;
  const prefix = bytesOf(request.prefix);
  return prefix.length > keySizeMax ? undefined : { base, prefix, delimiter, limit };
}

function scanOf(table: string, place: Place, start: string): ScanRequest {
  const { base, prefix, delimiter, limit } = place;
  return { base: table + base, prefix, start, delimiter, limit: limit + 1 };
}

/** No key is longer than `keySizeMax`: a text cut one byte after that has the same keys before and after it. */
function cut(bytes: string): string {
  return bytes.slice(0, keySizeMax + 1);
}

/** Where to start after a name that lies in, or is, a common prefix: behind all of it. */
function passedPrefix(place: Place, after: string): string | undefined {
  const { prefix, delimiter } = place;
  if (delimiter === undefined || !after.startsWith(prefix)) return undefined;
  const index = after.indexOf(delimiter, prefix.length);
  return index < 0 ? undefined : after.slice(0, index + delimiter.length) + lastByte;
}

/** Starts in the two tables, and the name of which some versions have been listed. */
function versionsStart(
  reader: Reader,
  place: Place,
  after: VersionsRequest["after"],
): { file: string; version: string; begun: string | undefined } {
  if (after === undefined) return { file: "", version: "", begun: undefined };
  const name = cut(bytesOf(after.key));
  const passed = passedPrefix(place, name);
  if (passed !== undefined) return { file: passed, version: passed, begun: undefined };
  if (after.version === undefined) return { file: name + afterName, version: name + afterName, begun: undefined };
  if (name.length > keySizeMax) return { file: name, version: name, begun: undefined };
  const file = place.base + name;
  const current = getRecord<StoredVersion>(reader, Table.file + file);
  const order = orderAfter(reader, file, current, after.version);
  // What the page before ended with is gone: begin this file again rather than leave something out.
  if (order === undefined) return { file: name, version: `${name}\0`, begun: undefined };
  // The newest one comes before all others, unless it became the newest when those before it were removed.
  const isCurrentDue = current !== undefined && current.order < order;
  return { file: isCurrentDue ? name : name + afterName, version: `${name}\0${orderText(order)}\0`, begun: name };
}

/** The order of the version after which to continue; undefined where it is gone and had none of its own. */
function orderAfter(
  reader: Reader,
  file: string,
  current: StoredVersion | undefined,
  version: string,
): number | undefined {
  if (version !== nullVersion) {
    const order = orderOfText(version);
    if (order === undefined) throw new StoreError("INVALID", `version ${version}: is no version's id`);
    return order;
  }
  if (current?.null === true) return current.order;
  const pointer = reader.get(Table.nullVersion + file);
  return pointer === undefined ? undefined : orderOfText(pointer);
}

function uploadsStart(reader: Reader, place: Place, after: VersionsRequest["after"]): string {
  if (after === undefined) return "";
  const name = cut(bytesOf(after.key));
  const passed = passedPrefix(place, name);
  if (passed !== undefined) return passed;
  if (after.version === undefined) return name + afterName;
  const upload = getRecord<StoredUpload>(reader, Table.upload + nameBytes("upload", after.version, 255));
  if (upload === undefined) return `${name}\0`;
  return `${uploadOrderKey(name, upload.createdAt, bytesOf(upload.upload)).slice(1)}\0`;
}

// ── from entries to a page ──────────────────────────────────────────────────────────────────────────────────────────

function page<Item>(entries: readonly ScanEntry[], limit: number, itemOf: (entry: Entry) => Item): Page<Item> {
  const items: Item[] = [];
  const prefixes: string[] = [];
  for (const entry of entries.slice(0, limit)) {
    if ("prefix" in entry) prefixes.push(textOf(entry.prefix));
    else items.push(itemOf(entry));
  }
  return { items, prefixes, more: entries.length > limit };
}

/** Both lists in order of name; of one name the entry of `files` first. */
function merge(files: readonly ScanEntry[], olds: readonly ScanEntry[], baseSize: number): ScanEntry[] {
  const merged: ScanEntry[] = [];
  let fileIndex = 0;
  let oldIndex = 0;
  for (;;) {
    const file = files[fileIndex];
    const old = olds[oldIndex];
    if (file === undefined && old === undefined) return merged;
    const fileName = file === undefined ? undefined : nameOf(file, baseSize);
    const oldName = old === undefined ? undefined : nameOf(old, baseSize);
    if (old === undefined || (fileName !== undefined && oldName !== undefined && fileName <= oldName)) {
      merged.push(file!);
      fileIndex++;
      if (old !== undefined && "prefix" in old && fileName === oldName) oldIndex++;
    } else {
      merged.push(old);
      oldIndex++;
    }
  }
}

function nameOf(entry: ScanEntry, baseSize: number): string {
  return "prefix" in entry ? entry.prefix : nameInKey(entry.key, baseSize);
}
