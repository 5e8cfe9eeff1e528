/**
 * Makes a datastore again from a snapshot and the journals beside it: the newest snapshot that is good, then all commits that
 * follow it without a gap. What comes behind a gap is not carried out, but what it would have changed is told.
 *
 * It is made beside the one that is there, which is kept under another name.
 */
import { messageOf, StoreError } from "../core/errors.ts";
import { restoreChangesMax, restoreGroupsMax } from "../core/limits.ts";
import type { Clock, Disk } from "../env/host.ts";
import { addChecksums, admitFormat, makeFormat } from "./embedded-format.ts";
import { allocationKey, commitKey, restoredKey } from "./keys.ts";
import { LmdbFile } from "./lmdb-file.ts";
import { checkLmdbFile } from "./lmdb-header.ts";
import { readGroups, readHeader } from "./journal.ts";
import type { Group } from "./journal-format.ts";
import { type StoredAllocation, type StoredRestored } from "./records.ts";
import { type Lost, type NewerVersion, VersionChanges } from "./restored-versions.ts";
import {
  gapName,
  checkRecords,
  listJournals,
  listSnapshots,
  readDescription,
  readWhole,
  timeText,
} from "./snapshot-files.ts";

export interface RestoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Directory of the datastore, and of its snapshots. */
  readonly datastore: string;
  readonly snapshots: string;
  /** The name of a snapshot, or the path of a copy; otherwise the newest that is good. */
  readonly from: string | undefined;
  /** Does all but to put it in the place of the one that is there. */
  readonly isDryRun: boolean;
  /** The highest volume that the disk has. */
  readonly highestVolume: number | undefined;
}

export interface RestoreReport {
  /** undefined: from the journals alone, which begin with an empty datastore. */
  readonly snapshot: string | undefined;
  readonly snapshotCommit: number;
  /** Newer snapshots that are not good, and why. */
  readonly passedOver: readonly { readonly snapshot: string; readonly reason: string }[];
  readonly replayedCommits: number;
  /** The last commit that it has, and when that was, where a journal tells. */
  readonly commit: number;
  readonly committedAt: number | undefined;
  readonly records: number;
  /** Commits of which nothing is known, between the last one that it has and the last one of which something is. */
  readonly unknownCommits: number;
  /** Commits that are known and could not be carried out, since others before them are missing. */
  readonly unusedCommits: number;
  /** The journal was given up (a full disk, say): nothing is known of what was committed after the last commit that is known. */
  readonly isJournalBroken: boolean;
  /** None of these: nothing is missing, as far as anything is known. */
  readonly isWhole: boolean;
  /** Versions that are newer than the snapshot; `restored` tells whether it has them. */
  readonly newer: readonly NewerVersion[];
  /** Versions that it has, although they were removed later: their bytes may be gone. */
  readonly removedLater: readonly Lost[];
  /** Where what was there is now. */
  readonly keptAside: string | undefined;
}

/** Nobody else may have the data directory. NOT_FOUND or DAMAGED where there is nothing to make it from. */
export async function restoreDatastore(options: RestoreOptions): Promise<RestoreReport> {
  const { disk, datastore } = options;
  const fresh = `${datastore}.restoring`;
  await removeFresh(disk, fresh);
  await disk.makeDirectory(fresh);
  try {
    const { base, passedOver } = await copyBase(options, fresh);
    const rebuilt = await rebuild(options, fresh, base.commit);
    const report: RestoreReport = { ...rebuilt, snapshot: base.name, snapshotCommit: base.commit, passedOver };
    if (options.isDryRun) return report;
    return { ...report, keptAside: await putInPlace(options, fresh, report) };
  } finally {
    await removeFresh(disk, fresh);
  }
}

// ── what to begin with ──────────────────────────────────────────────────────────────────────────────────────────────

interface Base {
  readonly name: string | undefined;
  readonly commit: number;
}

