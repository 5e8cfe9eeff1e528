import { describe, expect, it } from "vitest";
import { Simulation } from "../../sim/simulated-host.ts";
import { GroupCommit, groupChangesMax, groupSizeMax, type GroupStore } from "./group-commit.ts";
import type { Transaction } from "./transaction.ts";

/** Counts what each commit holds; an operation here says how many changes it makes. */
function commits(): { readonly store: GroupStore; readonly sizes: number[][] } {
  const sizes: number[][] = [];
  const store: GroupStore = {
    transact: (body) => {
      const group: number[] = [];
      const transaction = {
        changeCount: 0,
        change(count: number): void {
          this.changeCount += count;
          group.push(count);
        },
      };
      body(transaction as unknown as Transaction & { readonly changeCount: number });
      sizes.push(group);
    },
  };
  return { store, sizes };
}

const changes = (count: number) => (transaction: Transaction) => {
  (transaction as unknown as { change(count: number): void }).change(count);
  return count;
};

async function run(counts: readonly number[]): Promise<number[][]> {
  const simulation = new Simulation(1);
  const { store, sizes } = commits();
  const group = new GroupCommit(store, simulation.machine("a").start().clock);
  const all = Promise.all(counts.map((count) => group.commit(changes(count))));
  expect(await simulation.clock.run(all)).toEqual(counts);
  return sizes;
}

describe("a group commit", () => {
  it("takes what waits in one, in order, up to so many operations", async () => {
    const sizes = await run(Array.from({ length: groupSizeMax + 3 }, (_, index) => index % 3));
    expect(sizes.map(({ length }) => length)).toEqual([groupSizeMax, 3]);
  });

  it("takes no further operation after so many changes; one may have more", async () => {
    const half = groupChangesMax / 2;
    expect(await run([half, half, 1, 10 * groupChangesMax, 1, 1])).toEqual([
      [half, half],
      [1, 10 * groupChangesMax],
      [1, 1],
    ]);
  });
});
