/** Small writes fall into step, and nobody waits for who does not come. */
import { describe, expect, it } from "vitest";
import { SimulatedClock } from "../../sim/simulated-clock.ts";
import * as limits from "../core/limits.ts";
import { Company } from "./company.ts";

class Writers {
  readonly clock = new SimulatedClock();
  readonly company = new Company(this.clock);
  /** When groups went, and how many. */
  readonly gone: [at: number, count: number][] = [];
  #waiting = 0;
  #gathering = false;

  arrive(count = 1): void {
    for (let index = 0; index < count; index++) {
      this.#waiting++;
      this.company.arrived();
    }
    if (!this.#gathering) void this.#go();
  }

  async #go(): Promise<void> {
    this.#gathering = true;
    const gathered = this.company.gather();
    if (gathered !== undefined) await gathered;
    this.company.left();
    this.#gathering = false;
    this.gone.push([this.clock.monotonic(), this.#waiting]);
    this.company.written(this.#waiting);
    this.#waiting = 0;
  }
}

const pause = limits.companyStillMax * limits.companyStillMs;

describe("small writes", () => {
  it("begin at once where there are few of them", async () => {
    const writers = new Writers();
    for (let round = 0; round < 3; round++) {
      writers.arrive(limits.companyMin - 1);
      await writers.clock.runFor(0);
      writers.company.confirmed(limits.companyMin - 1);
    }
    expect(writers.gone.map(([at]) => at)).toEqual([0, 0, 0]);
  });

  it("of two groups by turns become one: those who wait wait for those who were answered", async () => {
    const writers = new Writers();
    writers.arrive(8);
    await writers.clock.runFor(0);
    writers.arrive(8);
    await writers.clock.runFor(5);
    expect(writers.gone).toEqual([[0, 8]]);
    writers.company.confirmed(8);
    await writers.clock.runFor(1);
    writers.arrive(7);
    await writers.clock.runFor(1);
    expect(writers.gone.length).toBe(1);
    writers.arrive(1);
    await writers.clock.runFor(0);
    expect(writers.gone).toEqual([
      [0, 8],
      [7, 16],
    ]);
  });

  it("go when nobody has come for a while, and the next group expects no more than there are", async () => {
    const writers = new Writers();
    writers.arrive(8);
    await writers.clock.runFor(0);
    writers.company.confirmed(8);
    writers.arrive(5);
    await writers.clock.runFor(pause + limits.companyStillMs);
    expect(writers.gone).toEqual([
      [0, 8],
      [pause, 5],
    ]);
    const before = writers.clock.monotonic();
    writers.company.confirmed(5);
    writers.arrive(5);
    await writers.clock.runFor(0);
    expect(writers.gone.at(-1)).toEqual([before, 5]);
  });

  it("do not wait again and again for nobody", async () => {
    const writers = new Writers();
    const waits: number[] = [];
    for (let round = 0; round < 40; round++) {
      // Each group is followed by half of it, and nobody else.
      writers.arrive(8);
      await writers.clock.runFor(10);
      writers.company.confirmed(8);
      const at = writers.clock.monotonic();
      writers.arrive(4);
      await writers.clock.runFor(10);
      waits.push(writers.gone.at(-1)![0] - at);
      writers.company.confirmed(4);
    }
    expect(waits.filter((wait) => wait > 0).length).toBeLessThan(12);
  });

  it("are not held up by a large one, nor beyond the most that go together", async () => {
    const writers = new Writers();
    writers.arrive(8);
    await writers.clock.runFor(0);
    writers.arrive(2);
    writers.company.hurry();
    await writers.clock.runFor(0);
    expect(writers.gone.at(-1)).toEqual([0, 2]);
    writers.arrive(limits.companyMax);
    await writers.clock.runFor(0);
    expect(writers.gone.at(-1)).toEqual([0, limits.companyMax]);
  });
});