async function copyBase(
  options: RestoreOptions,
  fresh: string,
): Promise<{ base: Base; passedOver: RestoreReport["passedOver"] }> {
  const { disk, snapshots, from } = options;
  const passedOver: { snapshot: string; reason: string }[] = [];
  const names = (await listSnapshots(disk, snapshots)).map(({ name }) => name);
  for (const name of from === undefined ? names : [chosen(from, names)]) {
    const path = name.includes("/") ? name : `${snapshots}/${name}.mdb`;
    try {
      return { base: { name, commit: await copyGood(disk, path, fresh) }, passedOver };
    } catch (error) {
      if (from !== undefined) throw error;
      passedOver.push({ snapshot: name, reason: messageOf(error) });
    }
  }
  const [first] = await listJournals(disk, snapshots);
  const header = first === undefined ? undefined : await readHeader(disk, `${snapshots}/${first.name}`);
  if (header?.isEmpty !== true) {
    const why = passedOver.map(({ snapshot, reason }) => `; ${snapshot}: ${reason}`).join("");
    throw new StoreError(
      passedOver.length === 0 ? "NOT_FOUND" : "DAMAGED",
      `${snapshots} has no good snapshot, and no journal from the first commit on${why}`,
    );
  }
  await removeFresh(disk, fresh);
  await disk.makeDirectory(fresh);
  const file = new LmdbFile({ directory: fresh, sync: false });
  makeFormat(file, header.after);
  await file.close();
  return { base: { name: undefined, commit: header.after }, passedOver };
}

function chosen(from: string, names: readonly string[]): string {
  const name = from.replace(/\.mdb$/, "");
  if (names.includes(name)) return name;
  return from.includes("/") ? from : `./${from}`;
}

/** Copies it to `fresh`/data.mdb and reads all of it; the commit that it has. */
async function copyGood(disk: Disk, path: string, fresh: string): Promise<number> {
  const target = `${fresh}/data.mdb`;
  await disk.unlink(target);
  await disk.unlink(`${fresh}/lock.mdb`);
  const described = await readDescription(disk, path.replace(/\.mdb$/, ".json"));
  const { size, sha256 } = await readWhole(disk, path, target);
  if (described === undefined && /\/\d{8}T\d{6}Z-\d{16}\.mdb$/.test(path)) {
    throw new StoreError("DAMAGED", `${path} has no description that can be read`);
  }
  if (described !== undefined && (described.size !== size || described.sha256 !== sha256)) {
    throw new StoreError("DAMAGED", `${path} is not what was written: its checksum is another one`);
  }
  if (!(await checkLmdbFile(disk, target, Number.MAX_SAFE_INTEGER)))
    throw new StoreError("DAMAGED", `${path} is empty`);
  const file = new LmdbFile({ directory: fresh, sync: false });
  try {
    const { all } = admitFormat(file, path);
    await checkRecords(file, true);
    if (!all) addChecksums(file);
    return Number(file.get(commitKey) ?? 0);
  } finally {
    await file.close();
  }
}

// ── the commits that follow ─────────────────────────────────────────────────────────────────────────────────────────

type Rebuilt = Omit<RestoreReport, "snapshot" | "snapshotCommit" | "passedOver">;

async function rebuild(options: RestoreOptions, fresh: string, base: number): Promise<Rebuilt> {
  const file = new LmdbFile({ directory: fresh, sync: false });
  const state = { commit: base, committedAt: undefined as number | undefined, lastKnown: base, unused: 0 };
  const changes = new VersionChanges((key) => file.get(key));
  let objectEnd = 0;
  let waiting: Group[] = [];
  let waitingChanges = 0;
  const carryOut = (): void => {
    file.transact(() => {
      for (const group of waiting) replay(file, group);
    });
    waiting = [];
    waitingChanges = 0;
  };
  try {
    for await (const group of groupsAfter(options, base)) {
      objectEnd = Math.max(objectEnd, allocatedEnd(group));
      const follows = group.commit === state.commit + 1 && state.unused === 0;
      changes.note(group.changes, follows);
      state.lastKnown = Math.max(state.lastKnown, group.commit);
      if (!follows) {
        state.unused++;
        continue;
      }
      state.commit = group.commit;
      state.committedAt = group.time;
      waiting.push(group);
      waitingChanges += group.changes.length;
      if (waiting.length >= restoreGroupsMax || waitingChanges >= restoreChangesMax) carryOut();
    }
    carryOut();
    const restored: StoredRestored = { object: objectEnd, volume: (options.highestVolume ?? -1) + 1 };
    file.transact(() => file.put(restoredKey, JSON.stringify(restored)));
    const records = await checkRecords(file, true);
    const { newer, removedLater } = changes.compare();
    const isJournalBroken = await isGivenUp(options);
    return {
      replayedCommits: state.commit - base,
      commit: state.commit,
      committedAt: state.committedAt,
      records,
      unknownCommits: state.lastKnown - state.commit - state.unused,
      unusedCommits: state.unused,
      isJournalBroken,
      isWhole: state.lastKnown === state.commit && !isJournalBroken,
      newer,
      removedLater,
      keptAside: undefined,
    };
  } finally {
    await file.close();
  }
}

