/**
 * A look at an LMDB file before it is mapped. What lies beyond the end of a mapped file cannot be read as an error: the
 * system ends the process (SIGBUS). So a file that is cut short is found here, or made long enough to be read as damaged.
 *
 * The first two pages are meta pages; the one with the higher transaction is valid (lmdb's mdb.c, little-endian):
 *
 *   18 flags 2 · 24 magic 4 · 28 version 4 · 40 map size 8 · 48 page size 4 · 48 tree of the free list · 96 tree of the records
 *   in a tree: 4 flags 2 · 6 depth 2 · 32 entries 8 · 40 root 8
 *   144 last page 8 · 152 transaction 8
 */
import { messageOf, StoreError } from "../core/errors.ts";
import { pagesCheckedSizeMax } from "../core/limits.ts";
import type { Disk, DiskFile } from "../env/host.ts";
import { type Tree, walkPages } from "./lmdb-walk.ts";

const magic = 0xbeefc0de;
const metaSize = 160;
/** What a page is, at byte 18 of it: P_META and nothing else. */
const metaFlags = 0x08;
/** MDB_DATA_VERSION; and MDB_INTEGERKEY, the flags of the free list: those of the records are none. */
const dataVersion = 2;
const integerKeys = 0x08;
const noPage = 0xffff_ffff_ffff_ffffn;

/**
 * DAMAGED where the file cannot be what LMDB wrote; false where there is no file yet. Up to a size all its pages are read; of
 * a larger one only the first, since that must not take long.
 */
export async function checkLmdbFile(disk: Disk, path: string, walkSizeMax = pagesCheckedSizeMax): Promise<boolean> {
  const file = await openToCheck(disk, path);
  if (file === undefined) return false;
  try {
    const size = await file.size();
    // Made, but the process ended before anything was written.
    if (size === 0) return false;
    const meta = await newestMeta(file, path);
    for (const { root } of [meta.free, meta.records]) {
      if (root !== noPage && (Number(root) + 1) * meta.pageSize > size) {
        throw damaged(path, `it is cut short: ${size} bytes, but its first page is page ${root}`);
      }
      if (root !== noPage) await checkPage(file, path, Number(root), meta.pageSize);
    }
    const fullSize = (meta.lastPage + 1) * meta.pageSize;
    if (fullSize > meta.mapSize)
      throw damaged(path, `its last page is page ${meta.lastPage}, beyond what can be mapped`);
    // Can be so in a file that is whole, where its last pages are free.
    if (size < fullSize) await file.truncate(fullSize);
    if (fullSize > walkSizeMax) return true;
    if (fullSize <= pagesCheckedSizeMax) await walkWhole(file, path, meta, fullSize);
    else await walkByPage(file, path, meta);
    return true;
  } finally {
    await file.close();
  }
}

/**
 * Reads all pages of a file of any size without LMDB, which may have it open: then what is committed must be held meanwhile
 * (LmdbFile.hold), before this is called. One page at a time, between which others have their turn; `goOn` throws where it is
 * to end. DAMAGED where the file cannot be what LMDB wrote; otherwise how many pages it has in use.
 *
 * The newest meta page is of the commit that is held or a later one, and nothing that either leads to is written over.
 */
export async function walkLmdbFile(disk: Disk, path: string, goOn: () => void = () => undefined): Promise<number> {
  const file = await disk.open(path, "read");
  if (file === undefined) throw damaged(path, "it is gone");
  try {
    return await walkByPage(file, path, await newestMeta(file, path), goOn);
  } finally {
    await file.close();
  }
}

async function walkByPage(
  file: DiskFile,
  path: string,
  meta: Meta,
  goOn: () => void = () => undefined,
): Promise<number> {
  // Pages that are in use are in the file; and what is kept in memory of each is bounded by it, whatever the meta page says.
  const lastPage = Math.min(meta.lastPage, Math.ceil((await file.size()) / meta.pageSize) - 1);
  const read = async (from: number, size: number): Promise<Buffer> => {
    goOn();
    const bytes = Buffer.allocUnsafe(size);
    try {
      return bytes.subarray(0, await file.read(bytes, from));
    } catch (error) {
      throw damaged(path, `${size} bytes at ${from} cannot be read (${messageOf(error)})`);
    }
  };
  return walkPages({ ...meta, lastPage, path, read }, meta.free, meta.records);
}

