/** TLS between peers: who is refused, what both sides are told, and what is no proper end. */
import net from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseKey, peerSecretOf } from "../core/key.ts";
import type { Connection, Listener, PeerSecret } from "./host.ts";
import { patternOf, TestReceiver } from "./network.contract.ts";
import { makeNodeNetwork, nodeNetwork } from "./node-network.ts";

const secret: PeerSecret = { identity: "peers 11", key: new Uint8Array(32).fill(1) };
const sameName: PeerSecret = { identity: "peers 11", key: new Uint8Array(32).fill(2) };
const other: PeerSecret = { identity: "peers 22", key: new Uint8Array(32).fill(2) };
const later = (call: () => void): void => void setTimeout(call, 1);

let listener: Listener;
let refused: string[];
let accepted: TestReceiver[];
let onAccepted: () => void;

async function listen(with_: PeerSecret | undefined, handshakeTimeoutMs = 10_000, connectionsMax = 10): Promise<void> {
  const network = makeNodeNetwork({ movesHandles: true, handshakeTimeoutMs });
  const limits = { connectionsMax, waitingSizeMax: 1_000_000, receiveBuffer: new Uint8Array(65_536) };
  const onRefused = (from: string, why: string): void => void refused.push(`${from}: ${why}`);
  listener = await network.listen({ host: "127.0.0.1", port: 0, ...limits, secret: with_, onRefused }, (connection) => {
    const receiver = new TestReceiver(Number.MAX_SAFE_INTEGER, later);
    receiver.connection = connection;
    accepted.push(receiver);
    connection.start(receiver);
    onAccepted();
  });
}

function connect(with_: PeerSecret | undefined, port = listener.port, timeoutMs = 3000): Promise<Connection> {
  const where = { host: "127.0.0.1", port, timeoutMs, receiveBuffer: new Uint8Array(65_536) };
  return nodeNetwork.connect({ ...where, secret: with_ });
}

async function start(connection: Connection): Promise<TestReceiver> {
  const receiver = new TestReceiver(Number.MAX_SAFE_INTEGER, later);
  receiver.connection = connection;
  connection.start(receiver);
  return receiver;
}

/** What a plain client is told until the other side closes. */
function tell(bytes: Uint8Array | string | undefined): Promise<string> {
  return new Promise((resolve) => {
    let told = "";
    const socket = net.connect(listener.port, "127.0.0.1", () => {
      if (bytes !== undefined) socket.write(bytes);
    });
    socket.on("data", (chunk: Buffer) => (told += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(told));
  });
}

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2000 && !holds(); turn++) await new Promise<void>(later);
  expect(holds()).toBe(true);
}

beforeEach(() => {
  refused = [];
  accepted = [];
  onAccepted = () => undefined;
});
afterEach(async () => {
  for (const { connection } of accepted) connection!.destroy();
  await listener.close();
});

