/**
 * A look at an LMDB file before it is mapped. What lies beyond the end of a mapped file cannot be read as an error: the
 * system ends the process (SIGBUS). So a file that is cut short is found here, or made long enough to be read as damaged.
 *
 * The first two pages are meta pages; the one with the higher transaction is valid (lmdb's mdb.c, little-endian):
 *
 *   24 magic 4 · 28 version 4 · 48 page size 4 · 88 root of the free list 8 · 136 root of the records 8
 *   144 last page 8 · 152 transaction 8
 */
import { StoreError } from "../core/errors.ts";
import type { Disk, DiskFile } from "../env/host.ts";

const magic = 0xbeefc0de;
const metaSize = 160;
const noPage = 0xffff_ffff_ffff_ffffn;

/** DAMAGED where the file cannot be what LMDB wrote; false where there is no file yet. */
export async function checkLmdbFile(disk: Disk, path: string): Promise<boolean> {
  const file = await disk.open(path, "write");
  if (file === undefined) return false;
  try {
    const size = await file.size();
    // Made, but the process ended before anything was written.
    if (size === 0) return false;
    const meta = await newestMeta(file, path);
    for (const root of meta.roots) {
      if (root !== noPage && (Number(root) + 1) * meta.pageSize > size) {
        throw damaged(path, `it is cut short: ${size} bytes, but its first page is page ${root}`);
      }
      if (root !== noPage) await checkPage(file, path, Number(root), meta.pageSize);
    }
    const fullSize = (meta.lastPage + 1) * meta.pageSize;
    // Can be so in a file that is whole, where its last pages are free.
    if (size < fullSize) await file.truncate(fullSize);
    return true;
  } finally {
    await file.close();
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
  readonly roots: readonly bigint[];
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
  const count = await file.read(bytes, position);
  const view = new DataView(bytes.buffer);
  if (count < metaSize || view.getUint32(24, true) !== magic) {
    throw damaged(path, `there is no LMDB header at byte ${position}`);
  }
  return {
    pageSize: view.getUint32(48, true),
    roots: [view.getBigUint64(88, true), view.getBigUint64(136, true)],
    lastPage: Number(view.getBigUint64(144, true)),
    transaction: view.getBigUint64(152, true),
  };
}

function damaged(path: string, why: string): StoreError {
  return new StoreError(
    "DAMAGED",
    `${path} is damaged: ${why}; run data-putter restore, see docs/runbooks/restore-the-datastore.md`,
  );
}
