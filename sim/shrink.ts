/** What of a failing seed is needed for its failure: how many events, and which kinds of faults. */
import { runSeed, type SeedResult } from "./run-seed.ts";
import type { FaultKind } from "./world/faults.ts";

export interface Shrunk {
  /** Clients and faults stop after so many events, and it fails all the same. */
  readonly eventsMax: number;
  /** Kinds without which it does not fail in the same way. */
  readonly needed: readonly FaultKind[];
  /** Kinds that can be left out, all together. */
  readonly without: readonly FaultKind[];
  readonly violations: readonly string[];
}

/** Before the first colon: which checker it was. */
export function checkerOf(result: Pick<SeedResult, "violations">): string | undefined {
  return result.violations[0]?.split(":")[0];
}

/** `outOfTime` ends the search with what was found so far. */
export async function shrink(failed: SeedResult, outOfTime: () => boolean): Promise<Shrunk> {
  const { seed } = failed;
  const checker = checkerOf(failed);
  const without = new Set<FaultKind>();
  const needed: FaultKind[] = [];
  let smallest = failed;
  for (const kind of failed.kinds) {
    if (outOfTime()) break;
    const result = await runSeed({ seed, without: new Set([...without, kind]) });
    if (checkerOf(result) === checker) {
      without.add(kind);
      smallest = result;
    } else needed.push(kind);
  }
  // Whether it fails does not follow its length strictly: this finds a short prefix, not always the shortest.
  let low = 0;
  let high = smallest.workEvents;
  while (high - low > 1 && !outOfTime()) {
    const middle = (low + high) >> 1;
    const result = await runSeed({ seed, without, eventsMax: middle });
    if (checkerOf(result) === checker) {
      high = middle;
      smallest = result;
    } else low = middle;
  }
  return { eventsMax: high, needed, without: [...without], violations: smallest.violations };
}
