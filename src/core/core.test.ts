/** The permanent formats against tests/vectors/vectors.json, and the kernel against its plain twin. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sipHash24 } from "./checksum.ts";
import { StoreError } from "./errors.ts";
import { groupTicketCount, responseSize, ticketDataSize, writeTicketSize } from "./frame.ts";
import { formatId, idCount, parseId, readId, type TicketId, writeId } from "./ids.ts";
import { Kernel } from "./kernel.ts";
import { fingerprintOf, keyOf, parseKey } from "./key.ts";
import {
  type Depth,
  depths,
  layoutOf,
  slotOf,
  ticketPath,
  volumeDirectory,
  volumeEnd,
  volumeOf,
  volumeStart,
} from "./layout.ts";
import { appendRun, type Run, runsFit, sliceRuns, ticketsIn } from "./run.ts";

interface Vectors {
  ids: { ordinal: number; id: string; wire: string }[];
  siphash24: { key: string; message: string; checksum: string }[];
  tickets: { key: string; id: string; data: string; checksum: string; frameSha256: string }[];
  paths: { id: string; depth: Depth; path: string; slot: number }[];
}
const vectors = JSON.parse(
  readFileSync(new URL("../../tests/vectors/vectors.json", import.meta.url), "utf8"),
) as Vectors;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));
const small = { tiny: 4, block: 4, group: 1 };
const testKey = parseKey("000102030405060708090a0b0c0d0e0f", "test");
const anyTicket = fc.integer({ min: 0, max: idCount - 1 }).map((ordinal) => ordinal as TicketId);

function vectorData(description: string): Uint8Array {
  const data = new Uint8Array(ticketDataSize);
  const pattern = /^byte i = \(7\*i\+(\d+)\) mod 251$/.exec(description);
  if (pattern !== null) data.forEach((_, index) => (data[index] = (7 * index + Number(pattern[1])) % 251));
  else if (description === "'hello' then zeros") data.set(Buffer.from("hello"));
  else if (description === "all 0xff") data.fill(0xff);
  else expect(description).toBe("zeros");
  return data;
}

describe("ids", () => {
  it.each(vectors.ids)("ordinal $ordinal is $id, $wire on the wire", ({ ordinal, id, wire }) => {
    expect(formatId(ordinal as TicketId)).toBe(id);
    expect(parseId(id)).toBe(ordinal);
    const bytes = new Uint8Array(8);
    writeId(ordinal as TicketId, bytes, 0);
    expect(hex(bytes)).toBe(wire);
    expect(readId(bytes, 0)).toBe(ordinal);
  });

  it("text and wire lead back to every ordinal, and longer ids come later", () => {
    fc.assert(
      fc.property(anyTicket, (ticket) => {
        const text = formatId(ticket);
        expect(parseId(text)).toBe(ticket);
        const wire = new Uint8Array(8);
        writeId(ticket, wire, 0);
        expect(readId(wire, 0)).toBe(ticket);
        if (ticket > 0) expect(formatId((ticket - 1) as TicketId).length).toBeLessThanOrEqual(text.length);
      }),
    );
  });

  it("after the last id comes a clear error, never a wrap", () => {
    expect(() => formatId(idCount as TicketId)).toThrow(/last id is ZZZZZZZZ/);
  });

  it.each(["", "a", "123456789", "A-", "Ä", " A"])("%j is no id", (text) => {
    expect(parseId(text)).toBeUndefined();
  });

  it.each(["0000000000000000", "3000300000000000", "6100000000000000", "00", "3030303030303020"])(
    "wire bytes %s are no id",
    (wire) => {
      expect(readId(bytesOf(wire.padEnd(16, "0")), 0)).toBeUndefined();
    },
  );
});

describe("layout", () => {
  it.each(vectors.paths)("$id at depth $depth is slot $slot of $path", ({ id, depth, path, slot }) => {
    const ticket = parseId<TicketId>(id)!;
    expect(ticketPath(layoutOf(depth), ticket)).toBe(path);
    expect(slotOf(layoutOf(depth), ticket)).toBe(slot);
  });

  it("a volume is one contiguous range of ids, and path and slot lead back to the id", () => {
    fc.assert(
      fc.property(anyTicket, fc.constantFrom(...depths), (ticket, depth) => {
        const layout = layoutOf(depth);
        const volume = volumeOf(layout, ticket);
        expect(ticket).toBeGreaterThanOrEqual(volumeStart(layout, volume));
        expect(ticket).toBeLessThan(volumeEnd(layout, volume));
        const prefix = volumeDirectory(layout, volume).replaceAll("/", "");
        const id = formatId(ticket);
        expect(id.startsWith(prefix)).toBe(true);
        const tail = id.slice(prefix.length);
        expect(slotOf(layout, ticket)).toBe(tail === "" ? 0 : parseId(tail));
      }),
    );
  });
});

describe("runs", () => {
  it("neighbours merge, and slices hold just the tickets asked for", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 1, max: 9 })), {
          maxLength: 12,
        }),
        fc.nat(60),
        fc.nat(60),
        (pieces, from, length) => {
          const runs: Run[] = [];
          const flat: number[] = [];
          for (const [first, count] of pieces) {
            appendRun(runs, { first: first as TicketId, count });
            for (let index = 0; index < count; index++) flat.push(first + index);
          }
          expect(ticketsIn(runs)).toBe(flat.length);
          expect(runsFit(runs, flat.length * ticketDataSize)).toBe(true);
          const slice = sliceRuns(runs, from, from + length).flatMap((run) =>
            Array.from({ length: run.count }, (_, index) => run.first + index),
          );
          expect(slice).toEqual(flat.slice(from, from + length));
          for (let index = 1; index < runs.length; index++) {
            expect(runs[index - 1]!.first + runs[index - 1]!.count).not.toBe(runs[index]!.first);
          }
        },
      ),
    );
  });
});

describe("keys", () => {
  it.each(["", "00", "g".repeat(32), "0".repeat(33)])("%j is refused without being repeated", (text) => {
    expect(() => parseKey(text, "DATA_PUTTER_KEY")).toThrow(/DATA_PUTTER_KEY: a key is 32 hex digits/);
    if (text.length > 8) expect(() => parseKey(text, "x")).not.toThrow(new RegExp(text));
  });

  it("a fingerprint tells keys apart and does not contain them", () => {
    expect(fingerprintOf(testKey)).toMatch(/^[0-9a-f]{16}$/);
    expect(fingerprintOf(testKey)).not.toBe(fingerprintOf(keyOf(new Uint8Array(16))));
  });
});

describe("kernel", () => {
  it.each(vectors.siphash24)("SipHash-2-4 of '$message' is $checksum, in the kernel and in its twin", (vector) => {
    const key = parseKey(vector.key, "vector");
    expect(hex(sipHash24(key, bytesOf(vector.message)))).toBe(vector.checksum);
    expect(hex(new Kernel(key, small).mac(bytesOf(vector.message)))).toBe(vector.checksum);
  });

  it.each(vectors.tickets)("ticket $id with $data has checksum $checksum and its frame", (vector) => {
    const kernel = new Kernel(parseKey(vector.key, "vector"), small);
    const ticket = parseId<TicketId>(vector.id)!;
    const buffer = kernel.take("tiny")!;
    buffer.data.set(vectorData(vector.data));
    kernel.makeSums(ticket, 1, buffer.data, buffer.sums);
    expect(hex(buffer.sums.subarray(0, 8))).toBe(vector.checksum);
    const frame = kernel.take("block")!.data;
    kernel.enframe(ticket, 1, buffer.data, buffer.sums, frame);
    const frameHash = createHash("sha256").update(frame.subarray(0, writeTicketSize)).digest("hex");
    expect(frameHash).toBe(vector.frameSha256);
    expect(kernel.checkFrame(frame)).toBe(true);
  });

  it("checksums of a batch are those of the twin, across every carry of the id and every count of lanes", () => {
    const kernel = new Kernel(testKey, small);
    const buffer = kernel.take("block")!;
    const near = (ordinal: number): fc.Arbitrary<number> =>
      fc.integer({ min: Math.max(0, ordinal - 8), max: Math.min(idCount - 9, ordinal + 8) });
    fc.assert(
      fc.property(
        fc.oneof(anyTicket, near(36), near(1332), near(47_988), near(80_603_140_212), near(idCount - 9)),
        fc.integer({ min: 1, max: 9 }),
        fc.integer(),
        (first, count, seed) => {
          fc.pre(first + count <= idCount);
          for (let index = 0; index < count * ticketDataSize; index++) {
            buffer.data[index] = Math.imul(index ^ seed, 2_654_435_761) >>> 24;
          }
          kernel.makeSums(first, count, buffer.data, buffer.sums);
          for (let index = 0; index < count; index++) {
            const message = new Uint8Array(8 + ticketDataSize);
            writeId((first + index) as TicketId, message, 0);
            message.set(buffer.data.subarray(index * ticketDataSize, (index + 1) * ticketDataSize), 8);
            expect(hex(buffer.sums.subarray(index * 8, index * 8 + 8))).toBe(hex(sipHash24(testKey, message)));
          }
          expect(kernel.checkSums(first, count, buffer.data, buffer.sums)).toBe(count);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("any flipped bit is found, at its ticket", () => {
    const kernel = new Kernel(testKey, small);
    const buffer = kernel.take("block")!;
    const count = 11;
    buffer.data.forEach((_, index) => (buffer.data[index] = index % 253));
    kernel.makeSums(1000, count, buffer.data, buffer.sums);
    fc.assert(
      fc.property(fc.nat(count * ticketDataSize - 1), fc.nat(7), fc.boolean(), (position, bit, inSums) => {
        const bytes = inSums ? buffer.sums : buffer.data;
        const at = inSums ? position % (count * 8) : position;
        bytes[at]! ^= 1 << bit;
        expect(kernel.checkSums(1000, count, buffer.data, buffer.sums)).toBe(Math.floor(at / (inSums ? 8 : 1458)));
        bytes[at]! ^= 1 << bit;
      }),
    );
    expect(kernel.checkSums(1001, count, buffer.data, buffer.sums)).toBe(0);
  });

  it("frames are taken apart up to the first that is out of order or does not verify", () => {
    const kernel = new Kernel(testKey, small);
    const source = kernel.take("block")!;
    const frames = kernel.receiveBuffer;
    const target = kernel.take("block")!;
    source.data.forEach((_, index) => (source.data[index] = (index * 31) % 256));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 13 }), fc.option(fc.nat(12)), fc.boolean(), (count, broken, wrongId) => {
        kernel.makeSums(30, count, source.data, source.sums);
        kernel.enframe(30, count, source.data, source.sums, frames);
        const bad = broken === null || broken >= count ? undefined : broken;
        if (bad !== undefined) frames[bad * writeTicketSize + (wrongId ? 0 : 100)]! ^= 1;
        target.data.fill(0);
        const taken = kernel.unframe(frames, count, 30, target.data, target.sums);
        expect(taken).toBe(bad ?? count);
        const size = taken * ticketDataSize;
        expect(Buffer.compare(target.data.subarray(0, size), source.data.subarray(0, size))).toBe(0);
        expect(Buffer.compare(target.sums.subarray(0, taken * 8), source.sums.subarray(0, taken * 8))).toBe(0);
      }),
    );
  });

  it("responses are built and matched for any status", () => {
    const kernel = new Kernel(testKey, small);
    const bytes = kernel.take("block")!.data;
    kernel.respond(34, 5, 0, bytes);
    expect(hex(bytes.subarray(0, 5 * responseSize))).toBe(
      ["5900000000000000", "5a00000000000000", "3030000000000000", "3031000000000000", "3032000000000000"]
        .map((id) => `${id}00`)
        .join(""),
    );
    expect(kernel.matchResponses(bytes, 5, 34, 0)).toBe(5);
    bytes[3 * responseSize + 8] = 4;
    expect(kernel.matchResponses(bytes, 5, 34, 0)).toBe(3);
    expect(kernel.matchResponses(bytes, 5, 33, 0)).toBe(0);
  });

  it("buffers are handed out once, waited for in order, and released once", async () => {
    const kernel = new Kernel(testKey, { tiny: 1, block: 1, group: 1 });
    const first = kernel.take("tiny")!;
    expect(kernel.take("tiny")).toBeUndefined();
    const order: number[] = [];
    const second = kernel.wait("tiny").then((buffer) => (order.push(2), buffer));
    const third = kernel.wait("tiny").then((buffer) => (order.push(3), buffer));
    first.release();
    (await second).release();
    (await third).release();
    expect(order).toEqual([2, 3]);
    expect(() => first.release()).toThrow(/released once/);
    const group = kernel.take("group")!;
    expect(group.data.byteOffset % 4096).toBe(0);
    expect(group.sums.byteOffset % 4096).toBe(0);
    expect(group.data.length).toBe(groupTicketCount * ticketDataSize);
  });

  it("a StoreError keeps its code and cause", () => {
    const cause = new Error("below");
    const error = new StoreError("DAMAGED", "what: why", { cause });
    expect([error.code, error.message, error.cause]).toEqual(["DAMAGED", "what: why", cause]);
  });
});
