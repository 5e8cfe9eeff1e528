/** Bytes that follow from a number: what a write stored can be told from its tag alone, now and after any number of crashes. */

export interface Piece {
  readonly seed: number;
  readonly size: number;
}

/** What a tag stands for: pieces, one after the other (a copy and an upload consist of what others wrote). */
export type Content = readonly Piece[];

export function sizeOf(content: Content): number {
  return content.reduce((sum, { size }) => sum + size, 0);
}

export function bytesOf(content: Content): Uint8Array {
  const bytes = new Uint8Array(sizeOf(content));
  let at = 0;
  for (const { seed, size } of content) {
    bytes.set(pieceOf(seed, size), at);
    at += size;
  }
  return bytes;
}

/** Where bytes are not those of the content from `offset` on; undefined where they are. */
export function differenceAt(bytes: Uint8Array, content: Content, offset = 0): number | undefined {
  const wanted = bytesOf(content).subarray(offset, offset + bytes.length);
  if (wanted.length === bytes.length && Buffer.compare(wanted, bytes) === 0) return undefined;
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== wanted[at]) return offset + at;
  return offset + wanted.length;
}

function pieceOf(seed: number, size: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = (Math.imul(seed + 1, 2654435761) ^ 0x5bd1e995) >>> 0;
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[index] = state ^ (state >>> 15);
  }
  return new Uint8Array(words.buffer, 0, size);
}
