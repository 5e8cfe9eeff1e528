/** The contents of a simulated file: pages where something was written, holes elsewhere. */
export const imagePageSize = 4096;

const hole = new Uint8Array(imagePageSize);

export class SparseImage {
  readonly #pages = new Map<number, Uint8Array>();
  /** Pages that a copy has, too: they are not to be changed in place. */
  #shared = new Set<number>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get pageCount(): number {
    return this.#pages.size;
  }

  /** Where its pages are, in no particular order. */
  get pagePositions(): number[] {
    return [...this.#pages.keys()].map((page) => page * imagePageSize);
  }

  /** Pages that writing there would add. */
  missingPages(position: number, size: number): number {
    let missing = 0;
    for (let page = firstPage(position); page < endPage(position, size); page++) {
      if (!this.#pages.has(page)) missing++;
    }
    return missing;
  }

  read(into: Uint8Array, position: number): number {
    const size = Math.max(0, Math.min(into.length, this.#size - position));
    into.fill(0, 0, size);
    this.#eachPage(position, size, (page, from, to, at) => {
      const bytes = this.#pages.get(page);
      if (bytes !== undefined) into.set(bytes.subarray(from, to), at);
    });
    return size;
  }

  write(bytes: Uint8Array, position: number): void {
    this.#eachPage(position, bytes.length, (page, from, to, at) => {
      this.#own(page).set(bytes.subarray(at, at + to - from), from);
    });
    if (bytes.length > 0) this.#size = Math.max(this.#size, position + bytes.length);
  }

  truncate(size: number): void {
    for (const page of this.#pages.keys()) {
      const start = page * imagePageSize;
      if (start >= size) this.#pages.delete(page);
      else if (start + imagePageSize > size) this.#own(page).fill(0, size - start);
    }
    this.#size = size;
  }

  flipBit(position: number, bit: number): void {
    const one = new Uint8Array(1);
    this.read(one, position);
    one[0] = one[0]! ^ (1 << bit);
    if (position < this.#size) this.write(one, position);
  }

  copy(): SparseImage {
    const copy = new SparseImage();
    copy.#size = this.#size;
    for (const [page, bytes] of this.#pages) copy.#pages.set(page, bytes);
    this.#shared = new Set(this.#pages.keys());
    copy.#shared = new Set(this.#shared);
    return copy;
  }

  equals(other: SparseImage): boolean {
    if (this.#size !== other.#size) return false;
    for (const page of new Set([...this.#pages.keys(), ...other.#pages.keys()])) {
      const [one, two] = [this.#pages.get(page) ?? hole, other.#pages.get(page) ?? hole];
      if (one !== two && Buffer.compare(one, two) !== 0) return false;
    }
    return true;
  }

  /** A page to be changed. */
  #own(page: number): Uint8Array {
    const known = this.#pages.get(page);
    if (known !== undefined && !this.#shared.has(page)) return known;
    const own = known === undefined ? new Uint8Array(imagePageSize) : known.slice();
    this.#pages.set(page, own);
    this.#shared.delete(page);
    return own;
  }

  #eachPage(position: number, size: number, visit: (page: number, from: number, to: number, at: number) => void): void {
    for (let at = 0; at < size;) {
      const page = firstPage(position + at);
      const from = position + at - page * imagePageSize;
      const to = Math.min(imagePageSize, from + size - at);
      visit(page, from, to, at);
      at += to - from;
    }
  }
}

function firstPage(position: number): number {
  return Math.floor(position / imagePageSize);
}

function endPage(position: number, size: number): number {
  return Math.ceil((position + size) / imagePageSize);
}
