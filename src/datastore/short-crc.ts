/**
 * CRC-32 as in zlib, of short pieces. Calling zlib's costs 1 to 1.5 µs with the views that it needs, more than the rest of
 * reading a record; this one a third of that for 200 bytes. Eight bytes at a step ("slicing by 8", Kounavis and Berry, 2005).
 */
import { crc32 } from "node:zlib";

/** From here on zlib's is faster. */
const shortMax = 2_048;

const tables: readonly Uint32Array[] = makeTables();
const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];

function makeTables(): Uint32Array[] {
  const made = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let sum = byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
    made[0]![byte] = sum;
  }
  for (let index = 1; index < 8; index++) {
    for (const [byte, sum] of made[index - 1]!.entries()) made[index]![byte] = (sum >>> 8) ^ made[0]![sum & 0xff]!;
  }
  return made;
}

/** Of the first `size` bytes, which can be fewer than `bytes` has, or says that it has. */
export function crcOfBytes(bytes: Uint8Array, size: number): number {
  if (size > shortMax) return crc32(new Uint8Array(bytes.buffer, bytes.byteOffset, size));
  let sum = -1;
  let index = 0;
  for (const end = size - 7; index < end; index += 8) {
    sum ^= bytes[index]! | (bytes[index + 1]! << 8) | (bytes[index + 2]! << 16) | (bytes[index + 3]! << 24);
    sum =
      t7[sum & 0xff]! ^
      t6[(sum >>> 8) & 0xff]! ^
      t5[(sum >>> 16) & 0xff]! ^
      t4[sum >>> 24]! ^
      t3[bytes[index + 4]!]! ^
      t2[bytes[index + 5]!]! ^
      t1[bytes[index + 6]!]! ^
      t0[bytes[index + 7]!]!;
  }
  for (; index < size; index++) sum = (sum >>> 8) ^ t0[(sum ^ bytes[index]!) & 0xff]!;
  return ~sum >>> 0;
}

/** Goes on from the checksum of what precedes it; each character of `text` is a byte. */
export function crcOfText(text: string, before: number): number {
  let sum = ~before;
  for (let index = 0; index < text.length; index++) {
    sum = (sum >>> 8) ^ t0[(sum ^ text.charCodeAt(index)) & 0xff]!;
  }
  return ~sum >>> 0;
}
