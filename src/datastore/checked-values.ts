/**
 * Values of the embedded datastore, each with a checksum over itself and its key (docs/formats/datastore.md, permanent):
 *
 *   value · 00 1 · CRC-32 (as in zlib) of value and key 4, big-endian
 *
 * No value holds a NUL, so one of format 1, which had no checksums, cannot be taken for one that has. The record of the
 * format itself has none: programs of format 1 read it, too.
 */
import { StoreError } from "../core/errors.ts";
import { runbook } from "./embedded-errors.ts";
import { formatKey, Table, textOf } from "./keys.ts";
import { crcOfBytes, crcOfText } from "./short-crc.ts";

/** Node's own methods, which its declarations leave out: half the price of `write` and `toString`. */
interface FastBuffer extends Buffer {
  utf8Write(text: string, start: number): number;
  utf8Slice(start: number, end: number): string;
}

/** What lmdb-js copies: from `start` to `end`. */
export type SealedValue = Buffer & { start: number; end: number };

const trailerSize = 5;
const memorySizeUsual = 65_536;

export class CheckedValues {
  /** Whether records without a checksum, of a datastore of format 1, are taken as they are. */
  acceptsUnchecked = false;
  #memory = makeMemory(memorySizeUsual);
  // Of what was taken last.
  #text = "";
  #isChecked = false;
  #storedSum = 0;
  #valueSum = 0;

  /** The stored bytes of a value; the next call overwrites them. */
  seal(key: string, text: string): SealedValue {
    if (text.length * 3 + trailerSize > this.#memory.length) this.#memory = makeMemory(text.length * 3 + trailerSize);
    const memory = this.#memory;
    const size = memory.utf8Write(text, 0);
    memory.end = size;
    if (key === formatKey) return memory;
    const sum = crcOfText(key, crcOfBytes(memory, size));
    memory[size] = 0;
    memory[size + 1] = sum >>> 24;
    memory[size + 2] = sum >>> 16;
    memory[size + 3] = sum >>> 8;
    memory[size + 4] = sum;
    memory.end = size + trailerSize;
    return memory;
  }

  /** Remembers stored bytes for `open`. */
  take(bytes: Uint8Array, size: number): void {
    const end = size - trailerSize;
    this.#isChecked = end >= 0 && bytes[end] === 0;
    const valueSize = this.#isChecked ? end : size;
    this.#text = (Buffer.prototype as FastBuffer).utf8Slice.call(bytes, 0, valueSize);
    if (!this.#isChecked) return;
    this.#valueSum = crcOfBytes(bytes, valueSize);
    this.#storedSum = (bytes[end + 1]! << 24) | (bytes[end + 2]! << 16) | (bytes[end + 3]! << 8) | bytes[end + 4]!;
  }

  /** Whether what was taken has a checksum, be it right or not. */
  get isChecked(): boolean {
    return this.#isChecked;
  }

  /** The value that was taken: DAMAGED where it is not what was stored under this key. */
  open(key: string): string {
    if (this.#isChecked) {
      if (crcOfText(key, this.#valueSum) === this.#storedSum >>> 0) return this.#text;
      throw damagedRecord(key, "does not match its checksum");
    }
    if (key === formatKey) return this.#text;
    if (!this.acceptsUnchecked) throw damagedRecord(key, "has no checksum");
    if (!/^(-?\d+|\{.*\})$/s.test(this.#text)) throw damagedRecord(key, "is no record");
    return this.#text;
  }
}

function makeMemory(size: number): FastBuffer & SealedValue {
  return Object.assign(Buffer.allocUnsafeSlow(size) as FastBuffer, { start: 0, end: 0 });
}

const tableNames = new Map<string, string>(Object.entries(Table).map(([name, letter]) => [letter, name]));
const shownMax = 300;

/** What is said of a record that is not what was written. */
function damagedRecord(key: string, what: string): StoreError {
  const table = tableNames.get(key[0] ?? "") ?? "unknown";
  const shown = JSON.stringify(textOf(key.slice(0, shownMax)));
  return new StoreError("DAMAGED", `the datastore's record ${shown} (table ${table}) ${what}; ${runbook}`);
}
