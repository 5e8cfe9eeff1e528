/**
 * A disk in memory that may do everything docs/formats/disk.md does not rule out: forget or tear what was not synced,
 * lose directory entries, fail, fill up, flip bits, answer late and in any order. Processes reach it through `attach`.
 *
 * Assumed, as of a real one: what a sync covered stays; a rename changes both names together; a write that is cut by a
 * power cut leaves at each byte either what was there or what was written; reading does not change anything.
 */
import { AttachedDisk } from "./attached-disk.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import { type CrashChoice, DirectoryInode, type Effect, type Inode } from "./simulated-inodes.ts";
import type { SimulatedRandom } from "./simulated-random.ts";
import { systemError } from "./system-error.ts";

export interface SimulatedDiskOptions {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  /** Bytes that files may occupy, in whole pages. */
  readonly capacity?: number;
  /** Whether files can be opened `direct`. */
  readonly direct?: boolean;
}

export type DiskOperation =
  | "open"
  | "create"
  | "makeDirectory"
  | "syncDirectory"
  | "list"
  | "unlink"
  | "removeDirectory"
  | "rename"
  | "freeSpace"
  | "read"
  | "write"
  | "sync"
  | "size"
  | "truncate";

/** Makes operations fail while it is in the disk's `faults`. */
export interface DiskFault {
  readonly operation: DiskOperation;
  readonly path: RegExp;
  /** "EIO", "ENOSPC", … */
  readonly code: string;
  /** How often yet; undefined: always. */
  count?: number;
  /** How much later than usual it fails: a disk tries for seconds before it gives up. */
  readonly lateMs?: number;
  /** Called when it has made an operation fail. */
  readonly onStrike?: () => void;
}

/** What the disk did to somebody, beside what it was asked for. */
export type DiskEffect =
  | Effect
  | "operation failed"
  | "no space was left for a write"
  | "no descriptor was left"
  | "no descriptor was left for the second file of a volume"
  | "file was opened unbuffered"
  | "bit flip"
  | "misdirected write"
  | "kill with operations under way";

/** For checkers: what happened, in order. A write's `end` is when its bytes are in the file, before it resolves. */
export interface DiskEvent {
  readonly operation: DiskOperation;
  readonly path: string;
  readonly phase: "start" | "end" | "failed";
  /** Of a write. */
  readonly position?: number;
  readonly size?: number;
}

export class SimulatedDisk {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  readonly faults: DiskFault[] = [];
  readonly supportsDirect: boolean;
  capacity: number;
  readOnly = false;
  /** Files that one process may have open. */
  openFilesMax = Number.POSITIVE_INFINITY;
  /** An operation takes up to so long; one in a hundred twenty times as long. */
  delayMaxMs = 1;
  onEvent: ((event: DiskEvent) => void) | undefined;
  /** For the statistics of a run. */
  onEffect: (effect: DiskEffect) => void = () => undefined;
  /** Where a write goes that should go to `position`: anywhere else, once in a while. */
  misdirect: ((path: string, position: number, size: number) => number | undefined) | undefined;
  usedPages = 0;
  /** Directories that a living process has taken. */
  readonly locks = new Map<string, AttachedDisk>();
  readonly #root = new DirectoryInode();
  readonly #attached = new Set<AttachedDisk>();

  constructor(options: SimulatedDiskOptions) {
    this.clock = options.clock;
    this.random = options.random;
    this.capacity = options.capacity ?? Number.POSITIVE_INFINITY;
    this.supportsDirect = options.direct ?? true;
  }

  /** The disk as one process has it, until that is killed or the power is cut. */
  attach(): AttachedDisk {
    const attached = new AttachedDisk(this, () => this.#attached.delete(attached));
    this.#attached.add(attached);
    return attached;
  }

  /** Cuts the power: every process is gone, and what was not synced is as the choice says. */
  crash(choice: CrashChoice = "random"): void {
    for (const attached of this.#attached) attached.kill();
    this.#root.crash(choice, this.random, this.onEffect);
    this.usedPages = countPages(this.#root);
  }

  /** The system needs memory: what it takes for clean it forgets, and reads from the disk again. */
  dropCaches(): void {
    for (const path of this.files()) {
      const inode = this.find(path);
      if (inode?.kind !== "file") continue;
      const before = inode.cache.pageCount;
      inode.dropCache(this.onEffect);
      this.usedPages += inode.cache.pageCount - before;
    }
  }

  /** What lies at a path, as a process would see it. */
  find(path: string): Inode | undefined {
    let at: Inode = this.#root;
    for (const name of path.split("/")) {
      if (name === "") continue;
      const next: Inode | undefined = at.kind === "directory" ? at.entries.get(name) : undefined;
      if (next === undefined) return undefined;
      at = next;
    }
    return at;
  }

  /** The whole of a file; undefined where there is none. */
  contents(path: string): Uint8Array | undefined {
    const inode = this.find(path);
    if (inode?.kind !== "file") return undefined;
    const bytes = new Uint8Array(inode.cache.size);
    inode.cache.read(bytes, 0);
    return bytes;
  }

  /** Paths of all files. */
  files(): string[] {
    return pathsBelow("", this.#root);
  }

  /** Damages a file at rest. */
  flipBit(path: string, position: number, bit: number): void {
    const inode = this.find(path);
    if (inode?.kind !== "file") throw systemError("ENOENT", path);
    inode.flipBit(position, bit);
  }

  /** Throws the error of a fault that is set for this operation. */
  check(operation: DiskOperation, path: string): void {
    const fault = this.faultOf(operation, path);
    if (fault === undefined) return;
    if (fault.count !== undefined && --fault.count <= 0) this.faults.splice(this.faults.indexOf(fault), 1);
    this.onEvent?.({ operation, path, phase: "failed" });
    this.onEffect("operation failed");
    fault.onStrike?.();
    throw systemError(fault.code, `${operation} ${path}`);
  }

  /** The fault that is set for this operation. */
  faultOf(operation: DiskOperation, path: string): DiskFault | undefined {
    return this.faults.find((fault) => fault.operation === operation && fault.path.test(path));
  }

  checkWritable(path: string): void {
    if (this.readOnly) throw systemError("EROFS", path);
  }

  takeDelay(): number {
    return this.random.fraction() * this.delayMaxMs * (this.random.chance(0.01) ? 20 : 1);
  }
}

function pathsBelow(path: string, directory: DirectoryInode): string[] {
  return [...directory.entries].flatMap(([name, inode]) =>
    inode.kind === "file" ? [`${path}/${name}`] : pathsBelow(`${path}/${name}`, inode),
  );
}

function countPages(inode: Inode): number {
  if (inode.kind === "file") return inode.cache.pageCount;
  let pages = 0;
  for (const entry of inode.entries.values()) pages += countPages(entry);
  return pages;
}
