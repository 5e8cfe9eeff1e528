/**
 * A fault at a moment of chance mostly meets a machine that does nothing: clients pause, and an operation of a disk takes a
 * millisecond. So many wait until the machine is at work, for one of its next disk or network events.
 */
import type { SimulatedClock } from "../simulated-clock.ts";
import type { SimulatedRandom } from "../simulated-random.ts";

interface Ambush {
  /** Events of the machine that it still lets pass. */
  left: number;
  readonly strike: () => void;
}

const waitShare = 0.8;
const eventsMax = 60;

export class Ambushes {
  readonly #clock: SimulatedClock;
  readonly #random: SimulatedRandom;
  readonly #waiting = new Map<string, Ambush[]>();

  constructor(clock: SimulatedClock, random: SimulatedRandom) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Strikes now, or right after an event of the machine that is still to come. */
  lay(machine: string, strike: () => void): void {
    if (!this.#random.chance(waitShare)) return strike();
    const ambush = { left: this.#random.between(1, eventsMax), strike };
    this.#waiting.set(machine, [...(this.#waiting.get(machine) ?? []), ambush]);
  }

  noteEvent(machine: string): void {
    const waiting = this.#waiting.get(machine);
    if (waiting === undefined) return;
    const struck = waiting.filter((ambush) => --ambush.left <= 0);
    if (struck.length === 0) return;
    this.#waiting.set(
      machine,
      waiting.filter((ambush) => !struck.includes(ambush)),
    );
    // Not here: this is in the middle of what the machine does.
    for (const { strike } of struck) this.#clock.soon(strike);
  }

  /** Those that have not struck never do. */
  clear(): void {
    this.#waiting.clear();
  }
}
