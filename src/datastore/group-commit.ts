/**
 * Many operations, one commit: what arrives while a commit is under way, or in the same turn, shares the next one, and
 * with it the wait for the disk. An operation that is refused does not disturb the others of its group.
 */
import { StoreError } from "../core/errors.ts";
import type { Clock } from "../env/host.ts";
import type { Transaction } from "./transaction.ts";

/** Operations in one commit; further ones wait for the next. */
export const groupSizeMax = 512;
/**
 * A commit that has so many changes takes no further operation: LMDB's list of free pages is not sound in the largest ones
 * (docs/decisions/0002). One operation may have more, and is then alone.
 */
export const groupChangesMax = 2_000;
/** Operations that wait; further ones are answered BUSY. */
const groupQueueMax = 65_536;

/** What a group is run on: makes all changes of `body` durable, or none (then it throws). */
export interface GroupStore {
  /** Whether anything was changed is told by `changeCount`. */
  transact(body: (transaction: Transaction & { readonly changeCount: number }) => void): void;
}

interface Waiting {
  readonly operation: (transaction: Transaction) => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome = { readonly result: unknown } | { readonly error: unknown };

/** An operation threw after it had changed something: its group is given up and done again without it. */
class SpoiledGroup extends Error {
  readonly index: number;

  constructor(index: number, cause: unknown) {
    super("an operation failed after its first change", { cause });
    this.index = index;
  }
}

export class GroupCommit {
  readonly #store: GroupStore;
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  #isScheduled = false;
  #isClosed = false;

  constructor(store: GroupStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  commit<Result>(operation: (transaction: Transaction) => Result): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      if (this.#isClosed) {
        reject(new StoreError("ABORTED", "the datastore is closed"));
      } else if (this.#waiting.length >= groupQueueMax) {
        reject(new StoreError("BUSY", `${groupQueueMax} commits are waiting for the datastore`));
      } else {
        this.#waiting.push({ operation, resolve: resolve as (result: unknown) => void, reject });
        this.#schedule();
      }
    });
  }

  /** Commits what is waiting; nothing is taken any more. */
  close(): void {
    this.#isClosed = true;
    while (this.#waiting.length > 0) this.#runGroup();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.soon(() => {
      this.#isScheduled = false;
      this.#runGroup();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #runGroup(): void {
    let group = this.#waiting.slice(0, groupSizeMax);
    this.#waiting = this.#waiting.slice(groupSizeMax);
    while (group.length > 0) {
      try {
        const outcomes = this.#attempt(group);
        for (const [index, outcome] of outcomes.entries()) {
          if ("error" in outcome) group[index]!.reject(outcome.error);
          else group[index]!.resolve(outcome.result);
        }
        this.#waiting = [...group.slice(outcomes.length), ...this.#waiting];
        return;
      } catch (error) {
        if (!(error instanceof SpoiledGroup)) {
          for (const waiting of group) waiting.reject(error);
          return;
        }
        group[error.index]!.reject(error.cause);
        group = group.toSpliced(error.index, 1);
      }
    }
  }

  /** Outcomes of as many as one commit takes. */
  #attempt(group: readonly Waiting[]): Outcome[] {
    let outcomes: Outcome[] = [];
    this.#store.transact((transaction) => {
      outcomes = [];
      const changesBefore = transaction.changeCount;
      for (const [index, { operation }] of group.entries()) {
        if (transaction.changeCount - changesBefore >= groupChangesMax) break;
        outcomes.push(outcomeOf(operation, transaction, index));
      }
    });
    return outcomes;
  }
}

function outcomeOf(
  operation: Waiting["operation"],
  transaction: Transaction & { readonly changeCount: number },
  index: number,
): Outcome {
  const { changeCount } = transaction;
  try {
    return { result: operation(transaction) };
  } catch (error) {
    if (transaction.changeCount !== changeCount) throw new SpoiledGroup(index, error);
    return { error };
  }
}
