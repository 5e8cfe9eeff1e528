/** `--peer-tls`: TLS with the store's key between router, servers and commands; whoever has it not is told so. */
import { readFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { RunningRouter } from "../src/compose/router-process.ts";
import { Kernel } from "../src/core/kernel.ts";
import type { TicketId } from "../src/core/ids.ts";
import { fingerprintOf, type Key, peerSecretOf } from "../src/core/key.ts";
import type { BatchOutcome } from "../src/core/ticket-store.ts";
import type { Host, Log } from "../src/env/host.ts";
import { makeNodeNetwork } from "../src/env/node-network.ts";
import { peerHost } from "../src/env/peer-host.ts";
import { RequestClient } from "../src/wire/request-client.ts";
import { TicketClient } from "../src/wire/ticket-client.ts";
import { freePort, Workplace } from "./support/program.ts";
import { objectOf, sendStream } from "./support/sockets.ts";
import {
  Belongings,
  clientKernel,
  eventually,
  getObject,
  otherKey,
  patternOf,
  quietHost,
  sameBytes,
  testKey,
} from "./support/store.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

const peerTls = { peerTls: true } as const;
const at = (port: number): { host: string; port: number } => ({ host: "127.0.0.1", port });

/** A host whose warnings are kept. */
function telling(lines: string[], handshakeTimeoutMs?: number): Host {
  const log: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`),
    error: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`),
  };
  const limits = handshakeTimeoutMs === undefined ? {} : { handshakeTimeoutMs };
  return { ...quietHost, log, network: makeNodeNetwork({ movesHandles: true, ...limits }) };
}

async function ask(port: number, key: Key | undefined, storeKey = testKey): Promise<RequestClient> {
  const kernel = storeKey === testKey ? clientKernel() : new Kernel(storeKey, { tiny: 4, block: 16, group: 1 });
  const host = peerHost(quietHost, key === undefined ? undefined : peerSecretOf(key));
  const client = await RequestClient.connect({ host, kernel, fingerprint: fingerprintOf(storeKey), address: at(port) });
  belongings.add(() => client.close());
  return client;
}

async function routerOver(ports: readonly number[], config: Parameters<Belongings["router"]>[0] = peerTls) {
  const running = await belongings.router({ putters: ports.map(at), ...config });
  await eventually(() => running.router.stores.length === ports.length);
  return running;
}

async function putAndGet(running: RunningRouter, size: number, seed: number, key: Key | undefined): Promise<void> {
  const bytes = patternOf(size, seed);
  const id = objectOf(await sendStream(running.streamPort, bytes));
  const client = await ask(running.responsePort, key);
  expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
}

interface Recorder {
  readonly port: number;
  /** All that passed, in both directions. */
  readonly seen: () => Buffer;
}

async function record(to: number): Promise<Recorder> {
  const pieces: Buffer[] = [];
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ port: to, host: "127.0.0.1", allowHalfOpen: true });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on("data", (piece: Buffer) => {
        pieces.push(piece);
        other.write(piece);
      });
      one.on("end", () => other.end());
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  belongings.add(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return { port: (server.address() as net.AddressInfo).port, seen: () => Buffer.concat(pieces) };
}

interface Cutting {
  readonly port: number;
  readonly passed: () => number;
}

