/**
 * Files and directories as a disk sees them: what is durable, and what was changed since. A power cut keeps or loses
 * every change by itself, in no order; a write may also be kept in part.
 */
import type { SimulatedRandom } from "./simulated-random.ts";
import { imagePageSize, SparseImage } from "./sparse-image.ts";

/** What a power cut does with what was not synced. */
export type CrashChoice = "lose" | "keep" | "random";

export type Inode = FileInode | DirectoryInode;

/** What a power cut, a failed sync or a forgotten cache did. */
export type Effect =
  | "unsynced write lost"
  | "unsynced write kept"
  | "unsynced write torn"
  | "unsynced entry lost"
  | "unsynced entry kept"
  | "write lost by a failed sync"
  | "write lost that came during a failed sync"
  | "bytes changed that were read from the disk again";

export type NoteEffect = (effect: Effect) => void;

type FileChange = { readonly position: number; readonly bytes: Uint8Array } | { readonly truncatedTo: number };

export class FileInode {
  readonly kind = "file";
  /** Open handles and directory entries, as the system sees them; the space is free when both are 0. */
  links = 0;
  handles = 0;
  #durable = new SparseImage();
  #cache = new SparseImage();
  #unsynced: FileChange[] = [];

  /** What a process sees. */
  get cache(): SparseImage {
    return this.#cache;
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    this.#cache.write(bytes, position);
    this.#unsynced.push({ position, bytes });
  }

  truncate(size: number): void {
    this.#cache.truncate(size);
    this.#unsynced.push({ truncatedTo: size });
  }

  /** What a sync that begins now stands for; the returned function makes it durable. */
  beginSync(): PendingSync {
    const covered = new Set(this.#unsynced);
    return {
      succeed: () => {
        for (const change of this.#unsynced) if (covered.has(change)) apply(this.#durable, change);
        this.#unsynced = this.#unsynced.filter((change) => !covered.has(change));
      },
      // The system counts all pages as clean from now on, also those that were written while it synced, and shows them,
      // whether or not they reached the disk.
      fail: (random, note) => {
        for (const change of this.#unsynced) {
          if (random.chance(0.5)) apply(this.#durable, change);
          else
            note?.(covered.has(change) ? "write lost by a failed sync" : "write lost that came during a failed sync");
        }
        this.#unsynced = [];
      },
    };
  }

  /** What is not waiting for a sync is read from the disk again: after a failed sync that need not be the same. */
  dropCache(note?: NoteEffect): void {
    const fresh = this.#durable.copy();
    for (const change of this.#unsynced) apply(fresh, change);
    if (note !== undefined && !fresh.equals(this.#cache)) note("bytes changed that were read from the disk again");
    this.#cache = fresh;
  }

  crash(choice: CrashChoice, random: SimulatedRandom, note?: NoteEffect): void {
    for (const change of this.#unsynced) {
      if (choice === "lose") continue;
      if (choice === "keep") apply(this.#durable, change);
      else note?.(`unsynced write ${applyPart(this.#durable, change, random)}`);
    }
    this.#unsynced = [];
    this.#cache = this.#durable.copy();
    this.handles = 0;
  }

  flipBit(position: number, bit: number): void {
    this.#durable.flipBit(position, bit);
    this.#cache.flipBit(position, bit);
  }
}

function apply(image: SparseImage, change: FileChange): void {
  if ("bytes" in change) image.write(change.bytes, change.position);
  else image.truncate(change.truncatedTo);
}

/** Kept, lost, cut at any byte, or any selection of its pages. */
function applyPart(image: SparseImage, change: FileChange, random: SimulatedRandom): "lost" | "kept" | "torn" {
  const fate = random.below(5);
  if (fate === 0) return "lost";
  if (fate === 1 || !("bytes" in change)) {
    apply(image, change);
    return "kept";
  }
  const { bytes, position } = change;
  const cut = random.between(0, bytes.length);
  if (fate === 2) image.write(bytes.subarray(0, cut), position);
  else if (fate === 3) image.write(bytes.subarray(cut), position + cut);
  else {
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + imagePageSize - ((position + at) % imagePageSize));
      if (random.chance(0.5)) image.write(bytes.subarray(at, end), position + at);
      at = end;
    }
  }
  return "torn";
}

/** A sync that has begun: one of the two is called when it ends. */
interface PendingSync {
  readonly succeed: () => void;
  readonly fail: (random: SimulatedRandom, note?: NoteEffect) => void;
}

/** Entries that change together: one for most operations, two for a rename. `undefined` removes. */
type EntryChange = readonly (readonly [name: string, inode: Inode | undefined])[];

export class DirectoryInode {
  readonly kind = "directory";
  readonly entries = new Map<string, Inode>();
  readonly #durable = new Map<string, Inode>();
  #unsynced: EntryChange[] = [];

  change(change: EntryChange): void {
    applyEntries(this.entries, change);
    this.#unsynced.push(change);
  }

  beginSync(): PendingSync {
    const covered = new Set(this.#unsynced);
    const take = (keep: () => boolean): void => {
      for (const change of this.#unsynced) if (covered.has(change) && keep()) applyEntries(this.#durable, change);
      this.#unsynced = this.#unsynced.filter((change) => !covered.has(change));
    };
    return { succeed: () => take(() => true), fail: (random) => take(() => random.chance(0.5)) };
  }

  crash(choice: CrashChoice, random: SimulatedRandom, note?: NoteEffect): void {
    for (const change of this.#unsynced) {
      const isKept = choice === "keep" || (choice === "random" && random.chance(0.5));
      if (isKept) applyEntries(this.#durable, change);
      if (choice === "random") note?.(isKept ? "unsynced entry kept" : "unsynced entry lost");
    }
    this.#unsynced = [];
    this.entries.clear();
    for (const [name, inode] of this.#durable) {
      this.entries.set(name, inode);
      inode.crash(choice, random, note);
      if (inode.kind === "file") inode.links = 1;
    }
  }
}

function applyEntries(entries: Map<string, Inode>, change: EntryChange): void {
  for (const [name, inode] of change) {
    if (inode === undefined) entries.delete(name);
    else entries.set(name, inode);
  }
}
