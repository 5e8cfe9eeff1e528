/**
 * The connection to Redis: nothing else imports ioredis.
 *
 * ioredis reconnects by itself; it does not queue, repeat or time anything out here. A request waits for the connection
 * as long as it may take, is sent once, and fails as UNAVAILABLE when the connection breaks or the time is up: whether
 * a commit that was sent has happened is then not known.
 */
import { Redis } from "ioredis";
import { messageOf, StoreError } from "../core/errors.ts";
import { connectTimeoutMs, datastoreTimeoutMs, reconnectDelayMaxMs, reconnectDelayMinMs } from "../core/limits.ts";
import type { Clock, Log, Timer } from "../env/host.ts";

/** Requests that wait for an answer or for the connection; further ones are answered BUSY. */
const redisRequestsMax = 20_000;

export interface RedisAddress {
  /** redis://[user:password@]host[:port][/database], or rediss:// for TLS. */
  readonly url: string;
}

/** A script and the SHA-1 under which Redis knows it. */
export interface Script {
  readonly text: string;
  readonly sha1: string;
}

/** What an answer can be made of. */
export type Reply = Buffer | number | null | readonly Reply[];
export type Argument = string | Buffer | number;

interface Pending {
  readonly reject: (error: StoreError) => void;
  /** For one that still waits for the connection. */
  readonly send: (() => void) | undefined;
}

export class RedisConnection {
  /** host:port/database, without the password. */
  readonly place: string;
  readonly #redis: Redis;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #pending = new Set<Pending>();
  #isClosed = false;
  /** Given up, and not noticed by ioredis yet. */
  #isRenewed = false;
  /** Requests that were sent and have no answer. */
  #awaited = 0;
  /** Runs while something is awaited of the connection: an answer, or that it becomes ready. */
  #listener: Timer | undefined;
  #lastError = "no connection was made yet";

