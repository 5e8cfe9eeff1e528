/**
 * One run of an operation against what is known of Redis. A read of anything else ends the run with `NeedsMore`; what was
 * missing is then fetched, and the operation is run again. Changes are only noted down here: one script makes them, if
 * all that was read is still so. This is why guesses are allowed (a record that others have seen just now is still the
 * same; an object that is to be made is not there yet): a wrong one costs one more run, and nothing else.
 */
import { Table } from "./keys.ts";
import type { Argument, Reply } from "./redis-connection.ts";
import {
  argumentOf,
  entriesOf,
  Known,
  limitOf,
  listOf,
  numberOf,
  type Range,
  rangeId,
  scanEntriesOf,
  textOf,
  unfit,
} from "./redis-known.ts";
import type { Entry, ScanEntry, ScanRequest, Transaction } from "./transaction.ts";

/** Seconds for which a released object is remembered: far longer than anybody repeats a commit. */
const buriedSeconds = 3_600;

export class NeedsMore extends Error {}
/** Made once: it is thrown often, and its stack is nobody's concern. */
const needsMore = new NeedsMore("something must be fetched first");

export class RedisTransaction implements Transaction {
  readonly #known: Known;
  /** What many operations read and few change, as it was seen last. */
  readonly #recent: ReadonlyMap<string, string>;
  readonly #wantedKeys = new Set<string>();
  readonly #probablyNew = new Set<string>();
  readonly #wantedRanges = new Map<string, Range>();
  #wantedScans: readonly ScanRequest[] = [];
  readonly #wantedNotes = new Set<number>();
  #wantsOrder = false;
  readonly #readKeys = new Map<string, string | undefined>();
  readonly #readRanges = new Map<string, Range>();
  readonly #notBuried = new Set<number>();
  readonly #puts = new Map<string, string>();
  readonly #deletes = new Set<string>();
  readonly #additions = new Map<string, number>();
  readonly #buried = new Map<number, string>();

  constructor(known: Known, recent: ReadonlyMap<string, string>) {
    this.#known = known;
    this.#recent = recent;
  }

  get hasChanges(): boolean {
    return this.#puts.size + this.#deletes.size + this.#additions.size > 0;
  }

  // ── reads ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  want(...keys: string[]): void {
    for (const key of keys) if (!this.#known.values.has(key)) this.#wantedKeys.add(key);
  }

  wantNew(...keys: string[]): void {
    for (const key of keys) this.#probablyNew.add(key);
  }

