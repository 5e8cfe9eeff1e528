/** A whole router in this process, over real sockets, on this machine's disk: what goes in comes out, or an error says why not. */
import { readFileSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { RunningRouter } from "../src/compose/router-process.ts";
import { ticketCountOf, ticketDataSize } from "../src/core/frame.ts";
import { formatId, type ObjectId, parseId, type TicketId } from "../src/core/ids.ts";
import { slotOf, ticketPath, volumeOf } from "../src/core/layout.ts";
import type { ObjectSummary, VerifyProgress } from "../src/router/object-answers.ts";
import type { Router } from "../src/router/router.ts";
import { placement } from "../src/router/ticket-allocator.ts";
import { objectOf, sendStream, TestSocket } from "./support/sockets.ts";
import { Belongings, eventually, getObject, patternOf, quietHost, sameBytes, savedObject } from "./support/store.ts";
import { systemError, withDisk } from "./support/wrapped-disk.ts";
import { watched, withAccepted } from "./support/wrapped-network.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

const standalone = { kind: "standalone" } as const;
const megabyte = 1024 * 1024;

/** An object's bytes as ordinary tools would find them: by path and slot, in `obj`. */
function onDisk(
  root: string,
  runs: readonly { readonly first: TicketId; readonly count: number }[],
  size: number,
): Uint8Array {
  const pieces = runs.flatMap(({ first, count }) =>
    Array.from({ length: count }, (_, index) => {
      const ticket = (first + index) as TicketId;
      const at = slotOf(placement, ticket) * ticketDataSize;
      return readFileSync(join(root, ticketPath(placement, ticket))).subarray(at, at + ticketDataSize);
    }),
  );
  return new Uint8Array(Buffer.concat(pieces)).subarray(0, size);
}

async function runsOf(
  router: Router,
  id: string,
): Promise<readonly { readonly first: TicketId; readonly count: number }[]> {
  const { content } = await savedObject(router, id);
  if (content.kind !== "runs") throw new Error(content.kind);
  return content.runs;
}

/** Changes one byte of a stored ticket, in `obj` or `sum`. */
async function flipByte(root: string, ticket: TicketId, file: "obj" | "sum", offset = 0): Promise<void> {
  const slotSize = file === "obj" ? ticketDataSize : 8;
  const path = join(root, ticketPath(placement, ticket).replace(/obj$/, file));
  const handle = await open(path, "r+");
  const byte = new Uint8Array(1);
  const at = slotOf(placement, ticket) * slotSize + offset;
  await handle.read(byte, 0, 1, at);
  byte[0]! ^= 0x01;
  await handle.write(byte, 0, 1, at);
  await handle.close();
}

describe("a byte stream", () => {
  it("of any size comes back bit for bit, over the wire and from the files themselves", async () => {
    const root = await belongings.directory();
    const running = await belongings.router({ root });
    const client = await belongings.requests(running.responsePort);
    const sizes = [0, 1, 1457, 1458, 1459, 2 * 1458, 180 * 1458 - 1, 180 * 1458, 180 * 1458 + 1];
    const large = [2048 * 1458 - 1, 2048 * 1458, 2048 * 1458 + 1, 10 * megabyte + 17];
    for (const [index, size] of [...sizes, ...large].entries()) {
      const bytes = patternOf(size, index);
      const id = objectOf(await sendStream(running.streamPort, bytes));
      expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
      const record = await savedObject(running.router, id);
      expect(record).toMatchObject({ size, ticketCount: ticketCountOf(size), writeCount: ticketCountOf(size) });
      if (size < megabyte) expect(sameBytes(onDisk(root, await runsOf(running.router, id), size), bytes)).toBe(true);
    }
  });

  it("of one long object is one run when it is alone, and a bounded number when eight come at once", async () => {
    const running = await belongings.router();
    const bytes = patternOf(12 * megabyte, 1);
    const alone = objectOf(await sendStream(running.streamPort, bytes));
    expect(await runsOf(running.router, alone)).toHaveLength(1);
    const lines = await Promise.all(Array.from({ length: 8 }, () => sendStream(running.streamPort, bytes)));
    for (const line of lines) {
      const runs = await runsOf(running.router, objectOf(line));
      // Reservations double from one group to sixteen: 1 + 2 + 4, besides what begins inside a group.
      expect(runs.length).toBeLessThanOrEqual(6);
      expect(runs.reduce((sum, { count }) => sum + count, 0)).toBe(ticketCountOf(bytes.length));
    }
  });

  it("trickled and cut anywhere is the same object", async () => {
    const running = await belongings.router();
    const client = await belongings.requests(running.responsePort);
    const bytes = patternOf(5000, 1);
    const id = objectOf(await sendStream(running.streamPort, bytes, [1, 7, 1458, 1, 2000]));
    expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
  });

  it("in 64 connections at once is 64 objects, each with its own bytes", async () => {
    const running = await belongings.router();
    const client = await belongings.requests(running.responsePort);
    const stored = await Promise.all(
      Array.from({ length: 64 }, async (_, index) => {
        const bytes = patternOf(1 + index * 9_973, index);
        return { bytes, id: objectOf(await sendStream(running.streamPort, bytes, [50_000, 3, 20_000])) };
      }),
    );
    expect(new Set(stored.map(({ id }) => id)).size).toBe(64);
    for (const { bytes, id } of stored) expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
  });

  it("whose client resets its connection leaves no object, however much of it had arrived", async () => {
    const running = await belongings.router();
    const bytes = patternOf(3 * megabyte, 1);
    for (let turn = 0; turn < 12; turn++) {
      const vanishing = await TestSocket.connect(running.streamPort);
      // Bytes that were not read when the reset comes once made it look like the end of the object.
      await vanishing.write(bytes.subarray(0, 1 + turn * 250_000));
      await eventually(async () => (await running.router.list(undefined, 100)).length === turn + 1);
      vanishing.socket.resetAndDestroy();
    }
    await eventually(async () =>
      (await running.router.list(undefined, 100)).every(({ status }) => status !== "writing"),
    );
    const statuses = (await running.router.list(undefined, 100)).map(({ status }) => status);
    expect(statuses).toEqual(statuses.map(() => "error"));
    const client = await belongings.requests(running.responsePort);
    await expect(getObject(client, "0")).rejects.toThrow(
      /object 0 cannot be read: its write failed: the client went away/,
    );
    expect(objectOf(await sendStream(running.streamPort, bytes))).toBe("C");
  });

  it("is not held up by 200 clients that send a byte now and then", async () => {
    const running = await belongings.router();
    const slow = await Promise.all(Array.from({ length: 200 }, () => TestSocket.connect(running.streamPort)));
    const trickle = async (byte: number): Promise<void> => {
      await Promise.all(slow.map((socket) => socket.write(Uint8Array.of(byte))));
    };
    await trickle(1);
    const bytes = patternOf(20 * megabyte, 1);
    const fast = sendStream(running.streamPort, bytes);
    for (let turn = 2; turn < 10; turn++) {
      await trickle(turn);
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    objectOf(await fast);
    for (const socket of slow) socket.end();
    const client = await belongings.requests(running.responsePort);
    const lines = await Promise.all(slow.map(async (socket) => (await socket.rest()).toString()));
    for (const line of lines.slice(0, 20)) {
      expect([...(await getObject(client, objectOf(line)))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    expect(new Set(lines.map(objectOf)).size).toBe(200);
    for (const socket of slow) socket.destroy();
  });

  it("can be watched while it is written, and by nobody read before it is whole", async () => {
    const running = await belongings.router();
    const socket = await TestSocket.connect(running.streamPort);
    const asking = await belongings.requests(running.responsePort);
    await socket.write(patternOf(8 * megabyte, 1));
    let summary: ObjectSummary | null = null;
    await eventually(async () => {
      summary = (await asking.askJson("stat", { a: 0 })) as ObjectSummary | null;
      return summary !== null && summary.writeCount >= 2048;
    });
    expect(summary).toMatchObject({ object: "0", status: "writing" });
    expect(summary!.ticketCount).toBeGreaterThanOrEqual(summary!.writeCount);
    await expect(getObject(asking, "0")).rejects.toThrow(/still being written/);
    expect(await asking.askJson("list", { b: 10 })).toMatchObject({ objects: [{ object: "0", status: "writing" }] });
    socket.end();
    expect((await socket.rest()).toString()).toBe("OBJECT 0 WRITTEN OK\n");
    const count = ticketCountOf(8 * megabyte);
    const saved = { status: "saved", ticketCount: count, writeCount: count, runCount: 1 };
    expect(await asking.askJson("stat", { a: 0 })).toMatchObject(saved);
    socket.destroy();
  });

  it("that sends nothing for too long is told so, and its connection ends", async () => {
    const running = await belongings.router({ idleTimeoutMs: 600 });
    const [idle, part] = await Promise.all([1, 2].map(() => TestSocket.connect(running.streamPort)));
    await part!.write("the beginning");
    for (const socket of [idle!, part!]) {
      expect((await socket.rest()).toString()).toBe("ERROR nothing was sent for 600 ms\n");
    }
    // Also where the client keeps its side open.
    await eventually(async () => (await running.status())["connections"] === 0);
    idle!.destroy();
    part!.destroy();
    expect((await running.router.list(undefined, 10)).map(({ status }) => status)).toEqual(["error"]);
  });
});

describe("ids", () => {
  it("of objects have no gap while nothing fails, also across a restart", async () => {
    const root = await belongings.directory();
    const ids: string[] = [];
    for (let run = 0; run < 3; run++) {
      const running = await belongings.router({ root });
      for (let turn = 0; turn < 15; turn++)
        ids.push(objectOf(await sendStream(running.streamPort, patternOf(turn, run))));
      await running.close();
    }
    expect(ids).toEqual(Array.from({ length: 45 }, (_, index) => formatId(index as ObjectId)));
  });

  it("of tickets go on after a restart where they ended, and none is used twice", async () => {
    const root = await belongings.directory();
    let next = 0;
    for (let run = 0; run < 3; run++) {
      const running = await belongings.router({ root });
      for (let turn = 0; turn < 5; turn++) {
        const { id } = await running.router.put(patternOf(3000, turn), standalone, {});
        expect(await runsOf(running.router, formatId(id))).toEqual([{ first: next, count: 3 }]);
        next += 3;
      }
      await running.close();
    }
  });
});

describe("the library path", () => {
  it("puts and gets objects of any size; ranges at every boundary are exact", async () => {
    const { router } = await belongings.router();
    const edges = [0, 1, 1457, 1458, 1459, 2916, 180 * 1458 - 1, 180 * 1458, 180 * 1458 + 1, 300_000];
    const bytes = patternOf(300_000, 5);
    const { id } = await router.put(bytes, standalone, { note: "kept" });
    const object = await savedObject(router, formatId(id));
    expect(object.attributes).toEqual({ note: "kept" });
    expect(sameBytes(await router.get(object), bytes)).toBe(true);
    for (const from of edges) {
      for (const to of edges.filter((edge) => edge >= from)) {
        const pieces: Uint8Array[] = [];
        for await (const { buffer, skip, take } of router.read(object, from, to - from)) {
          pieces.push(buffer.data.slice(skip, skip + take));
          buffer.release();
        }
        expect(sameBytes(Buffer.concat(pieces), bytes.subarray(from, to))).toBe(true);
      }
    }
  });

  it("gives every buffer back, also to readers that leave early and writers that give up", async () => {
    const running = await belongings.router();
    const { router } = running;
    const free = (await running.status())["freeBuffers"];
    const { id } = await router.put(patternOf(5 * megabyte, 5), standalone, {});
    const object = await savedObject(router, formatId(id));
    for await (const { buffer } of router.read(object, 0, object.size)) {
      buffer.release();
      break;
    }
    const writer = await router.openWriter();
    writer.offer(patternOf(100_000, 1));
    const { StoreError } = await import("../src/core/errors.ts");
    await writer.abort(new StoreError("ABORTED", "no more"));
    await eventually(async () => JSON.stringify((await running.status())["freeBuffers"]) === JSON.stringify(free));
    expect((await running.status())["freeBuffers"]).toEqual(free);
  });

  it.each([
    ["an offset past the end", { a: 0, b: 11 }, /offset: at most the object's size, 10, not 11/],
    ["an object that is not there", { a: 99 }, /there is no object 1R/],
    ["an id past the last one", { a: 2_901_713_047_668 }, /object: an ordinal below/],
  ])("refuses %s by the rule", async (_, numbers, message) => {
    const running = await belongings.router();
    await running.router.put(patternOf(10, 1), standalone, {});
    const client = await belongings.requests(running.responsePort);
    await expect(client.askJson("get", numbers)).rejects.toThrow(message);
    expect(await getObject(client, "0", 3, 4)).toEqual(patternOf(10, 1).subarray(3, 7));
    expect(await getObject(client, "0", 10)).toHaveLength(0);
  });
});

describe("damage", () => {
  async function stored(): Promise<{
    running: RunningRouter;
    root: string;
    id: string;
    first: TicketId;
    bytes: Uint8Array;
  }> {
    const root = await belongings.directory();
    const running = await belongings.router({ root });
    const bytes = patternOf(1000 * ticketDataSize, 8);
    const id = objectOf(await sendStream(running.streamPort, bytes));
    const [run] = await runsOf(running.router, id);
    return { running, root, id, first: run!.first, bytes };
  }

  it.each(["obj", "sum"] as const)(
    "of one byte in %s is told by object, offset and volume; never wrong bytes",
    async (file) => {
      const { running, root, id, first, bytes } = await stored();
      await flipByte(root, (first + 700) as TicketId, file, 5);
      const object = await savedObject(running.router, id);
      const offset = 700 * ticketDataSize;
      const message = `object ${id} is damaged at byte ${offset}: ticket ${formatId((first + 700) as TicketId)} does not verify (volume (root) of ${root})`;
      await expect(running.router.get(object)).rejects.toMatchObject({ code: "DAMAGED", message });
      // What does not touch the damage is still readable.
      const client = await belongings.requests(running.responsePort);
      const before = await getObject(client, id, 0, 300 * ticketDataSize);
      expect(sameBytes(before, bytes.subarray(0, before.length))).toBe(true);
      const after = await getObject(client, id, 701 * ticketDataSize);
      expect(sameBytes(after, bytes.subarray(701 * ticketDataSize))).toBe(true);
    },
  );

  it("ends a read over the wire in an error, after the good part and nothing else", async () => {
    const { running, root, id, first, bytes } = await stored();
    await flipByte(root, (first + 700) as TicketId, "obj");
    const client = await belongings.requests(running.responsePort);
    const pieces: Uint8Array[] = [];
    const reading = (async () => {
      for await (const part of client.ask("get", { a: parseId<ObjectId>(id)! })) {
        if (part.kind !== "tickets") continue;
        pieces.push(part.buffer.data.slice(part.skip, part.skip + part.take));
        part.buffer.release();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "DAMAGED" });
    const good = Buffer.concat(pieces);
    expect(good.length).toBeGreaterThan(0);
    expect(good.length).toBeLessThanOrEqual(700 * ticketDataSize);
    expect(sameBytes(good, bytes.subarray(0, good.length))).toBe(true);
    expect(await client.askJson("stat", { a: 0 })).toMatchObject({ object: id });
  });

  it("is found by verify, all of it and nothing else", async () => {
    const { running, root, id, first } = await stored();
    objectOf(await sendStream(running.streamPort, patternOf(5000, 1)));
    for (const index of [0, 179, 180, 999]) await flipByte(root, (first + index) as TicketId, "obj", 1457);
    const handle = await open(join(root, "sum"), "r+");
    await handle.write(new Uint8Array(8), 0, 8, slotOf(placement, first + 500) * 8);
    await handle.close();
    const client = await belongings.requests(running.responsePort);
    const told: VerifyProgress[] = [];
    for await (const part of client.ask("verify")) if (part.kind === "json") told.push(part.value as VerifyProgress);
    const damages = told.flatMap((progress) => progress.damages);
    expect(damages.map(({ offset, kind }) => [offset / ticketDataSize, kind])).toEqual([
      [0, "corrupt"],
      [179, "corrupt"],
      [180, "corrupt"],
      [500, "absent"],
      [999, "corrupt"],
    ]);
    expect(damages.every(({ object, volume, place }) => object === id && volume === "(root)" && place === root)).toBe(
      true,
    );
    expect(told.at(-1)).toMatchObject({ objects: 2, tickets: 1004 });
  });
});

describe("a disk", () => {
  it("that is slow holds the client back: memory stays bounded, and other objects can be read", async () => {
    let slow = false;
    const gate: { open: () => void; closed: Promise<void> } = { open: () => undefined, closed: Promise.resolve() };
    const before = async (call: string, path: string): Promise<void> => {
      if (slow && call === "write" && path.endsWith("obj")) await gate.closed;
    };
    const running = await belongings.router({}, withDisk(quietHost, { before }));
    const client = await belongings.requests(running.responsePort);
    const old = patternOf(5000, 1);
    expect(objectOf(await sendStream(running.streamPort, old))).toBe("0");
    gate.closed = new Promise((resolve) => (gate.open = resolve));
    slow = true;
    const socket = await TestSocket.connect(running.streamPort);
    const bytes = patternOf(64 * megabyte, 2);
    let sent = 0;
    const sending = (async () => {
      for (let at = 0; at < bytes.length; at += megabyte) {
        await socket.write(bytes.subarray(at, at + megabyte));
        sent += megabyte;
      }
      socket.end();
    })();
    let last = -1;
    await eventually(async () => {
      if (sent === last) return true;
      last = sent;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return false;
    });
    // Four buffers of the writer, and what the system keeps for a socket.
    expect(sent).toBeLessThan(40 * megabyte);
    expect(sameBytes(await getObject(client, "0"), old)).toBe(true);
    slow = false;
    gate.open();
    await sending;
    const id = objectOf((await socket.rest()).toString());
    expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
    socket.destroy();
  });

  it.each([
    ["EIO", "sync"],
    ["EIO", "write"],
    ["ENOSPC", "write"],
    ["EDQUOT", "write"],
    ["EROFS", "write"],
  ] as const)(
    "that fails with %s in a %s makes an ERROR, no object; old data stays readable and it goes on",
    async (code, call) => {
      let failing = false;
      const before = (now: string, path: string): void => {
        if (failing && now === call && /(obj|sum)$/.test(path)) throw systemError(code, `${now} ${path}`);
      };
      const running = await belongings.router({ durability: "disk" }, withDisk(quietHost, { before }));
      const client = await belongings.requests(running.responsePort);
      const old = patternOf(400_000, 1);
      expect(objectOf(await sendStream(running.streamPort, old))).toBe("0");
      failing = true;
      for (const size of [10, 4 * megabyte]) {
        const line = await sendStream(running.streamPort, patternOf(size, 2));
        expect(line).toMatch(new RegExp(`^ERROR .*${code}.*\n$`));
      }
      await expect(running.router.put(patternOf(10, 3), standalone, {})).rejects.toThrow(code);
      failing = false;
      const records = await running.router.list(undefined, 10);
      expect(records.filter(({ status }) => status === "saved").map(({ id }) => id)).toEqual([0]);
      expect(records.filter(({ status }) => status === "error").length).toBeGreaterThan(0);
      expect(sameBytes(await getObject(client, "0"), old)).toBe(true);
      const again = patternOf(2 * megabyte, 4);
      let id = "";
      await eventually(async () => {
        const line = await sendStream(running.streamPort, again);
        if (line.startsWith("ERROR")) return false;
        id = objectOf(line);
        return true;
      });
      expect(sameBytes(await getObject(client, id), again)).toBe(true);
    },
  );

  it("that is nearly full takes nothing, says how much is free, and takes again when there is room", async () => {
    let free = 100 * megabyte;
    const host = withDisk(quietHost, { before: () => undefined, freeSpace: () => free });
    const running = await belongings.router({ spaceReserveSize: 16 * megabyte }, host);
    const client = await belongings.requests(running.responsePort);
    const old = patternOf(5000, 1);
    expect(objectOf(await sendStream(running.streamPort, old))).toBe("0");
    free = 1000;
    let line = "";
    await eventually(async () => (line = await sendStream(running.streamPort, patternOf(10, 2))).startsWith("ERROR"));
    expect(line).toContain("1000 bytes are free");
    expect(sameBytes(await getObject(client, "0"), old)).toBe(true);
    expect(await client.askJson("remove", { a: 0 })).toEqual({ removed: true });
    free = 100 * megabyte;
    await eventually(async () => (await sendStream(running.streamPort, patternOf(10, 2))).startsWith("OBJECT"));
  });
});

describe("reclaiming", () => {
  const settings = { intervalMs: 3_600_000, rate: 1e9, deadShareMin: 0.1, openDeadMin: 1000 };
  const blocksOf = (root: string): number => statSync(join(root, "obj")).blocks * 512;

  it("gives the space of removed objects back to the file system; what is left stays right", async () => {
    const root = await belongings.directory();
    const running = await belongings.router({ root, reclaim: settings });
    const { router } = running;
    const bytes = [1, 2, 3, 4].map((seed) => patternOf(3 * megabyte, seed));
    const ids: string[] = [];
    for (const one of bytes) ids.push(objectOf(await sendStream(running.streamPort, one)));
    const before = blocksOf(root);
    const client = await belongings.requests(running.responsePort);
    for (const id of ids.slice(0, 3)) await client.askJson("remove", { a: parseId<ObjectId>(id)! });
    // The first look retires the open volume, the next one rewrites it.
    await router.reclaimer.runOnce();
    await router.reclaimer.runOnce();
    expect(router.reclaimer.status).toMatchObject({ volumesRewritten: 1, lastError: undefined });
    expect(before - blocksOf(root)).toBeGreaterThan(8 * megabyte);
    expect(sameBytes(await getObject(client, ids[3]!), bytes[3]!)).toBe(true);
    await expect(getObject(client, ids[0]!)).rejects.toThrow(/there is no object/);
    // New objects go to another volume; ids are not used again.
    const next = objectOf(await sendStream(running.streamPort, bytes[0]!));
    const [run] = await runsOf(router, next);
    expect(volumeOf(placement, run!.first)).toBe(1);
    await client.askJson("remove", { a: parseId<ObjectId>(ids[3]!)! });
    await router.reclaimer.runOnce();
    expect(() => statSync(join(root, "obj"))).toThrow(/ENOENT/);
    expect(sameBytes(await getObject(client, next), bytes[0]!)).toBe(true);
  });

  it("does not take what is being written for dead: the volume goes on", async () => {
    const { router } = await belongings.router({ root: await belongings.directory(), reclaim: settings });
    const bytes = patternOf(6 * megabyte, 1);
    let wake: () => void = () => undefined;
    const writer = await router.openWriter({ onRoom: () => wake() });
    for (let done = 0; done < bytes.length;) {
      const taken = writer.offer(bytes.subarray(done));
      done += taken;
      if (taken === 0) await new Promise<void>((resolve) => (wake = resolve));
    }
    await eventually(() => writer.writeCount > 2048);
    await router.reclaimer.runOnce();
    expect(await router.datastore.getVolume(0)).toMatchObject({ sealed: false });
    await writer.finish(standalone, {});
    expect(await router.datastore.getVolume(0)).toMatchObject({ sealed: false, liveCount: writer.ticketCount });
  });

  it("retires a volume that is mostly dead although somebody always writes to it", async () => {
    const running = await belongings.router({ root: await belongings.directory(), reclaim: settings });
    const { router } = running;
    const id = objectOf(await sendStream(running.streamPort, patternOf(6 * megabyte, 1)));
    const writer = await router.openWriter();
    const bytes = patternOf(megabyte, 2);
    for (let at = writer.offer(bytes); at < bytes.length; at += writer.offer(bytes.subarray(at))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await eventually(() => writer.writeCount > 0);
    const client = await belongings.requests(running.responsePort);
    await client.askJson("remove", { a: parseId<ObjectId>(id)! });
    await router.reclaimer.runOnce();
    expect(await router.datastore.getVolume(0)).toMatchObject({ sealed: true });
    await writer.finish(standalone, {});
  });

  it("frees what was removed after a restart, although nothing is written any more", async () => {
    const root = await belongings.directory();
    const first = await belongings.router({ root, reclaim: settings });
    const { id } = await first.router.put(patternOf(3 * megabyte, 1), standalone, {});
    await first.close();
    const { router } = await belongings.router({ root, reclaim: settings });
    expect(blocksOf(root)).toBeGreaterThan(2 * megabyte);
    await router.remove(id);
    await router.reclaimer.runOnce();
    await router.reclaimer.runOnce();
    expect(router.reclaimer.status).toMatchObject({ volumesUnlinked: 1, lastError: undefined });
    expect(() => statSync(join(root, "obj"))).toThrow(/ENOENT/);
  });

  it("lets who reads meanwhile have right bytes to the end", async () => {
    const root = await belongings.directory();
    const { router } = await belongings.router({ root, reclaim: settings });
    const bytes = [1, 2, 3].map((seed) => patternOf(4 * megabyte, seed));
    const ids: ObjectId[] = [];
    for (const one of bytes) ids.push((await router.put(one, standalone, {})).id);
    const objects = await Promise.all(ids.map((id) => savedObject(router, formatId(id))));
    const kept = router.read(objects[0]!, 0, objects[0]!.size);
    const doomed = router.read(objects[1]!, 0, objects[1]!.size);
    const got: Uint8Array[][] = [[], []];
    const takeOne = async (reader: typeof kept, into: Uint8Array[]): Promise<boolean> => {
      const next = await reader.next();
      if (next.done === true) return false;
      const { buffer, skip, take } = next.value;
      into.push(buffer.data.slice(skip, skip + take));
      buffer.release();
      return true;
    };
    await takeOne(kept, got[0]!);
    await takeOne(doomed, got[1]!);
    await router.remove(ids[1]!);
    await router.remove(ids[2]!);
    await router.reclaimer.runOnce();
    const reclaiming = router.reclaimer.runOnce();
    while (await takeOne(doomed, got[1]!));
    while (await takeOne(kept, got[0]!));
    await reclaiming;
    expect(router.reclaimer.status).toMatchObject({ volumesRewritten: 1, lastError: undefined });
    expect(sameBytes(Buffer.concat(got[0]!), bytes[0]!)).toBe(true);
    expect(sameBytes(Buffer.concat(got[1]!), bytes[1]!)).toBe(true);
    expect(sameBytes(await router.get(objects[0]!), bytes[0]!)).toBe(true);
  });

  it("frees what an unfinished write left, and a volume is not retired under a writer's feet", async () => {
    const root = await belongings.directory();
    const { router, streamPort } = await belongings.router({ root, reclaim: settings });
    const socket = await TestSocket.connect(streamPort);
    await socket.write(patternOf(6 * megabyte, 1));
    await eventually(async () => (await router.stat(0 as ObjectId))?.writeCount !== 0);
    const writer = await router.openWriter();
    const bytes = patternOf(2 * megabyte, 9);
    for (let at = writer.offer(bytes.subarray(0, megabyte)); at < megabyte;) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      at += writer.offer(bytes.subarray(at, megabyte));
    }
    socket.socket.resetAndDestroy();
    await eventually(async () => (await router.stat(0 as ObjectId))?.status === "error");
    await router.reclaimer.runOnce();
    await router.reclaimer.runOnce();
    // The other writer still has tickets of the retired volume.
    expect(router.reclaimer.status).toMatchObject({ volumesRewritten: 0, volumesUnlinked: 0, lastError: undefined });
    for (let at = megabyte; at < bytes.length;) {
      at += writer.offer(bytes.subarray(at));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const { id } = await writer.finish(standalone, {});
    await eventually(async () => {
      await router.reclaimer.runOnce();
      return router.reclaimer.status.volumesRewritten === 1;
    });
    expect(sameBytes(await router.get(await savedObject(router, formatId(id))), bytes)).toBe(true);
  });
});

describe("a router that closes", () => {
  it("answers what was whole, tells the others, and keeps nothing half", async () => {
    const root = await belongings.directory();
    let endCount = 0;
    const host = withAccepted(quietHost, (one) => watched(one, (what) => (endCount += what === "end" ? 1 : 0)));
    const running = await belongings.router({ root }, host);
    const [half, idle] = await Promise.all([1, 2].map(() => TestSocket.connect(running.streamPort)));
    await half!.write(patternOf(megabyte, 1));
    await eventually(async () => (await running.router.list(undefined, 10)).length === 1);
    const whole = sendStream(running.streamPort, patternOf(3000, 2));
    await eventually(async () => endCount === 1);
    await running.close();
    expect(await whole).toBe("OBJECT 1 WRITTEN OK\n");
    expect((await half!.rest()).toString()).toBe("ERROR the router is closing\n");
    expect((await idle!.rest()).toString()).toBe("ERROR the router is closing\n");
    const again = await belongings.router({ root });
    const records = await again.router.list(undefined, 10);
    expect(records.map(({ id, status }) => [id, status])).toEqual([
      [0, "error"],
      [1, "saved"],
    ]);
    half!.destroy();
    idle!.destroy();
  });
});
