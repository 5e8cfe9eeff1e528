/**
 * Reads the pages of an LMDB file without LMDB, which believes whatever a page says: a damaged offset or size can end the
 * process, or lead it beyond a page. What is found here is an error instead. Values are not looked at: those of records have
 * checksums (checked-values.ts), and those of the other tree, lists of free pages, only commits use.
 *
 * A page (lmdb's mdb.c, data version 2, little-endian):
 *
 *   0 its number 8 · 8 transaction 8 · 18 kind 2 · 20 lower 2 · 22 upper 2 · 24 offsets of nodes 2 each
 *   kind 1: branch, 2: leaf, 4: overflow, which has at 20 how many pages it takes 4; offsets, lower and upper count from 24
 *
 * A node: 0 size of the value 4 · 4 flags 2 (1: the value is in overflow pages) · 6 size of the key 2 · 8 key, value. In a branch, 0
 * to 5 is the number of a page. For a value in overflow pages: number 8 · transaction 8 · pages 8.
 */
import { StoreError } from "../core/errors.ts";
import { runbook } from "./embedded-errors.ts";

const headerSize = 24;
const nodeHeaderSize = 8;
const keySizeMax = 1_978;
const depthMax = 32;
const noPage = 0xffff_ffff_ffff_ffffn;

export interface Tree {
  readonly root: bigint;
  readonly depth: number;
  readonly entries: bigint;
}

export interface PagedFile {
  readonly path: string;
  readonly pageSize: number;
  readonly lastPage: number;
  /** The last one that is committed. */
  readonly transaction: bigint;
  /** Bytes from `position` on; fewer at the end of the file. */
  read(position: number, size: number): Promise<Buffer>;
}

/** Reads both trees to their leaves; how many pages they have. DAMAGED at the first thing that cannot be. */
export async function walkPages(file: PagedFile, free: Tree, records: Tree): Promise<number> {
  const walk = new Walk(file);
  await walk.tree(records, compareBytes);
  await walk.tree(free, compareNumbers);
  return walk.pageCount;
}

type Compare = (left: Buffer, right: Buffer) => number;

interface Page {
  readonly number: number;
  readonly bytes: Buffer;
  readonly transaction: bigint;
}

class Walk {
  pageCount = 0;
  readonly #file: PagedFile;
  readonly #used: Uint8Array;
  // Of the tree that is being read.
  #compare: Compare = compareBytes;
  #lastKey: Buffer | undefined;
  #isLastStored = false;
  #entries = 0n;

  constructor(file: PagedFile) {
    this.#file = file;
    this.#used = new Uint8Array((file.lastPage >> 3) + 1);
  }

  async tree({ root, depth, entries }: Tree, compare: Compare): Promise<void> {
    [this.#compare, this.#lastKey, this.#entries] = [compare, undefined, 0n];
    if (depth > depthMax) throw this.#damaged(0, `cannot be the root of ${depth} levels`);
    if (root !== noPage) await this.#visit(Number(root), depth, this.#file.transaction);
    if (this.#entries !== entries) {
      throw new StoreError(
        "DAMAGED",
        `${this.#file.path} is damaged: ${this.#entries} records of ${entries}; ${runbook}`,
      );
    }
  }

  async #visit(number: number, level: number, newest: bigint): Promise<void> {
    const page = await this.#read(number, 1, level > 1 ? 1 : 2, newest);
    const { bytes } = page;
    const [lower, upper] = [bytes.readUInt16LE(20), bytes.readUInt16LE(22)];
    if (lower % 2 !== 0 || lower === 0 || lower > upper || upper > this.#file.pageSize - headerSize) {
      throw this.#damaged(number, "says of no possible part that it is free");
    }
    const seen = new Set<number>();
    for (let index = 0; index < lower / 2; index++) {
      const start = headerSize + bytes.readUInt16LE(headerSize + 2 * index);
      if (start < headerSize + upper || start + nodeHeaderSize > bytes.length || seen.has(start)) {
        throw this.#damaged(number, `has its record ${index} beyond its records`);
      }
      seen.add(start);
      const keyEnd = start + nodeHeaderSize + bytes.readUInt16LE(start + 6);
      if (keyEnd > bytes.length || keyEnd - start > nodeHeaderSize + keySizeMax) {
        throw this.#damaged(number, `has a key beyond its end in record ${index}`);
      }
      const key = bytes.subarray(start + nodeHeaderSize, keyEnd);
      if (level === 1) await this.#leafNode(page, start, key);
      else await this.#branchNode(page, index, start, key, level);
    }
  }

