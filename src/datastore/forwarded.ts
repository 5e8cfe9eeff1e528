/**
 * One process commits for several. LMDB lets one transaction write at a time, and who waits for its turn, or for the
 * disk, waits with the whole thread; so the workers of a data directory (cli/workers.ts) hand their changes to the
 * primary, which commits what all of them want in shared groups, and read the file themselves
 * (docs/decisions/0006-one-process-commits-for-all.md).
 *
 * An operation is a name and its arguments, so it travels as it is. One that is not known to be a read is forwarded:
 * an operation that is new here is slow at worst, never wrong.
 */
import { type ErrorCode, messageOf, StoreError } from "../core/errors.ts";
import type { Clock } from "../env/host.ts";
import type { Datastore } from "./datastore.ts";
import { TransactionalDatastore } from "./transactional.ts";

/** What the workers do themselves, on their own view of the file. */
const localOperations = [
  "getObject",
  "listObjects",
  "getBucket",
  "listBuckets",
  "getVersion",
  "listFiles",
  "listVersions",
  "getUpload",
  "listUploads",
  "listParts",
  "getVolume",
  "listVolumes",
  "listRuns",
  "getEntry",
  "listEntries",
  "counters",
] as const satisfies readonly (keyof Datastore)[];

/** Operations that wait for the primary, in one worker; further ones are answered BUSY. */
const waitingMax = 65_536;

/** An operation, as it travels. JSON has no `undefined`: `absent` are the places of arguments that are. */
export interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly absent?: readonly number[];
}

export type CallOutcome =
  /** `absent`: fields of the result that are there and undefined. */
  | { readonly result?: unknown; readonly absent?: readonly string[] }
  | { readonly error: { readonly code: ErrorCode | undefined; readonly message: string } };

/** Takes calls to where they are committed; one outcome for each. Rejects where that process has gone. */
export type Forward = (calls: readonly Call[]) => Promise<readonly CallOutcome[]>;

type Operation = (...args: readonly unknown[]) => Promise<unknown>;
type Operations = { readonly [name: string]: Operation };

const operationNames: ReadonlySet<string> = new Set(
  Object.entries(Object.getOwnPropertyDescriptors(TransactionalDatastore.prototype))
    .filter(([name, { value }]) => typeof value === "function" && name !== "constructor" && name !== "close")
    .map(([name]) => name),
);

// ── the primary's side ──────────────────────────────────────────────────────────────────────────────────────────────

/** Runs what a worker sent. All of it is asked for in one turn, so it shares a commit. */
export function runCalls(datastore: Datastore, calls: readonly Call[]): Promise<CallOutcome[]> {
  return Promise.all(calls.map((call) => runCall(datastore as unknown as Operations, call)));
}

async function runCall(datastore: Operations, { name, args, absent }: Call): Promise<CallOutcome> {
  try {
    if (!operationNames.has(name)) throw new Error(`${name} is no operation of the datastore`);
    const result = await datastore[name]!(...(absent === undefined ? args : withAbsent(args, absent)));
    const fields = absentFields(result);
    return fields.length === 0 ? { result } : { result, absent: fields };
  } catch (error) {
    return { error: { code: error instanceof StoreError ? error.code : undefined, message: messageOf(error) } };
  }
}

function absentFields(result: unknown): string[] {
  if (typeof result !== "object" || result === null) return [];
  return Object.keys(result).filter((name) => (result as { readonly [name: string]: unknown })[name] === undefined);
}

function withAbsent(args: readonly unknown[], absent: readonly number[]): unknown[] {
  return args.map((value, index) => (absent.includes(index) ? undefined : value));
}

// ── a worker's side ─────────────────────────────────────────────────────────────────────────────────────────────────

interface Waiting {
  readonly call: Call;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** `local` for reads; everything else goes through `forward`: what is asked for meanwhile, in the next group. */
export function forwardCommits(local: Datastore, clock: Clock, forward: Forward): Datastore {
  const queue = new ForwardQueue(clock, forward);
  const reads: ReadonlySet<string> = new Set(localOperations);
  const operations: { [name: string]: Operation } = {};
  for (const name of operationNames) {
    operations[name] = reads.has(name)
      ? (...args) => (local as unknown as Operations)[name]!(...args)
      : (...args) => queue.add(callOf(name, args));
  }
  const own = {
    description: local.description,
    durabilityGap: local.durabilityGap,
    now: local.now,
    close: async () => {
      await queue.close();
      await local.close();
    },
  };
  return { ...operations, ...own } as unknown as Datastore;
}

class ForwardQueue {
  readonly #clock: Clock;
  readonly #forward: Forward;
  #gathered: Waiting[] = [];
  /** One group is under way at a time: the others gather, and cost one message. */
  #isSending = false;
  #waitingCount = 0;
  #isClosed = false;
  #drained: (() => void) | undefined;

  constructor(clock: Clock, forward: Forward) {
    this.#clock = clock;
    this.#forward = forward;
  }

  add(call: Call): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new StoreError("ABORTED", "the datastore is closed"));
      if (this.#waitingCount >= waitingMax) {
        return reject(new StoreError("BUSY", `${waitingMax} commits are waiting for the datastore`));
      }
      this.#waitingCount++;
      this.#gathered.push({ call, resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when everything that was asked for is answered. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#waitingCount > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
  }

  #schedule(): void {
    if (this.#isSending || this.#gathered.length === 0) return;
    this.#isSending = true;
    this.#clock.soon(() => void this.#send());
  }

  async #send(): Promise<void> {
    const group = this.#gathered;
    this.#gathered = [];
    try {
      const outcomes = await this.#forward(group.map(({ call }) => call));
      for (const [index, { resolve, reject }] of group.entries()) settle(outcomes[index]!, resolve, reject);
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    this.#waitingCount -= group.length;
    this.#isSending = false;
    this.#schedule();
    if (this.#waitingCount === 0) this.#drained?.();
  }
}

function settle(outcome: CallOutcome, resolve: (result: unknown) => void, reject: (error: unknown) => void): void {
  if (!("error" in outcome)) {
    const { result, absent } = outcome;
    for (const name of absent ?? []) (result as { [name: string]: unknown })[name] = undefined;
    return resolve(result);
  }
  const { code, message } = outcome.error;
  reject(code === undefined ? new Error(message) : new StoreError(code, message));
}

function callOf(name: string, args: readonly unknown[]): Call {
  const absent = args.flatMap((value, index) => (value === undefined ? [index] : []));
  return absent.length === 0 ? { name, args } : { name, args, absent };
}
