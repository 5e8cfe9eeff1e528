/**
 * The Datastore in a directory of this machine: an LMDB file (docs/formats/datastore.md).
 *
 * Commits run in groups on this thread, which also waits for the disk. Reads never wait. One process commits; others of
 * the same directory (cli/workers.ts) open it as readers and hand it their commits (forwarded.ts).
 */
import { messageOf, StoreError } from "../core/errors.ts";
import type { OpenAppendFile } from "../env/append-file.ts";
import type { Clock, Disk, Log } from "../env/host.ts";
import { CommitBreaker, DiskTouch, probeDisk } from "./commit-breaker.ts";
import type { Datastore } from "./datastore.ts";
import { DamageLog, isOfTheDisk, runbook, storeErrorOf } from "./embedded-errors.ts";
import { admitFormat, ChecksumUpgrade, isUnused, makeFormat, upgradeFormat } from "./embedded-format.ts";
import { EmbeddedTransaction } from "./embedded-transaction.ts";
import { GroupCommit } from "./group-commit.ts";
import { History, refuseLost, type SnapshotSettings, type SnapshotStatus } from "./history.ts";
import { commitKey, restoredKey } from "./keys.ts";
import { LmdbFile } from "./lmdb-file.ts";
import { checkLmdbFile, checkLmdbLock } from "./lmdb-header.ts";
import type { Backend, Reader, RecordsChecked, Transaction } from "./transaction.ts";
import { TransactionalDatastore } from "./transactional.ts";

export interface EmbeddedOptions {
  /** Is made if it is not there. */
  readonly directory: string;
  readonly clock: Clock;
  /** `os`: a commit is handed to the system but not waited for. */
  readonly durability: "disk" | "os";
  readonly log: Log;
  /** Looks at the file before it is used, and makes its entry in the directory durable when it was made. */
  readonly disk?: Disk;
  /** Tries the disk before each commit (commit-breaker.ts). */
  readonly openFile?: OpenAppendFile;
  /** Without them none are taken, and no journal is written; needs `disk`. */
  readonly snapshots?: SnapshotSettings;
}

/** INCOMPATIBLE where a newer version made it, DAMAGED where it cannot be read. */
export async function openEmbedded(options: EmbeddedOptions): Promise<Datastore> {
  const { directory, durability, clock, log, disk, snapshots } = options;
  await disk?.makeDirectory(directory);
  await disk?.syncDirectory(`${directory}/..`);
  if (disk !== undefined) {
    const isThere = await checkLmdbFile(disk, `${directory}/data.mdb`);
    await checkLmdbLock(disk, `${directory}/lock.mdb`);
    if (snapshots !== undefined) await refuseLost(disk, snapshots.directory, directory, !isThere);
  }
  const file = openFile(directory, durability);
  let history: History | undefined;
  try {
    const isNew = isUnused(file, directory);
    if (disk !== undefined && snapshots !== undefined) {
      await refuseLost(disk, snapshots.directory, directory, isNew);
    }
    if (isNew) makeFormat(file, 1);
    else if (admitFormat(file, directory).format === 1) upgradeFormat(file);
    const isRestored = disk !== undefined && (await noteRestored(file, disk, directory));
    await disk?.syncDirectory(directory);
    if (disk !== undefined && snapshots !== undefined) {
      const commit = Number(file.get(commitKey) ?? 0);
      const found = { commit, isNew, isRestored };
      history = await History.open({ ...snapshots, disk, clock, log, file, datastore: directory }, found);
    }
  } catch (error) {
    await file.close();
    throw storeErrorOf(error);
  }
  return TransactionalDatastore.open(new EmbeddedBackend(file, options, history), clock, log);
}

/** For reading what another process commits, which has it open already. Every read sees all that was committed before. */
export function openEmbeddedReader(options: Omit<EmbeddedOptions, "disk" | "snapshots">): Datastore {
  const file = openFile(options.directory, options.durability, true);
  admitFormat(file, options.directory);
  return TransactionalDatastore.openReader(new EmbeddedReader(file, options), options.clock);
}

class EmbeddedBackend implements Backend {
  readonly description: string;
  readonly durabilityGap: string | undefined;
  readonly #file: LmdbFile;
  readonly #log: Log;
  readonly #damage: DamageLog;
  readonly #touch: DiskTouch | undefined;
  readonly #breaker: CommitBreaker;
  readonly #upgrade: ChecksumUpgrade | undefined;
  readonly #reader: Reader;
  readonly #group: GroupCommit;
  readonly #history: History | undefined;
  readonly snapshots?: () => Promise<SnapshotStatus>;
  /** The number of the last one that changed something. */
  #commit: number;
  #isClosed = false;
  /** Attempts to commit, whatever became of them. */
  #attempts = 0;
  /** Said once, not for every group that fails for the same reason. */
  #lastFailure: StoreError["code"] | undefined;