  async #branchNode(page: Page, index: number, start: number, key: Buffer, level: number): Promise<void> {
    // The first one has no key that anybody reads.
    if (index > 0) this.#follow(page, key, true);
    const child = page.bytes.readUIntLE(start, 6);
    await this.#visit(child, level - 1, page.transaction);
  }

  async #leafNode(page: Page, start: number, key: Buffer): Promise<void> {
    const { bytes, number } = page;
    this.#follow(page, key, false);
    this.#entries++;
    const size = bytes.readUInt32LE(start);
    const flags = bytes.readUInt16LE(start + 4);
    const from = start + nodeHeaderSize + key.length;
    if (flags > 1 || from + (flags === 1 ? 24 : size) > bytes.length) {
      throw this.#damaged(number, "has a value beyond its end");
    }
    if (flags === 0) return;
    const count = Math.floor((headerSize - 1 + size) / this.#file.pageSize) + 1;
    const first = Number(bytes.readBigUInt64LE(from));
    if (Number(bytes.readBigUInt64LE(from + 16)) < count) throw this.#damaged(number, "has a value of too few pages");
    const value = await this.#read(first, count, 4, page.transaction);
    if (value.bytes.readUInt32LE(20) < count) throw this.#damaged(first, "takes too few pages");
  }

  /** Keys come in their order; what a branch says of its next page lies between that and the one before. */
  #follow({ number }: Page, key: Buffer, isBound: boolean): void {
    const order = this.#lastKey === undefined ? -1 : this.#compare(this.#lastKey, key);
    // The first key of a page may be the one by which its branch finds it.
    if (order > 0 || (order === 0 && (isBound || this.#isLastStored)))
      throw this.#damaged(number, "has keys out of order");
    this.#lastKey = key;
    this.#isLastStored = !isBound;
  }

  async #read(number: number, count: number, kind: number, newest: bigint): Promise<Page> {
    const { pageSize, lastPage } = this.#file;
    if (number < 2 || number + count - 1 > lastPage) throw this.#damaged(number, "is none of the file's");
    for (let each = number; each < number + count; each++) {
      if (this.#isUsed(each)) throw this.#damaged(each, "is in use twice");
      this.#used[each >> 3]! |= 1 << (each & 7);
    }
    this.pageCount += count;
    const bytes = await this.#file.read(number * pageSize, pageSize);
    if (bytes.length < pageSize) throw this.#damaged(number, "is cut off");
    const found = bytes.readBigUInt64LE(0);
    if (found !== BigInt(number)) throw this.#damaged(number, `says that it is page ${found}`);
    const transaction = bytes.readBigUInt64LE(8);
    // Who changes a page changes those that lead to it, too. (A copy without gaps makes only pages of trees anew.)
    if (transaction > newest && kind !== 4) {
      throw this.#damaged(number, `is of commit ${transaction}, which is later than ${newest}`);
    }
    const flags = bytes.readUInt16LE(18);
    if ((flags & 0x3f) !== kind) throw this.#damaged(number, `is of kind ${flags} instead of ${kind}`);
    return { number, bytes, transaction };
  }

  #isUsed(number: number): boolean {
    return (this.#used[number >> 3]! & (1 << (number & 7))) !== 0;
  }

  #damaged(number: number, what: string): StoreError {
    return new StoreError("DAMAGED", `${this.#file.path} is damaged: page ${number} ${what}; ${runbook}`);
  }
}

function compareBytes(left: Buffer, right: Buffer): number {
  return left.compare(right);
}

function compareNumbers(left: Buffer, right: Buffer): number {
  if (left.length !== 8 || right.length !== 8) return 1;
  const [one, other] = [left.readBigUInt64LE(0), right.readBigUInt64LE(0)];
  return one < other ? -1 : Number(one > other);
}
