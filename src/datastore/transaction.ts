/**
 * What the operations of a Datastore are written against: an ordered map of byte strings to texts, read and changed in
 * one atomic step. The operations (buckets.ts, versions.ts, objects.ts, uploads.ts, leases.ts, listing.ts) exist once;
 * the two implementations differ in what they run them on.
 *
 * An operation is a synchronous function that may be run more than once: it must have no effect but through its
 * Transaction. On Redis, a read of what has not been fetched ends the run; it is fetched and the operation is run
 * again. `want` says early what will be read, and saves such rounds.
 *
 * Rules for operations: read a range before writing into it (whether a range shows the operation's own writes is not
 * defined; `get` does), and refuse (throw a StoreError) before the first write: refusing later is correct, but dear.
 */
import type { SnapshotStatus } from "./history.ts";

export interface Entry {
  readonly key: string;
  readonly value: string;
}

export interface ScanRequest {
  /** Table, bucket and NUL. The rest of a key, up to a NUL or its end, is a name. */
  readonly base: string;
  /** Names that begin with it, from `start` (of name and what follows it) on. */
  readonly prefix: string;
  readonly start: string;
  /** Names with this text after `prefix` are rolled up into one common prefix. Not empty. */
  readonly delimiter: string | undefined;
  readonly limit: number;
}

/** A record, or a common prefix (in bytes, without `base`). */
export type ScanEntry = Entry | { readonly prefix: string };

export interface Reader {
  /** Not there where reads cost no rounds. */
  want?(...keys: string[]): void;
  get(key: string): string | undefined;
  /** As `get`, for a record that many operations read and few change: parsed once for all that share a commit. */
  shared<Record extends object>(key: string, parse: (key: string, text: string) => Record): Record | undefined;
  /** Records from `start` on, before `end`. */
  range(start: string, end: string, limit: number): readonly Entry[];
  /** All requests see the same state. The cost follows what is returned: common prefixes are skipped over. */
  scan(requests: readonly ScanRequest[]): readonly (readonly ScanEntry[])[];
  counter(name: string): number;
}

export interface Transaction extends Reader {
  put(key: string, value: string): void;
  delete(key: string): void;
  add(counter: string, difference: number): void;
  /** A number that is larger than those of all commits before. */
  nextOrder(): number;
  /** The first record from `start` on, before `end`, must not become another one before the commit. */
  guard?(start: string, end: string): void;
  /** As `want`, for what is probably not there: a commit is tried on this guess, without fetching first. */
  wantNew?(...keys: string[]): void;
  /**
   * Remembers a released object for a while, where a commit can be repeated although it had succeeded and what it made
   * is gone again: the repetition must not bring it back.
   */
  bury(object: number, note: string): void;
  buried(object: number): string | undefined;
}

/** What some records were found to be. */
export interface RecordsChecked {
  readonly count: number;
  /** What is wrong with each that is damaged. */
  readonly damages: readonly string[];
  /** From where to go on; undefined at the end. */
  readonly next: string | undefined;
}

/** Runs operations: atomically, and for `commit` durably before it resolves. */
export interface Backend {
  readonly description: string;
  readonly durabilityGap: string | undefined;
  read<Result>(operation: (reader: Reader) => Result): Promise<Result>;
  /** The same without waiting, where nothing is far away. */
  readNow?<Result>(operation: (reader: Reader) => Result): Result;
  /** While it stays the same, so does everything that is read; undefined where others commit, too. */
  readonly generation?: number;
  commit<Result>(operation: (transaction: Transaction) => Result): Promise<Result>;
  /** Looks at so many records from `from` on; not there where records have no checksums. */
  inspect?(from: string, limit: number): Promise<RecordsChecked>;
  /** undefined where nobody takes them. */
  snapshots?(): Promise<SnapshotStatus>;
  close(): Promise<void>;
}
