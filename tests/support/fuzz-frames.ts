/**
 * Frames as no client would send them, on tcp/5000, 5001 and 5002: recorded traffic changed, and changed on its way between
 * real clients and a real router and server. What has to hold whatever they are: every frame is answered as the rules of
 * docs/formats/wire.md say, nothing is stored or made visible that was not acknowledged, what was acknowledged is read back,
 * connections end and buffers come back.
 *
 * Cases are plain JSON, so that those that were found are kept in tests/regressions/frames.json.
 */
import { createHash } from "node:crypto";
import type { RunningRouter } from "../../src/compose/router-process.ts";
import type { RunningServer } from "../../src/compose/server-process.ts";
import { StoreError } from "../../src/core/errors.ts";
import { responseSize, ticketDataSize, TicketStatus, writeTicketSize } from "../../src/core/frame.ts";
import { type ObjectId, parseId, readId, type TicketId } from "../../src/core/ids.ts";
import { fingerprintOf } from "../../src/core/key.ts";
import type { Host } from "../../src/env/host.ts";
import { RequestClient } from "../../src/wire/request-client.ts";
import { type ByteChange, changed, type Unhandled, within } from "./fuzz-run.ts";
import { Tap, type TapChange } from "./fuzz-tap.ts";
import { objectOf, sendStream, TestSocket } from "./sockets.ts";
import {
  type Belongings,
  clientKernel,
  eventually,
  framesOf,
  getObject,
  patternOf,
  quietHost,
  sameBytes,
  storedTickets,
  testKey,
} from "./store.ts";

/** Connections on which nothing happens end after so long. */
const idleTimeoutMs = 1_000;
/** A client that hears nothing for so long gives up. */
const patienceMs = 150;
/** Whatever a connection was sent, it has ended after so long: some of the time-outs above, on a busy machine. */
const connectionMsMax = 15_000;

/** Time runs a hundred times as fast: what waits for twenty seconds waits for a fifth of one. */
const speed = 100;
const hastyHost: Host = {
  ...quietHost,
  clock: {
    ...quietHost.clock,
    monotonic: () => quietHost.clock.monotonic() * speed,
    after: (delayMs, call) => quietHost.clock.after(delayMs / speed, call),
  },
};

/** Two recorded connections, one behind the other from some byte on, changed. */
export interface StreamCase {
  readonly connection: number;
  readonly splice: { readonly connection: number; readonly at: number } | null;
  readonly changes: readonly ByteChange[];
  /** Sizes of the pieces in which it is sent. */
  readonly pieces: readonly number[];
}

/** What is asked while what goes through the tap is changed. */
export interface TappedCase {
  readonly asked: readonly string[];
  readonly changes: readonly TapChange[];
}

export interface ByteStreamCase {
  readonly size: number;
  readonly seed: number;
  readonly pieces: readonly number[];
  readonly ending: "end" | "reset" | "silence";
}

export interface AskedCase {
  readonly operation: string;
  readonly numbers: readonly [number, number, number];
  readonly body: string;
}

export const operations: readonly string[] = [
  "stat",
  "list",
  "get",
  "part",
  "verify",
  "status",
  "userlist",
  "useradd",
  "sselist",
  "sseadd",
  "remove",
];

export class FrameTarget {
  readonly #belongings: Belongings;
  readonly #unhandled: Unhandled;
  readonly #server: RunningServer;
  readonly #router: RunningRouter;
  readonly #tap: Tap;
  readonly #recorded: readonly Buffer[];
  /** By ticket: the hash of the Data that was acknowledged. */
  readonly #saved = new Map<number, string>();
  readonly #objects = new Map<string, Uint8Array>();
  readonly #freeBuffers: unknown;
  #names = 0;

  private constructor(
    belongings: Belongings,
    unhandled: Unhandled,
    parts: {
      server: RunningServer;
      router: RunningRouter;
      tap: Tap;
      recorded: readonly Buffer[];
      freeBuffers: unknown;
    },
  ) {
    this.#belongings = belongings;
    this.#unhandled = unhandled;
    this.#server = parts.server;
    this.#router = parts.router;
    this.#tap = parts.tap;
    this.#recorded = parts.recorded;
    this.#freeBuffers = parts.freeBuffers;
  }

