/**
 * The keys of stored records (docs/formats/datastore.md; permanent, the same in both implementations).
 *
 * A key is a *byte string*: a JavaScript string in which each character stands for one byte, so that comparing strings
 * is comparing bytes, and a key that is all ASCII (nearly every one) is its own byte string. Names cannot contain NUL,
 * which therefore ends them; no byte of UTF-8 is 0xff, which therefore sorts after everything that begins alike.
 */
import { StoreError } from "../core/errors.ts";
import type { ObjectId } from "../core/ids.ts";
import { keySizeMax } from "../core/limits.ts";

/** One byte says which table a record is in. */
export const Table = {
  meta: "m",
  counter: "c",
  bucket: "b",
  /** bucket NUL key: the newest version of a file, where that is no delete marker. */
  file: "f",
  /** bucket NUL key NUL order: all other versions and all delete markers. */
  version: "v",
  /** bucket NUL key: where the null version is, if it is in `version`. */
  nullVersion: "n",
  object: "o",
  /** router NUL object: objects being written. */
  unfinished: "w",
  /** time object: objects whose write came to nothing. */
  failed: "e",
  upload: "u",
  /** bucket NUL key NUL time upload: uploads in the order of their listing. */
  uploadOrder: "i",
  /** upload NUL part. */
  part: "p",
  /** first ticket: runs that saved objects consist of. */
  run: "r",
  /** router NUL kind first: leases. */
  lease: "l",
  volume: "d",
  /** putter: the volume in which it gets its next lease. */
  openVolume: "q",
  /** registry NUL name: records of gateways. */
  registry: "g",
} as const;

export const formatKey = `${Table.meta}format`;
/** Whether each record has a checksum (embedded only). */
export const checksumsKey = `${Table.meta}checksums`;
/** The next ObjectID and the next volume. */
export const allocationKey = `${Table.meta}allocation`;

/** There from when a copy was put back until ids were skipped (docs/runbooks/restore-the-datastore.md). */
export const restoredKey = `${Table.meta}restored`;

/** The number of the last commit: a snapshot and the journal are put together by it (embedded only). */
export const commitKey = `${Table.counter}journal`;

const idDigits = 13;
const timeDigits = 16;
const orderMax = Number.MAX_SAFE_INTEGER;
export const orderDigits = 16;

/** Sorts after every key that begins with what precedes it. */
export const lastByte = "\u00ff";

// ── text and bytes ──────────────────────────────────────────────────────────────────────────────────────────────────

/** The UTF-8 bytes of a text as a byte string. */
export function bytesOf(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text, "utf8").toString("latin1");
}

export function textOf(bytes: string): string {
  // Only a text of ASCII is as long in UTF-8 as it is here.
  return Buffer.byteLength(bytes) === bytes.length ? bytes : Buffer.from(bytes, "latin1").toString("utf8");
}

/** The byte string of a name that becomes part of a key; INVALID where it cannot. */
export function nameBytes(field: string, name: string, sizeMax: number): string {
  const size = Buffer.byteLength(name);
  if (size < 1 || size > sizeMax) {
    throw new StoreError("INVALID", `${field} of ${size} bytes: must have 1 to ${sizeMax}`);
  }
  if (name.includes("\0")) throw new StoreError("INVALID", `${field} contains NUL`);
  if (size === name.length) return name;
  if (/\p{Cs}/u.test(name)) throw new StoreError("INVALID", `${field} contains half a surrogate pair: is not Unicode`);
  return bytesOf(name);
}

export function fileKeyBytes(key: string): string {
  return nameBytes("key", key, keySizeMax);
}

// ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

export function objectKey(id: number): string {
  return Table.object + decimal(id, idDigits);
}

export function objectOfKey(key: string): ObjectId {
  return Number(key.slice(-idDigits)) as ObjectId;
}

export function runKey(ticket: number): string {
  return Table.run + decimal(ticket, idDigits);
}

export function ticketOfRunKey(key: string): number {
  return Number(key.slice(1));
}

export function unfinishedKey(router: string, id: number): string {
  return `${Table.unfinished}${router}\0${decimal(id, idDigits)}`;
}

export function failedKey(time: number, id: number): string {
  return Table.failed + decimal(time, timeDigits) + decimal(id, idDigits);
}

/** Later versions sort first: the order is counted down from the largest safe integer. Is also the version's id. */
export function orderText(order: number): string {
  return String(orderMax - order);
}

/** The order of a version's id; undefined where that is none. */
export function orderOfText(text: string): number | undefined {
  if (!/^\d{16}$/.test(text)) return undefined;
  const order = orderMax - Number(text);
  return order >= 0 && orderText(order) === text ? order : undefined;
}

/** `file` is bucket NUL key, in bytes. */
export function versionKey(file: string, order: number): string {
  return `${Table.version}${file}\0${orderText(order)}`;
}

export function uploadOrderKey(file: string, createdAt: number, upload: string): string {
  return `${Table.uploadOrder}${file}\0${decimal(createdAt, timeDigits)}${upload}`;
}

export function partKey(upload: string, part: number): string {
  return `${Table.part}${upload}\0${decimal(part, 5)}`;
}

export function leaseKey(router: string, kind: "o" | "t", first: number): string {
  return `${Table.lease}${router}\0${kind}${decimal(first, idDigits)}`;
}

export function volumeKey(volume: number): string {
  return Table.volume + decimal(volume, 7);
}

export function liveCounter(volume: number): string {
  return `live/${volume}`;
}

/** The name in a key of `file`, `version` or `uploadOrder`, given the length of table, bucket and NUL. */
export function nameInKey(key: string, baseSize: number): string {
  const end = key.indexOf("\0", baseSize);
  return end < 0 ? key.slice(baseSize) : key.slice(baseSize, end);
}

function decimal(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}
