/**
 * Whole clusters under faults, some ten seconds of seeds; `npm run sim` runs as many as there is time for. Together they have to
 * show everything that coverage.ts expects at least once: a fault that does not strike any more, or an operation that nobody asks
 * for, is seen here. Where the first seeds do not, because the product's events come in another order now, further ones have to.
 */
import { describe, expect, it } from "vitest";
import { runSeed } from "./run-seed.ts";
import { Coverage } from "./world/coverage.ts";

/** The first six alone showed all of it when they were chosen. */
const seeds = [23, 130, 62, 97, 69, 66, 1, 2, 3, 4, 5, 6, 7, 9, 12, 31, 36];
const furtherMax = 60;
const furtherFrom = 1_000;

describe("a cluster in which things go wrong", () => {
  const coverage = new Coverage();

  it.each(seeds)("keeps its promises: seed %i", async (seed) => {
    const result = await runSeed({ seed });
    coverage.add(result.coverage);
    expect(result.violations).toEqual([]);
    expect(result.operations).toBeGreaterThan(10);
  });

  it("is asked for everything, and everything goes wrong", async () => {
    for (let seed = furtherFrom; coverage.missing.length > 0 && seed < furtherFrom + furtherMax; seed++) {
      const result = await runSeed({ seed });
      coverage.add(result.coverage);
      expect({ seed, violations: result.violations }).toEqual({ seed, violations: [] });
    }
    expect(coverage.missing).toEqual([]);
  }, 120_000);

  it("does the same again, event for event, under the same seed", async () => {
    const run = (seed: number): ReturnType<typeof runSeed> => runSeed({ seed, eventsMax: 5_000 });
    const [one, other, another] = [await run(20), await run(20), await run(26)];
    expect(other.hash).toBe(one.hash);
    expect(another.hash).not.toBe(one.hash);
  });
});
