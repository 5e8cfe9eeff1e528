/**
 * Key files: 32 hex digits and a newline, for their owner's eyes only (0600). One is made under another name, synced and
 * linked into place: there whole or not at all, and of two processes that begin at once one makes it and the other finds it.
 */
import { constants } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { messageOf, StoreError } from "../core/errors.ts";
import { fingerprintOf, formatKey, type Key, keyOf, keySize, parseKey } from "../core/key.ts";
import type { Random } from "./host.ts";

export interface FoundKey {
  readonly key: Key;
  /** The file, or the variable. */
  readonly source: string;
  /** What somebody should be told: made just now, readable by others. */
  readonly notes: readonly string[];
}

const runbook = "see docs/runbooks/key-lost.md";

/**
 * The key of a data directory: the one that is given, or the file `key` in it, which is made where there is no data yet.
 * `marker`: the file that every data directory has. WRONG_KEY where another one is given than it has.
 */
export async function keyOfDirectory(
  root: string,
  given: FoundKey | undefined,
  marker: string,
  random: Random,
): Promise<FoundKey> {
  const file = path.join(root, "key");
  const isUsed = await exists(path.join(root, marker));
  const kept = await readKeyFile(file).catch((error: unknown) => {
    if (!isUsed || !(error instanceof StoreError)) throw error;
    throw new StoreError(error.code, `${error.message}; ${runbook}`, { cause: error });
  });
  if (given !== undefined) {
    if (kept !== undefined && fingerprintOf(kept.key) !== fingerprintOf(given.key)) {
      const other = `${fingerprintOf(given.key)} (${given.source})`;
      const why = `${root} was written with the key ${fingerprintOf(kept.key)} (${file})`;
      throw new StoreError(
        "WRONG_KEY",
        `${why}, and none of it verifies under ${other}: leave that key out, or move ${file} away`,
      );
    }
    return given;
  }
  if (kept !== undefined) return kept;
  if (isUsed) {
    const advice = `give it with --key-file or DATA_PUTTER_KEY: under a new key none of the data would verify; ${runbook}`;
    throw new StoreError("INVALID", `${root} holds data, but its key ${file} is not there: ${advice}`);
  }
  await makeDirectories(root);
  const made = await makeKeyFile(file, random);
  if (made !== undefined) return { key: made, source: file, notes: [`made a new key: ${file} (keep a copy of it)`] };
  return (await readKeyFile(file))!;
}

/** undefined where the file is there already. */
export async function makeKeyFile(file: string, random: Random): Promise<Key | undefined> {
  const key = keyOf(random.bytes(keySize));
  const fresh = `${file}.${Buffer.from(random.bytes(6)).toString("hex")}.new`;
  const handle = await fs.open(fresh, "wx", 0o600);
  try {
    try {
      await handle.writeFile(`${formatKey(key)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (!(await putInPlace(fresh, file))) return undefined;
  } finally {
    await fs.rm(fresh, { force: true });
  }
  await syncDirectory(path.dirname(file));
  return key;
}

/** undefined where there is no such file; INVALID where it holds no key. */
export async function readKeyFile(file: string): Promise<FoundKey | undefined> {
  let handle: fs.FileHandle;
  try {
    // A pipe that nobody writes to would be waited for.
    handle = await fs.open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new StoreError("INVALID", `the key file ${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  try {
    if (!(await handle.stat()).isFile()) {
      throw new StoreError("INVALID", `the key file ${file} is no file: one with 32 hex digits must be there`);
    }
    const bytes = Buffer.alloc(1024);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0).catch((error: unknown) => {
      throw new StoreError("INVALID", `the key file ${file} cannot be read: ${messageOf(error)}`, { cause: error });
    });
    const key = parseKey(bytes.subarray(0, bytesRead).toString("latin1"), file);
    const { mode } = await handle.stat();
    const open = process.platform !== "win32" && (mode & 0o077) !== 0;
    const notes = open ? [`the key file ${file} can be read by others: chmod 600 ${file}`] : [];
    return { key, source: file, notes };
  } finally {
    await handle.close();
  }
}

/** Never over a file that is there. */
async function putInPlace(fresh: string, file: string): Promise<boolean> {
  try {
    await fs.link(fresh, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    // No hard links here (FAT, some network file systems): a rename is whole too, only not exclusive.
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(code ?? "")) throw error;
    if (await exists(file)) return false;
    await fs.rename(fresh, file);
    return true;
  }
}

/** Makes a directory and what is missing above it, for their owner only, each entry synced. */
async function makeDirectories(directory: string): Promise<void> {
  const first = await fs.mkdir(directory, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let at = path.resolve(directory); at.length >= path.resolve(first).length; at = path.dirname(at)) {
    await syncDirectory(path.dirname(at));
  }
}

export async function syncDirectory(directory: string): Promise<void> {
  // Windows cannot open directories, and keeps their entries by its own journal.
  if (process.platform === "win32") return;
  try {
    const handle = await fs.open(directory, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    // A directory that may be written but not opened, or a file system without such a sync: nothing better is to be had.
    if (!["EACCES", "EPERM", "EINVAL", "ENOTSUP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

async function exists(file: string): Promise<boolean> {
  return fs.access(file).then(
    () => true,
    () => false,
  );
}
