/** A router over servers that have the data, in this process and as processes that get killed. */
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import type { RunningRouter } from "../src/compose/router-process.ts";
import type { RunningServer } from "../src/compose/server-process.ts";
import { ticketDataSize } from "../src/core/frame.ts";
import { idleTimeoutMs } from "../src/core/limits.ts";
import { formatId, type ObjectId, parseId, type TicketId } from "../src/core/ids.ts";
import type { Run } from "../src/core/run.ts";
import type { ObjectSummary } from "../src/router/object-answers.ts";
import { fakeClock } from "../src/library/fake-clock.ts";
import { fewerRuns } from "../src/router/remote-putter.ts";
import type { RequestClient } from "../src/wire/request-client.ts";
import { Child } from "./support/child.ts";
import { Tap } from "./support/fuzz-tap.ts";
import { freePort } from "./support/program.ts";
import { objectOf, sendStream, TestSocket } from "./support/sockets.ts";
import {
  Belongings,
  eventually,
  getObject,
  otherKey,
  patternOf,
  quietHost,
  sameBytes,
  savedObject,
} from "./support/store.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

const megabyte = 1024 * 1024;
const standalone = { kind: "standalone" } as const;
const at = (port: number): { host: string; port: number } => ({ host: "127.0.0.1", port });

async function routerOver(
  ports: readonly number[],
  config: Parameters<Belongings["router"]>[0] = {},
): Promise<RunningRouter> {
  const running = await belongings.router({ putters: ports.map(at), ...config });
  await eventually(() => running.router.stores.length === ports.length);
  return running;
}

async function placesOf(client: RequestClient, id: string): Promise<string[]> {
  const summary = (await client.askJson("stat", { a: parseId<ObjectId>(id)! })) as ObjectSummary;
  return summary.volumes!.map(({ place }) => place ?? "unknown");
}

describe("two putters", () => {
  it("both get objects, each wholly on one of them, and all are read back", async () => {
    const servers = await Promise.all([1, 2].map(() => belongings.server({ depth: 2 })));
    const running = await routerOver(servers.map(({ port }) => port));
    const client = await belongings.requests(running.responsePort);
    const used = new Set<string>();
    for (let turn = 0; turn < 12; turn++) {
      const bytes = patternOf(turn === 5 ? 8 * megabyte : turn * 5_000, turn);
      const id = objectOf(await sendStream(running.streamPort, bytes));
      const places = await placesOf(client, id);
      expect(places.length).toBe(bytes.length === 0 ? 0 : 1);
      for (const place of places) used.add(place);
      expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
    }
    expect([...used].sort()).toEqual(servers.map(({ port }) => `127.0.0.1:${port}`).sort());
    for (const server of servers) expect(server.putter.counts.received).toBeGreaterThan(0);
  });

  it("may come up after the router, which says that none answers until then", async () => {
    const port = await freePort();
    const running = await belongings.router({ putters: [at(port)] });
    expect(await sendStream(running.streamPort, patternOf(10, 1))).toMatch(/^ERROR no putter answers/);
    await belongings.server({ depth: 2, port });
    await eventually(async () => (await sendStream(running.streamPort, patternOf(10, 1))).startsWith("OBJECT"), 50);
  });
});

