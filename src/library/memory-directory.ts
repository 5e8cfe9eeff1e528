/**
 * Directories for servers that keep nothing: in memory where the system has a file system for that with room in it
 * (/dev/shm), otherwise among the temporary files. Each is removed when its server closes or the process ends; what a
 * process left that was killed is removed by the next one that makes such a directory.
 */
import { rmSync } from "node:fs";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { memoryDirectorySpaceMin } from "../core/limits.ts";
import { lockDirectory } from "../env/node-lock.ts";

const sharedMemory = "/dev/shm";
const namePrefix = "data-putter-memory-";

/** Of this process. */
const live = new Set<string>();

export interface MemoryDirectory {
  readonly directory: string;
  remove(): Promise<void>;
}

export async function makeMemoryDirectory(): Promise<MemoryDirectory> {
  const parent = (await hasRoom(sharedMemory)) ? sharedMemory : os.tmpdir();
  await sweep(parent);
  const directory = await fs.mkdtemp(path.join(parent, `${namePrefix}${process.pid}-`));
  if (live.size === 0) process.on("exit", removeAll);
  live.add(directory);
  return {
    directory,
    remove: async () => {
      await fs.rm(directory, { recursive: true, force: true });
      live.delete(directory);
      if (live.size === 0) process.off("exit", removeAll);
    },
  };
}

function removeAll(): void {
  for (const directory of live) rmSync(directory, { recursive: true, force: true });
}

/** A container often has 64 MB there, which a test can fill. */
async function hasRoom(directory: string): Promise<boolean> {
  if (process.platform !== "linux") return false;
  try {
    await fs.access(directory, fs.constants.W_OK | fs.constants.X_OK);
    const { bavail, bsize } = await fs.statfs(directory);
    return bavail * bsize >= memoryDirectorySpaceMin;
  } catch {
    return false;
  }
}

/** Process ids repeat and mean nothing across containers: whether somebody lives in a directory, its lock says. */
async function sweep(parent: string): Promise<void> {
  const names = await fs.readdir(parent).catch(() => []);
  for (const name of names) {
    const pid = name.startsWith(namePrefix) ? Number.parseInt(name.slice(namePrefix.length), 10) : Number.NaN;
    if (!Number.isNaN(pid) && !isAlive(pid)) await removeAbandoned(path.join(parent, name));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

async function removeAbandoned(directory: string): Promise<void> {
  try {
    const lock = await lockDirectory(directory);
    if (lock === undefined) return;
    await fs.rm(directory, { recursive: true, force: true });
    await lock.release();
  } catch {
    // Another user's, or somebody else is removing it.
  }
}
