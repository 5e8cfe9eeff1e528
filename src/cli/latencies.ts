/** Latencies in buckets that grow by 4 %, so that any number of them takes the same memory. */

const smallestMs = 0.01;
const growth = Math.log(1.04);
const bucketCount = 400;

export class Latencies {
  readonly #buckets = new Float64Array(bucketCount);
  #count = 0;

  add(latencyMs: number): void {
    const bucket = Math.ceil(Math.log(Math.max(latencyMs, smallestMs) / smallestMs) / growth);
    this.#buckets[Math.min(bucket, bucketCount - 1)]! += 1;
    this.#count++;
  }

  /** The latency that a `share` (0 to 1) of all did not exceed, to 4 %; 0 where there are none. */
  percentile(share: number): number {
    let rest = share * this.#count;
    if (this.#count === 0) return 0;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      rest -= this.#buckets[bucket]!;
      if (rest <= 0) return smallestMs * Math.exp(bucket * growth);
    }
    return smallestMs * Math.exp((bucketCount - 1) * growth);
  }
}
