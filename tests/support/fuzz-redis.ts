/**
 * Between the datastore and a real Redis: a proxy that changes what Redis answers. And a store that is worked on through it
 * while one keeps account of what can be there: what was acknowledged, and what may or may not have happened.
 *
 * Replies in RESP have no numbers, so that a proxy could also make them well-formed lies, or leave one out between two
 * others: no client could tell. Here they are broken as breakage breaks them.
 */
import net from "node:net";
import { once } from "node:events";
import fc from "fast-check";
import { StoreError } from "../../src/core/errors.ts";
import { datastoreTimeoutMs } from "../../src/core/limits.ts";
import type { Attributes, Datastore } from "../../src/datastore/datastore.ts";
import { fileTarget, now, Writer } from "../../src/datastore/fixture.contract.ts";
import { openRedis } from "../../src/datastore/redis.ts";
import type { Clock } from "../../src/env/host.ts";
import { nodeClock } from "../../src/env/node-clock.ts";
import { silentLog } from "../../src/env/node-log.ts";
import { type Unhandled, within } from "./fuzz-run.ts";
import { flush } from "./redis-client.ts";
import type { RedisServer } from "./redis-server.ts";
import type { Belongings } from "./store.ts";

/** What becomes of a reply; null: it is left alone. */
export type ReplyChange =
  | null
  /** Another reply in its place, whole in itself. */
  | { readonly how: "instead"; readonly resp: string }
  /** So much of it, in thousandths, and then the connection is gone. */
  | { readonly how: "cut"; readonly part: number }
  /** So much of it, and then nothing more. */
  | { readonly how: "stall"; readonly part: number }
  /** The first length in it is another one. */
  | { readonly how: "length"; readonly value: string }
  /** In pieces of so many bytes, with a pause after each. */
  | { readonly how: "drip"; readonly size: number }
  /** Each JSON in it lacks its end. */
  | { readonly how: "json" }
  /** Bytes that are no reply come first. */
  | { readonly how: "junk"; readonly hex: string };

/** What takes ten seconds takes a fraction of one here. */
const timeoutMs = 150;
const clock: Clock = {
  ...nodeClock,
  after: (delayMs, call) => nodeClock.after(delayMs === datastoreTimeoutMs ? timeoutMs : delayMs, call),
};
/** One operation takes several rounds, each of which may wait for a new connection and for its time-out. */
const operationMsMax = 6_000;

export class RedisProxy {
  readonly #server: net.Server;
  readonly #target: number;
  readonly #sockets = new Set<net.Socket>();
  /** For the next replies, one for each. */
  #changes: ReplyChange[] = [];

  private constructor(server: net.Server, target: number) {
    this.#server = server;
    this.#target = target;
  }

