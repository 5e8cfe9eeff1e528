/**
 * The Datastore in a Redis, for any number of routers (docs/formats/datastore.md).
 *
 * An operation is run on what was read; one script then makes all its changes, if all that it had read is still so, or
 * none, and the operation is run again on what is there now. So every commit is atomic, and those that have nothing to
 * do with one another do not wait for one another.
 */
import { messageOf, StoreError } from "../core/errors.ts";
import type { Clock, Log } from "../env/host.ts";
import type { Datastore } from "./datastore.ts";
import { formatVersion } from "./records.ts";
import {
  isReplyError,
  RedisConnection,
  type RedisAddress,
  type Reply,
  type Script,
  type Argument,
} from "./redis-connection.ts";
import { commitScript, openScript, readScript } from "./redis-scripts.ts";
import { Known, listOf, textOf } from "./redis-known.ts";
import { NeedsMore, RedisTransaction } from "./redis-transaction.ts";
import type { Backend, Reader, Transaction } from "./transaction.ts";
import { TransactionalDatastore } from "./transactional.ts";

const keys = ["data-putter:data", "data-putter:index"];
/** How often an operation is run again because others changed what it had read. */
const attemptsMax = 1_000;
const recentMax = 1_000;
const nothing: ReadonlyMap<string, string> = new Map();

export interface RedisOptions extends RedisAddress {
  /** `os`: Redis may answer before a commit is on its disk. */
  readonly durability: "disk" | "os";
  readonly clock: Clock;
  readonly log: Log;
}

/** UNAVAILABLE where Redis does not answer, INCOMPATIBLE where it is not set up for the durability or has a newer format. */
export async function openRedis(options: RedisOptions): Promise<Datastore> {
  const { durability, clock, log } = options;
  const connection = new RedisConnection(options, clock, log);
  try {
    await connection.open();
    const durabilityGap = await checkDurability(connection, durability);
    const instance = await checkFormat(connection, clock);
    return await TransactionalDatastore.open(new RedisBackend(connection, instance, durabilityGap), clock, log);
  } catch (error) {
    connection.close();
    throw storeErrorOf(error, connection.place);
  }
}

class RedisBackend implements Backend {
  readonly description: string;
  readonly durabilityGap: string | undefined;
  readonly #connection: RedisConnection;
  readonly #instance: string;
  /** What is under way; `close` waits for it. */
  readonly #running = new Set<Promise<unknown>>();
  /** Records that many operations read, as they were seen last. */
  readonly #recent = new Map<string, string>();
  #isClosed = false;

  constructor(connection: RedisConnection, instance: string, durabilityGap: string | undefined) {
    this.description = `redis, at ${connection.place}`;
    this.durabilityGap = durabilityGap;
    this.#connection = connection;
    this.#instance = instance;
  }

  read<Result>(operation: (reader: Reader) => Result): Promise<Result> {
    return this.#track(operation, false);
  }

  commit<Result>(operation: (transaction: Transaction) => Result): Promise<Result> {
    return this.#track(operation, true);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    this.#connection.close();
  }

  #track<Result>(operation: (transaction: Transaction) => Result, mayGuess: boolean): Promise<Result> {
    if (this.#isClosed) return Promise.reject(new StoreError("ABORTED", "the datastore is closed"));
    const running = this.#run(operation, mayGuess).finally(() => this.#running.delete(running));
    this.#running.add(running);
    return running;
  }