  static async open(belongings: Belongings, unhandled: Unhandled): Promise<FrameTarget> {
    const recorded = await recordTraffic(belongings);
    const server = await belongings.server({ depth: 2, idleTimeoutMs });
    const router = await belongings.router({ idleTimeoutMs });
    const tap = await Tap.start(router.responsePort);
    belongings.add(() => tap.close());
    const { freeBuffers } = await router.status();
    const target = new FrameTarget(belongings, unhandled, { server, router, tap, recorded, freeBuffers });
    for (let seed = 0; seed < 4; seed++) {
      const bytes = patternOf([10, ticketDataSize, 20_000, 300_000][seed]!, seed);
      target.#objects.set(objectOf(await sendStream(router.streamPort, bytes)), bytes);
    }
    return target;
  }

  get connections(): number {
    return this.#recorded.length;
  }

  // ── tcp/5000: WriteTickets ────────────────────────────────────────────────────────────────────────────────────────

  /** Recorded bytes, changed, as a connection of their own: to the server or, as responses, to the router. */
  async stream(to: "server" | "router", { connection, splice, changes, pieces }: StreamCase): Promise<void> {
    const first = this.#recorded[connection % this.#recorded.length]!;
    const second = splice === null ? undefined : this.#recorded[splice.connection % this.#recorded.length]!;
    const spliced =
      second === undefined
        ? first
        : Buffer.concat([
            first.subarray(0, splice!.at % (first.length + 1)),
            second.subarray(splice!.at % (second.length + 1)),
          ]);
    const bytes = changed(spliced, changes);
    const socket = await TestSocket.connect(to === "server" ? this.#server.port : this.#router.responsePort);
    try {
      const sending = socket.writePieces(bytes, pieces).catch(() => undefined);
      await within(connectionMsMax, "sending", Promise.race([sending, socket.closed()]));
      socket.end();
      const said = await within(connectionMsMax, "a connection", socket.rest());
      if (to === "server" && bytes.toString("latin1", 0, 5) !== "hello") this.#checkResponses(bytes, said);
    } finally {
      socket.destroy();
    }
    await this.#unhandled.check();
  }

  /** Each whole frame has one response, by what the frame is. */
  #checkResponses(bytes: Buffer, said: Buffer): void {
    const count = Math.floor(bytes.length / writeTicketSize);
    const expected = new Map<string, number>();
    const datas = new Map<number, Set<string>>();
    for (let index = 0; index < count; index++) {
      const frame = bytes.subarray(index * writeTicketSize, (index + 1) * writeTicketSize);
      const ticket = readId<TicketId>(frame, 0);
      const isGood = ticket !== undefined && clientKernel().checkFrame(clientKernel().adopt(frame));
      const status = isGood ? "good" : ticket === undefined ? TicketStatus.notAnId : TicketStatus.wrongChecksum;
      const name = `${frame.toString("hex", 0, 8)} ${status}`;
      expected.set(name, (expected.get(name) ?? 0) + 1);
      if (isGood) datas.set(ticket, (datas.get(ticket) ?? new Set()).add(hashOf(frame.subarray(16))));
    }
    if (said.length !== count * responseSize) throw new Error(`${said.length} bytes answer ${count} frames`);
    for (let at = 0; at < said.length; at += responseSize) {
      const status = said[at + 8]!;
      const isGood = status === TicketStatus.saved || status === TicketStatus.otherTicketStored;
      const name = `${said.toString("hex", at, at + 8)} ${isGood ? "good" : status}`;
      const rest = (expected.get(name) ?? 0) - 1;
      if (rest < 0) throw new Error(`the response ${name} answers nothing that was sent`);
      expected.set(name, rest);
      if (isGood) this.#noteSaved(readId<TicketId>(said, at)!, status, datas);
    }
  }

