/**
 * One process per data directory, without a lock that outlives its owner: a socket file named `lock` in the directory.
 *
 * Whoever listens on it holds the directory. After a `kill -9` the file is still there but nobody answers, and the next
 * process replaces it. Process ids would not do (they repeat, and mean nothing across containers). The workers of a
 * process inherit the socket: while one of them lives, the system takes connections to it, and nobody else gets in.
 */
import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import type { DiskLock } from "./host.ts";

/** Longer socket paths are refused by the system. */
const socketPathMax = 100;

export async function lockDirectory(directory: string): Promise<DiskLock | undefined> {
  const place = socketPath(await fs.realpath(directory));
  for (let attempt = 0; attempt < 3; attempt++) {
    const server = await listenOn(place);
    if (server !== undefined) {
      const descriptor = (server as unknown as PrivateServer)._handle?.fd;
      const release = (): Promise<void> => new Promise((resolve) => void server.close(() => resolve()));
      return { descriptor: descriptor === undefined || descriptor < 0 ? undefined : descriptor, release };
    }
    if (await isAnswered(place)) return undefined;
    // Moved away rather than removed: if another process took the lock just now, this was its file, and it answers.
    const aside = `${place}.${process.pid}`;
    await fs.rename(place, aside).catch(() => undefined);
    const taken = await isAnswered(aside);
    await (taken ? fs.rename(aside, place) : fs.rm(aside, { force: true }));
    if (taken) return undefined;
  }
  return undefined;
}

/** The private part of a server that tells its descriptor; not on Windows. */
interface PrivateServer {
  readonly _handle?: { readonly fd?: number } | null;
}

function socketPath(directory: string): string {
  const inside = path.join(directory, "lock");
  const name = `data-putter-${createHash("sha256").update(directory).digest("hex").slice(0, 24)}`;
  if (process.platform === "win32") return path.join("\\\\.\\pipe", name);
  return inside.length <= socketPathMax ? inside : path.join(os.tmpdir(), `${name}.lock`);
}

/** Undefined where the path is taken, by the living or the dead. */
function listenOn(place: string): Promise<net.Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy());
    server.unref();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(place, () => resolve(server));
  });
}

/** Whether a living process holds it: also one whose queue is full, or that this user may not connect to. */
function isAnswered(place: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(place);
    const settle = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once("connect", () => settle(true));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      settle(error.code !== "ECONNREFUSED" && error.code !== "ENOENT" && error.code !== "ENOTSOCK");
    });
  });
}
