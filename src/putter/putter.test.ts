/** A Putter Node over real sockets: what it answers, and what lies on disk then. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { sendFramesInPieces, vectorFrames } from "../../tests/support/frames.ts";
import { TestSocket } from "../../tests/support/sockets.ts";
import {
  Belongings,
  eventually,
  framesOf,
  otherKey,
  patternOf,
  sameBytes,
  storedTickets,
  testKey,
} from "../../tests/support/store.ts";
import { ticketDataSize, writeTicketSize } from "../core/frame.ts";
import { parseId, type TicketId } from "../core/ids.ts";
import { Kernel } from "../core/kernel.ts";
import { fingerprintOf } from "../core/key.ts";
import { type Depth, depths, layoutOf, ticketPath } from "../core/layout.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

async function serverAndClient(depth: Depth = 2): Promise<{
  server: Awaited<ReturnType<Belongings["server"]>>;
  client: TestSocket;
  root: string;
}> {
  const root = await belongings.directory();
  const server = await belongings.server({ root, depth });
  const client = await TestSocket.connect(server.port);
  belongings.add(() => client.destroy());
  return { server, client, root };
}

const ticket = (seed: number): Uint8Array => patternOf(ticketDataSize, seed);

describe("every ticket of the vectors", () => {
  it.each(depths)("is answered 0 and lies where the format says, at depth %d", async (depth) => {
    const { client, root } = await serverAndClient(depth);
    const frames = vectorFrames();
    for (const { frame, sha256 } of frames) {
      expect(createHash("sha256").update(frame).digest("hex")).toBe(sha256);
    }
    // AABBCCDD is there twice, with other bytes: the first stays.
    const first = frames.filter(({ id }, index) => frames.findIndex((one) => one.id === id) === index);
    await client.write(Buffer.concat(first.map(({ frame }) => frame)));
    expect(await client.statuses(first.length)).toEqual(first.map(() => 0));
    const layout = layoutOf(depth);
    for (const { id, frame } of first) {
      const ordinal = parseId<TicketId>(id)!;
      // The largest ids make files too sparse to be read whole: the store reads their slots.
      if (depth !== 4) continue;
      const file = readFileSync(join(root, ticketPath(layout, ordinal)));
      expect(sameBytes(file, frame.subarray(16))).toBe(true);
      const sum = readFileSync(join(root, ticketPath(layout, ordinal).replace(/obj$/, "sum")));
      expect(sum.toString("hex")).toBe(Buffer.from(frame.subarray(8, 16)).toString("hex"));
    }
  });

  it.each(depths)("is read back from the store as it was sent, at depth %d", async (depth) => {
    const { client, server } = await serverAndClient(depth);
    for (const { id, frame } of vectorFrames().slice(0, 5)) {
      await client.write(frame);
      expect(await client.statuses(1)).toEqual([0]);
      const [stored] = await storedTickets(server.store, parseId<TicketId>(id)!, 1);
      expect(sameBytes(stored!, frame.subarray(16))).toBe(true);
    }
  });
});

describe("a frame", () => {
  it("trickled byte by byte is taken like any other", async () => {
    const { client } = await serverAndClient();
    await client.writePieces(framesOf(5, ticket(5)), [1]);
    expect(await client.statuses(1)).toEqual([0]);
  });

  it("that is cut off is not answered and leaves nothing; those before it are", async () => {
    for (const size of [1, 8, 15, 16, 17, 1473]) {
      const { client, server } = await serverAndClient();
      const frames = framesOf(0, patternOf(3 * ticketDataSize, 1));
      await client.write(frames.subarray(0, 2 * writeTicketSize + size));
      client.end();
      expect((await client.rest()).toString("hex")).toBe("300000000000000000310000000000000000");
      expect((await storedTickets(server.store, 0, 3)).map((one) => one !== undefined)).toEqual([true, true, false]);
    }
  });

  it("with a wrong checksum is answered 2 and leaves nothing; its neighbours are saved", async () => {
    const { client, server } = await serverAndClient();
    const frames = framesOf(0, patternOf(5 * ticketDataSize, 1));
    frames[2 * writeTicketSize + 700]! ^= 0x10;
    await client.write(frames);
    const answers = await client.responses(5);
    expect(answers.sort((one, other) => one.id.localeCompare(other.id)).map(({ status }) => status)).toEqual([
      0, 0, 2, 0, 0,
    ]);
    const stored = await storedTickets(server.store, 0, 5);
    expect(stored.map((one) => one !== undefined)).toEqual([true, true, false, true, true]);
    expect(server.putter.counts).toMatchObject({ received: 4, wrongChecksum: 1 });
  });

  it("with any single bit of id, checksum or data flipped is answered 2 or 3, and nothing is stored", async () => {
    const { client, server } = await serverAndClient();
    const frame = framesOf(36, ticket(1));
    const bits = [...Array(128).keys(), 128, 1000, 5555, writeTicketSize * 8 - 1];
    const flips = bits.map((bit) => {
      const copy = frame.slice();
      copy[bit >> 3]! ^= 1 << (bit & 7);
      return copy;
    });
    await client.write(Buffer.concat(flips));
    const statuses = await client.statuses(flips.length);
    expect(statuses.every((status) => status === 2 || status === 3)).toBe(true);
    expect(statuses).toContain(2);
    expect(statuses).toContain(3);
    expect(server.putter.counts.received).toBe(0);
  });

  it("made with another key is answered 2", async () => {
    const { client } = await serverAndClient();
    const foreign = new Kernel(otherKey, { tiny: 0, block: 2, group: 0 });
    await client.write(framesOf(0, patternOf(3 * ticketDataSize, 1), foreign));
    expect(await client.statuses(3)).toEqual([2, 2, 2]);
  });

  it.each([
    ["lower case", "aabbccdd"],
    ["nothing", ""],
    ["a hole", "A\0B"],
    ["a slash", "A/B"],
    ["dots", ".."],
    ["a space", "A B"],
    ["high bytes", "\xff\xfe"],
  ])("whose id has %s is answered 3, with the id as it came", async (_, id) => {
    const { client, root } = await serverAndClient();
    const frame = framesOf(0, ticket(1));
    const wire = Buffer.alloc(8);
    wire.write(id, "latin1");
    frame.set(wire);
    await client.write(frame);
    expect(await client.responses(1)).toEqual([{ id: wire.toString("hex"), status: 3 }]);
    const { readdirSync } = await import("node:fs");
    expect(readdirSync(root).filter((name) => /obj|sum|^.{1,2}$/.test(name))).toEqual([]);
  });

  it("sent again is answered 0 again; with other bytes 5, and the first stays", async () => {
    for (const depth of depths) {
      const { client, server } = await serverAndClient(depth);
      const first = framesOf(77, ticket(1));
      await client.write(Buffer.concat([first, first]));
      expect(await client.statuses(2)).toEqual([0, 0]);
      await client.write(first);
      expect(await client.statuses(1)).toEqual([0]);
      await client.write(framesOf(77, ticket(2)));
      expect(await client.statuses(1)).toEqual([5]);
      const [stored] = await storedTickets(server.store, 77, 1);
      expect(sameBytes(stored!, ticket(1))).toBe(true);
    }
  });

  it("among random bytes: every 1474 of them are answered once, and nothing crashes", async () => {
    const { client, server } = await serverAndClient();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.constant("good" as const), fc.constant("random" as const)), {
          minLength: 1,
          maxLength: 30,
        }),
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 0, max: 1e6 }),
        async (kinds, pieces, seed) => {
          const parts = kinds.map((kind, index) =>
            kind === "good" ? framesOf(seed * 40 + index, ticket(seed)) : patternOf(writeTicketSize, seed + index),
          );
          await client.writePieces(new Uint8Array(Buffer.concat(parts)), pieces);
          const statuses = await client.statuses(kinds.length);
          expect(statuses.filter((status) => status === 0)).toHaveLength(
            kinds.filter((kind) => kind === "good").length,
          );
          expect(statuses.every((status) => [0, 2, 3].includes(status))).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
    expect(server.putter.listener.connectionCount).toBe(1);
  });
});

describe("many frames", () => {
  it("are all answered before the close when the client half-closes right after them", async () => {
    const { client, server } = await serverAndClient();
    const data = patternOf(5000 * ticketDataSize, 3);
    void client.write(framesOf(100_000, data));
    client.end();
    const answers = await client.rest();
    expect(answers.length).toBe(5000 * 9);
    for (let index = 0; index < 5000; index++) if (answers[index * 9 + 8] !== 0) throw new Error(`ticket ${index}`);
    const stored = await storedTickets(server.store, 100_000, 5000);
    expect(sameBytes(Buffer.concat(stored.map((one) => one!)), data)).toBe(true);
  });

  it.each(depths)(
    "on 16 connections at once, cut anywhere, in runs and gaps, are each stored and answered, at depth %d",
    async (depth) => {
      const { server } = await serverAndClient(depth);
      const perRun = depth === 4 ? 4 : 150;
      const connections = Array.from({ length: 16 }, async (_, index) => {
        const socket = await TestSocket.connect(server.port);
        belongings.add(() => socket.destroy());
        // Runs with gaps between them, across volume and group boundaries, in no order.
        const firsts = [0, 1, 2, 3].map((run) => 1_727_604 - 800 + index * 400_000 + ((run * 7) % 4) * 1000);
        const sent = firsts.map((first) => ({ first, data: patternOf(perRun * ticketDataSize, first) }));
        const count = perRun * sent.length;
        const statuses = socket.statuses(count);
        await sendFramesInPieces(socket, sent, index);
        expect(new Set(await statuses)).toEqual(new Set([0]));
        return sent;
      });
      for (const sent of await Promise.all(connections)) {
        for (const { first, data } of sent) {
          const stored = await storedTickets(server.store, first, perRun);
          expect(sameBytes(Buffer.concat(stored.map((one) => one!)), data)).toBe(true);
        }
      }
    },
  );

  it("for the same ids on many connections at once are saved once: one version wins whole, the others hear 5", async () => {
    const { server } = await serverAndClient();
    const versions = [1, 2, 3, 4].map((seed) => patternOf(50 * ticketDataSize, seed));
    const outcomes = await Promise.all(
      versions.map(async (data) => {
        const socket = await TestSocket.connect(server.port);
        belongings.add(() => socket.destroy());
        await socket.write(framesOf(9000, data));
        return new Map((await socket.responses(50)).map(({ id, status }) => [id, status]));
      }),
    );
    const stored = await storedTickets(server.store, 9000, 50);
    const ids = [...outcomes[0]!.keys()].sort();
    ids.forEach((id, index) => {
      const winners = outcomes.flatMap((outcome, version) => (outcome.get(id) === 0 ? [version] : []));
      expect(winners).toHaveLength(1);
      const expected = versions[winners[0]!]!.subarray(index * ticketDataSize, (index + 1) * ticketDataSize);
      expect(sameBytes(stored[index]!, expected)).toBe(true);
      expect(outcomes.map((outcome) => outcome.get(id)).filter((status) => status === 5)).toHaveLength(3);
    });
  });
});

describe("a server", () => {
  it("cuts a connection that sends nothing, and serves the others", async () => {
    const server = await belongings.server({ idleTimeoutMs: 600 });
    const [idle, part, busy] = await Promise.all([1, 2, 3].map(() => TestSocket.connect(server.port)));
    await part!.write(framesOf(0, ticket(1)).subarray(0, 100));
    let turn = 0;
    await eventually(async () => {
      await busy!.write(framesOf(10 + turn, ticket(turn++)));
      expect(await busy!.statuses(1)).toEqual([0]);
      return server.putter.listener.connectionCount === 1;
    });
    await Promise.all([idle!.rest(), part!.rest()]);
    busy!.destroy();
    idle!.destroy();
    part!.destroy();
  });

  it("answers what it received before it closes", async () => {
    const { client, server, root } = await serverAndClient();
    await client.write(framesOf(0, patternOf(400 * ticketDataSize, 1)));
    await client.take(9);
    await server.close();
    const answered = 1 + Math.floor((await client.rest()).length / 9);
    const again = await belongings.server({ root });
    const stored = await storedTickets(again.store, 0, 400);
    // Everything that was answered is there, and nobody was answered anything but 0.
    expect(stored.filter((one) => one !== undefined).length).toBeGreaterThanOrEqual(answered);
    expect(client.received.filter((_, index) => index % 9 === 8).every((status) => status === 0)).toBe(true);
  });

  it("keeps what it has across a restart, and takes the same tickets again", async () => {
    const { client, server, root } = await serverAndClient(3);
    const frames = framesOf(123_456, patternOf(20 * ticketDataSize, 9));
    await client.write(frames);
    await client.statuses(20);
    await server.close();
    const again = await belongings.server({ root });
    const other = await TestSocket.connect(again.port);
    await other.write(frames);
    expect(new Set(await other.statuses(20))).toEqual(new Set([0]));
    other.destroy();
  });

  it("answers requests for tickets with what is stored, and zeros where nothing is", async () => {
    const { client, server } = await serverAndClient();
    await client.write(framesOf(500, patternOf(400 * ticketDataSize, 4)));
    await client.statuses(400);
    const asking = await belongings.requests(server.port);
    expect(asking.greeting).toMatchObject({ role: "server", id: server.store.id, depth: 2 });
    const data = new Uint8Array(402 * ticketDataSize);
    const sums = new Uint8Array(402 * 8);
    await asking.askTickets("read", 499, 402, data, sums);
    expect(sameBytes(data.subarray(ticketDataSize, 401 * ticketDataSize), patternOf(400 * ticketDataSize, 4))).toBe(
      true,
    );
    expect(sums.subarray(0, 8).every((byte) => byte === 0) && sums.subarray(401 * 8).every((byte) => byte === 0)).toBe(
      true,
    );
    expect(await asking.askJson("space")).toMatchObject({ freeSpace: expect.any(Number) });
  });

  it.each([
    ["an operation that it does not know", "paint", {}, "", /does not know the operation "paint"/],
    ["a range past the last id", "read", { a: 2_901_713_047_660, b: 100 }, "", /range of ids below/],
    ["a range that ends before it begins", "reclaim", { a: 10, b: 5, c: 1 }, "", /range of ids/],
    ["a reclaim without a rate", "reclaim", { a: 0, b: 5, c: 0 }, "", /a rate of at least 1/],
    ["half a run to keep", "reclaim", { a: 0, b: 5, c: 1 }, "0000000000000000", /16 bytes each/],
    [
      "runs to keep in disorder",
      "reclaim",
      { a: 0, b: 50, c: 1 },
      `${u64(20)}${u64(2)}${u64(10)}${u64(2)}`,
      /in order/,
    ],
    ["an empty run to keep", "reclaim", { a: 0, b: 50, c: 1 }, `${u64(20)}${u64(0)}`, /none empty/],
  ])("refuses %s, by the rule, and goes on", async (_, operation, numbers, body, message) => {
    const { server } = await serverAndClient();
    const asking = await belongings.requests(server.port);
    const bytes = new Uint8Array(Buffer.from(body, "hex"));
    await expect(asking.askJson(operation, numbers, bytes)).rejects.toThrow(message);
    expect(await asking.askJson("space")).toMatchObject({ freeSpace: expect.any(Number) });
  });

  it("drops by reclaim what is not named, keeps what is, and says so", async () => {
    const { client, server } = await serverAndClient();
    await client.write(framesOf(0, patternOf(300 * ticketDataSize, 4)));
    await client.statuses(300);
    const asking = await belongings.requests(server.port);
    const live = new Uint8Array(Buffer.from(`${u64(10)}${u64(5)}${u64(200)}${u64(1)}`, "hex"));
    const outcome = await asking.askJson("reclaim", { a: 0, b: 1_727_604, c: 1e9 }, live);
    expect(outcome).toEqual({ volumesUnlinked: 0, volumesRewritten: 1 });
    const stored = await storedTickets(server.store, 0, 300);
    const kept = stored.flatMap((one, index) => (one === undefined ? [] : [index]));
    expect(kept).toEqual([10, 11, 12, 13, 14, 200]);
    expect(
      sameBytes(stored[200]!, patternOf(300 * ticketDataSize, 4).subarray(200 * ticketDataSize, 201 * ticketDataSize)),
    ).toBe(true);
  });

  it("tells a client with another key so, by both fingerprints", async () => {
    const { server } = await serverAndClient();
    const asking = belongings.requests(server.port, otherKey);
    await expect(asking).rejects.toMatchObject({ code: "WRONG_KEY" });
    const message = await asking.catch((error: Error) => error.message);
    expect(message).toContain(fingerprintOf(testKey));
    expect(message).toContain(fingerprintOf(otherKey));
  });
});

function u64(value: number): string {
  return value.toString(16).padStart(16, "0");
}
