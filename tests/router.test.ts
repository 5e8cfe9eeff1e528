/** A whole router in this process, over real sockets, on this machine's disk: what goes in comes out, or an error says why not. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ticketCountOf, ticketDataSize } from "../src/core/frame.ts";
import { formatId, type ObjectId, type TicketId } from "../src/core/ids.ts";
import { slotOf, ticketPath } from "../src/core/layout.ts";
import type { ObjectSummary } from "../src/router/object-answers.ts";
import { placement } from "../src/router/ticket-allocator.ts";
import { objectOf, sendStream, TestSocket } from "./support/sockets.ts";
import {
  Belongings,
  eventually,
  getObject,
  patternOf,
  quietHost,
  runsOf,
  sameBytes,
  savedObject,
} from "./support/store.ts";
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
