/** Requests and answers: exact bytes, and that nothing changed, exchanged or repeated is believed. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ticketDataSize } from "../core/frame.ts";
import { idCount, type TicketId } from "../core/ids.ts";
import { Kernel } from "../core/kernel.ts";
import { parseKey } from "../core/key.ts";
import * as limits from "../core/limits.ts";
import {
  answerSize,
  beginsRequests,
  checkBody,
  decodeAnswer,
  decodeJsonBody,
  decodeRequest,
  encodeEnd,
  encodeJsonAnswer,
  encodeRequest,
  encodeTicketsHead,
  noSession,
  protocolVersion,
  requestSize,
} from "./message.ts";

const arena = { tiny: 1, block: 1, group: 0 };
const kernel = new Kernel(parseKey("000102030405060708090a0b0c0d0e0f", "test"), arena);
const otherKernel = new Kernel(parseKey("000102030405060708090a0b0c0d0e10", "test"), arena);
const session = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index);
const otherSession = Uint8Array.from({ length: 16 }, (_, index) => 0xb0 + index);

const operation = fc.stringMatching(/^[a-z]{1,8}$/);
const number64 = fc.maxSafeNat();
const number32 = fc.integer({ min: 1, max: 0xffff_ffff });
const body = fc.uint8Array({ maxLength: 5000 });
const request = fc.record({ operation, a: number64, b: number64, c: number64, number: number32 });

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

/** What the answering side does with a request and its body. */
function accept(frame: Uint8Array, as: Uint8Array = session): unknown {
  const decoded = decodeRequest(kernel, as, frame.subarray(0, requestSize));
  checkBody(kernel, decoded, frame.subarray(requestSize));
  return decoded;
}

function acceptJson(frame: Uint8Array, as = session): unknown {
  const answer = decodeAnswer(kernel, as, frame.subarray(0, answerSize));
  if (answer.kind !== "json" && answer.kind !== "error") throw new Error(answer.kind);
  return decodeJsonBody(kernel, answer.bodyMac, frame.subarray(answerSize));
}

describe("a request", () => {
  it("comes out as it went in", () => {
    fc.assert(
      fc.property(request, body, (asked, bytes) => {
        const frame = encodeRequest(kernel, session, asked, bytes);
        expect(accept(frame)).toMatchObject({ ...asked, bodySize: bytes.length });
      }),
    );
  });

  it("lies where docs/formats/wire.md says", () => {
    const asked = { operation: "reclaim", a: 0x0102030405, b: 2, c: 3, number: 7 };
    const frame = Buffer.from(encodeRequest(kernel, session, asked, Uint8Array.of(1, 2, 3)));
    expect(frame.subarray(0, 8).toString("latin1")).toBe("reclaim\0");
    expect(frame.subarray(8, 16).toString("hex")).toBe("0000000102030405");
    expect([frame.readBigUInt64BE(16), frame.readBigUInt64BE(24)]).toEqual([2n, 3n]);
    expect([frame.readUInt32BE(32), frame.readUInt32BE(36)]).toEqual([3, 7]);
    expect(frame.subarray(40, 48)).toEqual(Buffer.from(kernel.macLong(Uint8Array.of(1, 2, 3))));
    expect(frame.subarray(48, 56)).toEqual(Buffer.from(kernel.mac(Buffer.concat([session, frame.subarray(0, 48)]))));
    expect([...frame.subarray(56)]).toEqual([1, 2, 3]);
  });

  it("is refused with any bit flipped, in head or body", () => {
    const frame = encodeRequest(
      kernel,
      session,
      { operation: "read", a: 5, b: 9, number: 1 },
      Uint8Array.of(1, 2, 3, 4),
    );
    for (let bit = 0; bit < frame.length * 8; bit++) expect(() => accept(flipped(frame, bit))).toThrow();
    expect(() => accept(frame)).not.toThrow();
  });

  it("is refused in another session, without one, and under another key", () => {
    const frame = encodeRequest(kernel, session, { operation: "read", number: 1 }, new Uint8Array(0));
    for (const as of [otherSession, noSession]) expect(() => accept(frame, as)).toThrow(/not authenticated/);
    const foreign = encodeRequest(otherKernel, session, { operation: "read", number: 1 }, new Uint8Array(0));
    expect(() => accept(foreign)).toThrow(/not authenticated/);
  });

  it("is refused with the body of another one, also of the same length", () => {
    fc.assert(
      fc.property(body, body, (one, other) => {
        fc.pre(Buffer.compare(one, other) !== 0);
        const decoded = decodeRequest(
          kernel,
          session,
          encodeRequest(kernel, session, { operation: "x", number: 1 }, one),
        );
        expect(() => checkBody(kernel, decoded, other)).toThrow(/body/);
      }),
    );
  });

  it("is refused beyond the limits, by name and rule", () => {
    const tooLong = new Uint8Array(limits.messageSizeMax + 1);
    const long = encodeRequest(kernel, session, { operation: "read", number: 1 }, tooLong);
    expect(() => decodeRequest(kernel, session, long)).toThrow(`body size: at most ${limits.messageSizeMax}`);
    const frame = encodeRequest(kernel, session, { operation: "read", number: 1 }, new Uint8Array(0));
    new DataView(frame.buffer).setBigUint64(16, 2n ** 53n);
    frame.set(kernel.mac(Buffer.concat([session, frame.subarray(0, 48)])), 48);
    expect(() => decodeRequest(kernel, session, frame)).toThrow(/^b: at most 9007199254740991/);
  });
});

