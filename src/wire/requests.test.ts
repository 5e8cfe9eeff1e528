/** The asking and the answering side on a network that delays and cuts bytes anywhere, and somebody in between. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withAccepted, wrapped } from "../../tests/support/wrapped-network.ts";
import { Simulation, type SimulatedHost } from "../../sim/simulated-host.ts";
import { StoreError } from "../core/errors.ts";
import { ticketDataSize } from "../core/frame.ts";
import type { TicketId } from "../core/ids.ts";
import { Kernel } from "../core/kernel.ts";
import { fingerprintOf, parseKey } from "../core/key.ts";
import * as limits from "../core/limits.ts";
import { type Connection, delay, type Host } from "../env/host.ts";
import { openSortedPort, type Port } from "./connection-sorter.ts";
import { encodeRequest, noSession, protocolVersion } from "./message.ts";
import { RequestClient } from "./request-client.ts";
import type { Handler } from "./request-server.ts";

const arena = { tiny: 1, block: 6, group: 0 };
const key = parseKey("000102030405060708090a0b0c0d0e0f", "test");
const wrongKey = parseKey("ff0102030405060708090a0b0c0d0e0f", "test");
const kernel = new Kernel(key, arena);
const clientKernel = new Kernel(key, arena);

let simulation: Simulation;
let server: SimulatedHost;
let client: Host;
let port: Port;
let handled: string[];
let clients: RequestClient[];

const handle: Handler = async (request, body, reply) => {
  handled.push(request.operation);
  switch (request.operation) {
    case "echo":
      return reply.json(Buffer.from(body).toString("latin1"));
    case "fail":
      await reply.json({ part: 1 });
      throw new StoreError("DAMAGED", "the rest is gone");
    case "tickets": {
      for (let done = 0; done < request.b; done += 100) {
        const buffer = await kernel.wait("block");
        const part = { first: (request.a + done) as TicketId, count: Math.min(100, request.b - done) };
        buffer.data.fill(done & 0xff, 0, part.count * ticketDataSize);
        kernel.makeSums(part.first, part.count, buffer.data, buffer.sums);
        await reply.tickets({ ...part, skip: 0, take: part.count * ticketDataSize }, buffer);
        buffer.release();
      }
      return;
    }
    case "hang":
      return new Promise(() => undefined);
    default:
      throw new StoreError("PROTOCOL", `not known: ${request.operation}`);
  }
};

beforeEach(async () => {
  simulation = new Simulation(17);
  server = simulation.machine("server").start();
  client = simulation.machine("client").start();
  handled = [];
  clients = [];
  port = await openPort(server, 7000);
});

const openPort = (host: Host, number: number): Promise<Port> =>
  openSortedPort({
    host,
    kernel,
    bind: "server",
    port: number,
    requests: { host, kernel, fingerprint: fingerprintOf(key), greeting: () => ({ role: "test" }), handle },
    frames: (connection) => ({
      working: false,
      bytes: (chunk) => chunk.length,
      end: () => connection.destroy(),
      closed: () => undefined,
    }),
  });

afterEach(async () => {
  for (const one of clients) one.close();
  const closed = port.close();
  await simulation.clock.run(closed);
});

interface ConnectChoice {
  readonly answerTimeoutMs?: number;
  readonly withKey?: typeof key;
  readonly at?: number;
}

async function connect(options: ConnectChoice = {}): Promise<RequestClient> {
  const { withKey = key, at = 7000, ...rest } = options;
  const address = { host: "server", port: at };
  const used = withKey === key ? clientKernel : new Kernel(withKey, arena);
  const connected = await simulation.clock.run(
    RequestClient.connect({ host: client, kernel: used, fingerprint: fingerprintOf(withKey), address, ...rest }),
  );
  clients.push(connected);
  return connected;
}

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value, "latin1"));

/** Bytes go at once, but that they have gone is known only later, as over TLS. */
function knownLate(host: Host, delayMs: number): Host {
  return withAccepted(host, (connection) => {
    const write = async (bytes: Uint8Array): Promise<void> => {
      await connection.write(bytes);
      await delay(host.clock, delayMs);
    };
    return wrapped(connection, { write });
  });
}

/** A bare connection, and what came back on it. */
async function bare(): Promise<{ connection: Connection; received: () => Buffer; closed: () => boolean }> {
  const receiveBuffer = new Uint8Array(65_536);
  const options = { host: "server", port: 7000, receiveBuffer, timeoutMs: 1000 };
  const connection = await simulation.clock.run(client.network.connect(options));
  let received: Buffer = Buffer.alloc(0);
  let isClosed = false;
  connection.start({
    bytes: (chunk) => {
      received = Buffer.concat([received, chunk]);
      return chunk.length;
    },
    end: () => void connection.end(),
    closed: () => (isClosed = true),
  });
  return { connection, received: () => received, closed: () => isClosed };
}

