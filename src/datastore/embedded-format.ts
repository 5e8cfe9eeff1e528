/**
 * Which format the embedded datastore has (docs/formats/datastore.md). Format 2 has checksums in its records. One of format 1
 * becomes one of format 2 when it is opened, in constant time: its records are taken without checksums until a walk in
 * the background has given each of them one.
 */
import { messageOf, StoreError } from "../core/errors.ts";
import { upgradePauseMs, upgradeRecordsMax } from "../core/limits.ts";
import type { Clock, Log, Timer } from "../env/host.ts";
import { runbook } from "./embedded-errors.ts";
import { checksumsKey, commitKey, formatKey } from "./keys.ts";
import type { LmdbFile } from "./lmdb-file.ts";
import type { StoredChecksums } from "./records.ts";

export const embeddedFormat = 2;

/** Whether nothing was ever stored in it. DAMAGED where the record of its format is gone and others are there. */
export function isUnused(file: LmdbFile, place: string): boolean {
  if (file.get(formatKey) !== undefined) return false;
  if (file.inspect("", 1, () => undefined).count === 0) return true;
  throw new StoreError("DAMAGED", `datastore in ${place} has records, but not the one of its format; ${runbook}`);
}

/** The first commit of a datastore; `commit`: the number that it gets. */
export function makeFormat(file: LmdbFile, commit: number): void {
  file.transact(() => {
    putFormat(file, true);
    file.put(commitKey, String(commit));
  });
}

/**
 * Lets the file be read as what it is; `all` tells whether each record has a checksum. INCOMPATIBLE where a newer version made
 * it. What it reads as format 1 is format 1 still: `upgrade` changes that.
 */
export function admitFormat(file: LmdbFile, place: string): { readonly format: number; readonly all: boolean } {
  const text = file.get(formatKey);
  const format = Number(text);
  if (text === undefined || (format !== 1 && format !== embeddedFormat)) {
    const message = `datastore in ${place} has format ${text}, this program knows ${embeddedFormat} and 1`;
    throw new StoreError("INCOMPATIBLE", `${message}: use the version that made it, or a newer one`);
  }
  const checksums = file.get(checksumsKey);
  if ((checksums === undefined) !== (format === 1)) {
    const which =
      format === 1 ? "has checksums, but says that it is older" : "does not say which records have checksums";
    throw new StoreError("DAMAGED", `datastore in ${place} ${which}; ${runbook}`);
  }
  const all = checksums !== undefined && (JSON.parse(checksums) as StoredChecksums).all;
  file.acceptsUnchecked = !all;
  return { format, all };
}

/** From here on programs of format 1 refuse it. */
export function upgradeFormat(file: LmdbFile): void {
  file.transact(() => putFormat(file, false));
}

/** Gives all records a checksum, at once. */
export function addChecksums(file: LmdbFile): void {
  for (let position: string | undefined = ""; position !== undefined;) position = addSome(file, position);
  finish(file);
}

/** The same in small steps, beside everything else. */
export class ChecksumUpgrade {
  readonly #file: LmdbFile;
  readonly #clock: Clock;
  readonly #log: Log;
  #position = "";
  #timer: Timer | undefined;

  constructor(file: LmdbFile, clock: Clock, log: Log) {
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
    this.#plan();
  }

  close(): void {
    this.#timer?.cancel();
  }

  #plan(): void {
    this.#timer = this.#clock.after(upgradePauseMs, () => {
      try {
        this.#step();
      } catch (error) {
        // Nothing is lost by it: the next start goes on.
        this.#log.warn("records of the datastore get no checksums until the next start", { reason: messageOf(error) });
      }
    });
  }

  #step(): void {
    const next = addSome(this.#file, this.#position);
    if (next !== undefined) {
      this.#position = next;
      return this.#plan();
    }
    finish(this.#file);
    this.#log.info("all records of the datastore have checksums now");
  }
}

/** Where to go on; undefined at the end. Damaged ones stay as they are. */
function addSome(file: LmdbFile, from: string): string | undefined {
  const unchecked: string[] = [];
  const { last } = file.inspect(from, upgradeRecordsMax, (key, found) => {
    if (found === "unchecked") unchecked.push(key);
  });
  if (unchecked.length > 0) {
    file.transact(() => {
      for (const key of unchecked) file.put(key, file.get(key)!);
    });
  }
  return last === undefined ? undefined : `${last}\0`;
}

function finish(file: LmdbFile): void {
  file.transact(() => putFormat(file, true));
  file.acceptsUnchecked = false;
}

function putFormat(file: LmdbFile, all: boolean): void {
  file.put(formatKey, String(embeddedFormat));
  file.put(checksumsKey, JSON.stringify({ all } satisfies StoredChecksums));
}
