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
  get(key: string): string | undefined;
  put(key: string, value: string): unknown;
  remove(key: string): unknown;
  getRange(options: { start: string; end: string; limit?: number }): Iterable<{ key: string; value: string }>;
  transactionSync(body: () => void): void;
  close(): Promise<void>;
}
const lmdb = createRequire(import.meta.url)("lmdb") as { open(options: object): Database };

const mapSizeUsual = 64 * 2 ** 30;

export interface LmdbOptions {
  readonly directory: string;
  /** false: commits are handed to the system, not waited for. */
  readonly sync: boolean;
  readonly mapSize?: number;
}

export class LmdbFile {
  readonly #database: Database;

  constructor(options: LmdbOptions) {
    this.#database = openDatabase(options);
  }

  get(key: string): string | undefined {
    return this.#database.get(key);
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

  async close(): Promise<void> {
    await this.#database.close();
  }
}

function openDatabase({ directory, sync, mapSize = mapSizeUsual }: LmdbOptions): Database {
  return lmdb.open({
    path: directory,
    noSubdir: false,
    encoding: "string",
    keyEncoder: {
      writeKey(key: string, target: Buffer, start: number): number {
        const size = target.write(key, start, "latin1");
        // Too little room: lmdb-js takes this for a reason to use another buffer.
        if (size < key.length) throw new RangeError("the key does not fit");
        return start + size;
      },
      readKey: (target: Buffer, start: number, end: number): string => target.toString("latin1", start, end),
    },
    maxDbs: 1,
    mapSize,
    maxReaders: 64,
    overlappingSync: false,
    noSync: !sync,
  });
}