  constructor(file: LmdbFile, options: EmbeddedOptions, history: History | undefined) {
    const { directory, clock, durability, log, disk } = options;
    const probe = async (): Promise<void> => disk && probeDisk(disk, directory);
    const { openFile = options.snapshots?.openFile } = options;
    this.#touch = openFile && new DiskTouch(openFile, `${directory}/touch`);
    this.#breaker = new CommitBreaker({ clock, log, probe, touch: () => this.#touch?.touch() });
    this.#history = history;
    this.#commit = Number(file.get(commitKey) ?? 0);
    this.description = describe(directory);
    this.durabilityGap = gapOf(durability);
    this.#file = file;
    this.#log = log;
    this.#damage = new DamageLog(log);
    if (file.acceptsUnchecked) this.#upgrade = new ChecksumUpgrade(file, clock, log);
    this.#reader = new EmbeddedTransaction(file, false);
    if (history !== undefined) this.snapshots = () => history.status();
    this.#group = new GroupCommit({ transact: (body) => this.#transact(body) }, clock);
  }

  get generation(): number {
    return this.#attempts;
  }

  async read<Result>(operation: (reader: Reader) => Result): Promise<Result> {
    return this.readNow(operation);
  }

  readNow<Result>(operation: (reader: Reader) => Result): Result {
    if (this.#isClosed) throw new StoreError("ABORTED", "the datastore is closed");
    try {
      return operation(this.#reader);
    } catch (error) {
      throw this.#damage.noted(error);
    }
  }

  async inspect(from: string, limit: number): Promise<RecordsChecked> {
    return this.read(() => inspectRecords(this.#file, from, limit));
  }

  commit<Result>(operation: (transaction: Transaction) => Result): Promise<Result> {
    return this.#group.commit((transaction) => {
      try {
        return operation(transaction);
      } catch (error) {
        throw this.#damage.noted(error);
      }
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#group.close();
    this.#isClosed = true;
    this.#upgrade?.close();
    this.#breaker.close();
    this.#touch?.close();
    await this.#history?.close();
    await this.#file.close();
  }

  #transact(body: (transaction: EmbeddedTransaction) => void): void {
    this.#breaker.check();
    this.#attempts++;
    try {
      const transaction = new EmbeddedTransaction(this.#file, true);
      const commit = this.#commit + 1;
      this.#file.transact(() => {
        body(transaction);
        transaction.putCounters();
        if (transaction.changes.length > 0) this.#file.put(commitKey, String(commit));
      });
      this.#lastFailure = undefined;
      if (transaction.changes.length === 0) return;
      this.#breaker.worked();
      this.#commit = commit;
      this.#history?.append(commit, transaction.changes);
    } catch (error) {
      const failure = storeErrorOf(error);
      if (isOfTheDisk(error) && failure instanceof StoreError) this.#breaker.failed(failure);
      if (failure instanceof StoreError && failure.code !== this.#lastFailure) {
        this.#log.error("a commit to the datastore failed", { code: failure.code, reason: messageOf(error) });
        this.#lastFailure = failure.code;
      }
      throw failure;
    }
  }
}

class EmbeddedReader implements Backend {
  readonly description: string;
  readonly durabilityGap: string | undefined;
  readonly #file: LmdbFile;
  readonly #damage: DamageLog;
  readonly #reader: Reader;
  #isClosed = false;

  constructor(file: LmdbFile, options: Pick<EmbeddedOptions, "directory" | "durability" | "log">) {
    this.#damage = new DamageLog(options.log);
    this.description = describe(options.directory);
    this.durabilityGap = gapOf(options.durability);
    this.#file = file;
    this.#reader = new EmbeddedTransaction(file, false);
  }

  async read<Result>(operation: (reader: Reader) => Result): Promise<Result> {
    return this.readNow(operation);
  }

  readNow<Result>(operation: (reader: Reader) => Result): Result {
    if (this.#isClosed) throw new StoreError("ABORTED", "the datastore is closed");
    try {
      this.#file.refresh();
      return operation(this.#reader);
    } catch (error) {
      throw this.#damage.noted(error);
    }
  }

  async commit(): Promise<never> {
    throw new Error("a reader of the datastore does not commit");
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#file.close();
  }
}

function inspectRecords(file: LmdbFile, from: string, limit: number): RecordsChecked {
  const damages: string[] = [];
  const { last, count } = file.inspect(from, limit, (_key, found) => {
    if (found !== "unchecked") damages.push(found.message);
  });
  return { count, damages, next: last === undefined ? undefined : `${last}\0` };
}

// ── opening, and what can go wrong ──────────────────────────────────────────────────────────────────────────────────

function describe(directory: string): string {
  return `embedded, in ${directory}`;
}

function gapOf(durability: "disk" | "os"): string | undefined {
  return durability === "disk" ? undefined : "durability os: commits are not waited for until they are on disk";
}

function openFile(directory: string, durability: "disk" | "os", readOnly = false): LmdbFile {
  try {
    return new LmdbFile({ directory, sync: durability === "disk", readOnly });
  } catch (error) {
    const known = storeErrorOf(error);
    const code = known instanceof StoreError ? known.code : "UNAVAILABLE";
    throw new StoreError(code, `datastore in ${directory} cannot be opened: ${messageOf(error)}; ${runbook}`, {
      cause: error,
    });
  }
}

/** Whoever puts a copy back leaves a file `restored` beside it (docs/runbooks/restore-the-datastore.md). */
async function noteRestored(file: LmdbFile, disk: Disk, directory: string): Promise<boolean> {
  const names = (await disk.list(directory)) ?? [];
  if (!names.includes("restored")) return false;
  file.transact(() => file.put(restoredKey, "{}"));
  await disk.unlink(`${directory}/restored`);
  return true;
}
