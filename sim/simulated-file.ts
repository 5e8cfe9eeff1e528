/** A file that a process has open on a simulated disk. */
import type { DiskFile, OpenMode } from "../src/env/host.ts";
import type { AttachedDisk } from "./attached-disk.ts";
import type { SimulatedDisk } from "./simulated-disk.ts";
import type { FileInode } from "./simulated-inodes.ts";
import { imagePageSize } from "./sparse-image.ts";
import { systemError } from "./system-error.ts";

export class SimulatedFile implements DiskFile {
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

function join(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}