  static async start(target: number): Promise<RedisProxy> {
    const server = net.createServer();
    const proxy = new RedisProxy(server, target);
    server.on("connection", (socket) => proxy.#serve(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  change(changes: readonly ReplyChange[]): void {
    this.#changes = [...changes];
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(client: net.Socket): void {
    const redis = net.connect(this.#target, "127.0.0.1");
    for (const [socket, other] of [
      [client, redis],
      [redis, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.on("data", (bytes: Buffer) => void redis.write(bytes));
    let rest: Buffer = Buffer.alloc(0);
    let stalled = false;
    let sending: Promise<void> = Promise.resolve();
    redis.on("data", (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      for (let size = replySize(rest, 0); size !== undefined; size = replySize(rest, 0)) {
        const reply = rest.subarray(0, size);
        rest = rest.subarray(size);
        const change = this.#changes.shift() ?? null;
        sending = sending.then(async () => {
          if (stalled || client.destroyed) return;
          if (change?.how === "stall") stalled = true;
          await deliver(client, reply, change);
        });
      }
    });
  }
}

/** Where the reply that begins at `at` ends; undefined where its end has not come. */
function replySize(bytes: Buffer, at: number): number | undefined {
  const line = bytes.indexOf("\r\n", at);
  if (line < 0) return undefined;
  const kind = bytes.toString("latin1", at, at + 1);
  const count = Number(bytes.toString("latin1", at + 1, line));
  let end = line + 2;
  if (kind === "$" && count >= 0) end += count + 2;
  if (kind === "*") {
    for (let index = 0; index < count; index++) {
      const next = replySize(bytes, end);
      if (next === undefined) return undefined;
      end = next;
    }
  }
  return end > bytes.length ? undefined : end;
}

async function deliver(client: net.Socket, reply: Buffer, change: ReplyChange): Promise<void> {
  if (change === null) {
    client.write(reply);
    return;
  }
  switch (change.how) {
    case "instead":
      client.write(change.resp);
      return;
    case "cut":
      client.end(reply.subarray(0, Math.floor((reply.length * change.part) / 1_000)));
      await nodeDelay(1);
      client.destroy();
      return;
    case "stall":
      client.write(reply.subarray(0, Math.floor((reply.length * change.part) / 1_000)));
      return;
    case "length":
      client.write(
        Buffer.from(
          reply.toString("latin1").replace(/[$*]\d+/, (found) => found[0]! + change.value),
          "latin1",
        ),
      );
      return;
    case "drip":
      for (let at = 0; at < reply.length && !client.destroyed; at += change.size) {
        client.write(reply.subarray(at, at + change.size));
        await nodeDelay(1);
      }
      return;
    case "json":
      // Its lengths stay right.
      client.write(Buffer.from(reply.toString("latin1").replace(/\}\r\n/g, " \r\n"), "latin1"));
      return;
    case "junk":
      client.write(Buffer.concat([Buffer.from(change.hex, "hex"), reply]));
      return;
    default:
      client.write(reply);
  }
}

function nodeDelay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// ── a store with an account of what can be there ────────────────────────────────────────────────────────────────────

export type RedisStep =
  | { readonly do: "save"; readonly key: number }
  | { readonly do: "get"; readonly key: number }
  | { readonly do: "delete"; readonly key: number }
  | { readonly do: "list" }
  | { readonly do: "bucket"; readonly key: number }
  | { readonly do: "volumes" }
  | { readonly do: "counters" }
  | { readonly do: "entry"; readonly key: number };

export interface RedisCase {
  readonly steps: readonly { readonly step: RedisStep; readonly changes: readonly ReplyChange[] }[];
  /** Steps are begun so many at a time. */
  readonly together: number;
}

type Mark = number | undefined;

export class RedisTarget {
  readonly #server: RedisServer;
  readonly #proxy: RedisProxy;
  readonly #unhandled: Unhandled;
  /** Straight to Redis. */
  readonly #direct: Datastore;
  #through: Datastore;
  #writer: Writer;
  /** By name of a file: the marks that its newest version can have. */
  readonly #files = new Map<string, Set<Mark>>();
  readonly #entries = new Map<string, Set<Mark>>();
  #mark = 0;
  #bytesMin = 0;
  #bytesMax = 0;

  private constructor(
    parts: { server: RedisServer; proxy: RedisProxy; unhandled: Unhandled },
    direct: Datastore,
    through: Datastore,
  ) {
    this.#server = parts.server;
    this.#proxy = parts.proxy;
    this.#unhandled = parts.unhandled;
    this.#direct = direct;
    this.#through = through;
    this.#writer = new Writer(through);
  }

  static async open(server: RedisServer, unhandled: Unhandled, belongings: Belongings): Promise<RedisTarget> {
    const proxy = await RedisProxy.start(server.port);
    belongings.add(() => proxy.close());
    await flush(server.url);
    const open = (url: string): Promise<Datastore> => openRedis({ url, clock, durability: "os", log: silentLog });
    const direct = await open(server.url);
    belongings.add(() => direct.close());
    const through = await open(proxy.url);
    const target = new RedisTarget({ server, proxy, unhandled }, direct, through);
    belongings.add(() => target.#through.close());
    await direct.createBucket("bucket", {}, now);
    return target;
  }

  /** Opens another datastore through changed replies: it opens, or says why not. */
  async opening(changes: readonly ReplyChange[]): Promise<void> {
    this.#proxy.change(changes);
    const opening = openRedis({ url: this.#proxy.url, clock, durability: "os", log: silentLog });
    const opened = await attempt(() => opening);
    this.#proxy.change([]);
    if ("value" in opened) {
      const bucket = await attempt(() => this.#repeated(() => opened.value.getBucket("bucket")));
      await opened.value.close();
      if (!("value" in bucket) || bucket.value?.name !== "bucket") throw new Error("it opened, and cannot be read");
    }
    await this.#unhandled.check();
  }

  async check({ steps, together }: RedisCase): Promise<void> {
    for (let at = 0; at < steps.length; at += together) {
      const some = steps.slice(at, at + together);
      this.#proxy.change(some.flatMap(({ changes }) => changes));
      await Promise.all(some.map(({ step }) => this.#step(step)));
    }
    this.#proxy.change([]);
    // It works again by itself, with the same datastore.
    await this.#repeated(() => this.#through.getBucket("bucket"));
    // What was sent before the connection broke may be on its way still.
    await nodeDelay(10);
    await this.#settle();
    await this.#unhandled.check();
  }

  async #step(step: RedisStep): Promise<void> {
    const mark = ++this.#mark;
    switch (step.do) {
      case "save":
        return this.#write(this.#files, `file ${step.key}`, mark, async () => {
          const object = await this.#writer.object(1_000);
          this.#bytesMax += 1_000;
          const target = fileTarget("bucket", `file ${step.key}`, { attributes: { mark } });
          await this.#through.saveObject(object, target, now);
        });
      case "delete":
        return this.#write(this.#files, `file ${step.key}`, undefined, async () => {
          this.#bytesMin -= 1_000;
          await this.#through.deleteFile("bucket", `file ${step.key}`, now);
        });
      case "entry":
        return this.#write(this.#entries, `entry ${step.key}`, mark, async () => {
          await this.#through.saveEntry("access-key", `entry ${step.key}`, { mark });
        });
      case "get": {
        const name = `file ${step.key}`;
        const found = await attempt(() => this.#through.getVersion("bucket", name));
        if ("value" in found) this.#expect(this.#files, name, markOf(found.value?.attributes));
        return;
      }
      case "list": {
        const page = await attempt(() => this.#list(this.#through));
        if ("value" in page) for (const [name, found] of page.value) this.#expect(this.#files, name, found);
        return;
      }
      case "bucket": {
        const found = await attempt(() => this.#through.getBucket(step.key === 0 ? "bucket" : "missing"));
        if ("value" in found && (found.value === undefined) !== (step.key !== 0)) throw new Error("the wrong bucket");
        return;
      }
      case "volumes": {
        const found = await attempt(() => this.#through.listVolumes(undefined, 10));
        if (!("value" in found)) return;
        for (const { putter } of found.value) if (putter !== "putter") throw new Error(`a volume of ${putter}`);
        return;
      }
      case "counters": {
        const found = await attempt(() => this.#through.counters());
        if (!("value" in found)) return;
        const { bytes } = found.value;
        if (!(bytes >= this.#bytesMin && bytes <= this.#bytesMax)) throw new Error(`${bytes} bytes are counted`);
        return;
      }
      default:
    }
  }

  /** Notes before that it may happen, and after that it has, or that nobody knows. */
  async #write(account: Map<string, Set<Mark>>, name: string, mark: Mark, work: () => Promise<void>): Promise<void> {
    const before = account.get(name) ?? new Set<Mark>([undefined]);
    account.set(name, new Set([...before, mark]));
    await attempt(work);
  }

  #expect(account: Map<string, Set<Mark>>, name: string, found: Mark): void {
    const possible = account.get(name) ?? new Set<Mark>([undefined]);
    if (!possible.has(found)) throw new Error(`${name} is ${found}, and can be ${[...possible].join()}`);
  }

  async #list(datastore: Datastore): Promise<Map<string, Mark>> {
    const request = { bucket: "bucket", prefix: "", delimiter: undefined, after: undefined, limit: 1_000 };
    const page = await datastore.listFiles(request);
    return new Map(page.items.map(({ key, attributes }) => [key, markOf(attributes)]));
  }

  /** What is there, as it is read straight from Redis, is what both datastores say, and nothing else can be from now on. */
  async #settle(): Promise<void> {
    const [direct, through] = [await this.#list(this.#direct), await this.#repeated(() => this.#list(this.#through))];
    for (const name of new Set([...this.#files.keys(), ...direct.keys(), ...through.keys()])) {
      this.#expect(this.#files, name, direct.get(name));
      if (direct.get(name) !== through.get(name))
        throw new Error(`${name} is ${direct.get(name)}, ${through.get(name)}`);
      this.#files.set(name, new Set([direct.get(name)]));
    }
    for (const name of this.#entries.keys()) {
      const found = markOf(await this.#direct.getEntry("access-key", name));
      this.#expect(this.#entries, name, found);
      this.#entries.set(name, new Set([found]));
    }
    const { bytes } = await this.#direct.counters();
    if (bytes !== direct.size * 1_000) throw new Error(`${bytes} bytes are counted, of ${direct.size} files of 1,000`);
    [this.#bytesMin, this.#bytesMax] = [bytes, bytes];
    if (this.#server.port === 0) throw new Error("no Redis");
  }

  async #repeated<Value>(work: () => Promise<Value>): Promise<Value> {
    for (let count = 0; count < 50; count++) {
      const outcome = await attempt(work);
      if ("value" in outcome) return outcome.value;
      await nodeDelay(20);
    }
    throw new Error("it does not work again");
  }
}

function markOf(attributes: Attributes | undefined): Mark {
  return attributes?.["mark"] as Mark;
}

/** Right, or a StoreError, in time. */
async function attempt<Value>(work: () => Promise<Value>): Promise<{ value: Value } | { error: StoreError }> {
  try {
    return { value: await within(operationMsMax, "an operation", work()) };
  } catch (error) {
    if (error instanceof StoreError) return { error };
    throw error;
  }
}

// ── cases ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const refusals = [
  "LOADING Redis is loading the dataset in memory",
  "READONLY You can't write against a read only replica.",
  "OOM command not allowed when used memory > 'maxmemory'.",
  "BUSY Redis is busy running a script.",
  "NOSCRIPT No matching script.",
  "MOVED 3999 127.0.0.1:1",
  "ASK 3999 127.0.0.1:1",
  "CLUSTERDOWN The cluster is down",
  "NOAUTH Authentication required.",
  "NOPERM this user has no permissions",
  "WRONGTYPE Operation against a key holding the wrong kind of value",
  "MASTERDOWN Link with MASTER is down",
  "MISCONF Redis is configured to save RDB snapshots",
  "ERR unknown command",
  "UNKILLABLE",
  "",
];
/** Well-formed, and no answer to anything that is asked here. */
const strangers = [
  "$-1\r\n",
  "*-1\r\n",
  "*0\r\n",
  ":7\r\n",
  ":-7\r\n",
  ":9007199254740993\r\n",
  "+OK\r\n",
  "+\r\n",
  "$0\r\n\r\n",
  "$2\r\nOK\r\n",
  "*1\r\n*1\r\n*1\r\n:3\r\n",
  "*1\r\n-ERR inside\r\n",
  "*2\r\n$-1\r\n*0\r\n",
  "*9\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
  "*5\r\n*0\r\n*0\r\n*0\r\n*0\r\n$1\r\nx\r\n",
  "*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
];
const lengths = ["0", "1", "2", "3", "99", "65536", "2147483647", "4294967296", "99999999999999999999", "-2", "x", ""];

const part = fc.nat(1_000);
const change: fc.Arbitrary<ReplyChange> = fc.oneof(
  { weight: 6, arbitrary: fc.constant(null) },
  fc.constantFrom(...refusals).map((text) => ({ how: "instead" as const, resp: `-${text}\r\n` })),
  fc.constantFrom(...strangers).map((resp) => ({ how: "instead" as const, resp })),
  fc.record({ how: fc.constant("cut" as const), part }),
  { weight: 1, arbitrary: fc.record({ how: fc.constant("stall" as const), part }) },
  fc.record({ how: fc.constant("length" as const), value: fc.constantFrom(...lengths) }),
  fc.record({ how: fc.constant("drip" as const), size: fc.integer({ min: 5, max: 40 }) }),
  fc.constant({ how: "json" as const }),
  fc.record({
    how: fc.constant("junk" as const),
    // No reply begins with these; one that is whole would stand for the next request's.
    hex: fc.uint8Array({ minLength: 1, maxLength: 12, max: 31 }).map((bytes) => Buffer.from(bytes).toString("hex")),
  }),
);
export const replyChanges = fc.array(change, { maxLength: 6 });

const key = fc.nat(3);
const step: fc.Arbitrary<RedisStep> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("save" as const), key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("get" as const), key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("delete" as const), key }) },
  { weight: 2, arbitrary: fc.constant({ do: "list" as const }) },
  fc.record({ do: fc.constant("bucket" as const), key: fc.nat(1) }),
  fc.constant({ do: "volumes" as const }),
  fc.constant({ do: "counters" as const }),
  fc.record({ do: fc.constant("entry" as const), key }),
);

export const redisCase: fc.Arbitrary<RedisCase> = fc.record({
  steps: fc.array(fc.record({ step, changes: fc.array(change, { maxLength: 3 }) }), { minLength: 1, maxLength: 6 }),
  together: fc.integer({ min: 1, max: 3 }),
});
