/** An ordered map of byte strings to texts, with the calls that EmbeddedTransaction makes, and a way back. */

export class SortedRecords {
  readonly #values = new Map<string, string>();
  readonly #keys: string[] = [];
  /** What was there before each change since `begin`, in order. */
  #undo: { readonly key: string; readonly before: string | undefined }[] = [];

  get(key: string): string | undefined {
    return this.#values.get(key);
  }

  get changeCount(): number {
    return this.#undo.length;
  }

  put(key: string, value: string): void {
    this.#undo.push({ key, before: this.#values.get(key) });
    this.#set(key, value);
  }

  delete(key: string): void {
    this.#undo.push({ key, before: this.#values.get(key) });
    this.#set(key, undefined);
  }

  range(start: string, end: string, limit: number): { key: string; value: string }[] {
    const found: { key: string; value: string }[] = [];
    for (let index = this.#indexOf(start); index < this.#keys.length && found.length < limit; index++) {
      const key = this.#keys[index]!;
      if (key >= end) break;
      found.push({ key, value: this.#values.get(key)! });
    }
    return found;
  }

  /** Forgets the way back. */
  begin(): void {
    this.#undo = [];
  }

  /** As it was at `begin`. */
  rollBack(): void {
    for (const { key, before } of this.#undo.reverse()) this.#set(key, before);
    this.#undo = [];
  }

  #set(key: string, value: string | undefined): void {
    const isThere = this.#values.has(key);
    if (value === undefined) {
      if (!isThere) return;
      this.#values.delete(key);
      this.#keys.splice(this.#indexOf(key), 1);
      return;
    }
    if (!isThere) this.#keys.splice(this.#indexOf(key), 0, key);
    this.#values.set(key, value);
  }

  /** Of the first key that is not before this one. */
  #indexOf(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
