/** What the figures were measured on. */
import { statfsSync } from "node:fs";
import os from "node:os";

/** Magic numbers of statfs(2). */
const fileSystems = new Map([
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x2fc12fc1, "zfs"],
  [0x794c7630, "overlayfs"],
  [0x01021994, "tmpfs"],
  [0x858458f6, "ramfs"],
  [0x6969, "nfs"],
]);
const inMemory = new Set(["tmpfs", "ramfs"]);

export function describeMachine(directory) {
  const { blocks, bsize, bavail } = statfsSync(directory);
  return {
    cores: os.availableParallelism(),
    processor: os.cpus()[0]?.model ?? "unknown",
    memorySize: os.totalmem(),
    platform: `${os.platform()} ${os.release()} ${os.arch()}`,
    node: process.version,
    fileSystem: fileSystemOf(directory),
    diskSize: blocks * bsize,
    freeSize: bavail * bsize,
    loadAverage: os.loadavg().map((load) => Math.round(load * 100) / 100),
  };
}

/** A disk that is memory makes every sync free: nothing measured on it means anything. */
export function requireDisk(directory) {
  const fileSystem = fileSystemOf(directory);
  if (!inMemory.has(fileSystem)) return;
  throw new Error(`${directory} is ${fileSystem}, which is memory: choose a directory on a disk with --dir`);
}

export function freeSizeOf(directory) {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

function fileSystemOf(directory) {
  // Windows and macOS have other numbers there.
  if (process.platform !== "linux") return "unknown";
  const { type } = statfsSync(directory);
  return fileSystems.get(type >>> 0) ?? `type 0x${(type >>> 0).toString(16)}`;
}
