/**
 * TicketID and ObjectID: bijective base 36 over `0-9A-Z`, counted 0, 1, … Z, 00, 01, … ZZ, 000, … ZZZZZZZZ. Permanent.
 *
 * In code an id is its *ordinal* (a safe integer: the last one is 2901713047667), so that ranges are plain arithmetic.
 * Text exists at the edges: in paths, messages and the command line. On the wire an id is 8 bytes: the characters
 * left-aligned, the rest 0x00.
 */
import { StoreError } from "./errors.ts";

export type TicketId = number & { readonly __brand: "TicketId" };
export type ObjectId = number & { readonly __brand: "ObjectId" };

export const idSize = 8;
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** `lengthStart[n]` is the ordinal of the first id with n characters (n from 1 to 8); `[9]` is one past the last id. */
export const lengthStart: readonly number[] = (() => {
  const starts = [0, 0];
  for (let length = 1; length <= idSize; length++) starts.push(starts[length]! + 36 ** length);
  return starts;
})();

/** One past the last ordinal: there are this many ids. */
export const idCount = lengthStart[idSize + 1]!;

/** How many characters the id of this ordinal has: 1 to 8. */
export function idLength(ordinal: number): number {
  let length = 1;
  while (ordinal >= lengthStart[length + 1]!) length++;
  return length;
}

/** The text of an ordinal; throws NO_SPACE past the last id, never wraps. */
export function formatId(ordinal: TicketId | ObjectId): string {
  if (!(ordinal >= 0 && ordinal < idCount)) {
    throw new StoreError("NO_SPACE", `id ordinal ${ordinal}: the last id is ZZZZZZZZ, ordinal ${idCount - 1}`);
  }
  const length = idLength(ordinal);
  let rest = ordinal - lengthStart[length]!;
  let text = "";
  for (let position = 0; position < length; position++) {
    text = alphabet[rest % 36]! + text;
    rest = Math.floor(rest / 36);
  }
  return text;
}

/** The ordinal of a text, or undefined where it is no id (length not 1 to 8, a character outside `0-9A-Z`). */
export function parseId<Id extends TicketId | ObjectId>(text: string): Id | undefined {
  if (text.length < 1 || text.length > idSize) return undefined;
  let value = 0;
  for (const character of text) {
    const digit = alphabet.indexOf(character);
    if (digit < 0) return undefined;
    value = value * 36 + digit;
  }
  return (lengthStart[text.length]! + value) as Id;
}

/** Writes the 8 wire bytes of an id at `offset`. */
export function writeId(ordinal: TicketId | ObjectId, into: Uint8Array, offset: number): void {
  const text = formatId(ordinal);
  for (let index = 0; index < idSize; index++) {
    into[offset + index] = index < text.length ? text.charCodeAt(index) : 0;
  }
}

/** The ordinal of 8 wire bytes, or undefined where they are no id. */
export function readId<Id extends TicketId | ObjectId>(from: Uint8Array, offset: number): Id | undefined {
  let value = 0;
  let length = 0;
  for (; length < idSize; length++) {
    const byte = from[offset + length]!;
    if (byte >= 0x30 && byte <= 0x39) value = value * 36 + (byte - 0x30);
    else if (byte >= 0x41 && byte <= 0x5a) value = value * 36 + (byte - 0x41 + 10);
    else break;
  }
  if (length === 0) return undefined;
  for (let rest = length; rest < idSize; rest++) if (from[offset + rest] !== 0) return undefined;
  return (lengthStart[length]! + value) as Id;
}
