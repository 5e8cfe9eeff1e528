/**
 * What a datastore keeps its records in, as a model: one thread that runs a group of commits, waits for the disk, and
 * only then answers anybody; meanwhile nobody reads. What was being synced when the power goes is there wholly or not
 * at all. A sync that fails takes its group back, and a group that is refused is taken back at once.
 *
 * Assumed, as of LMDB and of Redis with `appendfsync always`: a group is never torn, and what was answered stays.
 */
import { StoreError } from "../../src/core/errors.ts";
import { EmbeddedTransaction } from "../../src/datastore/embedded-transaction.ts";
import type { GroupStore } from "../../src/datastore/group-commit.ts";
import type { Clock } from "../../src/env/host.ts";
import type { SimulatedClock } from "../simulated-clock.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import { SortedRecords } from "./sorted-records.ts";

export type SyncOutcome = "durable" | "failed" | "gone";

export class SimulatedStore implements GroupStore {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  readonly records = new SortedRecords();
  /** A sync takes up to so long. */
  syncMaxMs = 2;
  /** So many of the next syncs fail. */
  failingSyncs = 0;
  /** So many of the next groups are refused at once, some of them before they are run. */
  refusingGroups = 0;
  onEvent: ((what: string, changes: number) => void) | undefined;
  #syncing: { readonly outcome: Promise<SyncOutcome>; readonly end: (outcome: SyncOutcome) => void } | undefined;
  #waiting: (() => void)[] = [];

  constructor(clock: SimulatedClock, random: SimulatedRandom) {
    this.clock = clock;
    this.random = random;
  }

  /** Settles when what was run so far is durable, or is not. */
  get synced(): Promise<SyncOutcome> {
    return this.#syncing?.outcome ?? Promise.resolve("durable");
  }

  get isFree(): boolean {
    return this.#syncing === undefined;
  }

  /** Calls when the thread is free, in order of asking. */
  whenFree(call: () => void): void {
    this.#waiting.push(call);
    this.clock.soon(() => this.#goOn());
  }

  /** A clock for GroupCommit, whose turns come when the thread is free. */
  turns(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, call) => clock.after(delayMs, call),
      soon: (call) => clock.soon(() => this.whenFree(call)),
    };
  }

  transact(body: (transaction: EmbeddedTransaction) => void): void {
    this.records.begin();
    const isRefused = this.refusingGroups > 0;
    try {
      if (isRefused && this.random.chance(0.5)) throw this.#refused();
      const transaction = new EmbeddedTransaction(this.records, true);
      body(transaction);
      transaction.putCounters();
      if (isRefused && this.records.changeCount > 0) throw this.#refused();
    } catch (error) {
      this.records.rollBack();
      throw error;
    }
    if (this.records.changeCount > 0) this.#sync();
  }

  /** The process or the machine is gone: what was being synced is kept or lost, and nobody is answered. */
  crash(): void {
    this.#waiting = [];
    const syncing = this.#syncing;
    if (syncing === undefined) return;
    const isKept = this.random.chance(0.5);
    this.onEvent?.(isKept ? "crash keeps" : "crash loses", this.records.changeCount);
    if (!isKept) this.records.rollBack();
    this.#syncing = undefined;
    syncing.end("gone");
  }

  #sync(): void {
    let end!: (outcome: SyncOutcome) => void;
    const outcome = new Promise<SyncOutcome>((resolve) => (end = resolve));
    const syncing = { outcome, end };
    this.#syncing = syncing;
    this.onEvent?.("sync begins", this.records.changeCount);
    const slow = this.random.chance(0.01) ? 30 : 1;
    this.clock.after(this.random.fraction() * this.syncMaxMs * slow, () => {
      if (this.#syncing !== syncing) return;
      const fails = this.failingSyncs > 0;
      if (fails) {
        this.failingSyncs--;
        this.records.rollBack();
      }
      this.onEvent?.(fails ? "sync fails" : "sync ends", this.records.changeCount);
      this.records.begin();
      this.#syncing = undefined;
      end(fails ? "failed" : "durable");
      this.#goOn();
    });
  }

  #refused(): CommitRefused {
    this.refusingGroups--;
    this.onEvent?.("refuses", this.records.changeCount);
    return new CommitRefused("the datastore failed: EIO, a write of its file");
  }

  #goOn(): void {
    while (this.isFree) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next();
    }
  }
}

/** Of a commit that was taken back: clients see no more than UNAVAILABLE, checkers know that it never happens. */
export class CommitRefused extends StoreError {
  constructor(why: string) {
    super("UNAVAILABLE", `${why}; ${takenBack}`);
  }
}

/** In the message, for whoever is told by a line of text. */
export const takenBack = "nothing was committed";

export function syncFailed(): CommitRefused {
  return new CommitRefused("the datastore failed: EIO, a sync of its file");
}
