/** What is known of Redis while an operation runs, and the forms in which texts travel there and back. */
import { StoreError } from "../core/errors.ts";
import type { Argument, Reply } from "./redis-connection.ts";
import type { Entry, ScanEntry, ScanRequest } from "./transaction.ts";

/** What is known, kept from run to run. */
export class Known {
  readonly values: Map<string, string | undefined>;
  readonly ranges = new Map<string, readonly Entry[]>();
  readonly scans = new Map<ScanRequest["base"], readonly ScanEntry[]>();
  readonly notes = new Map<number, string | undefined>();
  order: number | undefined;
  /** Not from one and the same moment: must be confirmed. */
  isUncertain = false;
  /** What was guessed before and was wrong. */
  readonly mayGuessRanges: boolean;
  readonly mayGuessNotes: boolean;
  roundCount = 0;

  constructor(values: Map<string, string | undefined>, mayGuessRanges: boolean, mayGuessNotes: boolean) {
    this.values = values;
    this.mayGuessRanges = mayGuessRanges;
    this.mayGuessNotes = mayGuessNotes;
  }
}

export type Range = readonly [start: string, end: string, limit: number];

export function rangeId([start, end, limit]: Range): string {
  return `${start}\0\0${end}\0\0${limit}`;
}

/** A byte string as it goes to Redis: as it is where it is ASCII. */
export function argumentOf(bytes: string): Argument {
  return Buffer.byteLength(bytes) === bytes.length ? bytes : Buffer.from(bytes, "latin1");
}

export function limitOf(limit: number): number {
  return limit === Number.MAX_SAFE_INTEGER ? -1 : limit;
}

/** An answer that no command of ours has: whatever it was meant for, nothing can be taken from it. */
export function unfit(what: string): StoreError {
  return new StoreError("UNAVAILABLE", `redis answered with something else than ${what}`);
}

/** `count`: how many there must be. */
export function listOf(reply: Reply | undefined, count?: number): readonly Reply[] {
  if (!Array.isArray(reply)) throw unfit("a list");
  if (count !== undefined && reply.length !== count) throw unfit(`a list of ${count}: there are ${reply.length}`);
  return reply as readonly Reply[];
}

export function textOf(reply: Reply | undefined): string | undefined {
  return reply === null ? undefined : bytesOf(reply).toString("utf8");
}

function bytesOf(reply: Reply | undefined): Buffer {
  if (!Buffer.isBuffer(reply)) throw unfit("bytes");
  return reply;
}

export function numberOf(reply: Reply | undefined): number {
  if (!Number.isSafeInteger(reply)) throw unfit("a number");
  return reply as number;
}

export function entriesOf(reply: Reply | undefined): Entry[] {
  const flat = listOf(reply);
  if (flat.length % 2 !== 0) throw unfit("pairs");
  const entries: Entry[] = [];
  for (let index = 0; index < flat.length; index += 2) {
    entries.push({ key: bytesOf(flat[index]).toString("latin1"), value: bytesOf(flat[index + 1]).toString("utf8") });
  }
  return entries;
}

export function scanEntriesOf(reply: Reply | undefined): ScanEntry[] {
  const flat = listOf(reply);
  if (flat.length % 3 !== 0) throw unfit("entries of a scan");
  const entries: ScanEntry[] = [];
  for (let index = 0; index < flat.length; index += 3) {
    const text = bytesOf(flat[index + 1]).toString("latin1");
    const kind = bytesOf(flat[index]).toString("latin1");
    if (kind === "p") entries.push({ prefix: text });
    else if (kind === "e") entries.push({ key: text, value: bytesOf(flat[index + 2]).toString("utf8") });
    else throw unfit("entries of a scan");
  }
  return entries;
}