  #noteSaved(ticket: TicketId, status: number, datas: ReadonlyMap<number, ReadonlySet<string>>): void {
    const sent = datas.get(ticket)!;
    const known = this.#saved.get(ticket);
    if (status === TicketStatus.saved) {
      if (known !== undefined && !sent.has(known)) throw new Error(`ticket ${ticket} was saved with other bytes`);
      // Which of several it was is seen when it is read.
      if (known === undefined && sent.size === 1) this.#saved.set(ticket, [...sent][0]!);
    } else if (known !== undefined && sent.size === 1 && sent.has(known)) {
      throw new Error(`ticket ${ticket} is refused, and is stored as it was sent`);
    }
  }

  // ── tcp/5001: byte streams ────────────────────────────────────────────────────────────────────────────────────────

  async byteStream({ size, seed, pieces, ending }: ByteStreamCase): Promise<void> {
    const bytes = patternOf(size, seed);
    const socket = await TestSocket.connect(this.#router.streamPort);
    try {
      await within(connectionMsMax, "sending", socket.writePieces(bytes, pieces));
      if (ending === "reset") {
        socket.socket.resetAndDestroy();
        return;
      }
      if (ending === "end") socket.end();
      const line = (await within(connectionMsMax, "a connection", socket.rest())).toString("latin1");
      if (ending === "end") this.#objects.set(objectOf(line), bytes);
      else if (!/^ERROR [ -~]+\n$/.test(line)) throw new Error(`silence is answered by ${JSON.stringify(line)}`);
    } finally {
      socket.destroy();
    }
    await this.#unhandled.check();
  }

  // ── tcp/5002: requests ────────────────────────────────────────────────────────────────────────────────────────────

  /** A client asks through the tap: right answers, or errors of ours, in time. */
  async tapped({ asked, changes }: TappedCase): Promise<void> {
    this.#tap.change(changes);
    let client: RequestClient | undefined;
    for (const operation of asked) {
      await fine(async () => {
        client = client === undefined || client.failed ? await this.#connect(this.#tap.port) : client;
        await this.#ask(client, operation);
      });
    }
    client?.close();
    this.#tap.change([]);
    this.#tap.cut();
    await this.#unhandled.check();
  }

  /** A client that has the key asks for anything. */
  async asked(requests: readonly AskedCase[]): Promise<void> {
    let client: RequestClient | undefined;
    for (const { operation, numbers, body } of requests) {
      const [a, b, c] = numbers;
      await fine(async () => {
        client = client === undefined || client.failed ? await this.#connect(this.#router.responsePort) : client;
        for await (const part of client.ask(operation, { a, b, c }, new Uint8Array(Buffer.from(body, "latin1")))) {
          if (part.kind === "tickets") part.buffer.release();
          else if (operation === "remove" && (part.value as { removed: boolean }).removed) this.#forget(a);
        }
      });
    }
    client?.close();
    await this.#unhandled.check();
  }

  #forget(ordinal: number): void {
    for (const id of this.#objects.keys()) if (parseId<ObjectId>(id) === ordinal) this.#objects.delete(id);
  }

  #connect(port: number): Promise<RequestClient> {
    return RequestClient.connect({
      host: quietHost,
      kernel: clientKernel(),
      fingerprint: fingerprintOf(testKey),
      address: { host: "127.0.0.1", port },
      answerTimeoutMs: patienceMs,
    });
  }

  async #ask(client: RequestClient, operation: string): Promise<void> {
    const known = [...this.#objects];
    const [id, bytes] = known[this.#names++ % known.length]!;
    const a = parseId<ObjectId>(id)!;
    const wrong = (): never => {
      throw new Error(`${operation} is answered wrongly`);
    };
    switch (operation) {
      case "stat": {
        const { object, size } = (await client.askJson("stat", { a })) as { object: string; size: number };
        return object === id && size === bytes.length ? undefined : wrong();
      }
      case "list": {
        const { objects } = (await client.askJson("list", { b: 1_000 })) as { objects: { object: string }[] };
        return objects.some(({ object }) => object === id) ? undefined : wrong();
      }
      case "get":
        return sameBytes(await getObject(client, id), bytes) ? undefined : wrong();
      case "part": {
        const [from, length] = [Math.floor(bytes.length / 3), Math.floor(bytes.length / 2)];
        const part = await getObject(client, id, from, length);
        return sameBytes(part, bytes.subarray(from, from + length)) ? undefined : wrong();
      }
      case "verify": {
        const progress = (await client.askJson("verify", { a, b: 1 })) as { damages: unknown[] };
        return progress.damages.length === 0 ? undefined : wrong();
      }
      case "remove": {
        const { removed } = (await client.askJson("remove", { a: 2_000_000_000 })) as { removed: boolean };
        return removed ? wrong() : undefined;
      }
      case "useradd":
      case "sseadd": {
        const body = new Uint8Array(Buffer.from(JSON.stringify({ name: `name-${this.#names}` })));
        await client.askJson(operation, {}, body);
        return;
      }
      default:
        await client.askJson(operation);
    }
  }

  // ── afterwards ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Everything that was acknowledged is there, nothing else is, nothing is held, and a new client is served. */
  async inconsistency(): Promise<string | undefined> {
    for (const [ticket, hash] of this.#saved) {
      const [data] = await storedTickets(this.#server.store, ticket, 1);
      if (data === undefined || hashOf(data) !== hash) return `ticket ${ticket} was acknowledged and is not there`;
    }
    const client = await this.#belongings.requests(this.#router.responsePort);
    for (const [id, bytes] of this.#objects) {
      if (!sameBytes(await getObject(client, id), bytes)) return `object ${id} was acknowledged and is other bytes`;
    }
    client.close();
    const records = await this.#router.router.datastore.listObjects(undefined, 1_000);
    const unknown = records.find(({ id, status }) => status === "saved" && !this.#has(id));
    if (unknown !== undefined) return `object ${unknown.id} is there and was not acknowledged`;
    const other = await TestSocket.connect(this.#server.port);
    await other.write(framesOf(50_000_000, patternOf(ticketDataSize, 1)));
    const [status] = await within(connectionMsMax, "a new client", other.statuses(1));
    other.destroy();
    if (status !== TicketStatus.saved) return `a new client's ticket is answered ${status}`;
    return this.#held();
  }

  #has(id: ObjectId): boolean {
    return [...this.#objects.keys()].some((known) => parseId<ObjectId>(known) === id);
  }

  async #held(): Promise<string | undefined> {
    const state = async (): Promise<string> => {
      const { connections, freeBuffers } = await this.#router.status();
      return JSON.stringify({ connections, freeBuffers, toServer: this.#server.putter.listener.connectionCount });
    };
    const wanted = JSON.stringify({ connections: 0, freeBuffers: this.#freeBuffers, toServer: 0 });
    const end = performance.now() + connectionMsMax;
    while ((await state()) !== wanted) {
      if (performance.now() > end) return `still held: ${await state()}, where it was ${wanted}`;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return undefined;
  }
}

/** Right, or a StoreError, in time. */
export async function fine(work: () => Promise<void>): Promise<StoreError | undefined> {
  try {
    await within(connectionMsMax, "a request", work());
    return undefined;
  } catch (error) {
    if (error instanceof StoreError || (error as Error).message === "does not verify") return error as StoreError;
    throw error;
  }
}

/** What a router sends to a server while it writes, reads and reclaims; and WriteTickets as clients send them. */
async function recordTraffic(belongings: Belongings): Promise<Buffer[]> {
  const server = await belongings.server({ depth: 2 });
  const tap = await Tap.start(server.port);
  belongings.add(() => tap.close());
  tap.isRecording = true;
  const putters = [{ host: "127.0.0.1", port: tap.port }];
  const running = await belongings.router({ putters, responsePort: 0 });
  await eventually(() => running.router.stores.length === 1);
  const id = objectOf(await sendStream(running.streamPort, patternOf(12 * ticketDataSize, 7)));
  await getObject(await belongings.requests(running.responsePort), id);
  const [store] = running.router.stores;
  await store!.reclaim(0 as TicketId, 100 as TicketId, [{ first: 0 as TicketId, count: 100 }], async () => undefined);
  const frames = [
    framesOf(2_000_000, patternOf(9 * ticketDataSize, 1)),
    // Not in order, one of them twice, one with other bytes under the same id.
    Buffer.concat([framesOf(3_000_050, patternOf(2_000, 2)), framesOf(3_000_000, patternOf(5_000, 3))]),
    Buffer.concat([framesOf(2_000_003, patternOf(3_000, 9)), framesOf(2_000_001, patternOf(9 * ticketDataSize, 1))]),
  ];
  return [...tap.recorded.filter(Boolean), ...frames.map((bytes) => Buffer.from(bytes))];
}

// ── a router whose way to its server is changed ─────────────────────────────────────────────────────────────────────

/** A router that keeps its tickets on a server, with a tap between them. */
export class ClusterTarget {
  readonly #tap: Tap;
  readonly #router: RunningRouter;
  readonly #unhandled: Unhandled;
  readonly #objects = new Map<ObjectId, Uint8Array>();
  #seed = 0;

  private constructor(tap: Tap, router: RunningRouter, unhandled: Unhandled) {
    this.#tap = tap;
    this.#router = router;
    this.#unhandled = unhandled;
  }

  static async open(belongings: Belongings, unhandled: Unhandled): Promise<ClusterTarget> {
    const server = await belongings.server({ depth: 2, idleTimeoutMs: 60_000 });
    const tap = await Tap.start(server.port);
    belongings.add(() => tap.close());
    const putters = [{ host: "127.0.0.1", port: tap.port }];
    const router = await belongings.router({ putters, reclaim: { intervalMs: 3_600_000_000 } }, hastyHost);
    await eventually(() => router.router.stores.length === 1);
    const target = new ClusterTarget(tap, router, unhandled);
    await target.#put(5_000);
    await target.#put(400_000);
    return target;
  }

  async check({ asked, changes }: TappedCase): Promise<void> {
    this.#tap.change(changes);
    // Connections that were there before are made again: the changes are for new ones.
    this.#tap.cut();
    await Promise.all(asked.map((what) => this.#do(what)));
    this.#tap.change([]);
    this.#tap.cut();
    await within(connectionMsMax, "coming back", this.#comeBack());
    for (const [id, bytes] of this.#objects) {
      const record = await this.#router.router.stat(id);
      if (record?.status !== "saved") throw new Error(`object ${id} was acknowledged and is ${record?.status}`);
      if (!sameBytes(await this.#router.router.get(record), bytes)) throw new Error(`object ${id} has other bytes`);
    }
    const records = await this.#router.router.list(undefined, 1_000);
    const unknown = records.find(({ id, status }) => status === "saved" && !this.#objects.has(id));
    if (unknown !== undefined) throw new Error(`object ${unknown.id} was not acknowledged and is there`);
    await this.#unhandled.check();
    while (this.#objects.size > 20) await this.#removeOne();
  }

  async #do(what: string): Promise<void> {
    const known = [...this.#objects.keys()];
    if (what === "put") await fine(() => this.#put(1 + (this.#seed % 7) * 3_000));
    else if (what === "large") await fine(() => this.#put(600_000));
    else if (what === "space") await fine(async () => void (await this.#router.router.stores[0]!.freeSpace()));
    else {
      const id = known[this.#seed++ % known.length]!;
      await fine(async () => {
        const record = await this.#router.router.stat(id);
        if (record?.status !== "saved") throw new Error(`object ${id} is not there`);
        const bytes = await this.#router.router.get(record);
        if (!sameBytes(bytes, this.#objects.get(id)!)) throw new Error(`object ${id} is read as other bytes`);
      });
    }
  }

  async #put(size: number): Promise<void> {
    const bytes = patternOf(size, this.#seed++);
    const { id } = await this.#router.router.put(bytes, { kind: "standalone" }, {});
    this.#objects.set(id, bytes);
  }

  async #removeOne(): Promise<void> {
    const [id] = this.#objects.keys();
    this.#objects.delete(id!);
    await this.#router.router.remove(id!);
  }

  async #comeBack(): Promise<void> {
    await eventually(async () => (await fine(() => this.#put(10))) === undefined);
    await eventually(async () => {
      return (await fine(async () => void (await this.#router.router.stores[0]!.freeSpace()))) === undefined;
    });
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