/** A way to a port that ends, in order and with all that came until then, after so many bytes of one direction. */
async function cutting(to: number, direction: "asked" | "answered", after: number): Promise<Cutting> {
  let passed = 0;
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ port: to, host: "127.0.0.1", allowHalfOpen: true });
    const [from, on, back] = direction === "asked" ? [near, far, far] : [far, near, near];
    from.on("data", (piece: Buffer) => {
      if (passed >= after) return;
      on.write(piece.subarray(0, after - passed));
      passed += piece.length;
      if (passed >= after) on.end();
    });
    back.pipe(from);
    for (const socket of [near, far]) {
      socket.on("error", () => undefined).on("close", () => void (near.destroy(), far.destroy()));
      belongings.add(() => void socket.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  belongings.add(() => void server.close());
  return { port: (server.address() as net.AddressInfo).port, passed: () => passed };
}

describe("a router and two servers over TLS", () => {
  it("keep objects, hand them out, and say in their banners that it is TLS", async () => {
    const servers = await Promise.all([1, 2].map(() => belongings.server({ depth: 2, ...peerTls })));
    const running = await routerOver(servers.map(({ port }) => port));
    for (const [seed, size] of [0, 1, 1458, 100_000, 9_000_000].entries()) {
      await putAndGet(running, size, seed, testKey);
    }
    for (const { banner } of [running, ...servers])
      expect(banner).toContainEqual(["peers", "TLS with the store's key"]);
    for (const { putter } of servers) expect(putter.counts.wrongChecksum).toBe(0);
  });

  it("find each other again when a server is started anew", async () => {
    const root = await belongings.directory();
    const first = await belongings.server({ root, depth: 2, port: await freePort(), ...peerTls });
    const running = await routerOver([first.port]);
    await putAndGet(running, 50_000, 1, testKey);
    await first.close();
    await eventually(() => running.router.stores.every(({ available }) => !available));
    await belongings.server({ root, depth: 2, port: first.port, ...peerTls });
    await eventually(() => running.router.stores.every(({ available }) => available));
    await putAndGet(running, 50_000, 2, testKey);
    expect(running.router.stores.map(({ available }) => available)).toEqual([true]);
  });

  it("a server that answers on a connection of its own does so over TLS", async () => {
    const lines: string[] = [];
    const router = await belongings.router({ ...peerTls });
    // The address is known before the server is, and the router that awaits its answers has its port.
    const responsePort = router.responsePort;
    await router.close();
    const recorder = await record(responsePort);
    const server = await belongings.server({ depth: 2, respondTo: at(recorder.port), ...peerTls }, telling(lines));
    const running = await routerOver([server.port], { responsePort, ...peerTls });
    await putAndGet(running, 300_000, 3, testKey);
    const { responses } = await running.status();
    expect(responses).toMatchObject({ accepted: 206, dropped: 0 });
    expect(recorder.seen().length).toBeGreaterThan(206 * 9);
    expect(tracesIn(recorder.seen(), patternOf(300_000, 3))).toEqual({ data: 0, ids: 0 });
  });
});

/** How many 16-byte pieces of the data are there, and how many TicketIDs that follow each other at a frame's distance. */
function tracesIn(seen: Buffer, bytes: Uint8Array): { data: number; ids: number } {
  const hay = seen.toString("latin1");
  let data = 0;
  for (let from = 0; from + 16 <= bytes.length; from += 1458) {
    if (hay.includes(Buffer.from(bytes.subarray(from, from + 16)).toString("latin1"))) data++;
  }
  const frame = /^[0-9A-Z]{1,8}\0*$/;
  const isId = (offset: number): boolean => frame.test(hay.slice(offset, offset + 8));
  let ids = 0;
  for (const size of [9, 1474]) {
    for (let offset = 0; offset + 3 * size + 8 <= hay.length; offset++) {
      if (hay[offset + 7] === "\0" && [0, 1, 2, 3].every((turn) => isId(offset + turn * size))) ids++;
    }
  }
  return { data, ids };
}

describe("who listens in between", () => {
  it.each([
    ["with TLS", true],
    ["without it", false],
  ])("%s", async (_, tls) => {
    const config = { peerTls: tls };
    const server = await belongings.server({ depth: 2, ...config });
    const recorder = await record(server.port);
    const running = await routerOver([recorder.port], config);
    const bytes = patternOf(400_000, 7);
    const id = objectOf(await sendStream(running.streamPort, bytes));
    const client = await ask(running.responsePort, tls ? testKey : undefined);
    expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
    const traces = tracesIn(recorder.seen(), bytes);
    // Written and read: all of it passed twice.
    expect(recorder.seen().length).toBeGreaterThan(2 * bytes.length);
    expect(recorder.seen().includes("hello\0\0\0")).toBe(!tls);
    if (tls) expect(traces).toEqual({ data: 0, ids: 0 });
    else {
      expect(traces.data).toBe(Math.ceil(bytes.length / 1458));
      expect(traces.ids).toBeGreaterThan(100);
    }
  });
});

/** Places in so many bytes: near both ends, at what the goodbye of TLS is long, and here and there. */
function placesIn(size: number): number[] {
  const between = Array.from({ length: 12 }, (_, index) => Math.floor((size * (index + 1)) / 13));
  return [1, ...between, size - 24, size - 23, size - 1];
}

describe("a connection that somebody ends on the way, as if its peer had", () => {
  it("makes no object shorter: an answer that is not whole is an error", async () => {
    const server = await belongings.server({ depth: 2, ...peerTls });
    const running = await routerOver([server.port]);
    const bytes = patternOf(40_000, 1);
    const id = objectOf(await sendStream(running.streamPort, bytes));
    const whole = await cutting(running.responsePort, "answered", Number.POSITIVE_INFINITY);
    expect(sameBytes(await getObject(await ask(whole.port, testKey), id), bytes)).toBe(true);
    let cuts = 0;
    for (const place of placesIn(whole.passed())) {
      const cut = await cutting(running.responsePort, "answered", place);
      const got = ask(cut.port, testKey).then((client) => getObject(client, id));
      const outcome = await got.catch((error: unknown) => error);
      if (cut.passed() <= place) continue;
      expect(outcome).toMatchObject({ code: expect.stringMatching(/^(UNAVAILABLE|WRONG_KEY)$/) });
      cuts++;
    }
    expect(cuts).toBeGreaterThan(11);
  });

  it.each(["asked", "answered"] as const)("has no ticket taken for saved that was not (%s)", async (direction) => {
    const server = await belongings.server({ depth: 2, ...peerTls });
    const host = peerHost(quietHost, peerSecretOf(testKey));
    const kernel = clientKernel();
    const count = 11;
    let first = 0;
    const write = async (port: number): Promise<BatchOutcome> => {
      const client = await TicketClient.connect({ host, kernel, address: at(port), onClosed: () => undefined });
      const buffer = kernel.take("block")!;
      const data = buffer.data.subarray(0, count * 1458);
      data.set(patternOf(data.length, first));
      kernel.makeSums(first, count, data, buffer.sums);
      const { saved } = client.write({
        first: first as TicketId,
        count,
        data,
        sums: buffer.sums.subarray(0, count * 8),
      });
      const outcome = await saved;
      client.close("done");
      buffer.release();
      first += count;
      return outcome;
    };
    const whole = await cutting(server.port, direction, Number.POSITIVE_INFINITY);
    expect(await write(whole.port)).toMatchObject({ status: 0 });
    let cuts = 0;
    for (const place of placesIn(whole.passed())) {
      const cut = await cutting(server.port, direction, place);
      const outcome = await write(cut.port).catch((error: unknown) => error);
      // How many records there are is not the same each time.
      if (cut.passed() <= place) continue;
      expect(outcome).not.toMatchObject({ status: 0 });
      cuts++;
    }
    expect(cuts).toBeGreaterThan(11);
  });
});

describe("who has not the same", () => {
  it("a router with another key is told that keys differ, and so is who looks after the server", async () => {
    const lines: string[] = [];
    const server = await belongings.server({ depth: 2, ...peerTls }, telling(lines));
    const routerLines: string[] = [];
    const router = await belongings.router(
      { putters: [at(server.port)], key: otherKey, ...peerTls },
      telling(routerLines),
    );
    await eventually(() => routerLines.length > 0 && lines.length > 0);
    const [own, other] = [testKey, otherKey].map((key) => `data-putter ${fingerprintOf(key)}`);
    const [said] = routerLines.map((line) => line.replaceAll("\\", ""));
    expect(said).toContain(`has another key: here ${other}, there "${own}"`);
    expect(lines[0]).toContain(`here ${own}`);
    expect(router.router.stores).toEqual([]);
    await expect(ask(server.port, otherKey, otherKey)).rejects.toMatchObject({ code: "WRONG_KEY" });
  });

  it("a plain client of a port with TLS hears that it is needed", async () => {
    const lines: string[] = [];
    const server = await belongings.server({ depth: 2, ...peerTls }, telling(lines));
    const router = await belongings.router({ ...peerTls });
    for (const port of [server.port, router.responsePort]) {
      const message = `127.0.0.1:${port} takes TLS only: give --peer-tls, too`;
      await expect(ask(port, undefined)).rejects.toMatchObject({ code: "UNAVAILABLE", message });
    }
    expect(lines[0]).toMatch(/^connection refused .*does not speak TLS: is --peer-tls set there\?/);
    let reason = "";
    const client = await TicketClient.connect({
      host: quietHost,
      kernel: clientKernel(),
      address: at(server.port),
      onClosed: (why) => (reason = why),
    });
    const buffer = clientKernel().take("block")!;
    const batch = {
      first: 5 as TicketId,
      count: 1,
      data: buffer.data.subarray(0, 1458),
      sums: buffer.sums.subarray(0, 8),
    };
    await client.write(batch).saved;
    buffer.release();
    expect(reason).toBe("the putter takes TLS only: give --peer-tls, too");
  });

  it("a client with TLS of a plain port hears that it is not spoken there, and the port's log says so once", async () => {
    const lines: string[] = [];
    const server = await belongings.server({ depth: 2 }, telling(lines));
    const router = await belongings.router();
    for (const port of [server.port, server.port, router.responsePort]) {
      const message = `127.0.0.1:${port} does not speak TLS: is --peer-tls set there?`;
      await expect(ask(port, testKey)).rejects.toMatchObject({ code: "UNAVAILABLE", message });
    }
    expect(lines.map((line) => line.replace(/"port":\d+/, ""))).toEqual([
      'connection refused {,"from":"127.0.0.1","why":"it speaks TLS: --peer-tls is not set here"}',
    ]);
    expect(server.banner.find(([label]) => label === "peers")?.[1]).toMatch(/^plain TCP/);
  });

  it("a server whose answers go to a router with TLS, and that has none, says so in its log", async () => {
    const lines: string[] = [];
    const router = await belongings.router({ ...peerTls }, telling([], 50));
    await belongings.server({ depth: 2, respondTo: at(router.responsePort) }, telling(lines));
    const said = (): string | undefined => lines.find((line) => line.startsWith("the router takes TLS only"));
    await eventually(() => said() !== undefined);
    expect(said()).toContain("give --peer-tls, too");
  });
});

describe("strangers at a port with TLS", () => {
  it("garbage and slow handshakes are cut off, and others are served all the while", async () => {
    const lines: string[] = [];
    const server = await belongings.server({ depth: 2, ...peerTls }, telling(lines, 300));
    const running = await routerOver([server.port]);
    const closed: Promise<void>[] = [];
    for (let turn = 0; turn < 40; turn++) {
      const garbage = patternOf(1 + turn * 37, turn);
      // Some of them begin as TLS does, and say no more.
      if (turn % 2 === 0) garbage.set(Uint8Array.of(22, 3, 1).subarray(0, garbage.length));
      closed.push(
        new Promise((resolve) => {
          const socket = net.connect(server.port, "127.0.0.1", () => socket.write(garbage));
          socket.on("error", () => undefined).on("close", () => resolve());
          socket.resume();
        }),
      );
    }
    await putAndGet(running, 200_000, 5, testKey);
    await Promise.all(closed);
    await putAndGet(running, 200_000, 6, testKey);
    expect(lines.length).toBe(1);
  });
});

describe("the programs", () => {
  it("with --peer-tls, workers too, understand each other; without it, they say what is missing", async () => {
    const place = await Workplace.make();
    belongings.add(() => place.remove());
    const cwd = await place.folder("work");
    const [serverPort, port, responsePort] = [await freePort(), await freePort(), await freePort()];
    const ready = /peers +TLS with the store's key/;
    await place.done("data-putter", ["key", "make", "key"], { cwd });
    const env = { DATA_PUTTER_KEY_FILE: "key", DATA_PUTTER_PEER_TLS: "true" };
    await place.start("data-putter", ["server", "--root", "server", "--port", `${serverPort}`, "--depth", "2"], {
      cwd,
      env,
      ready,
    });
    const router = ["router", "--root", "router", "--port", `${port}`, "--response-port", `${responsePort}`];
    await place.start("data-putter", [...router, "--workers", "2", "--peer-tls"], {
      cwd,
      env: { DATA_PUTTER_KEY_FILE: "key" },
      ready,
    });
    const bytes = patternOf(100_000, 1);
    const id = objectOf(await sendStream(port, bytes));
    const get = ["get", id, "--port", `${responsePort}`, "-o"];
    await place.done("data-putter", [...get, "copy", "--peer-tls"], { cwd, env: { DATA_PUTTER_KEY_FILE: "key" } });
    expect(sameBytes(await readFile(path.join(cwd, "copy")), bytes)).toBe(true);
    const loopback = ["loopback", "--port", `${serverPort}`, "--count", "5000"];
    expect(await place.done("data-putter", loopback, { cwd, env })).toContain("5,000 of 5,000 tickets");
    for (const words of [[...get, "other"], loopback]) {
      const { code, stderr } = await place.run("data-putter", words, { cwd, env: { DATA_PUTTER_KEY_FILE: "key" } });
      expect(code).not.toBe(0);
      expect(stderr).toContain("takes TLS only: give --peer-tls, too");
    }
  });
});