describe("an answer", () => {
  it("of JSON comes out as it went in", () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        number32,
        fc.constantFrom("json" as const, "error" as const),
        (value, number, kind) => {
          const frame = encodeJsonAnswer(kernel, session, kind, number, value);
          expect(decodeAnswer(kernel, session, frame.subarray(0, answerSize))).toMatchObject({ kind, number });
          // -0 is written as 0 in JSON.
          expect(acceptJson(frame)).toEqual(JSON.parse(JSON.stringify(value)));
        },
      ),
    );
  });

  it("of tickets comes out as it went in", () => {
    const tickets = fc
      .record({ first: fc.nat({ max: idCount - 1 }), count: fc.integer({ min: 1, max: 180 }) })
      .chain(({ first, count }) => {
        const size = count * ticketDataSize;
        return fc.tuple(fc.nat({ max: size }), fc.nat({ max: size })).map(([one, other]) => {
          const skip = Math.min(one, other);
          return { first: first as TicketId, count, skip, take: Math.max(one, other) - skip };
        });
      });
    fc.assert(
      fc.property(tickets, number32, (wanted, number) => {
        const frame = encodeTicketsHead(kernel, session, number, wanted);
        const size = wanted.count * 1466;
        expect(decodeAnswer(kernel, session, frame)).toEqual({ kind: "tickets", number, size, ...wanted });
      }),
    );
  });

  it("is refused with any bit flipped, in head or body", () => {
    const json = encodeJsonAnswer(kernel, session, "json", 1, { a: "b" });
    for (let bit = 0; bit < json.length * 8; bit++) expect(() => acceptJson(flipped(json, bit))).toThrow();
    expect(acceptJson(json)).toEqual({ a: "b" });
    const others = [
      encodeEnd(kernel, session, 3),
      encodeTicketsHead(kernel, session, 2, { first: 77 as TicketId, count: 3, skip: 1, take: 2 }),
    ];
    for (const frame of others) {
      for (let bit = 0; bit < frame.length * 8; bit++) {
        expect(() => decodeAnswer(kernel, session, flipped(frame, bit))).toThrow(/not authenticated/);
      }
    }
  });

  it("is refused with the body of another answer of the same session and length", () => {
    const one = encodeJsonAnswer(kernel, session, "json", 1, { size: 10 });
    const other = encodeJsonAnswer(kernel, session, "json", 2, { size: 99 });
    const mixed = Buffer.concat([one.subarray(0, answerSize), other.subarray(answerSize)]);
    expect(() => acceptJson(mixed)).toThrow(/not authenticated/);
  });

  it("is refused in another session and under another key", () => {
    const frame = encodeEnd(kernel, session, 1);
    expect(() => decodeAnswer(kernel, otherSession, frame)).toThrow(/not authenticated/);
    expect(() => decodeAnswer(otherKernel, session, frame)).toThrow(/not authenticated/);
  });

  it("whose sizes contradict each other, or of an unknown kind, is refused although its mac is right", () => {
    const forge = (change: (view: DataView) => void): Uint8Array => {
      const frame = encodeTicketsHead(kernel, session, 1, { first: 1 as TicketId, count: 2, skip: 0, take: 10 });
      change(new DataView(frame.buffer));
      frame.set(kernel.mac(Buffer.concat([session, frame.subarray(0, 32)])), 32);
      return frame;
    };
    const cases: [(view: DataView) => void, RegExp][] = [
      [(view) => view.setUint32(16, 3), /3 tickets/],
      [(view) => view.setUint32(24, 2 * ticketDataSize + 1), /to use/],
      [(view) => view.setUint8(8, 0), /no TicketID/],
      [(view) => view.setUint8(4, 0x2a), /kind 42/],
      [(view) => view.setUint32(28, limits.messageSizeMax + 1), /answer size: at most/],
    ];
    for (const [change, message] of cases) {
      expect(() => decodeAnswer(kernel, session, forge(change))).toThrow(message);
    }
  });
});

