/**
 * Chance from a seed: PCG32 (O'Neill 2014, https://www.pcg-random.org), the same sequence on every machine. Every part
 * of a simulation takes its own `fork`, so that a draw more in one does not change all others.
 */
import type { Random } from "../src/env/host.ts";

const multiplier = 6364136223846793005n;
const mask = (1n << 64n) - 1n;

export class SimulatedRandom implements Random {
  #state = 0n;
  readonly #increment: bigint;

  constructor(seed: number, stream = 0) {
    this.#increment = ((BigInt(stream) << 1n) | 1n) & mask;
    this.uint32();
    this.#state = (this.#state + BigInt(seed)) & mask;
    this.uint32();
  }

  uint32(): number {
    const old = this.#state;
    this.#state = (old * multiplier + this.#increment) & mask;
    const shifted = Number((((old >> 18n) ^ old) >> 27n) & 0xffff_ffffn);
    const turn = Number(old >> 59n);
    return ((shifted >>> turn) | (shifted << (-turn & 31))) >>> 0;
  }

  /** 0 to 1, exclusive. */
  fraction(): number {
    return this.uint32() / 2 ** 32;
  }

  /** A whole number from 0 to `end` (exclusive). */
  below(end: number): number {
    return Math.floor(this.fraction() * end);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True in this share of cases. */
  chance(share: number): boolean {
    return this.fraction() < share;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  bytes(size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    for (let index = 0; index < size; index += 4) {
      let word = this.uint32();
      for (let at = index; at < Math.min(size, index + 4); at++, word >>>= 8) bytes[at] = word & 0xff;
    }
    return bytes;
  }

  /** An independent sequence that follows from this one. */
  fork(): SimulatedRandom {
    return new SimulatedRandom(this.uint32(), this.uint32());
  }
}