describe("requests", () => {
  it("are answered one after the other, whatever the network cuts", async () => {
    const asking = await connect();
    expect(asking.greeting).toMatchObject({ role: "test" });
    for (let turn = 0; turn < 20; turn++) {
      const body = text("x".repeat(turn * 1000));
      expect(await simulation.clock.run(asking.askJson("echo", {}, body))).toBe("x".repeat(turn * 1000));
    }
  });

  it("may come before the server knows that its greeting has gone", async () => {
    const late = await openPort(knownLate(server, 5_000), 7001);
    const asked = (await connect({ at: 7001 })).askJson("echo", {}, text("early"));
    expect(await simulation.clock.run(asked)).toBe("early");
    await simulation.clock.run(late.close());
  });

  it("for tickets fill the memory that was given", async () => {
    const asking = await connect();
    const data = new Uint8Array(350 * ticketDataSize);
    const sums = new Uint8Array(350 * 8);
    await simulation.clock.run(asking.askTickets("tickets", 1000, 350, data, sums));
    expect([0, 99, 100, 349].map((index) => data[index * ticketDataSize])).toEqual([0, 0, 100, 44]);
    expect(sums.subarray(349 * 8).some((byte) => byte !== 0)).toBe(true);
  });

  it("that fail after their first part end in the error, and the connection stays usable", async () => {
    const asking = await connect();
    const parts: unknown[] = [];
    const reading = (async () => {
      for await (const part of asking.ask("fail")) parts.push(part);
    })();
    await expect(simulation.clock.run(reading)).rejects.toMatchObject({ code: "DAMAGED", message: "the rest is gone" });
    expect(parts).toHaveLength(1);
    expect(await simulation.clock.run(asking.askJson("echo", {}, text("on")))).toBe("on");
  });

  it("are ended by a connection that is cut", async () => {
    const asking = await connect();
    const hanging = asking.askJson("hang");
    simulation.clock.after(50, () => simulation.network.cut());
    await expect(simulation.clock.run(hanging)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(asking.failed).toBe(true);
  });

  it("are given up when the other side falls silent, where the asker does not want to wait for ever", async () => {
    const asking = await connect({ answerTimeoutMs: limits.responseTimeoutMs });
    const before = simulation.clock.monotonic();
    const hanging = asking.askJson("echo", {}, text("lost"));
    simulation.network.silence("server");
    await expect(simulation.clock.run(hanging)).rejects.toThrow(/answered nothing for \d+ ms/);
    const waited = simulation.clock.monotonic() - before;
    expect(waited).toBeGreaterThan(limits.responseTimeoutMs);
    expect(waited).toBeLessThan(limits.responseTimeoutMs * 1.6);
  });
});

describe("a key", () => {
  it("that is wrong is told by both fingerprints, before anything is answered", async () => {
    const connecting = connect({ withKey: wrongKey });
    await expect(connecting).rejects.toMatchObject({ code: "WRONG_KEY" });
    const message = await connecting.catch((error: Error) => error.message);
    expect(message).toContain(fingerprintOf(key));
    expect(message).toContain(fingerprintOf(wrongKey));
    expect(handled).toEqual([]);
  });

  it("appears in no message", async () => {
    const message = await connect({ withKey: wrongKey }).catch((error: Error) => error.message);
    expect(message).not.toContain("000102030405");
    expect(message).not.toContain("ff0102030405");
  });
});

describe("what somebody in between recorded", () => {
  /** Everything that a client sent, while it said hello and asked one thing. */
  async function recorded(): Promise<Uint8Array> {
    const sent: Uint8Array[] = [];
    const { network } = client;
    const listening: Host = {
      ...client,
      network: {
        listen: (options, accept) => network.listen(options, accept),
        connect: async (options) => {
          const connection = await network.connect(options);
          const write = connection.write.bind(connection);
          connection.write = (bytes) => {
            sent.push(bytes.slice());
            return write(bytes);
          };
          return connection;
        },
      },
    };
    const address = { host: "server", port: 7000 };
    const connecting = RequestClient.connect({ host: listening, kernel: clientKernel, fingerprint: "", address });
    const asking = await simulation.clock.run(connecting);
    expect(await simulation.clock.run(asking.askJson("echo", {}, text("once")))).toBe("once");
    asking.close();
    return new Uint8Array(Buffer.concat(sent));
  }

  it("is refused when it is sent again on another connection", async () => {
    const bytes = await recorded();
    expect(handled).toEqual(["echo"]);
    const again = await bare();
    await simulation.clock.run(again.connection.write(bytes));
    await simulation.clock.runFor(1000);
    expect(handled).toEqual(["echo"]);
    expect(again.received().toString("latin1")).toContain("not authenticated");
    expect(again.closed()).toBe(true);
  });

  it("is refused when it is sent twice on the same connection", async () => {
    const asking = await connect();
    const frames: Uint8Array[] = [];
    const connection = [...simulation.network.connections].find((one) => one.localHost === "client")!;
    const write = connection.write.bind(connection);
    connection.write = (bytes) => {
      frames.push(bytes.slice());
      return write(bytes);
    };
    expect(await simulation.clock.run(asking.askJson("echo", {}, text("once")))).toBe("once");
    await simulation.clock.run(write(frames[0]!));
    await expect(simulation.clock.run(asking.askJson("echo", {}, text("after")))).rejects.toThrow(
      /request number: more/,
    );
    expect(handled).toEqual(["echo"]);
  });
});

describe("garbage", () => {
  it("after the first 8 bytes of hello is refused and the connection ended", async () => {
    const one = await bare();
    await simulation.clock.run(one.connection.write(Buffer.concat([text("hello\0\0\0"), Buffer.alloc(48, 0x5a)])));
    await simulation.clock.runFor(1000);
    expect(one.received().toString("latin1")).toContain(`fingerprint ${fingerprintOf(key)}`);
    expect(one.closed()).toBe(true);
  });

  it("after a good hello is refused and the connection ended", async () => {
    const one = await bare();
    const hello = encodeRequest(
      clientKernel,
      noSession,
      { operation: "hello", a: protocolVersion, number: 1 },
      text("12345678"),
    );
    await simulation.clock.run(one.connection.write(hello));
    await simulation.clock.runFor(100);
    await simulation.clock.run(one.connection.write(new Uint8Array(600).fill(0x77)));
    await simulation.clock.runFor(1000);
    expect(one.closed()).toBe(true);
    expect(handled).toEqual([]);
  });

  it.each([
    ["another protocol version", { operation: "hello", a: 99, number: 1 }, "12345678"],
    ["a hello without its random bytes", { operation: "hello", a: protocolVersion, number: 1 }, "123"],
  ])("%s is answered with the rule that it breaks", async (_, request, body) => {
    const one = await bare();
    await simulation.clock.run(one.connection.write(encodeRequest(clientKernel, noSession, request, text(body))));
    await simulation.clock.runFor(1000);
    expect(one.received().toString("latin1")).toContain("hello: version 1 and 8 random bytes");
    expect(one.closed()).toBe(true);
  });

  it("that never ends is not kept, and who sends nothing more is cut off in time", async () => {
    const one = await bare();
    await simulation.clock.run(one.connection.write(text("hell")));
    await simulation.clock.runFor(limits.idleTimeoutMs / 2);
    expect(one.closed()).toBe(false);
    await simulation.clock.runFor(limits.idleTimeoutMs);
    expect(one.closed()).toBe(true);
  });

  it("in an answer is a wrong key or a broken protocol to the client, never data", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const junk = simulation.random.bytes(400);
      const place = 8000 + seed;
      const fake = await server.network.listen(
        { host: "server", port: place, receiveBuffer: new Uint8Array(4096), connectionsMax: 9, waitingSizeMax: 1e6 },
        (connection) => {
          connection.start({ bytes: (chunk) => chunk.length, end: () => undefined, closed: () => undefined });
          void connection
            .write(junk)
            .then(() => connection.end())
            .catch(() => undefined);
        },
      );
      const address = { host: "server", port: place };
      const connecting = RequestClient.connect({ host: client, kernel: clientKernel, fingerprint: "", address });
      await expect(simulation.clock.run(connecting)).rejects.toBeInstanceOf(StoreError);
      await fake.close();
    }
  });
});

it("one connection gets no more requests into memory than the limit; with the rest it waits", async () => {
  const own = new Uint8Array(8).fill(7);
  const known: Host = { ...client, random: { bytes: () => own } };
  const address = { host: "server", port: 7000 };
  const connecting = RequestClient.connect({ host: known, kernel: clientKernel, fingerprint: "", address });
  const asking = await simulation.clock.run(connecting);
  clients.push(asking);
  const session = new Uint8Array(Buffer.concat([own, Buffer.from(String(asking.greeting["session"]), "hex")]));
  const connection = [...simulation.network.connections].find((one) => one.localHost === "client")!;
  const body = new Uint8Array(100_000);
  let sent = 0;
  for (let number = 2; number < 200; number++) {
    const request = { operation: "hang", number };
    void connection.write(encodeRequest(clientKernel, session, request, body)).then(
      () => sent++,
      () => undefined,
    );
  }
  await simulation.clock.runFor(5000);
  expect(handled).toEqual(["hang"]);
  expect(sent).toBeGreaterThanOrEqual(limits.requestsInFlightMax);
  // What the system holds for the connection comes on top.
  expect(sent).toBeLessThan(limits.requestsInFlightMax + 10);
});
