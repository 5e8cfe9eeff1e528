/** This machine's disk with failures and delays put in front of it. */
import type { Disk, DiskFile, Host } from "../../src/env/host.ts";

export type DiskCall = "open" | "create" | "write" | "sync" | "read" | "syncDirectory" | "freeSpace";

export interface DiskWishes {
  /** Called before each operation; what it throws, the operation fails with. */
  before: (call: DiskCall, path: string) => Promise<void> | void;
  freeSpace?: () => number;
}

/** The code of a system error, as Node throws it. */
export function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

export function withDisk(host: Host, wishes: DiskWishes): Host {
  const { disk } = host;
  const wrapped: Disk = {
    ...disk,
    open: async (path, mode) => {
      await wishes.before("open", path);
      const file = await disk.open(path, mode);
      return file === undefined ? undefined : wrapFile(file, path, wishes);
    },
    create: async (path) => {
      await wishes.before("create", path);
      const { file, created } = await disk.create(path);
      return { file: wrapFile(file, path, wishes), created };
    },
    syncDirectory: async (path) => {
      await wishes.before("syncDirectory", path);
      return disk.syncDirectory(path);
    },
    freeSpace: async (path) => {
      await wishes.before("freeSpace", path);
      return wishes.freeSpace?.() ?? disk.freeSpace(path);
    },
  };
  return { ...host, disk: wrapped };
}

function wrapFile(file: DiskFile, path: string, wishes: DiskWishes): DiskFile {
  return {
    read: async (into, position) => {
      await wishes.before("read", path);
      return file.read(into, position);
    },
    readNow: (into, position) => file.readNow(into, position),
    write: async (pieces, position) => {
      await wishes.before("write", path);
      return file.write(pieces, position);
    },
    sync: async () => {
      await wishes.before("sync", path);
      return file.sync();
    },
    size: () => file.size(),
    truncate: (size) => file.truncate(size),
    close: () => file.close(),
  };
}
