/** Reads and changes of the LMDB file; changes only within its `transact`. */
import type { LmdbFile } from "./lmdb-file.ts";
import { lastByte, nameInKey, Table } from "./keys.ts";
import type { Entry, ScanEntry, ScanRequest, Transaction } from "./transaction.ts";

/** What is used of the file. */
export type RecordFile = Pick<LmdbFile, "get" | "put" | "delete" | "range">;

export class EmbeddedTransaction implements Transaction {
  readonly #file: RecordFile;
  /** Counters that were changed, written once for all operations of the group. */
  readonly #counters = new Map<string, number>();
  readonly #shared = new Map<string, object>();
  readonly #isGroup: boolean;
  /** What was changed, for the journal: key, value or undefined, key, … */
  readonly changes: (string | undefined)[] = [];
  changeCount = 0;

  /** `isGroup`: it lives no longer than a group's transaction, in which nobody else changes anything. */
  constructor(file: RecordFile, isGroup: boolean) {
    this.#file = file;
    this.#isGroup = isGroup;
  }

  get(key: string): string | undefined {
    return this.#file.get(key);
  }

  shared<Record extends object>(key: string, parse: (key: string, text: string) => Record): Record | undefined {
    const known = this.#shared.get(key);
    if (known !== undefined) return known as Record;
    const text = this.#file.get(key);
    if (text === undefined) return undefined;
    const record = parse(key, text);
    if (this.#isGroup) this.#shared.set(key, record);
    return record;
  }

  range(start: string, end: string, limit: number): Entry[] {
    return start < end ? [...this.#file.range(start, end, limit)] : [];
  }

  scan(requests: readonly ScanRequest[]): ScanEntry[][] {
    return requests.map((request) => this.#scan(request));
  }

  counter(name: string): number {
    return this.#counters.get(name) ?? Number(this.#file.get(Table.counter + name) ?? 0);
  }

  put(key: string, value: string): void {
    this.changeCount++;
    this.#shared.delete(key);
    this.changes.push(key, value);
    this.#file.put(key, value);
  }

  delete(key: string): void {
    this.changeCount++;
    this.#shared.delete(key);
    this.changes.push(key, undefined);
    this.#file.delete(key);
  }

  add(counter: string, difference: number): void {
    this.changeCount++;
    this.#counters.set(counter, this.counter(counter) + difference);
  }

  nextOrder(): number {
    this.add("order", 1);
    return this.counter("order");
  }

  // A commit here has happened, or has not, when its promise settles: it is not repeated blindly.
  bury(): void {}

  buried(): undefined {
    return undefined;
  }

  putCounters(): void {
    for (const [name, number] of this.#counters) {
      const [key, value] = [Table.counter + name, String(number)];
      this.changes.push(key, value);
      this.#file.put(key, value);
    }
    this.#counters.clear();
  }

  #scan({ base, prefix, start, delimiter, limit }: ScanRequest): ScanEntry[] {
    const found: ScanEntry[] = [];
    const end = base + prefix + lastByte;
    let position: string | undefined = base + (start > prefix ? start : prefix);
    while (position !== undefined && position < end && found.length < limit) {
      const from: string = position;
      position = undefined;
      for (const entry of this.#file.range(from, end, limit - found.length)) {
        const rolled =
          delimiter === undefined ? undefined : commonPrefix(entry.key, base.length, prefix.length, delimiter);
        if (rolled === undefined) {
          found.push(entry);
          continue;
        }
        found.push({ prefix: rolled });
        position = base + rolled + lastByte;
        break;
      }
    }
    return found;
  }
}

/** The text of a name up to and with the first delimiter after its first `prefixSize` bytes. */
function commonPrefix(key: string, baseSize: number, prefixSize: number, delimiter: string): string | undefined {
  const name = nameInKey(key, baseSize);
  const index = name.indexOf(delimiter, prefixSize);
  return index < 0 ? undefined : name.slice(0, index + delimiter.length);
}
