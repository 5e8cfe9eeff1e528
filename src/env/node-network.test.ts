/** Node's network by both ways of reading, and the simulated one; what is particular to each. */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import net from "node:net";
import { describe, expect, it } from "vitest";
import { Simulation } from "../../sim/simulated-host.ts";
import type { Connection, Host, Network, PeerSecret, Receiver } from "./host.ts";
import { networkContract, patternOf, TestReceiver } from "./network.contract.ts";
import { makeNodeNetwork, nodeNetwork } from "./node-network.ts";
import { peerHost } from "./peer-host.ts";

const later = (call: () => void): void => void setTimeout(call, 1);
const real = { host: "127.0.0.1", drive: <Value>(promise: Promise<Value>): Promise<Value> => promise, soon: later };
const byData = makeNodeNetwork({ movesHandles: false });
const secret: PeerSecret = { identity: "the contract", key: new Uint8Array(32).fill(7) };
const [overTls, overTlsByData] = [nodeNetwork, byData].map((network): Network => ({
  listen: (options, accept) => network.listen({ ...options, secret }, accept),
  connect: (options) => network.connect({ ...options, secret }),
})) as [Network, Network];

networkContract("Node's, reading in place", () => ({ ...real, server: nodeNetwork, client: nodeNetwork }));
networkContract("Node's, by data events", () => ({ ...real, server: byData, client: nodeNetwork }));
networkContract("Node's, over TLS", () => ({ ...real, server: overTls, client: overTls }));
networkContract("Node's, over TLS, by data events", () => ({ ...real, server: overTlsByData, client: overTlsByData }));
networkContract("simulated, with a secret", () => {
  const simulation = new Simulation(1);
  const host = (name: string): Host => peerHost(simulation.machine(name).start(), secret);
  return {
    server: host("a").network,
    client: host("b").network,
    host: "a",
    drive: (promise) => simulation.clock.run(promise),
    soon: (call) => void simulation.clock.after(5, call),
  };
});
for (const seed of [1, 2, 3]) {
  networkContract(`simulated, seed ${seed}`, () => {
    const simulation = new Simulation(seed);
    return {
      server: simulation.machine("a").start().network,
      client: simulation.machine("b").start().network,
      host: "a",
      drive: (promise) => simulation.clock.run(promise),
      soon: (call) => void simulation.clock.after(5, call),
    };
  });
}

it.each([
  [undefined, secret, "UNAVAILABLE"],
  [secret, undefined, "UNAVAILABLE"],
  [secret, { ...secret, key: new Uint8Array(32) }, "WRONG_KEY"],
])("the simulated network refuses who has not the same secret (%#)", async (one, other, code) => {
  const simulation = new Simulation(1);
  const refused: string[] = [];
  const limits = { receiveBuffer: new Uint8Array(10), connectionsMax: 1, waitingSizeMax: 10 };
  const onRefused = (from: string): void => void refused.push(from);
  const listening = { host: "a", port: 1000, ...limits, secret: one, onRefused };
  const accept = (): void => expect.unreachable();
  await simulation.clock.run(simulation.machine("a").start().network.listen(listening, accept));
  const where = { host: "a", port: 1000, receiveBuffer: new Uint8Array(10), timeoutMs: 1000, secret: other };
  const connecting = simulation.machine("b").start().network.connect(where);
  await expect(simulation.clock.run(connecting)).rejects.toMatchObject({ code });
  expect(refused).toEqual(["b"]);
});

