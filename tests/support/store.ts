/** A router, a server and a client of both, in this process, on free ports and in directories of their own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RouterConfig, type RunningRouter, startRouter } from "../../src/compose/router-process.ts";
import { type RunningServer, type ServerConfig, startServer } from "../../src/compose/server-process.ts";
import { checksumSize, ticketDataSize, writeTicketSize } from "../../src/core/frame.ts";
import { type ObjectId, parseId, type TicketId } from "../../src/core/ids.ts";
import { Kernel } from "../../src/core/kernel.ts";
import { fingerprintOf, type Key, parseKey } from "../../src/core/key.ts";
import type { SavedObject } from "../../src/datastore/datastore.ts";
import type { Host } from "../../src/env/host.ts";
import { nodeHost } from "../../src/env/node-host.ts";
import { silentLog } from "../../src/env/node-log.ts";
import type { Router } from "../../src/router/router.ts";
import { RequestClient } from "../../src/wire/request-client.ts";

export const testKey: Key = parseKey("000102030405060708090a0b0c0d0e0f", "test");
export const otherKey: Key = parseKey("0f0e0d0c0b0a09080706050403020100", "test");
export const quietHost: Host = nodeHost(silentLog);

/** What a test made, given back in the opposite order. */
export class Belongings {
  readonly #closers: (() => Promise<unknown> | void)[] = [];

  add(close: () => Promise<unknown> | void): void {
    this.#closers.push(close);
  }

  async giveBack(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }

  async directory(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), "putter-"));
    this.add(() => rm(directory, { recursive: true, force: true }));
    return directory;
  }

  async router(config: Partial<RouterConfig> = {}, host: Host = quietHost): Promise<RunningRouter> {
    const root = config.root ?? (await this.directory());
    const running = await startRouter(host, {
      root,
      bind: "127.0.0.1",
      port: 0,
      responsePort: 0,
      key: testKey,
      depth: undefined,
      putters: [],
      datastore: { kind: "embedded" },
      durability: "os",
      spaceReserveSize: 0,
      ...config,
    });
    this.add(() => running.close());
    return running;
  }

  async server(config: Partial<ServerConfig> = {}, host: Host = quietHost): Promise<RunningServer> {
    const root = config.root ?? (await this.directory());
    const running = await startServer(host, {
      root,
      bind: "127.0.0.1",
      port: 0,
      key: testKey,
      depth: undefined,
      respondTo: undefined,
      durability: "os",
      spaceReserveSize: 0,
      ...config,
    });
    this.add(() => running.close());
    return running;
  }

  async requests(port: number, key: Key = testKey): Promise<RequestClient> {
    const client = await RequestClient.connect({
      host: quietHost,
      kernel: key === testKey ? clientKernel() : new Kernel(key, clientArena),
      fingerprint: fingerprintOf(key),
      address: { host: "127.0.0.1", port },
    });
    this.add(() => client.close());
    return client;
  }
}

const clientArena = { tiny: 4, block: 16, group: 1 };
let kernel: Kernel | undefined;

/** One for all clients of a test file: its memory is not given back. */
export function clientKernel(): Kernel {
  kernel ??= new Kernel(testKey, clientArena);
  return kernel;
}

/** WriteTickets with consecutive ids; `data` is cut into tickets, the last one padded. */
export function framesOf(first: number, data: Uint8Array, from: Kernel = clientKernel()): Uint8Array {
  const count = Math.ceil(data.length / ticketDataSize);
  const frames = new Uint8Array(count * writeTicketSize);
  const [buffer, out] = [from.take("block")!, from.take("block")!];
  const step = 170;
  for (let done = 0; done < count; done += step) {
    const part = Math.min(step, count - done);
    const bytes = data.subarray(done * ticketDataSize, (done + part) * ticketDataSize);
    buffer.data.fill(0, 0, part * ticketDataSize);
    buffer.data.set(bytes);
    from.makeSums(first + done, part, buffer.data, buffer.sums);
    from.enframe(first + done, part, buffer.data, buffer.sums, out.pages);
    frames.set(out.pages.subarray(0, part * writeTicketSize), done * writeTicketSize);
  }
  buffer.release();
  out.release();
  return frames;
}

/** Bytes that differ from place to place and from seed to seed, cheaply. */
export function patternOf(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** Tickets `count` from `first` as a store has them; those that do not verify are undefined. */
export async function storedTickets(
  store: { read(first: TicketId, count: number, data: Uint8Array, sums: Uint8Array): Promise<void> },
  first: number,
  count: number,
): Promise<(Uint8Array | undefined)[]> {
  const found: (Uint8Array | undefined)[] = [];
  const buffer = clientKernel().take("block")!;
  for (let done = 0; done < count; done += buffer.ticketCountMax) {
    const part = Math.min(count - done, buffer.ticketCountMax);
    const data = buffer.data.subarray(0, part * ticketDataSize);
    const sums = buffer.sums.subarray(0, part * checksumSize);
    await store.read((first + done) as TicketId, part, data, sums);
    for (let index = 0; index < part; index++) {
      const one = data.subarray(index * ticketDataSize, (index + 1) * ticketDataSize);
      const good = clientKernel().checkSums(first + done + index, 1, one, sums.subarray(index * checksumSize)) === 1;
      found.push(good ? one.slice() : undefined);
    }
  }
  buffer.release();
  return found;
}

/** An object's bytes over the wire, verified by the client. */
export async function getObject(client: RequestClient, id: string, offset = 0, length?: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const c = length === undefined ? 0 : length + 1;
  for await (const part of client.ask("get", { a: parseId<ObjectId>(id)!, b: offset, c })) {
    if (part.kind === "json") continue;
    const { buffer, count, first, skip, take } = part;
    const isGood = clientKernel().checkSums(first, count, buffer.data, buffer.sums) === count;
    pieces.push(buffer.data.slice(skip, skip + take));
    buffer.release();
    if (!isGood) throw new Error("does not verify");
  }
  return new Uint8Array(Buffer.concat(pieces));
}

export async function savedObject(router: Router, id: string): Promise<SavedObject> {
  const record = await router.stat(parseId<ObjectId>(id)!);
  if (record?.status !== "saved") throw new Error(`object ${id} is ${record?.status ?? "not there"}`);
  return record;
}

/** The runs of a saved object, in order. */
export async function runsOf(
  router: Router,
  id: string,
): Promise<readonly { readonly first: TicketId; readonly count: number }[]> {
  const { content } = await savedObject(router, id);
  if (content.kind !== "runs") throw new Error(content.kind);
  return content.runs;
}

/** Until it holds; `vitest`'s time-out is the limit. For what comes about by itself, soon. */
export async function eventually(holds: () => boolean | Promise<boolean>, everyMs = 5): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, everyMs));
}

/** Byte by byte as expected, told shortly where not. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
