/**
 * What lies in ROOT/snapshots (docs/formats/datastore.md): copies of the datastore, each with a description that is written
 * last, and the journals of what was committed since.
 */
import { createHash } from "node:crypto";
import { StoreError } from "../core/errors.ts";
import type { Disk } from "../env/host.ts";
import type { LmdbFile } from "./lmdb-file.ts";
import { Table } from "./keys.ts";

const pieceSize = 1024 * 1024;
const descriptionSizeMax = 4096;
const dayMs = 86_400_000;

export interface SnapshotName {
  /** Without `.mdb`: its time and commit. */
  readonly name: string;
  readonly takenAt: number;
  readonly commit: number;
}

/** The content of `<name>.json`. */
export interface SnapshotDescription {
  readonly format: 1;
  readonly commit: number;
  readonly takenAt: number;
  readonly size: number;
  readonly records: number;
  readonly sha256: string;
}

export interface JournalName {
  readonly name: string;
  readonly after: number;
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const namePattern = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-(\d{16})$/;

export function snapshotName(takenAt: number, commit: number): string {
  return `${timeText(takenAt)}-${digits(commit)}`;
}

/** `20261122T194553Z`: a time that can stand in the name of a file on any system. */
export function timeText(time: number): string {
  return new Date(time).toISOString().replace(/[-:]|\.\d+/g, "");
}

export function journalName(after: number): string {
  return `journal-${digits(after)}`;
}

/** An empty file beside a journal that was given up: commits may have followed of which nothing is known. */
export function gapName(journal: string): string {
  return `${journal}.gap`;
}

export function parseSnapshotName(name: string): SnapshotName | undefined {
  const match = namePattern.exec(name);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, ...number[]];
  const takenAt = Date.UTC(year, month! - 1, day, hour, minute, second);
  return { name, takenAt, commit: Number(match[7]) };
}

function digits(value: number): string {
  return String(value).padStart(16, "0");
}

/** Those that are finished, by commit, the newest first. */
export async function listSnapshots(disk: Disk, directory: string): Promise<SnapshotName[]> {
  const names = new Set(await disk.list(directory));
  const found = [...names].flatMap((name) => {
    const parsed = name.endsWith(".mdb") ? parseSnapshotName(name.slice(0, -".mdb".length)) : undefined;
    return parsed !== undefined && names.has(`${parsed.name}.json`) ? [parsed] : [];
  });
  return found.sort((a, b) => b.commit - a.commit || b.takenAt - a.takenAt);
}

/** By the commit that they follow. */
export async function listJournals(disk: Disk, directory: string): Promise<JournalName[]> {
  const names = (await disk.list(directory)) ?? [];
  const found = names.flatMap((name) => {
    const match = /^journal-(\d{16})$/.exec(name);
    return match === null ? [] : [{ name, after: Number(match[1]) }];
  });
  return found.sort((a, b) => a.after - b.after);
}

export interface Keeping {
  readonly keptMax: number;
  readonly dailyKept: number;
  /** What those that are kept may take together; two are kept in any case. */
  readonly sizeMax: number;
  readonly now: number;
}

/** Which snapshots may go, newest first: those beyond `keptMax`, unless they are the last of one of the last days. */
export function superfluous(
  snapshots: readonly (SnapshotName & { readonly size: number })[],
  { keptMax, dailyKept, sizeMax, now }: Keeping,
): SnapshotName[] {
  const days = new Set<number>();
  let total = 0;
  return snapshots.filter(({ takenAt, size }, index) => {
    const day = Math.floor(takenAt / dayMs);
    const isLastOfDay = !days.has(day) && day > Math.floor(now / dayMs) - dailyKept;
    days.add(day);
    const isKept = (index < keptMax || isLastOfDay) && (index < 2 || total + size <= sizeMax);
    if (isKept) total += size;
    return !isKept;
  });
}

// ── contents ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Size and SHA-256 of a file; with `target`, copies it there. Gives other work its turn after each piece. */
export async function readWhole(
  disk: Disk,
  path: string,
  target?: string,
  isStopped: () => boolean = () => false,
): Promise<{ size: number; sha256: string }> {
  const file = await disk.open(path, "read");
  if (file === undefined) throw new StoreError("NOT_FOUND", `${path} is not there`);
  const to = target === undefined ? undefined : (await disk.create(target)).file;
  try {
    const hash = createHash("sha256");
    const buffer = new Uint8Array(pieceSize);
    let size = 0;
    for (;;) {
      if (isStopped()) throw new StoreError("ABORTED", "stopped");
      const count = await file.read(buffer, size);
      if (count === 0) break;
      const piece = buffer.subarray(0, count);
      hash.update(piece);
      await to?.write([piece], size);
      size += count;
    }
    await to?.sync();
    return { size, sha256: hash.digest("hex") };
  } finally {
    await file.close();
    await to?.close();
  }
}

export async function writeDescription(disk: Disk, path: string, description: SnapshotDescription): Promise<void> {
  const bytes = new Uint8Array(Buffer.from(`${JSON.stringify(description)}\n`));
  await disk.unlink(`${path}.new`);
  const { file } = await disk.create(`${path}.new`);
  try {
    await file.write([bytes], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.new`, path);
}

/** undefined where there is none, or it cannot be read. */
export async function readDescription(disk: Disk, path: string): Promise<SnapshotDescription | undefined> {
  const file = await disk.open(path, "read");
  if (file === undefined) return undefined;
  try {
    const bytes = new Uint8Array(descriptionSizeMax);
    const size = await file.read(bytes, 0);
    const parsed = JSON.parse(Buffer.from(bytes.subarray(0, size)).toString("utf8")) as SnapshotDescription;
    return parsed.format === 1 && typeof parsed.sha256 === "string" ? parsed : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  } finally {
    await file.close();
  }
}

const tables = new Set<string>(Object.values(Table));
const pageSize = 500;

/**
 * Reads all records and says how many there are; throws DAMAGED at the first that cannot be one. `parse`: values, too, are
 * read to their end.
 */
export async function checkRecords(
  file: LmdbFile,
  parse: boolean,
  pause: () => Promise<void> = async () => undefined,
): Promise<number> {
  let count = 0;
  for (let from = ""; ;) {
    let last: string | undefined;
    let inPage = 0;
    for (const { key, value } of file.range(from, "\u00ff\u00ff", pageSize)) {
      inPage++;
      // Each page but the first begins with the last record of the one before.
      if (key === from && from !== "") continue;
      if (last !== undefined ? key <= last : key < from) throw damagedRecord(key, "is out of order");
      last = key;
      count++;
      if (tables.has(key[0] ?? "") && !isValue(value, parse)) throw damagedRecord(key, "is no record");
    }
    if (inPage < pageSize || last === undefined) return count;
    from = last;
    await pause();
  }
}

/** JSON of an object, or digits. */
function isValue(value: string, parse: boolean): boolean {
  if (!value.startsWith("{")) return /^-?\d+$/.test(value);
  if (!parse) return value.endsWith("}");
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}

function damagedRecord(key: string, what: string): StoreError {
  return new StoreError("DAMAGED", `record ${JSON.stringify(key.slice(0, 200))} ${what}`);
}
