/** One port, two kinds of connections, whatever pieces the bytes come in; and what happens to the idle and at the end. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Simulation, type SimulatedHost } from "../../sim/simulated-host.ts";
import { Kernel } from "../core/kernel.ts";
import { parseKey } from "../core/key.ts";
import * as limits from "../core/limits.ts";
import type { Connection } from "../env/host.ts";
import { openSortedPort, type Port, type WorkingReceiver } from "./connection-sorter.ts";
import { encodeRequest, noSession, protocolVersion } from "./message.ts";

const kernel = new Kernel(parseKey("000102030405060708090a0b0c0d0e0f", "test"), { tiny: 0, block: 1, group: 0 });
const hello = encodeRequest(
  kernel,
  noSession,
  { operation: "hello", a: protocolVersion, number: 1 },
  new Uint8Array(Buffer.from("12345678")),
);

/** Takes bare bytes, at most `appetite` at a time, and then wants to be resumed. */
class Eater implements WorkingReceiver {
  received: Buffer = Buffer.alloc(0);
  ended = false;
  gone = false;
  working = false;
  readonly connection: Connection;
  readonly #appetite: number;
  readonly #simulation: Simulation;

  constructor(simulation: Simulation, connection: Connection, appetite: number) {
    this.#simulation = simulation;
    this.connection = connection;
    this.#appetite = appetite;
  }

  bytes(chunk: Uint8Array): number {
    const part = chunk.subarray(0, this.#appetite);
    this.received = Buffer.concat([this.received, part]);
    if (part.length < chunk.length) this.#simulation.clock.after(1, () => this.connection.resume());
    return part.length;
  }

  end(): void {
    this.ended = true;
    void this.connection.end();
  }

  closed(): void {
    this.gone = true;
  }
}

interface World {
  readonly simulation: Simulation;
  readonly client: SimulatedHost;
  readonly eaters: Eater[];
  readonly port: Port;
}

async function openWorld(seed: number, appetite: number): Promise<World> {
  const simulation = new Simulation(seed);
  const host = simulation.machine("server").start();
  const eaters: Eater[] = [];
  const port = await openSortedPort({
    host,
    kernel,
    bind: "server",
    port: 1,
    requests: { host, kernel, fingerprint: "f", greeting: () => ({ kind: "requests" }), handle: async () => undefined },
    frames: (connection) => {
      const eater = new Eater(simulation, connection, appetite);
      eaters.push(eater);
      return eater;
    },
  });
  return { simulation, client: simulation.machine("client").start(), eaters, port };
}

/** Sends pieces with pauses, then the end; everything that came back. */
async function send(world: World, pieces: readonly Uint8Array[]): Promise<string> {
  const { simulation, client } = world;
  const receiveBuffer = new Uint8Array(65_536);
  const options = { host: "server", port: 1, receiveBuffer, timeoutMs: 1000 };
  const connection = await simulation.clock.run(client.network.connect(options));
  let received = "";
  connection.start({
    bytes: (chunk) => {
      received += Buffer.from(chunk).toString("latin1");
      return chunk.length;
    },
    end: () => undefined,
    closed: () => undefined,
  });
  for (const piece of pieces) {
    await simulation.clock.run(connection.write(piece));
    await simulation.clock.runFor(10);
  }
  await simulation.clock.run(connection.end());
  await simulation.clock.runFor(20_000);
  return received;
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

describe("a connection", () => {
  it("that says hello, in pieces of any size, is greeted", async () => {
    for (const size of [1, 2, 3, 7, 8, 9, 55, 64]) {
      const world = await openWorld(size, 1000);
      expect(await send(world, cut(hello, [size]))).toContain('"kind":"requests"');
      expect(world.eaters).toEqual([]);
    }
  });

  it("that does not gets its bytes to the frames' receiver, each once and in order", async () => {
    const beginning = fc.constantFrom(
      "",
      "h",
      "hel",
      "hello",
      "hello\0",
      "hello\0\0",
      "hello\0\0x",
      "0000",
      "AABBCCDD",
    );
    const sizes = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        beginning,
        fc.uint8Array({ maxLength: 80 }),
        sizes,
        fc.integer({ min: 1, max: 20 }),
        async (first, rest, pieces, appetite) => {
          const bytes = new Uint8Array(Buffer.concat([Buffer.from(first, "latin1"), rest]));
          fc.pre(!Buffer.from(bytes).toString("latin1").startsWith("hello\0\0\0"));
          const world = await openWorld(bytes.length, appetite);
          await send(world, cut(bytes, pieces));
          expect(world.eaters).toHaveLength(1);
          expect(world.eaters[0]).toMatchObject({ received: Buffer.from(bytes), ended: true, gone: true });
        },
      ),
      { numRuns: 60 },
    );
  });

  it("is one kind for good: frames are not greeted in the middle, and requests do not become frames", async () => {
    const world = await openWorld(3, 1000);
    expect(await send(world, [new Uint8Array(Buffer.from("0".repeat(8))), hello])).toBe("");
    expect(world.eaters[0]!.received.subarray(8)).toEqual(Buffer.from(hello));
    const other = await openWorld(4, 1000);
    const answer = await send(other, [hello, new Uint8Array(Buffer.from("AABBCCDD".repeat(20)))]);
    expect(answer).toContain('"kind":"requests"');
    expect(answer).toContain("not authenticated");
    expect(other.eaters).toEqual([]);
  });
});