async function walkWhole(file: DiskFile, path: string, meta: Meta, size: number): Promise<void> {
  const whole = Buffer.allocUnsafeSlow(size);
  const end = await file.read(whole, 0);
  const read = async (from: number, count: number): Promise<Buffer> =>
    whole.subarray(from, Math.min(from + count, end));
  await walkPages({ ...meta, path, read }, meta.free, meta.records);
}

/** LMDB's own lock, which it makes where there is none: something else in its place would end the process. */
export async function checkLmdbLock(disk: Disk, path: string): Promise<void> {
  try {
    const file = await disk.open(path, "write");
    await file?.close();
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "DAMAGED") return;
    throw new StoreError("DAMAGED", `${error.message}; it holds no data: remove it, and it is made anew`);
  }
}

async function openToCheck(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.open(path, "write");
  } catch (error) {
    // Something else than a file in its place is damage; what may not be opened, or not now, is not.
    if (error instanceof StoreError && error.code === "DAMAGED") {
      throw damaged(path, error.message.replace(`${path} is `, "it is "));
    }
    throw new StoreError("UNAVAILABLE", `${path} cannot be opened: ${messageOf(error)}`, { cause: error });
  }
}

/** Every page begins with its own number. */
async function checkPage(file: DiskFile, path: string, number: number, pageSize: number): Promise<void> {
  const bytes = new Uint8Array(8);
  await file.read(bytes, number * pageSize);
  const found = new DataView(bytes.buffer).getBigUint64(0, true);
  if (found !== BigInt(number)) throw damaged(path, `there is no page ${number} where it must be`);
}

interface Meta {
  readonly pageSize: number;
  readonly free: Tree;
  readonly records: Tree;
  readonly mapSize: number;
  readonly lastPage: number;
  readonly transaction: bigint;
}

async function newestMeta(file: DiskFile, path: string): Promise<Meta> {
  const first = await readMeta(file, 0, path);
  const second = await readMeta(file, first.pageSize, path);
  return second.transaction > first.transaction ? second : first;
}

async function readMeta(file: DiskFile, position: number, path: string): Promise<Meta> {
  const bytes = new Uint8Array(metaSize);
  // At once where that can be: this thread is the one that commits, so it cannot be half written.
  const count = file.readNow(bytes, position) ?? (await file.read(bytes, position));
  const view = new DataView(bytes.buffer);
  if (count < metaSize || view.getUint32(24, true) !== magic) {
    throw damaged(path, `there is no LMDB header at byte ${position}`);
  }
  // LMDB asserts it, and that ends the process.
  if (view.getUint16(18, true) !== metaFlags) throw damaged(path, `the page at byte ${position} is no meta page`);
  const version = view.getUint32(28, true);
  if (version !== dataVersion) throw damaged(path, `it says version ${version} of LMDB's format, not ${dataVersion}`);
  // How it is to be mapped and compared: what this program has always asked for.
  if (view.getUint16(52, true) !== integerKeys || view.getUint16(100, true) !== 0) {
    throw damaged(path, `the page at byte ${position} has flags that no database here has`);
  }
  const pageSize = view.getUint32(48, true);
  if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0) {
    throw damaged(path, `it has pages of ${pageSize} bytes`);
  }
  return {
    pageSize,
    free: readTree(view, 48),
    records: readTree(view, 96),
    mapSize: Number(view.getBigUint64(40, true)),
    lastPage: Number(view.getBigUint64(144, true)),
    transaction: view.getBigUint64(152, true),
  };
}

function readTree(view: DataView, at: number): Tree {
  return {
    root: view.getBigUint64(at + 40, true),
    depth: view.getUint16(at + 6, true),
    entries: view.getBigUint64(at + 32, true),
  };
}

function damaged(path: string, why: string): StoreError {
  return new StoreError(
    "DAMAGED",
    `${path} is damaged: ${why}; run data-putter restore, see docs/runbooks/restore-the-datastore.md`,
  );
}
