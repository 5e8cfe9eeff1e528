/**
 * What the embedded datastore is rebuilt from when its file is damaged (restore.ts): snapshots, taken while it is in use, and
 * the journal of what was committed since.
 *
 * A snapshot is LMDB's own copy, made by a thread of its own from one view of the data; then it is read to its end,
 * synced, and described by a second file, without which it does not count. Before that the pages of the datastore's file are
 * read without LMDB, which a damaged one can lead astray: there is no snapshot of what is damaged, and the older ones stay.
 */
import { messageOf, StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { OpenAppendFile } from "../env/append-file.ts";
import type { Clock, Disk, Log, Timer } from "../env/host.ts";
import { DamageLog } from "./embedded-errors.ts";
import { admitFormat } from "./embedded-format.ts";
import { closedAt, Journal, readHeader } from "./journal.ts";
import { commitKey } from "./keys.ts";
import { LmdbFile } from "./lmdb-file.ts";
import { walkLmdbFile } from "./lmdb-header.ts";
import {
  gapName,
  checkRecords,
  listJournals,
  listSnapshots,
  readDescription,
  readWhole,
  snapshotName,
  superfluous,
  timeText,
  writeDescription,
} from "./snapshot-files.ts";

export interface SnapshotSettings {
  /** Is made if it is not there. */
  readonly directory: string;
  readonly intervalMs: number;
  readonly keptMax: number;
  readonly openFile: OpenAppendFile;
}

export interface SnapshotStatus {
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly newestAt: number | undefined;
  readonly lastError: string | undefined;
  /** Bytes of commits since the newest one, in the journal; what is broken ends there until the next snapshot. */
  readonly journalSize: number;
  readonly isJournalBroken: boolean;
}

export interface HistoryOptions extends SnapshotSettings {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** Directory of the datastore itself. */
  readonly datastore: string;
  readonly file: LmdbFile;
}

/** How the datastore was found. */
export interface HistoryStart {
  readonly commit: number;
  /** It was made just now. */
  readonly isNew: boolean;
  /** It was put back from a copy by hand: what is here is of another one. */
  readonly isRestored: boolean;
}

/** Refuses to begin anew where there was a datastore: DAMAGED. `isLost` tells whether its file holds nothing. */
export async function refuseLost(disk: Disk, directory: string, datastore: string, isLost: boolean): Promise<void> {
  if (!isLost) return;
  const known = (await listSnapshots(disk, directory)).length + (await listJournals(disk, directory)).length;
  if (known === 0) return;
  const why = `${datastore}/data.mdb is missing or empty, but ${directory} has snapshots or journals of it`;
  throw new StoreError("DAMAGED", `${why}; run data-putter restore, see docs/runbooks/restore-the-datastore.md`);
}

export class History {
  readonly #options: HistoryOptions;
  readonly #journal: Journal;
  readonly #damage: DamageLog;
  #commit: number;
  #snapshotCommit: number | undefined;
  /** From this size of the journal on, a snapshot is due. */
  #journalSizeMax: number = limits.journalSizeMax;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;
  #isSoon = false;
  #spaceAskedAt = Number.NEGATIVE_INFINITY;
  #watching: Promise<void> | undefined;
  #lastError: string | undefined;

  private constructor(options: HistoryOptions, journal: Journal, commit: number, snapshotCommit: number | undefined) {
    this.#options = options;
    this.#journal = journal;
    this.#damage = new DamageLog(options.log);
    this.#commit = commit;
    this.#snapshotCommit = snapshotCommit;
  }

  static async open(options: HistoryOptions, start: HistoryStart): Promise<History> {
    const { disk, directory, clock, log } = options;
    const { commit, isNew } = start;
    if (await disk.makeDirectory(directory)) await disk.syncDirectory(`${directory}/..`);
    if (start.isRestored) await setAside(options);
    else await refuseBehind(options, commit);
    const journals = await listJournals(disk, directory);
    const newest = journals.at(-1);
    const isWhole = newest !== undefined && (await closedAt(disk, `${directory}/${newest.name}`)) === commit;
    const snapshots = await listSnapshots(disk, directory);
    // Whoever takes one right after each start must have come to its end with the last: it may be what ended the process.
    const wasInterrupted = ((await disk.list(partOf(directory))) ?? []).length > 0;
    const isSame = newest?.after === commit;
    const isEmpty = isNew || (isSame && (await readHeader(disk, `${directory}/${newest.name}`))?.isEmpty === true);
    const journal = new Journal({ directory, openFile: options.openFile, clock, log }, { after: commit, isEmpty });
    const history = new History(options, journal, commit, snapshots[0]?.commit);
    if (!isNew && !isWhole && !wasInterrupted) history.#planSoon();
    // A smaller file was walked before it was opened.
    else if ((await sizeOf(disk, fileOf(options))) > limits.pagesCheckedSizeMax) history.#planWalk();
    else history.#plan(options.intervalMs);
    return history;
  }

  /** After each commit, before anybody hears of it. */
  append(commit: number, changes: readonly (string | undefined)[]): void {
    this.#commit = commit;
    this.#journal.append(commit, changes);
    const { size } = this.#journal;
    if (size > this.#journalSizeMax && this.#running === undefined && this.#lastError === undefined) this.#planSoon();
    // Where no snapshot can be taken, the journal must not take the whole disk.
    if (size > 4 * this.#journalSizeMax && !this.#journal.isBroken) this.#journal.giveUp("it has grown too large");
    this.#watchSpace();
  }

  /** What is kept free is for the datastore itself, so that objects can be removed, and for giving space back. */
  #watchSpace(): void {
    const { disk, directory, clock, log } = this.#options;
    if (this.#journal.isBroken || clock.monotonic() - this.#spaceAskedAt < limits.spaceCheckMs) return;
    this.#spaceAskedAt = clock.monotonic();
    this.#watching = (async () => {
      try {
        if ((await disk.freeSpace(directory)) >= limits.journalSpaceReserveSize || this.#running !== undefined) return;
        // Older snapshots go first, and what of the journals only they need.
        if ((await this.#prune(1)) > 0) return;
        const free = await disk.freeSpace(directory);
        if (free >= limits.journalSpaceReserveSize || this.#journal.isBroken || this.#isStopped) return;
        this.#journal.giveUp(`only ${free} bytes are free: what is committed from now on cannot be restored`);
        this.#plan(Math.min(this.#options.intervalMs, limits.snapshotAgainMs));
      } catch (error) {
        log.warn("free space for the journal is unknown", { reason: messageOf(error) });
      }
    })();
  }

  async status(): Promise<SnapshotStatus> {
    const snapshots = await listSnapshots(this.#options.disk, this.#options.directory);
    return {
      count: snapshots.length,
      newestAt: snapshots[0]?.takenAt,
      lastError: this.#lastError,
      journalSize: this.#journal.size,
      isJournalBroken: this.#journal.isBroken,
    };
  }

  /**
   * Reads all pages now, and takes a snapshot unless nothing has changed since the last one. Never rejects: what goes wrong is in
   * the status.
   */
  async #runOnce(takesSnapshot: boolean): Promise<void> {
    this.#running ??= this.#run(takesSnapshot).finally(() => (this.#running = undefined));
    await this.#running;
  }

  /** Before the datastore's file is closed. */
  async close(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
    await this.#watching;
    await this.#journal.close(this.#commit);
  }

  #planSoon(): void {
    if (this.#isSoon) return;
    this.#isSoon = true;
    this.#plan(limits.snapshotSoonMs);
  }

  #planWalk(): void {
    this.#plan(limits.snapshotSoonMs, false);
  }

  #plan(delayMs: number, takesSnapshot = true): void {
    this.#timer?.cancel();
    if (this.#isStopped) return;
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#isSoon = false;
      // Without a journal only a snapshot helps.
      const { intervalMs } = this.#options;
      const againMs = (): number =>
        this.#journal.isBroken ? Math.min(intervalMs, limits.snapshotAgainMs) : intervalMs;
      void this.#runOnce(takesSnapshot).then(() => this.#plan(againMs()));
    });
  }

  async #run(takesSnapshot: boolean): Promise<void> {
    const isDue = takesSnapshot && (this.#commit !== this.#snapshotCommit || this.#journal.isBroken);
    const { log } = this.#options;
    try {
      await (isDue ? this.#take() : this.#walk());
      this.#lastError = undefined;
    } catch (error) {
      if (this.#isStopped) return;
      const isNews = this.#lastError === undefined;
      this.#lastError = messageOf(error);
      // Half a copy must not stay, on a full disk above all.
      if (isDue) await this.#removePart().catch(() => undefined);
      const what = isDue ? "no snapshot of the datastore could be taken" : "the datastore could not be looked through";
      if (isNews) log.error(what, { reason: this.#lastError });
    }
  }

  async #take(): Promise<void> {
    const { disk, directory, clock, file, log } = this.#options;
    const part = partOf(directory);
    await this.#checkSpace();
    await this.#walk();
    this.#journal.rotate(this.#commit);
    await disk.makeDirectory(part);
    for (const name of (await disk.list(part)) ?? []) await disk.unlink(`${part}/${name}`);
    const takenAt = clock.now();
    await file.copy(part);
    const { commit, records } = await this.#check(part);
    const { size, sha256 } = await readWhole(disk, `${part}/data.mdb`, undefined, () => this.#isStopped);
    await syncFile(disk, `${part}/data.mdb`);
    const target = `${directory}/${snapshotName(takenAt, commit)}`;
    await disk.rename(`${part}/data.mdb`, `${target}.mdb`);
    await writeDescription(disk, `${target}.json`, { format: 1, commit, takenAt, size, records, sha256 });
    await disk.syncDirectory(directory);
    await disk.removeDirectory(part);
    this.#snapshotCommit = commit;
    this.#journal.resetSize();
    this.#journalSizeMax = Math.max(limits.journalSizeMax, size);
    log.info("snapshot of the datastore taken", { commit, records, size, tookMs: clock.now() - takenAt });
    await this.#prune(this.#options.keptMax);
  }

  /** DAMAGED where a page of what is committed now cannot be what LMDB wrote. */
  async #walk(): Promise<void> {
    const { disk, file } = this.#options;
    const walkOnce = async (): Promise<void> => {
      const release = file.hold();
      try {
        await walkLmdbFile(disk, fileOf(this.#options), () => this.#refuseStopped());
      } finally {
        release();
      }
    };
    try {
      // A meta page on a slow disk may be read while it is written, and whoever is told of damage stops everything: only what
      // is found twice is told.
      await walkOnce().catch(walkOnce);
    } catch (error) {
      throw this.#damage.noted(error);
    }
  }

  #refuseStopped(): void {
    if (this.#isStopped) throw new StoreError("ABORTED", "stopped");
  }

  async #removePart(): Promise<void> {
    const { disk, directory } = this.#options;
    const part = partOf(directory);
    for (const name of (await disk.list(part)) ?? []) await disk.unlink(`${part}/${name}`);
    await disk.removeDirectory(part);
  }

  async #checkSpace(): Promise<void> {
    const { disk, directory } = this.#options;
    const size = await sizeOf(disk, fileOf(this.#options));
    const free = await disk.freeSpace(directory);
    if (free >= size + limits.snapshotSpaceReserveSize) return;
    throw new StoreError("NO_SPACE", `${directory}: ${free} bytes are free, a copy of the datastore can take ${size}`);
  }

  /** Reads the copy to its end. A commit that it has must be known to this process, or it is another datastore's. */
  async #check(part: string): Promise<{ commit: number; records: number }> {
    const { clock, disk } = this.#options;
    await walkLmdbFile(disk, `${part}/data.mdb`, () => this.#refuseStopped());
    const copy = new LmdbFile({ directory: part, sync: false, readOnly: true });
    try {
      const pause = (): Promise<void> => {
        this.#refuseStopped();
        return new Promise((resolve) => clock.soon(resolve));
      };
      admitFormat(copy, part);
      const records = await checkRecords(copy, false, pause);
      const commit = Number(copy.get(commitKey) ?? 0);
      if (commit > this.#commit) throw new StoreError("DAMAGED", `the copy has commit ${commit} of ${this.#commit}`);
      return { commit, records };
    } finally {
      await copy.close();
      await disk.unlink(`${part}/lock.mdb`);
    }
  }

  /** Removes what need not be kept; says how many files. With `keptMax` 1 nothing is but the newest snapshot. */
  async #prune(keptMax: number): Promise<number> {
    const { disk, directory, clock } = this.#options;
    let removedCount = 0;
    const remove = async (name: string): Promise<void> => {
      if (await disk.unlink(`${directory}/${name}`)) removedCount++;
    };
    const names = await listSnapshots(disk, directory);
    const snapshots = await Promise.all(
      names.map(async (each) => {
        const description = await readDescription(disk, `${directory}/${each.name}.json`);
        return { ...each, size: description?.size ?? 0 };
      }),
    );
    const total = snapshots.reduce((sum, { size }) => sum + size, 0);
    const sizeMax = (total + (await disk.freeSpace(directory))) * limits.snapshotsShareMax;
    const dailyKept = keptMax === 1 ? 0 : limits.snapshotDaysKept;
    for (const { name } of superfluous(snapshots, { keptMax, dailyKept, sizeMax, now: clock.now() })) {
      await remove(`${name}.json`);
      await remove(`${name}.mdb`);
    }
    const oldest = snapshots[Math.min(limits.snapshotsJournaled, keptMax) - 1];
    if (oldest === undefined) return removedCount;
    const journals = await listJournals(disk, directory);
    // The last one that follows a commit before the snapshot holds what comes right after it.
    const needed = journals.findLastIndex(({ after }) => after <= oldest.commit);
    for (const { name } of journals.slice(0, Math.max(0, needed))) {
      await remove(name);
      await disk.unlink(`${directory}/${gapName(name)}`);
    }
    return removedCount;
  }
}

function partOf(directory: string): string {
  return `${directory}/part`;
}

/** The datastore's own. */
function fileOf({ datastore }: HistoryOptions): string {
  return `${datastore}/data.mdb`;
}

/** 0 where there is none. */
async function sizeOf(disk: Disk, path: string): Promise<number> {
  const file = await disk.open(path, "read");
  try {
    return (await file?.size()) ?? 0;
  } finally {
    await file?.close();
  }
}

async function syncFile(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, "write");
  try {
    await file?.sync();
  } finally {
    await file?.close();
  }
}

/** DAMAGED where the datastore lacks commits that it had: its file is damaged, or an older copy. */
async function refuseBehind({ disk, directory, datastore }: HistoryOptions, commit: number): Promise<void> {
  const snapshots = await listSnapshots(disk, directory);
  const journals = await listJournals(disk, directory);
  const newest = journals.at(-1);
  const closed = newest === undefined ? undefined : await closedAt(disk, `${directory}/${newest.name}`);
  const known = Math.max(0, closed ?? 0, newest?.after ?? 0, snapshots[0]?.commit ?? 0);
  if (known <= commit) return;
  const why = `${datastore}/data.mdb is damaged or an old copy: it ends with commit ${commit}, ${directory} knows of ${known}`;
  throw new StoreError("DAMAGED", `${why}; run data-putter restore, see docs/runbooks/restore-the-datastore.md`);
}

/** Snapshots and journals of a datastore in whose place a copy was put by hand; they are kept under another name. */
async function setAside({ disk, directory, clock, log }: HistoryOptions): Promise<void> {
  if (((await disk.list(directory)) ?? []).length === 0) return;
  const aside = `${directory}.of-another-${timeText(clock.now())}`;
  await disk.rename(directory, aside);
  await disk.makeDirectory(directory);
  await disk.syncDirectory(`${directory}/..`);
  log.warn("snapshots that are not of this datastore were set aside", { directory: aside });
}
