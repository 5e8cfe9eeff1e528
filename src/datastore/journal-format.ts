/**
 * The journal beside the embedded datastore: what each commit changed, so that a snapshot can be brought up to date
 * (docs/formats/datastore.md; permanent). All integers big-endian.
 *
 *   file    0 "DPJOURN1" 8 · 8 commit that it follows 8 · 16 flags 4 (1: that is an empty datastore) · 20 crc32 of 0-19 4
 *   group   0 "DPJG" 4 · 4 size of the changes 4 · 8 commit 8 · 16 time 8 · 24 crc32 of 4-23 and the changes 4 · 28 changes
 *   change  0 size of the key 2 · 2 size of the value 4 (2^32-1: removed) · 6 key · value
 *   close   0 "DPJC" 4 · 4 commit 8 · 12 crc32 of 0-11 4
 *
 * A group is whole or it is not there: a torn one fails its checksum. Groups follow each other without padding.
 */
import { crc32 } from "node:zlib";

export const journalHeaderSize = 24;
export const groupHeaderSize = 28;
export const closeSize = 16;

const fileMagic = Buffer.from("DPJOURN1", "latin1");
const groupMagic = 0x44504a47;
const closeMagic = 0x44504a43;
const changeHeaderSize = 6;
const removed = 0xffff_ffff;

/** A key (a byte string, keys.ts), and its value, or undefined where it was removed. */
export interface Change {
  readonly key: string;
  readonly value: string | undefined;
}

export interface Group {
  readonly commit: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly changes: readonly Change[];
}

export interface JournalHeader {
  /** The commit after which its first group comes. */
  readonly after: number;
  /** That commit is the datastore's first: nothing but its format. */
  readonly isEmpty: boolean;
}

/** Node's own methods, which its declarations leave out: half the price of `write`. */
interface FastBuffer extends Buffer {
  latin1Write(text: string, start: number): number;
  utf8Write(text: string, start: number): number;
}

export function encodeHeader({ after, isEmpty }: JournalHeader): Uint8Array {
  const bytes = Buffer.alloc(journalHeaderSize);
  fileMagic.copy(bytes);
  bytes.writeBigUInt64BE(BigInt(after), 8);
  bytes.writeUInt32BE(isEmpty ? 1 : 0, 16);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 20)), 20);
  return bytes;
}

/** undefined where it is none. */
export function decodeHeader(bytes: Buffer): JournalHeader | undefined {
  if (bytes.length < journalHeaderSize || !bytes.subarray(0, 8).equals(fileMagic)) return undefined;
  if (bytes.readUInt32BE(20) !== crc32(bytes.subarray(0, 20))) return undefined;
  return { after: Number(bytes.readBigUInt64BE(8)), isEmpty: bytes.readUInt32BE(16) === 1 };
}

export function encodeClose(commit: number): Uint8Array {
  const bytes = Buffer.alloc(closeSize);
  bytes.writeUInt32BE(closeMagic, 0);
  bytes.writeBigUInt64BE(BigInt(commit), 4);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 12)), 12);
  return bytes;
}

/** The commit of a close record at the start of `bytes`; undefined where there is none. */
export function decodeClose(bytes: Buffer): number | undefined {
  if (bytes.length < closeSize || bytes.readUInt32BE(0) !== closeMagic) return undefined;
  return bytes.readUInt32BE(12) === crc32(bytes.subarray(0, 12)) ? Number(bytes.readBigUInt64BE(4)) : undefined;
}

/** Writes groups into memory that it keeps; only ever grows to what the largest group took. */
export class GroupEncoder {
  #memory = Buffer.allocUnsafeSlow(65_536) as FastBuffer;

  /**
   * `changes`: key, value or undefined, key, value or undefined, … What it returns is valid until the next call.
   */
  encode(commit: number, time: number, changes: readonly (string | undefined)[]): Uint8Array {
    let position = groupHeaderSize;
    for (let index = 0; index < changes.length; index += 2) {
      const key = changes[index]!;
      const value = changes[index + 1];
      const sizeMax = changeHeaderSize + key.length + (value === undefined ? 0 : value.length * 3);
      if (position + sizeMax > this.#memory.length) this.#grow(position, position + sizeMax);
      const memory = this.#memory;
      const start = position + changeHeaderSize;
      memory[position] = key.length >>> 8;
      memory[position + 1] = key.length;
      memory.latin1Write(key, start);
      const valueStart = start + key.length;
      const valueSize = value === undefined ? 0 : memory.utf8Write(value, valueStart);
      const size = value === undefined ? removed : valueSize;
      memory[position + 2] = size >>> 24;
      memory[position + 3] = size >>> 16;
      memory[position + 4] = size >>> 8;
      memory[position + 5] = size;
      position = valueStart + valueSize;
    }
    const memory = this.#memory;
    memory.writeUInt32BE(groupMagic, 0);
    memory.writeUInt32BE(position - groupHeaderSize, 4);
    writeNumber(memory, commit, 8);
    writeNumber(memory, time, 16);
    const sum = crc32(memory.subarray(groupHeaderSize, position), crc32(memory.subarray(4, 24)));
    memory.writeUInt32BE(sum, 24);
    return memory.subarray(0, position);
  }

  #grow(used: number, needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#memory.length * 2)) as FastBuffer;
    this.#memory.copy(larger, 0, 0, used);
    this.#memory = larger;
  }
}

/** The size of a whole group whose header this is, or undefined where it is none. */
export function groupSize(header: Buffer): number | undefined {
  if (header.length < groupHeaderSize || header.readUInt32BE(0) !== groupMagic) return undefined;
  return groupHeaderSize + header.readUInt32BE(4);
}

/** undefined where it does not verify. `bytes` is the whole group. */
export function decodeGroup(bytes: Buffer): Group | undefined {
  const sum = crc32(bytes.subarray(groupHeaderSize), crc32(bytes.subarray(4, 24)));
  if (groupSize(bytes) !== bytes.length || bytes.readUInt32BE(24) !== sum) return undefined;
  const changes: Change[] = [];
  for (let position = groupHeaderSize; position < bytes.length;) {
    const keyStart = position + changeHeaderSize;
    if (keyStart > bytes.length) return undefined;
    const keyEnd = keyStart + bytes.readUInt16BE(position);
    const size = bytes.readUInt32BE(position + 2);
    position = keyEnd + (size === removed ? 0 : size);
    if (position > bytes.length) return undefined;
    const key = bytes.toString("latin1", keyStart, keyEnd);
    changes.push({ key, value: size === removed ? undefined : bytes.toString("utf8", keyEnd, position) });
  }
  return { commit: Number(bytes.readBigUInt64BE(8)), time: Number(bytes.readBigUInt64BE(16)), changes };
}

function writeNumber(memory: Buffer, value: number, position: number): void {
  memory.writeUInt32BE(Math.floor(value / 2 ** 32), position);
  memory.writeUInt32BE(value % 2 ** 32, position + 4);
}