describe("the first bytes of a connection", () => {
  it("tell requests from frames as soon as they differ, and no earlier", () => {
    const hello = Buffer.from("hello\0\0\0more", "latin1");
    for (let size = 0; size < 8; size++) expect(beginsRequests(hello.subarray(0, size))).toBeUndefined();
    for (let size = 8; size <= hello.length; size++) expect(beginsRequests(hello.subarray(0, size))).toBe(true);
    expect(beginsRequests(Buffer.from("hellp"))).toBe(false);
    expect(beginsRequests(Buffer.from("HELLO000"))).toBe(false);
  });

  it("of no TicketID are those of a request", () => {
    const id = fc.stringMatching(/^[0-9A-Z]{1,8}$/).map((text) => Buffer.from(text.padEnd(8, "\0"), "latin1"));
    expect(() => fc.assert(fc.property(id, (bytes) => beginsRequests(bytes) === false))).not.toThrow();
  });
});

it("the examples of docs/formats/wire.md are what is sent", () => {
  const text = readFileSync(new URL("../../docs/formats/wire.md", import.meta.url), "utf8");
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const [own, others] = [Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), Uint8Array.of(17, 18, 19, 20, 21, 22, 23, 24)];
  const shown = new Uint8Array([...own, ...others]);
  const tickets = { first: 36 as TicketId, count: 2, skip: 0, take: 2 * ticketDataSize };
  const examples: readonly (readonly [string, Uint8Array])[] = [
    ["hello", encodeRequest(kernel, noSession, { operation: "hello", a: protocolVersion, number: 1 }, own)],
    ["read", encodeRequest(kernel, shown, { operation: "read", a: 36, b: 2, number: 2 }, new Uint8Array(0))],
    ["tickets", encodeTicketsHead(kernel, shown, 2, tickets)],
    ["end", encodeEnd(kernel, shown, 2)],
  ];
  for (const [name, bytes] of examples) expect(text).toContain(`${name.padEnd(8)} ${hex(bytes)}`);
  for (const [name, size] of [
    ["Request", requestSize],
    ["Answer", answerSize],
  ] as const) {
    expect(text).toContain(`**${name}**, ${size} bytes`);
  }
});
