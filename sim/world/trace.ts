/**
 * Everything that happens in a run, as one hash: two runs of a seed are the same run if these are equal. Lines can be
 * kept for people, the last ones always are.
 */
import { createHash, type Hash } from "node:crypto";
import type { SimulatedClock } from "../simulated-clock.ts";

/** Lines that are put together before they are hashed. */
const batchSize = 256;

export class Trace {
  readonly #clock: SimulatedClock;
  readonly #hash: Hash = createHash("sha256");
  readonly #write: ((line: string) => void) | undefined;
  #batch: string[] = [];

  constructor(clock: SimulatedClock, write?: (line: string) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  add(who: string, what: string): void {
    const line = `${this.#clock.eventCount} ${this.#clock.monotonic().toFixed(3)} ${who} ${what}`;
    this.#write?.(line);
    this.#batch.push(line);
    if (this.#batch.length === batchSize) this.#flush();
  }

  /** Of all lines; nothing can be added any more. */
  digest(): string {
    this.#flush();
    return this.#hash.digest("hex").slice(0, 16);
  }

  #flush(): void {
    this.#hash.update(this.#batch.join("\n"));
    this.#batch = [];
  }
}
