/**
 * Journals: writing one while the datastore is open, and reading those that are there.
 *
 * A group is written after its commit and before anybody hears of it, and not synced: the end of the process loses none that
 * was acknowledged, and a power cut, which can, leaves the datastore itself whole.
 */
import { messageOf } from "../core/errors.ts";
import type { AppendFile, OpenAppendFile } from "../env/append-file.ts";
import type { Clock, Disk, DiskFile, Log } from "../env/host.ts";
import {
  closeSize,
  decodeClose,
  decodeGroup,
  decodeHeader,
  encodeClose,
  encodeHeader,
  type Group,
  GroupEncoder,
  groupHeaderSize,
  groupSize,
  type JournalHeader,
  journalHeaderSize,
} from "./journal-format.ts";
import { gapName, journalName } from "./snapshot-files.ts";

export interface JournalOptions {
  readonly directory: string;
  readonly openFile: OpenAppendFile;
  readonly clock: Clock;
  readonly log: Log;
}

export class Journal {
  readonly #options: JournalOptions;
  readonly #encoder = new GroupEncoder();
  #header: JournalHeader;
  #file: AppendFile | undefined;
  /** Bytes in files that were ended since `sizeMark`. */
  #endedSize = 0;

  constructor(options: JournalOptions, header: JournalHeader) {
    this.#options = options;
    this.#header = header;
    this.#open(header);
  }

  /** Something could not be written: what follows in this file could not be used, so nothing is. */
  get isBroken(): boolean {
    return this.#file === undefined;
  }

  /** Bytes since `resetSize`. */
  get size(): number {
    return this.#endedSize + (this.#file?.size ?? 0);
  }

  resetSize(): void {
    this.#endedSize = -(this.#file?.size ?? 0);
  }

  /** `changes` as GroupEncoder takes them. Never throws: the commit has happened. */
  append(commit: number, changes: readonly (string | undefined)[]): void {
    if (this.#file === undefined) return;
    try {
      this.#file.append(this.#encoder.encode(commit, this.#options.clock.now(), changes));
    } catch (error) {
      this.giveUp(messageOf(error));
    }
  }

  giveUp(reason: string): void {
    this.#options.log.error("the datastore's journal is not written until the next snapshot", { reason });
    this.#endedSize += this.#file?.size ?? 0;
    this.#file?.close();
    this.#file = undefined;
    this.#mark();
  }

  /** Whoever restores must know that this file is not the last word. */
  #mark(): void {
    const { directory, openFile, log } = this.#options;
    try {
      openFile(`${directory}/${gapName(journalName(this.#header.after))}`).close();
    } catch (error) {
      log.warn("that the journal is not written is not marked", { reason: messageOf(error) });
    }
  }

  /** Goes on in a new file: what follows `commit`. */
  rotate(commit: number): void {
    const isSame = commit === this.#header.after;
    if (isSame && this.#file !== undefined) return;
    this.#endedSize += this.#file?.size ?? 0;
    this.#file?.close();
    this.#file = undefined;
    this.#open({ after: commit, isEmpty: isSame && this.#header.isEmpty });
  }

  /** Says in the file that nothing is missing up to `commit`. */
  async close(commit: number): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    try {
      // What is before the record is on disk before it.
      await file.sync();
      file.append(encodeClose(commit));
      await file.sync();
    } catch (error) {
      this.#options.log.warn("the datastore's journal was not closed", { reason: messageOf(error) });
    } finally {
      file.close();
    }
  }

  #open(header: JournalHeader): void {
    this.#header = header;
    try {
      this.#file = this.#options.openFile(`${this.#options.directory}/${journalName(header.after)}`);
      this.#file.append(encodeHeader(header));
    } catch (error) {
      this.giveUp(messageOf(error));
    }
  }
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The commit up to which a journal says that it is whole; undefined where it was not closed. */
export async function closedAt(disk: Disk, path: string): Promise<number | undefined> {
  const file = await disk.open(path, "read");
  if (file === undefined) return undefined;
  try {
    return decodeClose(await readAt(file, Math.max(0, (await file.size()) - closeSize), closeSize));
  } finally {
    await file.close();
  }
}

/** Its header, or undefined where that is damaged. */
export async function readHeader(disk: Disk, path: string): Promise<JournalHeader | undefined> {
  const file = await disk.open(path, "read");
  if (file === undefined) return undefined;
  try {
    return decodeHeader(await readAt(file, 0, journalHeaderSize));
  } finally {
    await file.close();
  }
}

/** All groups that verify; what does not is left out, so that a commit is missing. */
export async function* readGroups(disk: Disk, path: string): AsyncGenerator<Group> {
  const file = await disk.open(path, "read");
  if (file === undefined) return;
  try {
    const end = await file.size();
    for (let position: number | undefined = journalHeaderSize; position !== undefined && position < end;) {
      const size = groupSize(await readAt(file, position, groupHeaderSize));
      const group: Group | undefined =
        size === undefined || position + size > end ? undefined : decodeGroup(await readAt(file, position, size));
      if (group !== undefined) yield group;
      position = group === undefined ? await nextMagic(file, position + 1) : position + size!;
    }
  } finally {
    await file.close();
  }
}

const magic = Buffer.from("DPJG", "latin1");
const searchSize = 1024 * 1024;

async function nextMagic(file: DiskFile, from: number): Promise<number | undefined> {
  for (let position = from; ;) {
    const bytes = await readAt(file, position, searchSize);
    const index = bytes.indexOf(magic);
    if (index >= 0) return position + index;
    if (bytes.length < searchSize) return undefined;
    position += searchSize - magic.length + 1;
  }
}

async function readAt(file: DiskFile, position: number, size: number): Promise<Buffer> {
  const bytes = Buffer.alloc(size);
  return bytes.subarray(0, await file.read(bytes, position));
}
