/**
 * The one LMDB file that holds everything: keys are byte strings, values texts. Nothing else imports lmdb.
 *
 * What makes a commit durable (tests/datastore-durability.test.ts watches the system calls): a synchronous transaction
 * without `overlappingSync` writes its pages, waits for fdatasync, and writes the page that makes them valid through a
 * descriptor opened with O_DSYNC, before it returns. With `overlappingSync`, or through `put`, it returns earlier.
 *
 * The address space reserved for the map is no memory; past it lmdb-js maps the file again, twice as large.
 */
import { createRequire } from "node:module";

/** What is used of lmdb-js. Its own declarations do not pass this compiler's checks, so they are not imported. */
interface Database {
  getString(key: string): string | undefined;
  put(key: string, value: string): unknown;
  remove(key: string): unknown;
  getRange(options: { start: string; end: string; limit?: number }): Iterable<{ key: string; value: string }>;
  transactionSync(body: () => void): void;
  resetReadTxn(): void;
  backup(directory: string, compact: boolean): Promise<void>;
  close(): Promise<void>;
}
/** Node's own methods, which its declarations leave out: half the price of `write` and `toString`. */
interface FastBuffer extends Buffer {
  latin1Write(text: string, start: number): number;
  utf8Write(text: string, start: number): number;
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
}
const lmdb = createRequire(import.meta.url)("lmdb") as { open(options: object): Database };

const scratchSize = 65_536;
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
  readonly #database: Database;

  constructor(options: LmdbOptions) {
    this.#database = openDatabase(options);
  }

  get(key: string): string | undefined {
    return this.#database.getString(key);
  }

  /** Lets the next read see what other processes have committed: lmdb-js keeps its view for a millisecond or more. */
  refresh(): void {
    this.#database.resetReadTxn();
  }

  /** Within `transact` only. */
  put(key: string, value: string): void {
    this.#database.put(key, value);
  }

  delete(key: string): void {
    void this.#database.remove(key);
  }

  /** Records in order, from `start` on, before `end`. */
  range(start: string, end: string, limit: number): Iterable<{ key: string; value: string }> {
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

  async close(): Promise<void> {
    await this.#database.close();
  }
}

function openDatabase({ directory, sync, mapSize = mapSizeUsual, readOnly = false }: LmdbOptions): Database {
  return lmdb.open({
    path: directory,
    noSubdir: false,
    keyEncoder: { writeKey, readKey },
    encoder: textEncoder(),
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

/** Texts by way of one buffer: within a transaction, lmdb-js has copied the bytes when `put` returns. */
function textEncoder(): object {
  const scratch = Buffer.allocUnsafeSlow(scratchSize) as FastBuffer & { start: number; end: number };
  scratch.start = 0;
  return {
    copyBuffers: true,
    encode(text: string): Buffer {
      if (text.length * 3 > scratchSize) return Buffer.from(text, "utf8");
      scratch.end = scratch.utf8Write(text, 0);
      return scratch;
    },
    // Given a Buffer, or a plain Uint8Array of the map where the value is large.
    decode(bytes: Uint8Array, size: number): string {
      return (Buffer.prototype as FastBuffer).utf8Slice.call(bytes, 0, size);
    },
  };
}
