/**
 * A disk in memory that may do everything docs/formats/disk.md does not rule out: forget or tear what was not synced,
 * lose directory entries, fail, fill up, flip bits, answer late and in any order. Processes reach it through `attach`.
 *
 * Assumed, as of a real one: what a sync covered stays; a rename changes both names together; a write that is cut by a
 * power cut leaves at each byte either what was there or what was written; reading does not change anything.
 */
import type { Disk, DiskFile, DiskLock, OpenMode } from "../src/env/host.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import { type CrashChoice, DirectoryInode, type Effect, FileInode, type Inode } from "./simulated-inodes.ts";
import type { SimulatedRandom } from "./simulated-random.ts";
import { imagePageSize } from "./sparse-image.ts";

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

/** One process's view. After `kill` nothing that it started ever resolves, and its locks are free. */
export class AttachedDisk implements Disk {
  readonly #disk: SimulatedDisk;
  readonly #detach: () => void;
  readonly #files = new Set<SimulatedFile>();
  alive = true;
  /** How many files it had open at its end. */
  openFileCountAtKill = 0;
  /** Operations that have begun and not ended. */
  underWayCount = 0;

  constructor(disk: SimulatedDisk, detach: () => void) {
    this.#disk = disk;
    this.#detach = detach;
  }

  get openFileCount(): number {
    return this.#files.size;
  }

