/** What is known of Redis while an operation runs, and the forms in which texts travel there and back. */
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

export function textOf(reply: Reply | undefined): string | undefined {
  return reply === null || reply === undefined ? undefined : (reply as Buffer).toString("utf8");
}

export function entriesOf(flat: readonly Buffer[]): Entry[] {
  const entries: Entry[] = [];
  for (let index = 0; index < flat.length; index += 2) {
    entries.push({ key: flat[index]!.toString("latin1"), value: flat[index + 1]!.toString("utf8") });
  }
  return entries;
}

export function scanEntriesOf(flat: readonly Buffer[]): ScanEntry[] {
  const entries: ScanEntry[] = [];
  for (let index = 0; index < flat.length; index += 3) {
    const text = flat[index + 1]!.toString("latin1");
    if (flat[index]!.toString("latin1") === "p") entries.push({ prefix: text });
    else entries.push({ key: text, value: flat[index + 2]!.toString("utf8") });
  }
  return entries;
}
