/** Writing to and reading from a volume store as tests need it: tickets whose bytes follow from their id and a version. */
import { checksumSize, ticketDataSize, TicketStatus } from "../src/core/frame.ts";
import type { TicketId } from "../src/core/ids.ts";
import { type BufferKind, bufferTicketCount, Kernel, type TicketBuffer } from "../src/core/kernel.ts";
import { type Key, parseKey } from "../src/core/key.ts";
import type { Depth } from "../src/core/layout.ts";
import type { BatchOutcome, TicketBatch } from "../src/core/ticket-store.ts";
import type { Host } from "../src/env/host.ts";
import { type DataDirectory, openDataDirectory } from "../src/volume/data-directory.ts";
import { VolumeStore, type VolumeStoreOptions } from "../src/volume/volume-store.ts";

export const testKey: Key = parseKey("000102030405060708090a0b0c0d0e0f", "test");

export type StoreOptions = Partial<Omit<VolumeStoreOptions, "host" | "kernel" | "directory">> & {
  readonly root: string;
  readonly depth: Depth;
};

/** What a slot holds: nothing, bytes that do not verify, or Data that does. */
export type Stored = "absent" | "corrupt" | Uint8Array;

export class VolumeHarness {
  readonly kernel: Kernel;
  readonly #directories = new WeakMap<VolumeStore, DataDirectory>();

  constructor(sizes = { tiny: 128, block: 16, group: 3 }, key = testKey) {
    this.kernel = new Kernel(key, sizes);
  }

  async open(host: Host, { root, depth, ...options }: StoreOptions): Promise<VolumeStore> {
    const where = { root, depth, depthDefault: depth };
    const directory = await openDataDirectory(host.disk, host.random, where);
    const store = new VolumeStore({ host, kernel: this.kernel, directory, durability: "disk", ...options });
    this.#directories.set(store, directory);
    return store;
  }

  /** Closes a store and gives its directory back. */
  async close(store: VolumeStore): Promise<void> {
    await store.close();
    await this.#directories.get(store)!.lock.release();
  }

  /** A batch of tickets of one version. Its memory is given back by `release`. */
  batch(first: number, count: number, version: number): TicketBatch & { release: () => void } {
    const buffer = this.#take(count);
    const data = buffer.data.subarray(0, count * ticketDataSize);
    const sums = buffer.sums.subarray(0, count * checksumSize);
    for (let index = 0; index < count; index++) data.set(dataOf(first + index, version), index * ticketDataSize);
    this.kernel.makeSums(first, count, data, sums);
    return { first: first as TicketId, count, data, sums, release: () => buffer.release() };
  }

  /** Writes tickets and reuses their memory as early as it may. */
  async write(store: VolumeStore, first: number, count: number, version: number): Promise<BatchOutcome> {
    const batch = this.batch(first, count, version);
    const pending = store.write(batch);
    await pending.released;
    batch.data.fill(0xee);
    batch.sums.fill(0xee);
    batch.release();
    return pending.saved;
  }

  async read(store: VolumeStore, first: number, count: number): Promise<Stored[]> {
    const buffer = this.#take(count);
    const data = buffer.data.subarray(0, count * ticketDataSize).fill(0xdd);
    const sums = buffer.sums.subarray(0, count * checksumSize).fill(0xdd);
    try {
      await store.read(first as TicketId, count, data, sums);
      return Array.from({ length: count }, (_, index) => {
        const one = data.subarray(index * ticketDataSize, (index + 1) * ticketDataSize);
        const sum = sums.subarray(index * checksumSize, (index + 1) * checksumSize);
        if (sum.every((byte) => byte === 0)) return "absent";
        return this.kernel.checkSums(first + index, 1, one, sum) === 1 ? one.slice() : "corrupt";
      });
    } finally {
      buffer.release();
    }
  }

  /** The version that each slot holds; a text where it holds none of those asked about. */
  async versions(store: VolumeStore, first: number, count: number, versionMax = 4): Promise<(number | string)[]> {
    const stored = await this.read(store, first, count);
    return stored.map((one, index) => (typeof one === "string" ? one : versionOf(first + index, one, versionMax)));
  }

  #take(count: number): TicketBuffer {
    const kinds: BufferKind[] = ["tiny", "block", "group"];
    const kind = kinds.find((kind) => bufferTicketCount[kind] >= count);
    const buffer = kind === undefined ? undefined : this.kernel.take(kind);
    if (buffer === undefined) throw new Error(`no buffer for ${count} tickets`);
    return buffer;
  }
}

/** Data of a ticket: looks random, and differs in every page between versions and ids. */
export function dataOf(ticket: number, version: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(ticketDataSize / 4));
  let state = (Math.imul(ticket % 2 ** 32, 2654435761) ^ Math.imul(version + 1, 40503)) >>> 0;
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, ticketDataSize);
}

export function versionOf(ticket: number, data: Uint8Array, versionMax: number): number | string {
  for (let version = 0; version <= versionMax; version++) {
    if (Buffer.compare(data, dataOf(ticket, version)) === 0) return version;
  }
  return "a wrong ticket that verifies";
}

export function statusesOf(outcome: BatchOutcome, count: number): number[] {
  return outcome.each === undefined ? Array.from({ length: count }, () => outcome.status) : [...outcome.each];
}

export const allSavedStatuses = (count: number): number[] => Array.from({ length: count }, () => TicketStatus.saved);