  get(key: string): string | undefined {
    const put = this.#puts.get(key);
    if (put !== undefined || this.#deletes.has(key)) return put;
    const value = this.#known.values.has(key) ? this.#known.values.get(key) : this.#guess(key);
    this.#readKeys.set(key, value);
    return value;
  }

  shared<Record extends object>(key: string, parse: (key: string, text: string) => Record): Record | undefined {
    const text = this.get(key);
    return text === undefined ? undefined : parse(key, text);
  }

  range(start: string, end: string, limit: number): readonly Entry[] {
    if (start >= end) return [];
    const id = rangeId([start, end, limit]);
    const found = this.#known.ranges.get(id);
    if (found === undefined) {
      this.#wantedRanges.set(id, [start, end, limit]);
      throw needsMore;
    }
    this.#readRanges.set(id, [start, end, limit]);
    return found;
  }

  guard(start: string, end: string): void {
    const range = [start, end, 1] as const;
    if (!this.#known.mayGuessRanges) this.range(...range);
    // Guessed to be empty.
    else this.#readRanges.set(rangeId(range), range);
  }

  scan(requests: readonly ScanRequest[]): readonly (readonly ScanEntry[])[] {
    // An operation scans once, each table at most once.
    return requests.map((request) => {
      const found = this.#known.scans.get(request.base);
      if (found === undefined) {
        this.#wantedScans = requests;
        throw needsMore;
      }
      return found;
    });
  }

  /** Not a part of what must still be so at the commit: counters change all the time. */
  counter(name: string): number {
    const key = Table.counter + name;
    if (!this.#known.values.has(key)) {
      this.#wantedKeys.add(key);
      throw needsMore;
    }
    const text = this.#known.values.get(key) ?? "0";
    if (!/^-?\d{1,16}$/.test(text)) throw unfit("a counter");
    return Number(text);
  }

  nextOrder(): number {
    const { order } = this.#known;
    if (order === undefined) {
      this.#wantsOrder = true;
      throw needsMore;
    }
    return order;
  }

  buried(object: number): string | undefined {
    const isKnown = this.#known.notes.has(object);
    if (!isKnown && this.#known.mayGuessNotes) {
      this.#notBuried.add(object);
    } else if (!isKnown) {
      this.#wantedNotes.add(object);
      throw needsMore;
    }
    return this.#known.notes.get(object);
  }

  #guess(key: string): string | undefined {
    const recent = this.#recent.get(key);
    if (recent === undefined && !this.#probablyNew.has(key)) {
      this.#wantedKeys.add(key);
      throw needsMore;
    }
    this.#known.isUncertain = true;
    return recent;
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

  /** Where nothing but records is missing: their keys, for a plain command, which costs half of a script. */
  readKeysOnly(): { args: Argument[]; keep: (reply: Reply) => void } | undefined {
    const other = this.#wantedRanges.size + this.#wantedScans.length + this.#wantedNotes.size;
    if (other > 0 || this.#wantsOrder) return undefined;
    const keys = [...this.#wantedKeys];
    return { args: keys.map(argumentOf), keep: (reply) => this.#keepValues(keys, reply) };
  }

  #keepValues(keys: readonly string[], reply: Reply | undefined): void {
    const values = listOf(reply, keys.length);
    for (const [index, key] of keys.entries()) this.#known.values.set(key, textOf(values[index]));
    this.#known.roundCount++;
    if (this.#known.roundCount > 1) this.#known.isUncertain = true;
  }

  /** What the read script is to fetch, and how to keep its answer. */
  readArguments(): { args: Argument[]; keep: (reply: Reply) => void } {
    const keys = [...this.#wantedKeys];
    const ranges = [...this.#wantedRanges];
    const scans = this.#wantedScans;
    const objects = [...this.#wantedNotes];
    const args: Argument[] = [keys.length, ...keys.map(argumentOf), ranges.length];
    for (const [, [start, end, limit]] of ranges) args.push(argumentOf(start), argumentOf(end), limitOf(limit));
    args.push(scans.length);
    for (const { base, prefix, start, delimiter, limit } of scans) {
      const from = base + (start > prefix ? start : prefix);
      args.push(argumentOf(base), argumentOf(prefix), argumentOf(from), argumentOf(delimiter ?? ""), limit);
    }
    args.push(objects.length, ...objects, this.#wantsOrder ? 1 : 0);
    const known = this.#known;
    const keep = (reply: Reply): void => {
      const [values, rangeReply, scanReply, noteReply, order] = listOf(reply, 5);
      this.#keepValues(keys, values);
      const rangeReplies = listOf(rangeReply, ranges.length);
      for (const [index, [id]] of ranges.entries()) known.ranges.set(id, entriesOf(rangeReplies[index]));
      const scanReplies = listOf(scanReply, scans.length);
      for (const [index, { base }] of scans.entries()) known.scans.set(base, scanEntriesOf(scanReplies[index]));
      const notes = listOf(noteReply, objects.length);
      for (const [index, object] of objects.entries()) known.notes.set(object, textOf(notes[index]));
      if (this.#wantsOrder) known.order = numberOf(order);
    };
    return { args, keep };
  }

  /** Only confirms what was read: for an operation that was refused after it had noted down changes. */
  withoutChanges(): this {
    for (const changes of [this.#puts, this.#deletes, this.#additions, this.#buried]) changes.clear();
    return this;
  }

  /** What the commit script is to check and to change. */
  commitArguments(instance: string): Argument[] {
    const args: Argument[] = [this.#readKeys.size + 1, instanceKey, 1, instance];
    for (const [key, value] of this.#readKeys) args.push(argumentOf(key), value === undefined ? 0 : 1, value ?? "");
    args.push(this.#readRanges.size);
    for (const [id, [start, end, limit]] of this.#readRanges) {
      const entries = this.#known.ranges.get(id) ?? [];
      args.push(argumentOf(start), argumentOf(end), limitOf(limit), entries.length);
      for (const { key, value } of entries) args.push(argumentOf(key), value);
    }
    args.push(this.#notBuried.size, ...this.#notBuried, this.#puts.size);
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

  /** What the next attempt can start from, given what the commit script answered; undefined where it was done. */
  afterCommit(reply: Reply): Known | undefined {
    if (reply === 1) return undefined;
    const { mayGuessRanges, mayGuessNotes } = this.#known;
    if (reply === 0) return new Known(new Map(), false, mayGuessNotes);
    if (reply === -1) return new Known(new Map(), mayGuessRanges, false);
    const keys = [...this.#readKeys.keys()];
    const [, ...values] = listOf(reply, keys.length + 1);
    const known = new Known(new Map(), mayGuessRanges, mayGuessNotes);
    for (const [index, key] of keys.entries()) known.values.set(key, textOf(values[index]));
    known.roundCount = 1;
    return known;
  }

  /** The records that others will probably read next, as they are after the commit. */
  get recent(): [key: string, value: string | undefined][] {
    const seen: [string, string | undefined][] = [];
    for (const [key, value] of this.#readKeys) if (isRecentTable(key)) seen.push([key, value]);
    for (const key of this.#deletes) if (isRecentTable(key)) seen.push([key, undefined]);
    for (const [key, value] of this.#puts) if (isRecentTable(key)) seen.push([key, value]);
    return seen;
  }
}

const instanceKey = `${Table.meta}instance`;

function isRecentTable(key: string): boolean {
  return key.startsWith(Table.bucket) || key.startsWith(Table.volume) || key.startsWith(Table.openVolume);
}
