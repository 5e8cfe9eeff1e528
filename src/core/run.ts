/** Runs: ranges of consecutive TicketIDs, the unit of metadata, and what a ticket store does with them. */
import { ticketCountOf } from "./frame.ts";
import type { TicketId } from "./ids.ts";

/** `count` tickets with consecutive ids from `first`; `count` ≥ 1. */
export interface Run {
  readonly first: TicketId;
  readonly count: number;
}

/** Appends a run, merged with the last one where it continues it. */
export function appendRun(runs: Run[], next: Run): void {
  const last = runs.at(-1);
  if (last !== undefined && last.first + last.count === next.first) {
    runs[runs.length - 1] = { first: last.first, count: last.count + next.count };
  } else {
    runs.push(next);
  }
}

export function ticketsIn(runs: readonly Run[]): number {
  return runs.reduce((sum, run) => sum + run.count, 0);
}

/** The part of `runs` that holds tickets `from` to `to` (exclusive), counted within the object. */
export function sliceRuns(runs: readonly Run[], from: number, to: number): Run[] {
  const slice: Run[] = [];
  let start = 0;
  for (const run of runs) {
    const low = Math.max(from, start);
    const high = Math.min(to, start + run.count);
    if (low < high) slice.push({ first: (run.first + (low - start)) as TicketId, count: high - low });
    start += run.count;
    if (start >= to) break;
  }
  return slice;
}

/** Whether the tickets of `runs` are as many as `size` bytes need. */
export function runsFit(runs: readonly Run[], size: number): boolean {
  return ticketsIn(runs) === ticketCountOf(size);
}
