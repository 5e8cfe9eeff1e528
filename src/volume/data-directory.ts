/**
 * The directory below which volumes lie. `data-putter.json` in it says format, depth and identity, and is written once;
 * a directory is never opened with another format or depth, nor by two processes at once.
 */
import { crc32 } from "node:zlib";
import { messageOf, StoreError } from "../core/errors.ts";
import { type Depth, depths } from "../core/layout.ts";
import type { Disk, DiskLock, Random } from "../env/host.ts";

/** Format of the data directory: docs/formats/disk.md. */
export const diskFormat = 1;
export const markerName = "data-putter.json";
const markerSizeMax = 4096;
const runbook = "see docs/runbooks/small-files.md";

export interface DataDirectory {
  readonly root: string;
  readonly depth: Depth;
  /** 16 hex digits, made with the directory. */
  readonly id: string;
  readonly lock: DiskLock;
}

export interface DataDirectoryOptions {
  readonly root: string;
  /** undefined: what the directory has, or `depthDefault` for a new one. */
  readonly depth: Depth | undefined;
  readonly depthDefault: Depth;
}

/** Opens or makes a data directory, and locks it. INCOMPATIBLE, or UNAVAILABLE where it cannot be written. */
export async function openDataDirectory(
  disk: Disk,
  random: Random,
  options: DataDirectoryOptions,
): Promise<DataDirectory> {
  const { root } = options;
  const lock = await takeLock(disk, root);
  try {
    const marker = await usable(root, () => readMarker(disk, root));
    const depth = options.depth ?? options.depthDefault;
    const made = marker ?? (await usable(root, () => makeMarker(disk, random, root, depth)));
    if (options.depth !== undefined && options.depth !== made.depth) {
      const advice = "depth is chosen when a directory is made; leave --depth out, or choose another --root";
      throw new StoreError("INCOMPATIBLE", `${root} has depth ${made.depth}, not ${options.depth}: ${advice}`);
    }
    return { root, ...made, lock };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function takeLock(disk: Disk, root: string): Promise<DiskLock> {
  const lock = await usable(root, async () => {
    for (const { directory } of pathOf(root)) if (!(await exists(disk, directory))) await disk.makeDirectory(directory);
    return disk.lock(root);
  });
  if (lock === undefined) {
    throw new StoreError("INCOMPATIBLE", `${root} is in use by another data-putter process; one at a time can have it`);
  }
  return lock;
}

/** Says which directory a system error is about. */
async function usable<Value>(root: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError("UNAVAILABLE", `${root} cannot be used for data: ${messageOf(error)}`, { cause: error });
  }
}

/** A path's directories from above, each with the one whose entry it is. */
function pathOf(root: string): { directory: string; parent: string | undefined }[] {
  const parts = root.split(/(?<=[/\\])/);
  return parts.map((_, index) => ({
    directory: parts.slice(0, index + 1).join(""),
    parent: index === 0 ? undefined : parts.slice(0, index).join(""),
  }));
}

/**
 * Makes the directory itself durable. Whether this process made it does not count: an earlier one may have made it and
 * not lived to sync it.
 */
async function syncPath(disk: Disk, root: string): Promise<void> {
  for (const { parent } of pathOf(root)) {
    if (parent === undefined) continue;
    try {
      await disk.syncDirectory(parent);
    } catch (error) {
      // Higher up there are directories that may not be opened, or that their file system cannot sync.
      if (!["EACCES", "EPERM", "EINVAL", "ENOTSUP"].includes((error as { code?: string }).code ?? "")) throw error;
    }
  }
}

async function exists(disk: Disk, directory: string): Promise<boolean> {
  return (await disk.list(directory)) !== undefined;
}

async function readMarker(disk: Disk, root: string): Promise<{ depth: Depth; id: string } | undefined> {
  const where = `${root}/${markerName}`;
  const file = await disk.open(where, "read");
  if (file === undefined) return undefined;
  try {
    const bytes = new Uint8Array(markerSizeMax);
    const size = await file.read(bytes, 0);
    return parseMarker(where, Buffer.from(bytes.subarray(0, size)).toString("utf8"));
  } finally {
    await file.close();
  }
}

function parseMarker(where: string, text: string): { depth: Depth; id: string } {
  const damaged = (rule: string): StoreError =>
    new StoreError("INCOMPATIBLE", `${where} is damaged (${rule}): ${JSON.stringify(text.slice(0, 100))}; ${runbook}`);
  let marker: { format?: unknown; depth?: unknown; id?: unknown; check?: unknown };
  try {
    marker = JSON.parse(text) as typeof marker;
  } catch {
    throw damaged("it must be JSON");
  }
  if (typeof marker !== "object" || marker === null) throw damaged("it must be an object");
  if (typeof marker.format !== "number") throw damaged("format must be a number");
  if (marker.format !== diskFormat) {
    const advice = "use the version of data-putter that made it, or a newer one";
    throw new StoreError(
      "INCOMPATIBLE",
      `${where} has format ${marker.format}, this program knows ${diskFormat}: ${advice}`,
    );
  }
  if (!depths.includes(marker.depth as Depth)) throw damaged("depth must be 2, 3 or 4");
  if (typeof marker.id !== "string" || !/^[0-9a-f]{16}$/.test(marker.id)) throw damaged("id must be 16 hex digits");
  const made = { depth: marker.depth as Depth, id: marker.id };
  // Markers that were made before there was such a field have none.
  if (marker.check !== undefined && marker.check !== checkOf(made))
    throw damaged("check does not fit the other fields");
  return made;
}

/** One digit of depth or id that is another one would make every ticket another directory's. */
function checkOf({ depth, id }: { readonly depth: Depth; readonly id: string }): string {
  return crc32(`${diskFormat} ${depth} ${id}`).toString(16).padStart(8, "0");
}

async function makeMarker(
  disk: Disk,
  random: Random,
  root: string,
  depth: Depth,
): Promise<{ depth: Depth; id: string }> {
  const names = (await disk.list(root)) ?? [];
  const volume = names.find((name) => name === "obj" || name === "sum" || /^[0-9A-Z]{1,2}$/.test(name));
  if (volume !== undefined) {
    const why = `${root} holds ${volume} but no ${markerName}, so its depth is unknown: make that file again`;
    throw new StoreError("INCOMPATIBLE", `${why} (${runbook}), or choose an empty directory`);
  }
  await syncPath(disk, root);
  const id = Buffer.from(random.bytes(8)).toString("hex");
  const text = `${JSON.stringify({ format: diskFormat, depth, id, check: checkOf({ depth, id }) })}\n`;
  await writeWhole(disk, root, markerName, new Uint8Array(Buffer.from(text)));
  return { depth, id };
}

/** Writes a small file so that after a crash it is there whole or not at all. */
async function writeWhole(disk: Disk, directory: string, name: string, bytes: Uint8Array): Promise<void> {
  const fresh = `${directory}/${name}.new`;
  await disk.unlink(fresh);
  const { file } = await disk.create(fresh);
  try {
    await file.write([bytes], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(fresh, `${directory}/${name}`);
  await disk.syncDirectory(directory);
}
