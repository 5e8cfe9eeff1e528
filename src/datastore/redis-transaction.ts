/**
 * One run of an operation against what has been fetched from Redis. A read of anything else ends the run with
 * `NeedsMore`; what was missing is then fetched, and the operation is run again. Changes are only noted down here: they
 * are made by one script, on condition that all that was read is still so.
 */
import type { ObjectId } from "../core/ids.ts";
import { objectKey, Table } from "./keys.ts";
import type { Argument, Reply } from "./redis-connection.ts";
import type { Entry, ScanEntry, ScanRequest, Transaction } from "./transaction.ts";

/** Seconds for which a released object is remembered: far longer than anybody repeats a commit. */
const buriedSeconds = 3_600;

export class NeedsMore extends Error {}
/** Made once: it is thrown often, and its stack is nobody's concern. */
const needsMore = new NeedsMore("something must be fetched first");

/** What was fetched, kept from run to run of one attempt. */
export class Fetched {
  readonly values = new Map<string, string | undefined>();
  readonly ranges = new Map<string, readonly Entry[]>();
  readonly scans = new Map<ScanRequest["base"], readonly ScanEntry[]>();
  readonly notes = new Map<number, string | undefined>();
  order: number | undefined;
  roundCount = 0;
}

export class RedisTransaction implements Transaction {
  readonly #fetched: Fetched;
  readonly #wantedKeys = new Set<string>();
  readonly #wantedRanges: (readonly [string, string, number])[] = [];
  #wantedScans: readonly ScanRequest[] = [];
  readonly #wantedNotes = new Set<number>();
  #wantsOrder = false;
  readonly #readKeys = new Set<string>();
  readonly #readRanges = new Map<string, readonly [string, string, number]>();
  readonly #puts = new Map<string, string>();
  readonly #deletes = new Set<string>();
  readonly #additions = new Map<string, number>();
  readonly #buried = new Map<number, string>();

  constructor(fetched: Fetched) {
    this.#fetched = fetched;
  }

  get hasChanges(): boolean {
    return this.#puts.size + this.#deletes.size + this.#additions.size > 0;
  }

  // ── reads ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  want(...keys: string[]): void {
    for (const key of keys) if (!this.#fetched.values.has(key)) this.#wantedKeys.add(key);
  }