  constructor({ url }: RedisAddress, clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
    const { hostname, port, pathname } = new URL(url);
    this.place = `${hostname}:${port === "" ? "6379" : port}${pathname === "/" ? "" : pathname}`;
    this.#redis = new Redis(url, {
      lazyConnect: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectTimeout: connectTimeoutMs,
      disableClientInfo: true,
      protocol: 2,
      retryStrategy: (attempt) => Math.min(reconnectDelayMinMs * 2 ** (attempt - 1), reconnectDelayMaxMs),
    });
    this.#redis.on("error", (error: Error) => {
      const reason = messageOf(error);
      if (reason !== this.#lastError) log.warn("redis", { place: this.place, reason });
      this.#lastError = reason;
    });
    guardQueue(this.#redis, () => this.renew("an answer came that nobody had asked for"));
    this.#redis.on("connect", () => {
      this.#listener ??= this.#listen();
    });
    this.#redis.on("ready", () => {
      this.#listener?.cancel();
      this.#listener = undefined;
      if (this.#lastError !== "") log.info("redis is connected", { place: this.place });
      this.#lastError = "";
      for (const { send } of this.#pending) send?.();
    });
    this.#redis.on("close", () => {
      this.#isRenewed = false;
      this.#listener?.cancel();
      this.#listener = undefined;
      if (this.#lastError === "") {
        this.#lastError = "the connection was closed";
        if (!this.#isClosed) log.warn("redis", { place: this.place, reason: this.#lastError });
      }
      for (const { reject, send } of this.#pending) if (send === undefined) reject(this.#unavailable());
    });
  }

  /** Resolves when Redis answers; UNAVAILABLE where it does not. */
  async open(): Promise<void> {
    this.#redis.connect().catch((error: unknown) => {
      this.#lastError = messageOf(error);
    });
    await this.call("PING");
  }

  call(command: string, ...args: Argument[]): Promise<Reply> {
    return this.#request(() => this.#redis.callBuffer(command, ...args) as Promise<Reply>);
  }

  async run({ text, sha1 }: Script, keys: readonly Argument[], args: readonly Argument[]): Promise<Reply> {
    try {
      return await this.#request(
        () => this.#redis.callBuffer("EVALSHA", sha1, keys.length, ...keys, ...args) as Promise<Reply>,
      );
    } catch (error) {
      if (!isReplyError(error, "NOSCRIPT")) throw error;
      return this.#request(() => this.#redis.callBuffer("EVAL", text, keys.length, ...keys, ...args) as Promise<Reply>);
    }
  }

  /** Gives the connection up and makes another one; requests that were sent on it fail. */
  renew(reason: string): void {
    const { status } = this.#redis;
    if (this.#isClosed || this.#isRenewed || (status !== "ready" && status !== "connect")) return;
    this.#isRenewed = true;
    this.#lastError = reason;
    this.#log.warn("redis", { place: this.place, reason });
    // Not ended but destroyed: an end waits for the other side, which may be what does not answer.
    this.#redis.stream.destroy();
  }

  close(): void {
    this.#isClosed = true;
    this.#listener?.cancel();
    this.#redis.disconnect();
    for (const { reject } of this.#pending) reject(new StoreError("ABORTED", "the datastore is closed"));
  }

  #request(send: () => Promise<Reply>): Promise<Reply> {
    if (this.#isClosed) return Promise.reject(new StoreError("ABORTED", "the datastore is closed"));
    if (this.#pending.size >= redisRequestsMax) {
      return Promise.reject(
        new StoreError("BUSY", `${redisRequestsMax} requests are waiting for redis at ${this.place}`),
      );
    }
    return new Promise<Reply>((resolve, reject) => {
      const settle = (pending: Pending): void => {
        timer.cancel();
        this.#pending.delete(pending);
      };
      const track = (sendLater: (() => void) | undefined): Pending => {
        const pending: Pending = {
          reject: (error) => {
            settle(pending);
            reject(error);
          },
          send: sendLater,
        };
        this.#pending.add(pending);
        current = pending;
        return pending;
      };
      const sendNow = (): void => {
        if (current !== undefined) this.#pending.delete(current);
        const pending = track(undefined);
        this.#awaited++;
        this.#listener ??= this.#listen();
        send().then(
          (reply) => {
            this.#heard();
            settle(pending);
            resolve(reply);
          },
          (error: unknown) => {
            this.#heard();
            settle(pending);
            reject(this.#errorOf(error));
          },
        );
      };
      let current: Pending | undefined;
      const timer = this.#clock.after(datastoreTimeoutMs, () => current?.reject(this.#unavailable()));
      if (this.#redis.status === "ready" && !this.#isRenewed) sendNow();
      else track(sendNow);
    });
  }

  /** A connection on which nothing comes any more, though something is awaited, is no use to those that ask later either. */
  #listen(): Timer {
    return this.#clock.after(datastoreTimeoutMs, () => {
      this.#listener = undefined;
      this.renew(`no answer within ${datastoreTimeoutMs} ms`);
    });
  }

  #heard(): void {
    this.#awaited--;
    this.#listener?.cancel();
    this.#listener = this.#awaited > 0 ? this.#listen() : undefined;
  }

  #unavailable(cause?: unknown): StoreError {
    const reason = this.#lastError === "" ? `no answer within ${datastoreTimeoutMs} ms` : this.#lastError;
    return new StoreError("UNAVAILABLE", `redis at ${this.place} does not answer: ${reason}`, { cause });
  }

  /** Redis' own refusals come as they are, for the caller to judge; all else means that it is not there. */
  #errorOf(error: unknown): unknown {
    return isReplyError(error, "") ? error : this.#unavailable(error);
  }
}

/** What of ioredis is not told in its declarations, as it is in the version that is pinned. */
interface Internals {
  readonly commandQueue: { shift(): object | undefined };
  resetCommandQueue(): void;
  flushQueue(error: Error, options?: object): void;
}

/**
 * A nil that no request waits for makes ioredis 6.0.0 throw where nobody can catch it, and that ends the process. So there is
 * always one that waits, and hears nothing.
 */
function guardQueue(redis: Redis, onUnasked: () => void): void {
  const internals = redis as unknown as Internals;
  const reset = internals.resetCommandQueue.bind(redis);
  const flush = internals.flushQueue.bind(redis);
  const nobody = { command: { name: "", resolve: onUnasked, reject: onUnasked } };
  let isFlushing = false;
  const guard = (): void => {
    const queue = internals.commandQueue;
    const shift = queue.shift.bind(queue);
    queue.shift = () => shift() ?? (isFlushing ? undefined : nobody);
  };
  internals.resetCommandQueue = () => {
    reset();
    guard();
  };
  // It takes from the queue until there is nothing.
  internals.flushQueue = (error, options) => {
    isFlushing = true;
    try {
      flush(error, options);
    } finally {
      isFlushing = false;
    }
  };
  guard();
}

/** Whether Redis answered with an error that begins so. */
export function isReplyError(error: unknown, beginning: string): boolean {
  return error instanceof Error && error.name === "ReplyError" && error.message.startsWith(beginning);
}