  /** Ends the process without cutting the power: what it wrote stays in the system's cache. */
  kill(): void {
    if (this.underWayCount > 0) this.#disk.onEffect("kill with operations under way");
    this.alive = false;
    this.#detach();
    this.openFileCountAtKill = this.#files.size;
    for (const file of this.#files) file.forget();
    this.#files.clear();
    for (const [directory, owner] of this.#disk.locks) if (owner === this) this.#disk.locks.delete(directory);
  }

  open(path: string, mode: OpenMode): Promise<DiskFile | undefined> {
    return this.operate("open", path, () => {
      const inode = this.#disk.find(path);
      if (inode === undefined) return undefined;
      if (inode.kind === "directory") throw systemError("EISDIR", path);
      if (mode !== "read") this.#disk.checkWritable(path);
      if (mode === "direct" && !this.#disk.supportsDirect) return undefined;
      if (mode === "direct") this.#disk.onEffect("file was opened unbuffered");
      return this.#openFile(path, inode, mode);
    });
  }

  create(path: string): Promise<{ file: DiskFile; created: boolean }> {
    return this.operate("create", path, () => {
      const { parent, name } = this.#parentOf(path);
      const existing = parent.entries.get(name);
      if (existing?.kind === "directory") throw systemError("EISDIR", path);
      this.#disk.checkWritable(path);
      if (existing !== undefined) return { file: this.#openFile(path, existing, "write"), created: false };
      const inode = new FileInode();
      inode.links = 1;
      parent.change([[name, inode]]);
      return { file: this.#openFile(path, inode, "write"), created: true };
    });
  }

  makeDirectory(path: string): Promise<boolean> {
    return this.operate("makeDirectory", path, () => {
      const { parent, name } = this.#parentOf(path);
      if (parent.entries.has(name)) return false;
      this.#disk.checkWritable(path);
      parent.change([[name, new DirectoryInode()]]);
      return true;
    });
  }

  syncDirectory(path: string): Promise<void> {
    const inode = this.#disk.find(path);
    const begun = inode?.kind === "directory" ? inode.beginSync() : undefined;
    this.#disk.onEvent?.({ operation: "syncDirectory", path, phase: "start" });
    return this.#sync("syncDirectory", path, begun);
  }

  list(path: string): Promise<string[] | undefined> {
    return this.operate("list", path, () => {
      const inode = this.#disk.find(path);
      return inode?.kind === "directory" ? [...inode.entries.keys()] : undefined;
    });
  }

  unlink(path: string): Promise<boolean> {
    return this.operate("unlink", path, () => {
      const inode = this.#disk.find(path);
      if (inode === undefined) return false;
      if (inode.kind === "directory") throw systemError("EISDIR", path);
      this.#disk.checkWritable(path);
      const { parent, name } = this.#parentOf(path);
      parent.change([[name, undefined]]);
      this.#unlinked(inode);
      return true;
    });
  }

  removeDirectory(path: string): Promise<boolean> {
    return this.operate("removeDirectory", path, () => {
      const inode = this.#disk.find(path);
      if (inode?.kind !== "directory" || inode.entries.size > 0) return false;
      this.#disk.checkWritable(path);
      const { parent, name } = this.#parentOf(path);
      parent.change([[name, undefined]]);
      return true;
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.operate("rename", from, () => {
      const inode = this.#disk.find(from);
      if (inode?.kind !== "file") throw systemError("ENOENT", from);
      this.#disk.checkWritable(from);
      const source = this.#parentOf(from);
      const target = this.#parentOf(to);
      if (source.parent !== target.parent) throw systemError("EXDEV", `${from} -> ${to}`);
      const replaced = target.parent.entries.get(target.name);
      source.parent.change([
        [source.name, undefined],
        [target.name, inode],
      ]);
      if (replaced?.kind === "file" && replaced !== inode) this.#unlinked(replaced);
    });
  }

  freeSpace(path: string): Promise<number> {
    return this.operate("freeSpace", path, () =>
      Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, this.#disk.capacity - this.#disk.usedPages * imagePageSize)),
    );
  }

  lock(directory: string): Promise<DiskLock | undefined> {
    return this.operate("open", directory, () => {
      if (this.#disk.find(directory)?.kind !== "directory") throw systemError("ENOENT", directory);
      this.#disk.checkWritable(directory);
      const held = this.#disk.locks;
      if (held.has(directory)) return undefined;
      held.set(directory, this);
      return { release: () => this.operate("open", directory, () => void held.delete(directory)) };
    });
  }

  /** Does `work` some time later, and then resolves; never where the process has been killed by then. */
  operate<Value>(operation: DiskOperation, path: string, work: () => Value): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.later(() => {
        try {
          this.#disk.check(operation, path);
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  later(call: () => void, lateMs = 0): void {
    this.underWayCount++;
    this.#disk.clock.after(this.#disk.takeDelay() + lateMs, () => {
      this.underWayCount--;
      if (this.alive) call();
    });
  }

  syncFile(path: string, inode: FileInode): Promise<void> {
    this.#disk.onEvent?.({ operation: "sync", path, phase: "start" });
    return this.#sync("sync", path, inode.beginSync());
  }

  closeFile(file: SimulatedFile, inode: FileInode): void {
    this.#files.delete(file);
    inode.handles--;
    if (inode.handles === 0 && inode.links === 0) this.#disk.usedPages -= inode.cache.pageCount;
  }

  #sync(
    operation: "sync" | "syncDirectory",
    path: string,
    begun: ReturnType<FileInode["beginSync"]> | undefined,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.later(() => {
        try {
          if (begun === undefined) throw systemError("ENOENT", path);
          this.#disk.check(operation, path);
        } catch (error) {
          // Without a descriptor nothing was synced, and nothing lost: it is still waiting for its sync.
          if ((error as { code?: string }).code !== "EMFILE") begun?.fail(this.#disk.random, this.#disk.onEffect);
          reject(error);
          return;
        }
        begun.succeed();
        this.#disk.onEvent?.({ operation, path, phase: "end" });
        resolve();
      }, this.#disk.faultOf(operation, path)?.lateMs);
    });
  }

  #openFile(path: string, inode: FileInode, mode: OpenMode): SimulatedFile {
    inode.handles++;
    const file = new SimulatedFile(this.#disk, this, path, inode, mode);
    this.#files.add(file);
    return file;
  }

  #unlinked(inode: FileInode): void {
    inode.links--;
    if (inode.handles === 0 && inode.links === 0) this.#disk.usedPages -= inode.cache.pageCount;
  }

  #parentOf(path: string): { parent: DirectoryInode; name: string } {
    const trimmed = path.replace(/\/+$/, "");
    const cut = trimmed.lastIndexOf("/");
    const parent = this.#disk.find(trimmed.slice(0, cut));
    if (parent === undefined) throw systemError("ENOENT", path);
    if (parent.kind !== "directory") throw systemError("ENOTDIR", path);
    return { parent, name: trimmed.slice(cut + 1) };
  }
}

class SimulatedFile implements DiskFile {
  readonly #disk: SimulatedDisk;
  readonly #process: AttachedDisk;
  readonly #path: string;
  readonly #inode: FileInode;
  readonly #mode: OpenMode;
  #open = true;

  constructor(disk: SimulatedDisk, process: AttachedDisk, path: string, inode: FileInode, mode: OpenMode) {
    this.#disk = disk;
    this.#process = process;
    this.#path = path;
    this.#inode = inode;
    this.#mode = mode;
  }

  read(into: Uint8Array, position: number): Promise<number> {
    this.#checkOpen();
    return this.#process.operate("read", this.#path, () => {
      this.#checkDirect([into], position);
      return this.#inode.cache.read(into, position);
    });
  }

  readNow(into: Uint8Array, position: number): number | undefined {
    this.#checkOpen();
    if (this.#disk.random.chance(0.2)) return undefined;
    this.#disk.check("read", this.#path);
    return this.#inode.cache.read(into, position);
  }

  /** The bytes reach the file in two steps, cut anywhere, so that readers can meet a half-written ticket. */
  write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    this.#checkOpen();
    const bytes = join(pieces);
    const event = { operation: "write", path: this.#path, position, size: bytes.length } as const;
    this.#disk.onEvent?.({ ...event, phase: "start" });
    return new Promise((resolve, reject) => {
      const step = (work: () => void): void =>
        this.#process.later(() => {
          try {
            work();
          } catch (error) {
            reject(error);
          }
        });
      const cut = this.#mode === "direct" ? bytes.length : this.#disk.random.between(0, bytes.length);
      let at = position;
      step(() => {
        this.#checkDirect(pieces, position);
        this.#checkWrite();
        at = this.#disk.misdirect?.(this.#path, position, bytes.length) ?? position;
        this.#put(bytes.subarray(0, cut), at);
        step(() => {
          this.#put(bytes.subarray(cut), at + cut);
          if (Buffer.compare(join(pieces), bytes) !== 0) throw new Error(`${this.#path}: bytes changed during a write`);
          this.#disk.onEvent?.({ ...event, phase: "end" });
          step(resolve);
        });
      });
    });
  }

  sync(): Promise<void> {
    this.#checkOpen();
    return this.#process.syncFile(this.#path, this.#inode);
  }

  size(): Promise<number> {
    this.#checkOpen();
    return this.#process.operate("size", this.#path, () => this.#inode.cache.size);
  }

  truncate(size: number): Promise<void> {
    this.#checkOpen();
    return this.#process.operate("truncate", this.#path, () => {
      this.#checkWrite();
      this.#changing(() => this.#inode.truncate(size));
    });
  }

  close(): Promise<void> {
    this.#checkOpen();
    this.#open = false;
    return this.#process.operate("size", this.#path, () => this.#process.closeFile(this, this.#inode));
  }

  /** The process is gone. */
  forget(): void {
    this.#process.closeFile(this, this.#inode);
  }

  #put(bytes: Uint8Array, position: number): void {
    const room = Math.floor(this.#disk.capacity / imagePageSize) - this.#disk.usedPages;
    if (this.#inode.cache.missingPages(position, bytes.length) > room) {
      // As much as fits is written, as a real disk does.
      const part = bytes.subarray(0, Math.max(0, room) * imagePageSize);
      if (this.#inode.cache.missingPages(position, part.length) <= room) {
        this.#changing(() => this.#inode.write(part, position));
      }
      this.#disk.onEffect("no space was left for a write");
      throw systemError("ENOSPC", `write ${this.#path}`);
    }
    this.#changing(() => this.#inode.write(bytes, position));
  }

  #changing(change: () => void): void {
    const before = this.#inode.cache.pageCount;
    change();
    this.#disk.usedPages += this.#inode.cache.pageCount - before;
  }

  #checkOpen(): void {
    if (this.#process.alive && !this.#open) throw systemError("EBADF", this.#path);
  }

  #checkWrite(): void {
    if (this.#mode === "read") throw systemError("EBADF", `write ${this.#path}`);
    this.#disk.checkWritable(this.#path);
    this.#disk.check("write", this.#path);
  }

  #checkDirect(pieces: readonly Uint8Array[], position: number): void {
    if (this.#mode !== "direct") return;
    const numbers = [position, ...pieces.flatMap((piece) => [piece.byteOffset, piece.length])];
    if (numbers.some((number) => number % imagePageSize !== 0)) throw systemError("EINVAL", this.#path);
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

function join(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