  /** `mayGuess`: it will be confirmed anyway, since it changes something. */
  async #run<Result>(operation: (transaction: Transaction) => Result, mayGuess: boolean): Promise<Result> {
    let known = new Known(new Map(), true, true);
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const { transaction, outcome } = await this.#runOnKnown(operation, known, mayGuess && attempt === 0);
      const isRefused = "error" in outcome;
      // One read sees one state; several, guesses or changes must be confirmed.
      if (known.isUncertain || (!isRefused && transaction.hasChanges)) {
        const next = await this.#confirm(isRefused ? transaction.withoutChanges() : transaction);
        if (next !== undefined) {
          known = next;
          continue;
        }
      }
      for (const [key, value] of transaction.recent) this.#remember(key, value);
      if (isRefused) throw outcome.error;
      return outcome.result;
    }
    throw new StoreError("BUSY", `${attemptsMax} times others changed the same records at the same time`);
  }

  async #runOnKnown<Result>(
    operation: (transaction: Transaction) => Result,
    known: Known,
    mayGuess: boolean,
  ): Promise<{ transaction: RedisTransaction; outcome: { result: Result } | { error: unknown } }> {
    for (;;) {
      const transaction = new RedisTransaction(known, mayGuess ? this.#recent : nothing);
      try {
        return { transaction, outcome: { result: operation(transaction) } };
      } catch (error) {
        if (!(error instanceof NeedsMore)) return { transaction, outcome: { error } };
      }
      const keysOnly = transaction.readKeysOnly();
      const { args, keep } = keysOnly ?? transaction.readArguments();
      const reply = keysOnly === undefined ? await this.#script(readScript, args) : await this.#values(args);
      this.#understand(() => keep(reply));
    }
  }

  /** Makes the changes, if what was read is still so; otherwise returns what the next attempt can start from. */
  async #confirm(transaction: RedisTransaction): Promise<Known | undefined> {
    const reply = await this.#script(commitScript, transaction.commitArguments(this.#instance));
    if (Array.isArray(reply) && reply.length > 0 && String(reply[0]) !== this.#instance) {
      throw new StoreError("UNAVAILABLE", `redis at ${this.#connection.place} lost its data, or is another one`);
    }
    return this.#understand(() => transaction.afterCommit(reply));
  }

  /** Replies have no numbers: after one that does not fit, those that follow may belong to other requests. */
  #understand<Value>(read: () => Value): Value {
    try {
      return read();
    } catch (error) {
      this.#connection.renew(messageOf(error));
      throw error;
    }
  }

  #remember(key: string, value: string | undefined): void {
    this.#recent.delete(key);
    if (value === undefined) return;
    this.#recent.set(key, value);
    if (this.#recent.size > recentMax) this.#recent.delete(this.#recent.keys().next().value!);
  }

  async #values(keysOfRecords: readonly Argument[]): Promise<Reply> {
    try {
      return await this.#connection.call("HMGET", keys[0]!, ...keysOfRecords);
    } catch (error) {
      throw storeErrorOf(error, this.#connection.place);
    }
  }

  async #script(script: Script, args: readonly Argument[]): Promise<Reply> {
    try {
      return await this.#connection.run(script, keys, args);
    } catch (error) {
      throw storeErrorOf(error, this.#connection.place);
    }
  }
}

// ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Returns why a commit might be lost in a power cut. */
async function checkDurability(connection: RedisConnection, durability: "disk" | "os"): Promise<string | undefined> {
  let appendonly: string;
  let appendfsync: string;
  try {
    appendonly = await config(connection, "appendonly");
    appendfsync = await config(connection, "appendfsync");
  } catch (error) {
    if (!isReplyError(error, "")) throw error;
    return `redis does not tell how it keeps its data, so that this could not be checked: ${messageOf(error)}`;
  }
  if (appendonly === "yes" && appendfsync === "always") return undefined;
  const found = `redis at ${connection.place} has appendonly ${appendonly}, appendfsync ${appendfsync}`;
  if (durability === "os") return `${found}: what it answered may not be on disk yet`;
  const message = `${found}: a power cut can lose what was acknowledged
  redis-cli config set appendonly yes
  redis-cli config set appendfsync always
make it durable (put the same into its redis.conf), or choose --durability os`;
  throw new StoreError("INCOMPATIBLE", message);
}

async function config(connection: RedisConnection, name: string): Promise<string> {
  const reply = listOf(await connection.call("CONFIG", "GET", name));
  return textOf(reply[1] ?? null) ?? "unknown";
}

/** Returns what tells this Redis, with this data, from any other. */
async function checkFormat(connection: RedisConnection, clock: Clock): Promise<string> {
  const instance = `${clock.now()}-${Math.floor(clock.monotonic() * 1_000)}`;
  const reply = await connection.run(openScript, keys, [formatVersion, instance]);
  const [format, found] = listOf(reply, 2).map((text) => textOf(text) ?? "(none)") as [string, string];
  if (Number(format) !== formatVersion) {
    const message = `datastore in redis at ${connection.place} has format ${format}, this program knows ${formatVersion}`;
    throw new StoreError("INCOMPATIBLE", `${message}: use the version that made it, or a newer one`);
  }
  return found;
}

function storeErrorOf(error: unknown, place: string): unknown {
  if (error instanceof StoreError) return error;
  if (isReplyError(error, "OOM")) {
    return new StoreError("NO_SPACE", `redis at ${place} is full: ${messageOf(error)}`, { cause: error });
  }
  return new StoreError("UNAVAILABLE", `redis at ${place} refuses: ${messageOf(error)}`, { cause: error });
}
