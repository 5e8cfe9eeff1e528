/**
 * Files through node:fs callbacks: 4.6 µs a call where fs.promises takes 10, and `readSync` 1.25 for what is cached.
 *
 * macOS and Windows have no O_DIRECT: `open(…, "direct")` answers undefined there, and writing goes through the page
 * cache. Windows cannot sync a directory; its file system journals entries, and `syncDirectory` does nothing.
 */
import fs from "node:fs";
import path from "node:path";
import { StoreError } from "../core/errors.ts";
import type { Disk, DiskFile, OpenMode } from "./host.ts";
import { lockDirectory } from "./node-lock.ts";

/**
 * A cached read takes microseconds. Two in a row that took longer came from the disk, and the next ones may too; a single
 * one can mean just that somebody else had the processor.
 */
const slowReadMs = 2;
const slowPeriodMs = 250;
/** What is stored is for its owner's eyes: who may read an object is not for the file system to say. */
const fileMode = 0o600;
const directoryMode = 0o700;
/** The system takes so many pieces in one call. */
const piecesMax = 1024;

export const nodeDisk: Disk = {
  async open(file, mode) {
    const flags = openFlags(mode);
    if (flags === undefined) return undefined;
    const absent = mode === "direct" ? ["ENOENT", "EINVAL"] : ["ENOENT", "ENOTDIR"];
    const fd = await unless(absent, openFile(file, flags));
    return fd === undefined ? undefined : new NodeFile(fd);
  },

  async create(file) {
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT;
    const made = await unless(["EEXIST"], openFile(file, flags | fs.constants.O_EXCL));
    if (made !== undefined) return { file: new NodeFile(made), created: true };
    return { file: new NodeFile(await openFile(file, flags)), created: false };
  },

  async makeDirectory(directory) {
    const made = await unless(
      ["EEXIST"],
      call((done) => fs.mkdir(directory, directoryMode, (error) => done(error, true))),
    );
    return made === true;
  },

  async syncDirectory(directory) {
    if (process.platform === "win32") return;
    // Only a directory: a pipe in its place would be waited for.
    const flags = fs.constants.O_RDONLY | (fs.constants.O_DIRECTORY ?? 0);
    const fd = await call<number>((done) => fs.open(directory, flags, done));
    try {
      await call((done) => fs.fsync(fd, done));
    } finally {
      await call((done) => fs.close(fd, done));
    }
  },

  list: (directory) =>
    unless(
      ["ENOENT", "ENOTDIR"],
      call<string[]>((done) => fs.readdir(directory, done)),
    ),

  async unlink(file) {
    return (
      (await unless(
        ["ENOENT", "ENOTDIR"],
        notAFile(
          file,
          call((done) => fs.unlink(file, (error) => done(error, true))),
        ),
      )) === true
    );
  },

  async removeDirectory(directory) {
    const removed = call((done) => fs.rmdir(directory, (error) => done(error, true)));
    return (await unless(["ENOENT", "ENOTEMPTY", "EEXIST", "ENOTDIR"], removed)) === true;
  },

  rename: (from, to) => call<void>((done) => fs.rename(from, to, done)),

  async freeSpace(place) {
    const stats = await call<fs.StatsFs>((done) => fs.statfs(place, done));
    return stats.bavail * stats.bsize;
  },

  lock: (directory) => lockDirectory(path.resolve(directory)),
};

function openFlags(mode: OpenMode): number | undefined {
  const { O_RDONLY, O_RDWR, O_DIRECT } = fs.constants as {
    O_RDONLY: number;
    O_RDWR: number;
    O_DIRECT?: number;
  };
  if (mode === "read") return O_RDONLY;
  if (mode === "write") return O_RDWR;
  return O_DIRECT === undefined ? undefined : O_RDWR | O_DIRECT;
}

/**
 * DAMAGED where there is something else than a file. Never waits: a pipe would be waited for until somebody opens its other
 * end, in a thread that all files share.
 */
async function openFile(file: string, flags: number): Promise<number> {
  const opening = call<number>((done) => fs.open(file, flags | (fs.constants.O_NONBLOCK ?? 0), fileMode, done));
  const fd = await notAFile(file, opening);
  try {
    const stats = await call<fs.Stats>((done) => fs.fstat(fd, done));
    if (stats.isFile()) return fd;
    throw otherThanFile(file, stats.isDirectory() ? "a directory" : stats.isFIFO() ? "a pipe" : "a device");
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/** By the codes with which the system refuses what is no file. */
const otherKinds: { readonly [code: string]: string } = {
  EISDIR: "a directory",
  ELOOP: "a symbolic link that leads to itself",
  ENXIO: "a socket, or a pipe",
};

async function notAFile<Value>(file: string, promise: Promise<Value>): Promise<Value> {
  try {
    return await promise;
  } catch (error) {
    const kind = otherKinds[(error as NodeJS.ErrnoException).code ?? ""];
    throw kind === undefined ? error : otherThanFile(file, kind, error);
  }
}

function otherThanFile(file: string, kind: string, cause?: unknown): StoreError {
  return new StoreError("DAMAGED", `${file} is ${kind}, where a file must be`, { cause });
}

class NodeFile implements DiskFile {
  readonly #fd: number;
  #slowUntil = 0;
  #lastWasSlow = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const rest = done === 0 ? into : into.subarray(done);
      const count = await call<number>((settle) => fs.read(this.#fd, rest, 0, rest.length, position + done, settle));
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  readNow(into: Uint8Array, position: number): number | undefined {
    const before = performance.now();
    if (before < this.#slowUntil) return undefined;
    const count = fs.readSync(this.#fd, into, 0, into.length, position);
    const after = performance.now();
    const slow = after - before > slowReadMs;
    if (slow && this.#lastWasSlow) this.#slowUntil = after + slowPeriodMs;
    this.#lastWasSlow = slow;
    return count;
  }

  async write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    let at = position;
    for (let start = 0; start < pieces.length; start += piecesMax) {
      let rest = pieces.slice(start, start + piecesMax);
      while (rest.length > 0) {
        const count = await this.#writeSome(rest, at);
        at += count;
        rest = dropBytes(rest, count);
      }
    }
  }

  #writeSome(pieces: readonly Uint8Array[], position: number): Promise<number> {
    const [only] = pieces;
    if (pieces.length === 1 && only !== undefined) {
      return call((done) => fs.write(this.#fd, only, 0, only.length, position, done));
    }
    return call((done) => fs.writev(this.#fd, pieces, position, done));
  }

  sync(): Promise<void> {
    return call<void>((done) => fs.fdatasync(this.#fd, done));
  }

  async size(): Promise<number> {
    return (await call<fs.Stats>((done) => fs.fstat(this.#fd, done))).size;
  }

  truncate(size: number): Promise<void> {
    return call<void>((done) => fs.ftruncate(this.#fd, size, done));
  }

  close(): Promise<void> {
    return call<void>((done) => fs.close(this.#fd, done));
  }
}

/** What is left of `pieces` after the first `count` bytes: the system may write less than it was given. */
function dropBytes(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = count;
  for (const piece of pieces) {
    if (skip >= piece.length) skip -= piece.length;
    else {
      rest.push(skip === 0 ? piece : piece.subarray(skip));
      skip = 0;
    }
  }
  return rest;
}

type Done<Value> = (error: Error | null, value?: Value) => void;

function call<Value>(start: (done: Done<Value>) => void): Promise<Value> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value as Value)));
  });
}

/** The promise's value, or undefined where it fails with one of these system codes. */
async function unless<Value>(codes: readonly string[], promise: Promise<Value>): Promise<Value | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (codes.includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