  wantNew(object: ObjectId): void {
    this.want(objectKey(object));
    if (!this.#fetched.notes.has(object)) this.#wantedNotes.add(object);
  }

  get(key: string): string | undefined {
    const put = this.#puts.get(key);
    if (put !== undefined || this.#deletes.has(key)) return put;
    const value = this.#value(key);
    this.#readKeys.add(key);
    return value;
  }

  shared<Record extends object>(key: string, parse: (key: string, text: string) => Record): Record | undefined {
    const text = this.get(key);
    return text === undefined ? undefined : parse(key, text);
  }

  range(start: string, end: string, limit: number): readonly Entry[] {
    if (start >= end) return [];
    const id = `${start}\0\0${end}\0\0${limit}`;
    const found = this.#fetched.ranges.get(id);
    if (found === undefined) {
      this.#wantedRanges.push([start, end, limit]);
      throw needsMore;
    }
    this.#readRanges.set(id, [start, end, limit]);
    return found;
  }

  scan(requests: readonly ScanRequest[]): readonly (readonly ScanEntry[])[] {
    // An operation scans once, each table at most once.
    return requests.map((request) => {
      const found = this.#fetched.scans.get(request.base);
      if (found === undefined) {
        this.#wantedScans = requests;
        throw needsMore;
      }
      return found;
    });
  }

  /** Not a part of what must still be so at the commit: counters change all the time. */
  counter(name: string): number {
    return Number(this.#value(Table.counter + name) ?? 0);
  }

  nextOrder(): number {
    const { order } = this.#fetched;
    if (order === undefined) {
      this.#wantsOrder = true;
      throw needsMore;
    }
    return order;
  }

  buried(object: number): string | undefined {
    if (!this.#fetched.notes.has(object)) {
      this.#wantedNotes.add(object);
      throw needsMore;
    }
    return this.#fetched.notes.get(object);
  }

  #value(key: string): string | undefined {
    if (!this.#fetched.values.has(key)) {
      this.#wantedKeys.add(key);
      throw needsMore;
    }
    return this.#fetched.values.get(key);
  }

  // ── changes ───────────────────────────────────────────────────────────────────────────────────────────────────────

  put(key: string, value: string): void {
    this.#deletes.delete(key);
    this.#puts.set(key, value);
  }

  delete(key: string): void {
    this.#puts.delete(key);
    this.#deletes.add(key);
  }

  add(counter: string, difference: number): void {
    this.#additions.set(counter, (this.#additions.get(counter) ?? 0) + difference);
  }

  bury(object: number, note: string): void {
    this.#buried.set(object, note);
  }

  // ── to and from the scripts ───────────────────────────────────────────────────────────────────────────────────────

  /** What the read script is to fetch, and how to keep its answer. */
  readArguments(): { args: Argument[]; keep: (reply: Reply) => void } {
    const keys = [...this.#wantedKeys];
    const args: Argument[] = [keys.length, ...keys.map(argumentOf), this.#wantedRanges.length];
    for (const [start, end, limit] of this.#wantedRanges) args.push(argumentOf(start), argumentOf(end), limitOf(limit));
    args.push(this.#wantedScans.length);
    for (const { base, prefix, start, delimiter, limit } of this.#wantedScans) {
      const from = base + (start > prefix ? start : prefix);
      args.push(argumentOf(base), argumentOf(prefix), argumentOf(from), argumentOf(delimiter ?? ""), limit);
    }
    const wantedNotes = [...this.#wantedNotes];
    args.push(wantedNotes.length, ...wantedNotes, this.#wantsOrder ? 1 : 0);
    const keep = (reply: Reply): void => {
      const [values, ranges, scans, notes, order] = reply as [Reply[], Reply[], Reply[], Reply[], number];
      for (const [index, key] of keys.entries()) this.#fetched.values.set(key, textOf(values[index]));
      for (const [index, [start, end, limit]] of this.#wantedRanges.entries()) {
        this.#fetched.ranges.set(`${start}\0\0${end}\0\0${limit}`, entriesOf(ranges[index] as Buffer[]));
      }
      for (const [index, { base }] of this.#wantedScans.entries()) {
        this.#fetched.scans.set(base, scanEntriesOf(scans[index] as Buffer[]));
      }
      for (const [index, object] of wantedNotes.entries()) this.#fetched.notes.set(object, textOf(notes[index]));
      if (this.#wantsOrder) this.#fetched.order = order;
      this.#fetched.roundCount++;
    };
    return { args, keep };
  }

  /** To confirm what was read, for an operation that was refused after it had noted down changes. */
  withoutChanges(): RedisTransaction {
    for (const changes of [this.#puts, this.#deletes, this.#additions, this.#buried]) changes.clear();
    return this;
  }

  /** What the commit script is to check and to change. */
  commitArguments(instance: string): Argument[] {
    const args: Argument[] = [instance, this.#readKeys.size];
    for (const key of this.#readKeys) {
      const value = this.#fetched.values.get(key);
      args.push(argumentOf(key), value === undefined ? 0 : 1, value ?? "");
    }
    args.push(this.#readRanges.size);
    for (const [id, [start, end, limit]] of this.#readRanges) {
      const entries = this.#fetched.ranges.get(id)!;
      args.push(argumentOf(start), argumentOf(end), limitOf(limit), entries.length);
      for (const { key, value } of entries) args.push(argumentOf(key), value);
    }
    args.push(this.#puts.size);
    for (const [key, value] of this.#puts) args.push(argumentOf(key), value);
    args.push(this.#deletes.size);
    for (const key of this.#deletes) args.push(argumentOf(key));
    args.push(this.#additions.size);
    for (const [counter, difference] of this.#additions) args.push(Table.counter + counter, difference);
    args.push(this.#buried.size);
    for (const [object, note] of this.#buried) args.push(object, note);
    args.push(buriedSeconds);
    return args;
  }
}

/** A byte string as it goes to Redis: as it is where it is ASCII. */
function argumentOf(bytes: string): Argument {
  return Buffer.byteLength(bytes) === bytes.length ? bytes : Buffer.from(bytes, "latin1");
}

function limitOf(limit: number): number {
  return limit === Number.MAX_SAFE_INTEGER ? -1 : limit;
}

function textOf(reply: Reply | undefined): string | undefined {
  return reply === null || reply === undefined ? undefined : (reply as Buffer).toString("utf8");
}

function entriesOf(flat: readonly Buffer[]): Entry[] {
  const entries: Entry[] = [];
  for (let index = 0; index < flat.length; index += 2) {
    entries.push({ key: flat[index]!.toString("latin1"), value: flat[index + 1]!.toString("utf8") });
  }
  return entries;
}

function scanEntriesOf(flat: readonly Buffer[]): ScanEntry[] {
  const entries: ScanEntry[] = [];
  for (let index = 0; index < flat.length; index += 3) {
    const text = flat[index + 1]!.toString("latin1");
    if (flat[index]!.toString("latin1") === "p") entries.push({ prefix: text });
    else entries.push({ key: text, value: flat[index + 2]!.toString("utf8") });
  }
  return entries;
}