/** The newest journal; behind an older one the next one tells what is missing. */
async function isGivenUp({ disk, snapshots }: RestoreOptions): Promise<boolean> {
  const newest = (await listJournals(disk, snapshots)).at(-1);
  return newest !== undefined && ((await disk.list(snapshots)) ?? []).includes(gapName(newest.name));
}

function replay(file: LmdbFile, { commit, changes }: Group): void {
  for (const { key, value } of changes) {
    if (value === undefined) file.delete(key);
    else file.put(key, value);
  }
  file.put(commitKey, String(commit));
}

/** One past the last ObjectID that a group leased. */
function allocatedEnd({ changes }: Group): number {
  const found = changes.findLast(({ key, value }) => key === allocationKey && value !== undefined);
  return found === undefined ? 0 : (JSON.parse(found.value!) as StoredAllocation).object;
}

/**
 * In order of their commits. Each journal counts up to where the next one begins: what it has beyond is of a datastore that
 * was replaced by an older copy.
 */
async function* groupsAfter({ disk, snapshots }: RestoreOptions, base: number): AsyncGenerator<Group> {
  const journals = await listJournals(disk, snapshots);
  const first = Math.max(
    0,
    journals.findLastIndex(({ after }) => after <= base),
  );
  let last = base;
  for (const [index, { name }] of journals.entries()) {
    if (index < first) continue;
    const end = journals[index + 1]?.after ?? Number.MAX_SAFE_INTEGER;
    for await (const group of readGroups(disk, `${snapshots}/${name}`)) {
      if (group.commit <= last || group.commit > end) continue;
      last = group.commit;
      yield group;
    }
  }
}

// ── in its place ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Where what was there is now. */
async function putInPlace(options: RestoreOptions, fresh: string, report: RestoreReport): Promise<string> {
  const { disk, clock, datastore, snapshots } = options;
  const file = await disk.open(`${fresh}/data.mdb`, "write");
  await file!.sync();
  await file!.close();
  await disk.unlink(`${fresh}/lock.mdb`);
  await disk.syncDirectory(fresh);
  const aside = `${datastore}.damaged-${timeText(clock.now())}`;
  if ((await disk.list(datastore)) === undefined) await disk.makeDirectory(aside);
  else await disk.rename(datastore, aside);
  await disk.rename(fresh, datastore);
  await disk.syncDirectory(`${snapshots}/..`);
  await setAsideLater(disk, snapshots, aside, report);
  await writeLines(disk, `${aside}/newer-versions.jsonl`, report.newer);
  await disk.syncDirectory(aside);
  return aside;
}

/** What the datastore no longer leads to must not be taken for what it will be from now on. */
async function setAsideLater(
  disk: Disk,
  snapshots: string,
  aside: string,
  { commit, isWhole }: RestoreReport,
): Promise<void> {
  // One that goes on behind a gap can be none of what is restored: a snapshot is taken at the next start.
  const later = (await listSnapshots(disk, snapshots)).filter((each) => each.commit > commit);
  const names = later.flatMap(({ name }) => [`${name}.json`, `${name}.mdb`]);
  const journals = (await listJournals(disk, snapshots)).filter(({ after }) => !isWhole || after >= commit);
  const there = new Set(await disk.list(snapshots));
  const gaps = journals.map(({ name }) => gapName(name)).filter((name) => there.has(name));
  for (const name of [...names, ...journals.map((each) => each.name), ...gaps]) {
    await disk.rename(`${snapshots}/${name}`, `${aside}/${name}`);
  }
  if ((await disk.list(snapshots)) !== undefined) await disk.syncDirectory(snapshots);
}

async function writeLines(disk: Disk, path: string, lines: readonly object[]): Promise<void> {
  const { file } = await disk.create(path);
  try {
    const bytes = new Uint8Array(Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
    if (bytes.length > 0) await file.write([bytes], 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function removeFresh(disk: Disk, fresh: string): Promise<void> {
  for (const name of (await disk.list(fresh)) ?? []) await disk.unlink(`${fresh}/${name}`);
  await disk.removeDirectory(fresh);
}
