/**
 * A Backend over a SimulatedStore, as one process has it: in the process itself (as the embedded datastore, which stops
 * with it) or on another machine (as Redis), where requests and answers take time and get lost. Groups are made by the
 * product's own GroupCommit, operations run on the product's own EmbeddedTransaction.
 */
import { StoreError } from "../../src/core/errors.ts";
import { GroupCommit } from "../../src/datastore/group-commit.ts";
import type { Backend, Reader, Transaction } from "../../src/datastore/transaction.ts";
import { EmbeddedTransaction } from "../../src/datastore/embedded-transaction.ts";
import type { Clock } from "../../src/env/host.ts";
import { type SimulatedStore, syncFailed, type SyncOutcome } from "./simulated-store.ts";

type Outcome = { readonly result: unknown } | { readonly error: unknown };

/** A datastore on a machine of its own, shared by all that attach to it. */
export class StoreServer {
  readonly store: SimulatedStore;
  /** Of requests and answers, one way. */
  delayMaxMs = 2;
  /** Shares of requests that do not arrive, and of answers. */
  requestLoss = 0;
  answerLoss = 0;
  /** How long a client waits before it takes something for lost. */
  timeoutMs = 1_000;
  readonly #readers: EmbeddedTransaction;
  #group: GroupCommit;
  #life = 0;

  constructor(store: SimulatedStore) {
    this.store = store;
    this.#readers = new EmbeddedTransaction(store.records, false);
    this.#group = new GroupCommit(store, store.turns(store.clock));
  }

  /** What was not answered never will be; the next requests are taken by a new process. */
  crash(): void {
    this.#life++;
    this.store.crash();
    this.#group = new GroupCommit(this.store, this.store.turns(this.store.clock));
  }

  /** `arrive` and `answer` are called when a request arrives and when its answer leaves, if it does. */
  async perform(operation: (transaction: Transaction) => unknown, reads: boolean): Promise<Outcome | undefined> {
    const { store } = this;
    if (store.random.chance(this.requestLoss)) return undefined;
    await this.#travel();
    const life = this.#life;
    const outcome = reads ? await this.#read(operation) : await this.#commit(operation);
    if (life !== this.#life || store.random.chance(this.answerLoss)) return undefined;
    await this.#travel();
    return outcome;
  }

  #read(operation: (transaction: Transaction) => unknown): Promise<Outcome> {
    return new Promise((resolve) => {
      this.store.whenFree(() => resolve(outcomeOf(() => operation(this.#readers))));
    });
  }

  async #commit(operation: (transaction: Transaction) => unknown): Promise<Outcome> {
    const outcome = await this.#group.commit(operation).then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    );
    return (await this.store.synced) === "failed" ? { error: syncFailed() } : outcome;
  }

  #travel(): Promise<void> {
    const { clock, random } = this.store;
    return new Promise((resolve) => void clock.after(random.fraction() * this.delayMaxMs, resolve));
  }
}

/** `clock` is that of the process: when it is dead, nothing of this goes on. */
export class RemoteBackend implements Backend {
  readonly description = "simulated, on another machine";
  readonly durabilityGap = undefined;
  readonly #server: StoreServer;
  readonly #clock: Clock;
  #isClosed = false;

  constructor(server: StoreServer, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
  }

  read<Result>(operation: (reader: Reader) => Result): Promise<Result> {
    return this.#ask(operation, true);
  }

  commit<Result>(operation: (transaction: Transaction) => Result): Promise<Result> {
    return this.#ask(operation, false);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #ask<Result>(operation: (transaction: Transaction) => Result, reads: boolean): Promise<Result> {
    if (this.#isClosed) return Promise.reject(new StoreError("ABORTED", "the datastore is closed"));
    return new Promise((resolve, reject) => {
      const unanswered = new StoreError("UNAVAILABLE", "the datastore does not answer");
      const timer = this.#clock.after(this.#server.timeoutMs, () => reject(unanswered));
      void this.#server.perform(operation, reads).then((outcome) => {
        if (outcome === undefined) return;
        this.#clock.soon(() => {
          timer.cancel();
          settle(outcome, resolve, reject);
        });
      });
    });
  }
}

export class EmbeddedBackend implements Backend {
  readonly description = "simulated, in the process";
  readonly durabilityGap = undefined;
  readonly #store: SimulatedStore;
  readonly #clock: Clock;
  readonly #group: GroupCommit;
  readonly #reader: EmbeddedTransaction;
  #isClosed = false;

  constructor(store: SimulatedStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#reader = new EmbeddedTransaction(store.records, false);
    this.#group = new GroupCommit(store, store.turns(clock));
  }

  async read<Result>(operation: (reader: Reader) => Result): Promise<Result> {
    if (this.#isClosed) throw new StoreError("ABORTED", "the datastore is closed");
    // The real one has the thread to itself: while it syncs, nobody reads.
    if (!this.#store.isFree)
      await new Promise<void>((resolve) => this.#store.whenFree(() => this.#clock.soon(resolve)));
    if (!this.#store.isFree) return this.read(operation);
    return operation(this.#reader);
  }

  commit<Result>(operation: (transaction: Transaction) => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      const answer = (outcome: Outcome): void => {
        void this.#store.synced.then((sync: SyncOutcome) => {
          if (sync === "gone") return;
          const answered = sync === "failed" ? { error: syncFailed() } : outcome;
          this.#clock.soon(() => settle(answered, resolve, reject));
        });
      };
      void this.#group.commit(operation).then(
        (result) => answer({ result }),
        (error: unknown) => answer({ error }),
      );
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    while (!this.#store.isFree) {
      await new Promise<void>((resolve) => this.#store.whenFree(() => this.#clock.soon(resolve)));
    }
    this.#group.close();
    this.#isClosed = true;
    await this.#store.synced;
  }
}

function outcomeOf(work: () => unknown): Outcome {
  try {
    return { result: work() };
  } catch (error) {
    return { error };
  }
}

function settle<Result>(outcome: Outcome, resolve: (result: Result) => void, reject: (error: unknown) => void): void {
  if ("error" in outcome) reject(outcome.error);
  else resolve(outcome.result as Result);
}
