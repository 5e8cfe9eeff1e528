/** Whole clusters under faults, a few seeds of them; `npm run sim` runs as many as there is time for. */
import { describe, expect, it } from "vitest";
import { runSeed } from "./run-seed.ts";

/** Of every shape, none of them long. */
const seeds = [20, 24, 25, 27, 30, 11];

describe("a cluster in which things go wrong", () => {
  it.each(seeds)("keeps its promises: seed %i", async (seed) => {
    const { violations, versions, operations } = await runSeed({ seed });
    expect(violations).toEqual([]);
    expect([versions > 0, operations > 10]).toEqual([true, true]);
  });

  it("does the same again, event for event, under the same seed", async () => {
    const run = (seed: number): ReturnType<typeof runSeed> => runSeed({ seed, eventsMax: 5_000 });
    const [one, other, another] = [await run(20), await run(20), await run(26)];
    expect(other.hash).toBe(one.hash);
    expect(another.hash).not.toBe(one.hash);
  });
});