describe("TLS between peers", () => {
  it("goes by the identity and the key that docs/formats/wire.md has", async () => {
    await listen(undefined);
    const derived = peerSecretOf(parseKey("000102030405060708090a0b0c0d0e0f", "test"));
    expect(derived.identity).toBe("data-putter 42f3274c472f84f1");
    const psk = "4a807764804018a6f00649f5fa813aca8031108f4aafb48461ee88e985d2862c";
    expect(Buffer.from(derived.key).toString("hex")).toBe(psk);
  });

  it("another key is WRONG_KEY, and both sides learn whose it is", async () => {
    await listen(secret);
    const failure = { code: "WRONG_KEY", message: expect.stringContaining('here peers 22, there "peers 11"') };
    await expect(connect(other)).rejects.toMatchObject(failure);
    await until(() => refused.length === 1);
    expect(refused).toEqual(['127.0.0.1: it has another key: "peers 22", here peers 11']);
    expect(listener.connectionCount).toBe(0);
    expect(accepted).toEqual([]);
  });

  it("another key under the same name is WRONG_KEY all the same", async () => {
    await listen(secret);
    await expect(connect(sameName)).rejects.toMatchObject({ code: "WRONG_KEY" });
    await until(() => refused.length === 1);
    expect(refused[0]).toMatch(/^127\.0\.0\.1: it has another key/);
  });

  it.each([
    ["a frame", patternOf(1474 * 300)],
    ["hello", "hello\0\0\0 and so on"],
    ["HTTP", "GET / HTTP/1.1\r\n\r\n"],
    ["one byte", "x"],
  ])("%s without TLS is told that the port takes TLS only", async (_, bytes) => {
    await listen(secret);
    expect(await tell(bytes)).toBe("ERROR this port takes TLS only: --peer-tls\n");
    await until(() => refused.length === 1);
    expect(refused).toEqual(["127.0.0.1: it does not speak TLS: is --peer-tls set there?"]);
    expect(listener.connectionCount).toBe(0);
  });

  it("garbage that begins as TLS does ends that connection only", async () => {
    await listen(secret);
    for (const rest of [[], [3, 1, 0, 5, 1, 2, 3, 4, 5], [3, 1, 255, 255, ...patternOf(3000)]]) {
      const before = refused.length;
      const socket = net.connect(listener.port, "127.0.0.1", () => socket.end(Uint8Array.of(22, ...rest)));
      socket.on("error", () => undefined).resume();
      await until(() => refused.length === before + 1);
      expect(refused.at(-1)).toMatch(/^127\.0\.0\.1: the TLS handshake failed: /);
    }
    (await connect(secret)).destroy();
    await until(() => accepted[0]?.calls.includes("end") === true);
    expect(listener.connectionCount).toBe(1);
  });

  it("a handshake that takes too long is cut, and counts as a connection until then", async () => {
    await listen(secret, 150, 1);
    const slow = tell(Uint8Array.of(22, 3, 1, 1, 0));
    await until(() => listener.connectionCount === 1);
    await expect(connect(secret)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await slow).toBe("");
    expect(refused).toEqual(["127.0.0.1: no TLS handshake within 150 ms"]);
    await until(() => listener.connectionCount === 0);
    // Who says nothing at all may be waiting to be spoken to.
    expect(await tell(undefined)).toMatch(/^ERROR this port takes TLS only/);
  });

  it("a port that closes does not wait for handshakes", async () => {
    await listen(secret);
    const slow = tell(Uint8Array.of(22, 3, 1));
    await until(() => listener.connectionCount === 1);
    await listener.close();
    expect(await slow).toBe("");
    await until(() => listener.connectionCount === 0);
  });

  it.each([
    ["ends", (socket: net.Socket) => void socket.end()],
    ["is reset", (socket: net.Socket) => void socket.resetAndDestroy()],
    ["answers otherwise", (socket: net.Socket) => void socket.end("ERROR what is this\n")],
  ])("a peer that %s instead of speaking TLS is named", async (_, answer) => {
    await listen(secret);
    const plain = net.createServer(
      (socket) => void socket.on("error", () => undefined).once("data", () => answer(socket)),
    );
    const port = await new Promise<number>((resolve) =>
      plain.listen(0, "127.0.0.1", () => resolve((plain.address() as net.AddressInfo).port)),
    );
    const message = `127.0.0.1:${port} does not speak TLS: is --peer-tls set there?`;
    await expect(connect(secret, port)).rejects.toMatchObject({ code: "UNAVAILABLE", message });
    plain.close();
  });

  it("a peer that says nothing is given up in the time that was given", async () => {
    await listen(undefined);
    const message = `127.0.0.1:${listener.port} does not speak TLS: is --peer-tls set there?`;
    await expect(connect(secret, listener.port, 200)).rejects.toMatchObject({ code: "UNAVAILABLE", message });
  });

  it.each([
    ["after what was sent", 0],
    ["within a record", 10],
    ["by as many bytes as the goodbye has", 23],
  ])("a connection that is cut %s has given what came whole, and ends as TCP's do", async (_, more) => {
    await listen(secret);
    const proxy = await openProxy(listener.port);
    const near = await connect(secret, proxy.port);
    await start(near);
    await near.write(patternOf(1000));
    await until(() => accepted[0]?.received.length === 1000);
    proxy.cutAfter(more);
    if (more > 0) void near.write(patternOf(5000)).catch(() => undefined);
    else proxy.cut();
    await until(() => accepted[0]!.calls.includes("end"));
    expect(accepted[0]!.calls).toEqual(["bytes", "end"]);
    near.destroy();
    accepted[0]!.connection!.destroy();
    await accepted[0]!.closedCalled;
    proxy.close();
  });

  it("a connection that is reset is an error", async () => {
    await listen(secret);
    const proxy = await openProxy(listener.port);
    const near = await connect(secret, proxy.port);
    await start(near);
    await near.write(patternOf(1000));
    await until(() => accepted[0]?.received.length === 1000);
    proxy.reset();
    expect(String(await accepted[0]!.closedCalled)).toContain("ECONNRESET");
    expect(accepted[0]!.calls).toEqual(["bytes", "closed"]);
    near.destroy();
    proxy.close();
  });

  it("a byte changed under way is an error, never another byte", async () => {
    await listen(secret);
    const proxy = await openProxy(listener.port);
    const near = await connect(secret, proxy.port);
    await start(near);
    proxy.change();
    void near.write(patternOf(5000)).catch(() => undefined);
    await until(() => accepted.length === 1);
    expect(await accepted[0]!.closedCalled).toBeInstanceOf(Error);
    expect(accepted[0]!.calls).toEqual(["closed"]);
    near.destroy();
    proxy.close();
  });

  it("the end that both sides say arrives as the end", async () => {
    await listen(secret);
    const near = await connect(secret);
    const receiver = await start(near);
    await near.write(patternOf(100));
    await near.end();
    await until(() => accepted[0]?.calls.includes("end") === true);
    await accepted[0]!.connection!.end();
    expect(await receiver.closedCalled).toBeUndefined();
    expect(await accepted[0]!.closedCalled).toBeUndefined();
    expect(receiver.calls).toEqual(["end", "closed"]);
    expect(accepted[0]!.calls).toEqual(["bytes", "end", "closed"]);
  });
});

interface Proxy {
  readonly port: number;
  /** Ends the way to the server after so many further bytes, as the system does for a process that dies. */
  cutAfter(count: number): void;
  cut(): void;
  reset(): void;
  /** Changes a byte of the next piece to the server. */
  change(): void;
  close(): void;
}

async function openProxy(to: number): Promise<Proxy> {
  let left = Number.POSITIVE_INFINITY;
  let changes = false;
  let out: net.Socket | undefined;
  const server = net.createServer((socket) => {
    const onward = net.connect(to, "127.0.0.1");
    out = onward;
    socket.on("data", (chunk: Buffer) => {
      if (changes) chunk[100]! ^= 1;
      const piece = chunk.subarray(0, left);
      left -= piece.length;
      onward.write(piece);
      if (left === 0) onward.end();
    });
    onward.on("data", (chunk: Buffer) => socket.write(chunk));
    onward.on("close", () => socket.destroy());
    socket.on("close", () => onward.destroy());
    for (const each of [socket, onward]) each.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    cutAfter: (count) => (left = count),
    cut: () => void out!.end(),
    reset: () => void out!.resetAndDestroy(),
    change: () => (changes = true),
    close: () => void server.close(),
  };
}
