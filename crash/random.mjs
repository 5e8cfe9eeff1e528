/** Chance under a seed: the same seed gives the same operations, sizes and moments; what they meet in the machine differs. */

export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** 0 to below 1 (mulberry32). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `from` to below `to`. */
  between(from, to) {
    return from + Math.floor(this.next() * (to - from));
  }

  chance(share) {
    return this.next() < share;
  }

  pick(values) {
    return values[this.between(0, values.length)];
  }

  /** Of pairs [weight, value]. */
  weighted(pairs) {
    let at = this.next() * pairs.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, value] of pairs) if ((at -= weight) < 0) return value;
    return pairs.at(-1)[1];
  }

  /** One of its own for a part of the work, so that parts do not take each other's numbers. */
  branch() {
    return new Random(this.between(0, 2 ** 32));
  }
}