describe("a connection for reads", () => {
  it("that is closed for being idle, while a request is on its way, is replaced: nobody hears of it", async () => {
    const server = await belongings.server({ depth: 2 });
    const tap = await Tap.start(server.port);
    belongings.add(() => tap.close());
    const running = await routerOver([tap.port]);
    const client = await belongings.requests(running.responsePort);
    const bytes = patternOf(50_000, 1);
    const id = objectOf(await sendStream(running.streamPort, bytes));
    for (const how of ["end", "reset"] as const) {
      expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
      // The next bytes of the router end the connection instead of reaching the server.
      tap.closeAtNext(how);
      expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
      expect(tap.closedCount).toBeGreaterThan(0);
      await eventually(() => running.router.stores.every(({ available }) => available));
    }
  });

  it("that breaks again is an error", async () => {
    const server = await belongings.server({ depth: 2 });
    const tap = await Tap.start(server.port);
    belongings.add(() => tap.close());
    const running = await routerOver([tap.port]);
    const client = await belongings.requests(running.responsePort);
    const id = objectOf(await sendStream(running.streamPort, patternOf(50_000, 1)));
    await tap.close();
    await expect(getObject(client, id)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("a connection for tickets", () => {
  it("that nothing goes over is replaced before its server would cut it: the putter is never lost", async () => {
    const server = await belongings.server({ depth: 2 });
    const tap = await Tap.start(server.port);
    belongings.add(() => tap.close());
    const fake = fakeClock();
    let passedMs = 0;
    const clock = { ...fake, monotonic: () => fake.monotonic() + passedMs };
    const said: string[] = [];
    const log = { ...quietHost.log, warn: (message: string) => void said.push(message) };
    const running = await belongings.router({ putters: [at(tap.port)] }, { ...quietHost, clock, log });
    await eventually(() => running.router.stores.length === 1);
    const before = tap.connectionCount;
    while (passedMs < idleTimeoutMs) {
      passedMs += idleTimeoutMs / 4;
      fake.advance(idleTimeoutMs / 4);
      // What goes on then does so on real sockets.
      await eventually(() => passedMs < idleTimeoutMs / 2 || tap.connectionCount > before);
      expect(running.router.stores[0]!.available).toBe(true);
    }
    const bytes = patternOf(20_000, 3);
    const id = objectOf(await sendStream(running.streamPort, bytes));
    expect(sameBytes(await getObject(await belongings.requests(running.responsePort), id), bytes)).toBe(true);
    expect(said).toEqual([]);
  });
});

describe("a putter that is killed", () => {
  it("in the middle of writes makes the clients hear ERROR, or everything is on the other one; it is used again when it is back", async () => {
    const root = await belongings.directory();
    const doomed = await Child.start("server", { root, depth: 2, port: await freePort() });
    belongings.add(() => doomed.kill());
    const other = await belongings.server({ depth: 2 });
    const running = await routerOver([doomed.port, other.port]);
    const client = await belongings.requests(running.responsePort);
    const early = patternOf(100_000, 77);
    const earlyIds = [0, 1].map(() => sendStream(running.streamPort, early).then(objectOf));
    const bytes = patternOf(24 * megabyte, 1);
    await Promise.all(earlyIds);
    const writes = Array.from({ length: 6 }, () => sendStream(running.streamPort, bytes));
    await eventually(async () => {
      const records = await running.router.list(undefined, 100);
      return records.some(({ status, writeCount }) => status === "writing" && writeCount > 0);
    });
    await doomed.kill();
    const lines = await Promise.all(writes);
    for (const line of lines) {
      if (line.startsWith("ERROR")) continue;
      const id = objectOf(line);
      expect(await placesOf(client, id)).toEqual([`127.0.0.1:${other.port}`]);
      expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
    }
    expect(lines.some((line) => line.startsWith("ERROR"))).toBe(true);
    const errors = lines.filter((line) => line.startsWith("ERROR"));
    expect(errors.every((line) => line.includes(`127.0.0.1:${doomed.port}`))).toBe(true);
    // While it is away, the other one takes everything, and what lies on this one is a clear error.
    for (let turn = 0; turn < 4; turn++) {
      const id = objectOf(await sendStream(running.streamPort, early));
      expect(await placesOf(client, id)).toEqual([`127.0.0.1:${other.port}`]);
    }
    const ids = await Promise.all(earlyIds);
    const away: string[] = [];
    for (const id of ids) if ((await placesOf(client, id))[0] === `127.0.0.1:${doomed.port}`) away.push(id);
    expect(away).toHaveLength(1);
    await expect(getObject(client, away[0]!)).rejects.toThrow(new RegExp(`127.0.0.1:${doomed.port} cannot be reached`));
    const back = await Child.start("server", { root, port: doomed.port });
    belongings.add(() => back.kill());
    await eventually(async () => {
      const id = objectOf(await sendStream(running.streamPort, early));
      return (await placesOf(client, id))[0] === `127.0.0.1:${doomed.port}`;
    }, 50);
    expect(sameBytes(await getObject(client, away[0]!), early)).toBe(true);
  });

  it("and replaced by another server at the same address is refused", async () => {
    const first = await belongings.server({ depth: 2, port: await freePort() });
    const running = await routerOver([first.port]);
    const client = await belongings.requests(running.responsePort);
    const id = objectOf(await sendStream(running.streamPort, patternOf(5000, 1)));
    await first.close();
    const impostor = await belongings.server({ depth: 2, port: first.port });
    await expect(getObject(client, id)).rejects.toThrow(/is another server now/);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await sendStream(running.streamPort, patternOf(10, 1))).toMatch(
      /^ERROR (no putter answers|putter .* is another server now)/,
    );
    expect(impostor.putter.counts.received).toBe(0);
  });

  it("is told from one with another key, and from one that is configured twice", async () => {
    const foreign = await belongings.server({ depth: 2, key: otherKey });
    const good = await belongings.server({ depth: 2 });
    const running = await belongings.router({ putters: [at(foreign.port), at(good.port), at(good.port)] });
    await eventually(() => running.router.stores.length === 1);
    for (let turn = 0; turn < 4; turn++) objectOf(await sendStream(running.streamPort, patternOf(3000, turn)));
    expect(foreign.putter.counts).toMatchObject({ received: 0 });
    expect(running.router.stores.map(({ place }) => place)).toEqual([`127.0.0.1:${good.port}`]);
  });
});

describe("over the wire", () => {
  it("damage on a putter is told with object, offset and putter", async () => {
    const root = await belongings.directory();
    const server = await belongings.server({ root, depth: 2 });
    const running = await routerOver([server.port]);
    const id = objectOf(await sendStream(running.streamPort, patternOf(10 * ticketDataSize, 1)));
    const { open } = await import("node:fs/promises");
    const file = await open(`${root}/obj`, "r+");
    await file.write(Uint8Array.of(1, 2, 3), 0, 3, 4 * ticketDataSize + 9);
    await file.close();
    const object = await savedObject(running.router, id);
    const message = `object ${id} is damaged at byte ${4 * ticketDataSize}: ticket 4 does not verify (volume (root) of 127.0.0.1:${server.port})`;
    await expect(running.router.get(object)).rejects.toMatchObject({ code: "DAMAGED", message });
  });

  it("space is given back on the putter, and what is left stays right", async () => {
    const root = await belongings.directory();
    const server = await belongings.server({ root, depth: 2 });
    const reclaim = { intervalMs: 3_600_000, rate: 1e9, deadShareMin: 0.1, openDeadMin: 1000 };
    const { router, streamPort } = await routerOver([server.port], { reclaim });
    const bytes = [1, 2].map((seed) => patternOf(4 * megabyte, seed));
    const ids = [];
    for (const one of bytes) ids.push(objectOf(await sendStream(streamPort, one)));
    const { statSync } = await import("node:fs");
    const before = statSync(`${root}/obj`).blocks * 512;
    await router.remove(parseId<ObjectId>(ids[0]!)!);
    await router.reclaimer.runOnce();
    await router.reclaimer.runOnce();
    expect(router.reclaimer.status).toMatchObject({ volumesRewritten: 1, lastError: undefined });
    expect(before - statSync(`${root}/obj`).blocks * 512).toBeGreaterThan(3.5 * megabyte);
    expect(sameBytes(await router.get(await savedObject(router, ids[1]!)), bytes[1]!)).toBe(true);
  });

  it("many readers and writers share a few connections", async () => {
    const server = await belongings.server({ depth: 2 });
    const { router } = await routerOver([server.port]);
    const written = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const bytes = patternOf(index * 3000, index);
        return { bytes, id: (await router.put(bytes, standalone, {})).id };
      }),
    );
    const reads = written.flatMap(({ bytes, id }) =>
      [1, 2, 3].map(async () => {
        const object = await savedObject(router, formatId(id));
        expect(sameBytes(await router.get(object), bytes)).toBe(true);
      }),
    );
    await Promise.all(reads);
    expect(connectionsOf(server)).toBeLessThanOrEqual(9);
  });
});

function connectionsOf(server: RunningServer): number {
  return server.putter.listener.connectionCount;
}

describe("fewer runs", () => {
  const runs = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 20 })), { minLength: 1, maxLength: 60 })
    .map((parts) => {
      let next = 0;
      return parts.map(([gap, count]) => {
        const first = next + gap;
        next = first + count;
        return { first: first as TicketId, count };
      });
    });

  it("still name every ticket that is to be kept, in order, and are no more than allowed", () => {
    expect(() =>
      fc.assert(
        fc.property(runs, fc.integer({ min: 1, max: 60 }), (live, countMax) => {
          const fewer = fewerRuns(live, countMax);
          const covers = ({ first, count }: Run): boolean =>
            fewer.some((run) => run.first <= first && first + count <= run.first + run.count);
          const inOrder = fewer.every(
            (run, index) => index === 0 || fewer[index - 1]!.first + fewer[index - 1]!.count < run.first,
          );
          const unchanged = live.length > countMax || JSON.stringify(fewer) === JSON.stringify(live);
          return fewer.length <= countMax && live.every(covers) && inOrder && unchanged;
        }),
      ),
    ).not.toThrow();
  });
});

it("a putter that goes in the middle of one slow object ends that object in an ERROR soon", async () => {
  const server = await belongings.server({ depth: 2 });
  const running = await routerOver([server.port]);
  const socket = await TestSocket.connect(running.streamPort);
  belongings.add(() => socket.destroy());
  await socket.write(patternOf(4 * megabyte, 1));
  await eventually(async () => (await running.router.stat(0 as ObjectId))?.writeCount !== 0);
  await server.close();
  await socket.write(patternOf(4 * megabyte, 2)).catch(() => undefined);
  expect((await socket.rest()).toString()).toMatch(/^ERROR .*putter|^ERROR 127/);
});
