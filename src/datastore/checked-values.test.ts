import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StoreError } from "../core/errors.ts";
import { CheckedValues } from "./checked-values.ts";
import { bytesOf } from "./keys.ts";

const values = new CheckedValues();
const sealed = (key: string, text: string): Buffer => {
  const bytes = values.seal(key, text);
  return Buffer.from(bytes.subarray(bytes.start, bytes.end));
};
const opened = (key: string, bytes: Uint8Array, lenient = false): string => {
  const reader = new CheckedValues();
  reader.acceptsUnchecked = lenient;
  reader.take(bytes, bytes.length);
  return reader.open(key);
};
const refusal = (key: string, bytes: Uint8Array, lenient = false): string | undefined => {
  try {
    opened(key, bytes, lenient);
    return undefined;
  } catch (error) {
    expect((error as StoreError).code).toBe("DAMAGED");
    return (error as StoreError).message;
  }
};

const key = fc.string({ unit: "grapheme", minLength: 1, maxLength: 300 }).map((text) => `f${bytesOf(text)}`);
const value = fc.oneof(
  fc.dictionary(fc.string(), fc.jsonValue()).map((each) => JSON.stringify(each)),
  fc.integer().map(String),
);

describe("a stored value", () => {
  test("is the value, a NUL, and the CRC-32 of value and key", () => {
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(Buffer.from('{"a":"é"}fb\0k')));
    expect(sealed("fb\0k", '{"a":"é"}')).toEqual(Buffer.concat([Buffer.from('{"a":"é"}\0'), sum]));
    const bytes = Buffer.concat([Buffer.from("1"), Buffer.from("fé")]);
    expect(sealed(bytesOf("fé"), "1").readUInt32BE(2)).toBe(crc32(bytes));
    expect(sealed("mformat", "2")).toEqual(Buffer.from("2"));
  });

  test("comes back as it was", () => {
    fc.assert(fc.property(key, value, (k, v) => opened(k, sealed(k, v)) === v));
    for (const size of [65_000, 65_536, 1_000_000]) {
      const text = JSON.stringify({ a: "é".repeat(size) });
      expect(opened("fb\0k", sealed("fb\0k", text)) === text).toBe(true);
    }
  });

  test("is DAMAGED with any bit flipped, cut short, or under another key; the message names table, key and runbook", () => {
    fc.assert(
      fc.property(key, value, fc.nat(), fc.nat({ max: 7 }), key, (k, v, at, bit, other) => {
        const bytes = sealed(k, v);
        if (other !== k) expect(refusal(other, bytes)).toMatch(/does not match/);
        expect(refusal(k, bytes.subarray(0, at % bytes.length))).toBeDefined();
        bytes[at % bytes.length]! ^= 1 << bit;
        expect(refusal(k, bytes)).toBeDefined();
        // Nor does it become one that never had a checksum.
        expect(refusal(k, bytes, true)).toBeDefined();
      }),
    );
    expect(refusal("fb\0key 7", Buffer.from("{}\0abcd"))).toMatch(
      /"fb\\u0000key 7" \(table file\) does not match.*restore-the-datastore\.md/,
    );
  });

  test("without a checksum is taken only where such are expected, and where it can be a record", () => {
    fc.assert(
      fc.property(key, value, (k, v) => {
        expect(refusal(k, Buffer.from(v))).toMatch(/has no checksum/);
        expect(opened(k, Buffer.from(v), true)).toBe(v);
      }),
    );
    for (const text of ["", "{", "1a", '{"a":1}x']) expect(refusal("fb\0k", Buffer.from(text), true)).toBeDefined();
  });
});
