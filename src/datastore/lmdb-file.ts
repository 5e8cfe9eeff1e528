/**
 * The one LMDB file that holds everything: keys are byte strings, values texts, each stored with a checksum that every
 * read verifies (checked-values.ts). Nothing else imports lmdb.
 *
 * What makes a commit durable (tests/datastore-durability.test.ts watches the system calls): a synchronous transaction
 * without `overlappingSync` writes its pages, waits for fdatasync, and writes the page that makes them valid through a
 * descriptor opened with O_DSYNC, before it returns. With `overlappingSync`, or through `put`, it returns earlier.
 *
 * The address space reserved for the map is no memory; past it lmdb-js maps the file again, twice as large.
 */
import { createRequire } from "node:module";
import { StoreError } from "../core/errors.ts";
import { CheckedValues, type SealedValue } from "./checked-values.ts";
import { formatKey } from "./keys.ts";

/** What is used of lmdb-js. Its own declarations do not pass this compiler's checks, so they are not imported. */
interface Database {
  /** What values are is known to CheckedValues: `true` stands for the last one. */
  get(key: string): true | undefined;
  put(key: string, value: SealedValue): unknown;
  remove(key: string): unknown;
  getRange(options: { start: string; end: string; limit?: number }): Iterable<{ key: string }>;
  transactionSync(body: () => void): void;
  resetReadTxn(): void;
  useReadTransaction(): { done(): void };
  backup(directory: string, compact: boolean): Promise<void>;
  close(): Promise<void>;
}
/** Node's own methods, which its declarations leave out: half the price of `write` and `toString`. */
interface FastBuffer extends Buffer {
  latin1Write(text: string, start: number): number;
  latin1Slice(start: number, end: number): string;
}
const lmdb = createRequire(import.meta.url)("lmdb") as { open(options: object): Database };

/** Sorts behind every key. */
const afterAll = "\u00ff\u00ff";
const mapSizeUsual = 64 * 2 ** 30;

export interface LmdbOptions {
  readonly directory: string;
  /** false: commits are handed to the system, not waited for. */
  readonly sync: boolean;
  readonly mapSize?: number;
  /** Another process writes: this one only reads. */
  readonly readOnly?: boolean;
}

export class LmdbFile {
  readonly #values = new CheckedValues();
  readonly #database: Database;

  constructor(options: LmdbOptions) {
    this.#database = openDatabase(options, this.#values);
  }

  /** Takes records without checksums as they are: the datastore was made when there were none (embedded-format.ts). */
  get acceptsUnchecked(): boolean {
    return this.#values.acceptsUnchecked;
  }

  set acceptsUnchecked(isAccepted: boolean) {
    this.#values.acceptsUnchecked = isAccepted;
  }

  /** DAMAGED, as `range`, where a record is not what was put. */
  get(key: string): string | undefined {
    return this.#database.get(key) === undefined ? undefined : this.#values.open(key);
  }

  /** Lets the next read see what other processes have committed: lmdb-js keeps its view for a millisecond or more. */
  refresh(): void {
    this.#database.resetReadTxn();
  }

  /** Within `transact` only. */
  put(key: string, value: string): void {
    this.#database.put(key, this.#values.seal(key, value));
  }

  delete(key: string): void {
    void this.#database.remove(key);
  }

  /** Records in order, from `start` on, before `end`. */
  range(start: string, end: string, limit: number): Iterable<{ key: string; value: string }> {
    return this.#opened(this.#keys(start, end, limit));
  }

  *#opened(keys: Iterable<{ key: string }>): Generator<{ key: string; value: string }> {
    for (const { key } of keys) yield { key, value: this.#values.open(key) };
  }

  /**
   * Looks at so many records from `start` on, whatever they hold: how many there are, and the key of the last one. Tells of each
   * that has no checksum, or a wrong one.
   */
  inspect(
    start: string,
    limit: number,
    tell: (key: string, found: "unchecked" | StoreError) => void,
  ): { readonly count: number; readonly last: string | undefined } {
    let last: string | undefined;
    let count = 0;
    for (const { key } of this.#keys(start, afterAll, limit)) {
      last = key;
      count++;
      if (key === formatKey) continue;
      try {
        this.#values.open(key);
        if (!this.#values.isChecked) tell(key, "unchecked");
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        tell(key, error);
      }
    }
    return { count, last };
  }

  /** With each key, its value is taken: to be opened before the next. */
  #keys(start: string, end: string, limit: number): Iterable<{ key: string }> {
    return this.#database.getRange(limit === Number.MAX_SAFE_INTEGER ? { start, end } : { start, end, limit });
  }

  /** All changes that `body` makes are on disk when it returns; none is made when it throws. */
  transact(body: () => void): void {
    this.#database.transactionSync(body);
  }

  /**
   * Writes all that is committed now into `data.mdb` of another directory that has none, without gaps; not synced. A thread of
   * its own does it: reads and commits go on meanwhile. Must have ended before `close`.
   */
  async copy(directory: string): Promise<void> {
    await this.#database.backup(directory, true);
  }

  /**
   * Until it is released, no commit writes over a page that what is committed now, or later, consists of: LMDB uses free pages
   * again only where they were free for the oldest reader too. Must be released before `close`.
   */
  hold(): () => void {
    const transaction = this.#database.useReadTransaction();
    return () => transaction.done();
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

function openDatabase(options: LmdbOptions, values: CheckedValues): Database {
  const { directory, sync, mapSize = mapSizeUsual, readOnly = false } = options;
  return lmdb.open({
    path: directory,
    noSubdir: false,
    keyEncoder: { writeKey, readKey },
    encoder: valueEncoder(values),
    maxDbs: 1,
    mapSize,
    maxReaders: 64,
    overlappingSync: false,
    noSync: !sync,
    readOnly,
  });
}

function writeKey(key: string, target: FastBuffer, start: number): number {
  const size = target.latin1Write(key, start);
  // Too little room: lmdb-js takes this for a reason to use another buffer.
  if (size < key.length) throw new RangeError("the key does not fit");
  return start + size;
}

function readKey(target: FastBuffer, start: number, end: number): string {
  return target.latin1Slice(start, end);
}

/** Within a transaction, lmdb-js has copied the bytes when `put` returns, so one memory serves all values. */
function valueEncoder(values: CheckedValues): object {
  return {
    copyBuffers: true,
    encode: (value: SealedValue): Buffer => value,
    // Given a Buffer, or a plain Uint8Array of the map where the value is large; `length` is that of the value.
    decode(bytes: Uint8Array): true {
      values.take(bytes, bytes.length);
      return true;
    },
  };
}