describe("Node's network", () => {
  it("reads accepted connections in place: into the buffer that was given", async () => {
    const receiveBuffer = new Uint8Array(65_536);
    const seen: ArrayBufferLike[] = [];
    const listener = await nodeNetwork.listen(
      { host: "127.0.0.1", port: 0, receiveBuffer, connectionsMax: 1, waitingSizeMax: 1000 },
      (connection) =>
        connection.start({
          bytes: (chunk) => {
            seen.push(chunk.buffer);
            return chunk.length;
          },
          end: () => connection.destroy(),
          closed: () => undefined,
        }),
    );
    const socket = net.connect(listener.port, "127.0.0.1");
    socket.end(patternOf(1000));
    await new Promise((resolve) => socket.once("close", resolve).resume());
    await listener.close();
    // Where this fails, Node has changed what moveHandle in node-network.ts relies on: receiving costs twice as much.
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.every((buffer) => buffer === receiveBuffer.buffer)).toBe(true);
  });

  it("reads in place over TLS, too, on both sides", async () => {
    const [near, far] = [new Uint8Array(65_536), new Uint8Array(65_536)];
    const seen = new Set<ArrayBufferLike>();
    const receiverOf = (connection: Connection, onBytes: () => void): Receiver => ({
      bytes: (chunk) => {
        seen.add(chunk.buffer);
        onBytes();
        return chunk.length;
      },
      end: () => connection.destroy(),
      closed: () => undefined,
    });
    const memory = { receiveBuffer: far, connectionsMax: 1, waitingSizeMax: 1000 };
    const listener = await overTls.listen({ host: "127.0.0.1", port: 0, ...memory }, (connection) => {
      connection.start(receiverOf(connection, () => void connection.write(patternOf(10))));
    });
    const where = { host: "127.0.0.1", port: listener.port, timeoutMs: 10_000 };
    const connection = await overTls.connect({ ...where, receiveBuffer: near });
    await new Promise<void>((resolve) => {
      connection.start(receiverOf(connection, resolve));
      void connection.write(patternOf(1000));
    });
    connection.destroy();
    await listener.close();
    // Where this fails, Node has changed what readInPlace in node-network.ts relies on: TLS costs half as much again.
    expect(seen.size).toBe(2);
    expect([far, near].every(({ buffer }) => seen.has(buffer))).toBe(true);
  });

  it.runIf(process.platform === "linux")("says so when nobody answers in time", async () => {
    const listen =
      'const s = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(s.address().port))';
    const child = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "inherit"] });
    const port = await new Promise<number>((resolve) => child.stdout.once("data", (text) => resolve(Number(text))));
    // A process that stands still accepts nothing; when its queue is full the system lets connections wait.
    child.kill("SIGSTOP");
    const where = { host: "127.0.0.1", port, receiveBuffer: new Uint8Array(10), timeoutMs: 300 };
    const connecting = await Promise.allSettled(Array.from({ length: 8 }, () => nodeNetwork.connect(where)));
    child.kill("SIGKILL");
    const refused = connecting.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []));
    for (const result of connecting) if (result.status === "fulfilled") result.value.destroy();
    expect(refused.length).toBeGreaterThan(0);
    for (const error of refused) expect(error.message).toBe(`127.0.0.1:${port} did not answer within 300 ms`);
  });

  it("names every address of a name that cannot be reached", async () => {
    const options = { host: "localhost", port: 1, receiveBuffer: new Uint8Array(10), timeoutMs: 2000 };
    const refused = nodeNetwork.connect(options);
    await expect(refused).rejects.toThrow(/^localhost:1 cannot be reached: connect ECONNREFUSED .*:1/);
  });

  it.each([
    ["in place", nodeNetwork],
    ["by data events", byData],
  ])("a reset while bytes wait is told as an error, not as the end (%s)", async (_, network) => {
    let receiver!: TestReceiver;
    let accepted!: () => void;
    const isAccepted = new Promise<void>((resolve) => (accepted = resolve));
    const listener = await network.listen(
      { host: "127.0.0.1", port: 0, receiveBuffer: new Uint8Array(4096), connectionsMax: 1, waitingSizeMax: 1_000_000 },
      (connection) => {
        receiver = new TestReceiver(Number.MAX_SAFE_INTEGER, later);
        receiver.connection = connection;
        connection.start(receiver);
        accepted();
      },
    );
    const socket = net.connect(listener.port, "127.0.0.1");
    await Promise.all([isAccepted, new Promise((resolve) => socket.once("connect", resolve))]);
    // Both are with the system before the other side gets to read.
    socket.write(patternOf(50_000));
    socket.resetAndDestroy();
    expect(String(await receiver.closedCalled)).toContain("ECONNRESET");
    expect(receiver.calls).not.toContain("end");
    await listener.close();
  });

  it("what is written at once is with the system or has a promise, comes in order, and is refused when it is over", async () => {
    const receiver = new TestReceiver(Number.MAX_SAFE_INTEGER, later);
    let accepted!: () => void;
    const isAccepted = new Promise<void>((resolve) => (accepted = resolve));
    const memory = { receiveBuffer: new Uint8Array(65_536), connectionsMax: 1, waitingSizeMax: 1_000_000 };
    const listener = await nodeNetwork.listen({ host: "127.0.0.1", port: 0, ...memory }, (connection) => {
      receiver.connection = connection;
      accepted();
    });
    const where = { host: "127.0.0.1", port: listener.port, timeoutMs: 10_000 };
    const near = await nodeNetwork.connect({ ...where, receiveBuffer: new Uint8Array(10) });
    near.start(new TestReceiver(0, later));
    await isAccepted;
    const small = patternOf(1000);
    const large = patternOf(1_048_576);
    // Nobody reads yet: the system takes the first ones at once, and not without end.
    const sent: Uint8Array[] = [small];
    expect(near.writeNow!(small)).toBeUndefined();
    let writing: Promise<void> | undefined;
    while (writing === undefined) writing = near.writeNow!((sent.push(large), large));
    const last = near.writeNow!((sent.push(small), small));
    expect(last).toBeInstanceOf(Promise);
    receiver.connection!.start(receiver);
    await Promise.all([writing, last]);
    await near.end();
    while (!receiver.calls.includes("end")) await new Promise<void>((resolve) => later(resolve));
    expect(receiver.received.equals(Buffer.concat(sent))).toBe(true);
    near.destroy();
    await expect(near.writeNow!(small)).rejects.toThrow(/./);
    receiver.connection!.destroy();
    await listener.close();
  });

  it.runIf(process.platform === "linux").each([
    ["in place", nodeNetwork],
    ["by data events", byData],
    ["over TLS", overTls],
  ])("leaves no descriptor, however its connections end (%s)", async (_, network) => {
    const count = (): number => readdirSync("/proc/self/fd").length;
    const before = count();
    const accepted: TestReceiver[] = [];
    const listener = await network.listen(
      { host: "127.0.0.1", port: 0, receiveBuffer: new Uint8Array(4096), connectionsMax: 50, waitingSizeMax: 100_000 },
      (connection) => {
        const receiver = new TestReceiver(10, later, () => void connection.end());
        receiver.connection = connection;
        accepted.push(receiver);
        connection.start(receiver);
      },
    );
    const own: TestReceiver[] = [];
    for (let index = 0; index < 30; index++) {
      const where = { host: "127.0.0.1", port: listener.port, timeoutMs: 2000 };
      const client = network === overTls ? overTls : nodeNetwork;
      const near = await client.connect({ ...where, receiveBuffer: new Uint8Array(4096) });
      const receiver = new TestReceiver(1000, later);
      receiver.connection = near;
      own.push(receiver);
      near.start(receiver);
      await near.write(patternOf(100));
      if (index % 3 === 0) await near.end();
      else if (index % 3 === 1) near.destroy();
      else void near.end().then(() => near.destroy());
    }
    await Promise.all(own.map(({ closedCalled }) => closedCalled));
    await Promise.all(accepted.map(({ closedCalled }) => closedCalled));
    expect(accepted.length).toBe(30);
    for (const { calls } of [...own, ...accepted]) expect(calls.filter((call) => call === "closed").length).toBe(1);
    expect(listener.connectionCount).toBe(0);
    await listener.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(count()).toBe(before);
  });
});