describe("the port", () => {
  it("cuts who is idle, and leaves who waits for work that is under way", async () => {
    const world = await openWorld(1, 1000);
    const { simulation, client, eaters } = world;
    const connect = async (): Promise<void> => {
      const options = { host: "server", port: 1, receiveBuffer: new Uint8Array(100), timeoutMs: 1000 };
      const connection = await simulation.clock.run(client.network.connect(options));
      connection.start({ bytes: (chunk) => chunk.length, end: () => undefined, closed: () => undefined });
      await simulation.clock.run(connection.write(new Uint8Array(Buffer.from("00000000"))));
      await simulation.clock.runFor(50);
    };
    await connect();
    await connect();
    eaters[1]!.working = true;
    await simulation.clock.runFor(limits.idleTimeoutMs + 1000);
    expect(eaters.map(({ gone }) => gone)).toEqual([true, false]);
    eaters[1]!.working = false;
    await simulation.clock.runFor(limits.idleTimeoutMs + 1000);
    expect(eaters.map(({ gone }) => gone)).toEqual([true, true]);
    expect(world.port.listener.connectionCount).toBe(0);
  });

  it("closes when what is under way has ended, takes nothing more meanwhile, and does not wait for ever", async () => {
    for (const ends of [true, false]) {
      const world = await openWorld(2, 1000);
      const { simulation, client, eaters } = world;
      const options = { host: "server", port: 1, receiveBuffer: new Uint8Array(100), timeoutMs: 1000 };
      const connection = await simulation.clock.run(client.network.connect(options));
      connection.start({ bytes: (chunk) => chunk.length, end: () => undefined, closed: () => undefined });
      await simulation.clock.run(connection.write(new Uint8Array(Buffer.from("00000000"))));
      await simulation.clock.runFor(50);
      eaters[0]!.working = true;
      const before = simulation.clock.monotonic();
      const closing = world.port.close();
      await simulation.clock.runFor(10);
      await simulation.clock.run(connection.write(new Uint8Array(Buffer.from("11111111"))));
      if (ends) simulation.clock.after(500, () => (eaters[0]!.working = false));
      await simulation.clock.run(closing);
      const took = simulation.clock.monotonic() - before;
      const [least, most] = ends ? [500, 600] : [limits.drainTimeoutMs, limits.drainTimeoutMs + 100];
      expect(took).toBeGreaterThanOrEqual(least);
      expect(took).toBeLessThan(most);
      await simulation.clock.runFor(100);
      expect(eaters[0]).toMatchObject({ received: Buffer.from("00000000"), gone: true });
      await expect(simulation.clock.run(client.network.connect(options))).rejects.toThrow(/ECONNREFUSED/);
    }
  });
});
