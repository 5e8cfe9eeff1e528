/** A simulated disk as one process has it: what it asks for happens some time later, and never once it has been killed. */
import type { Disk, DiskFile, DiskLock, OpenMode } from "../src/env/host.ts";
import type { DiskOperation, SimulatedDisk } from "./simulated-disk.ts";
import { SimulatedFile } from "./simulated-file.ts";
import { DirectoryInode, FileInode } from "./simulated-inodes.ts";
import { imagePageSize } from "./sparse-image.ts";
import { systemError } from "./system-error.ts";

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
      this.#takeDescriptor(path);
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
      this.#takeDescriptor(path);
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
      this.#takeDescriptor(path);
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
          if (operation === "syncDirectory") this.#takeDescriptor(path);
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

  /** As a system does it: before it looks whether there is anything at the path. */
  #takeDescriptor(path: string): void {
    if (this.#files.size < this.#disk.openFilesMax) return;
    this.#disk.onEffect("no descriptor was left");
    if (/\/sum(\.tail)?$/.test(path)) this.#disk.onEffect("no descriptor was left for the second file of a volume");
    throw systemError("EMFILE", path);
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
