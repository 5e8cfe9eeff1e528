import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  closeSize,
  decodeClose,
  decodeGroup,
  decodeHeader,
  encodeClose,
  encodeHeader,
  GroupEncoder,
} from "./journal-format.ts";

const keys = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 300,
});
const values = fc.option(fc.string({ unit: "grapheme", maxLength: 300 }), { nil: undefined });
const changes = fc.array(fc.record({ key: keys, value: values }, { requiredKeys: ["key", "value"] }), {
  maxLength: 20,
});
const numbers = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

const flat = (list: readonly { key: string; value: string | undefined }[]) =>
  list.flatMap(({ key, value }) => [key, value]);

describe("a group", () => {
  test("is read as it was written", () => {
    const encoder = new GroupEncoder();
    fc.assert(
      fc.property(numbers, numbers, changes, (commit, time, list) => {
        const bytes = Buffer.from(encoder.encode(commit, time, flat(list)));
        expect(decodeGroup(bytes)).toEqual({ commit, time, changes: list });
      }),
    );
  });

  test("that outgrows the memory is whole", () => {
    const list = [
      { key: "a", value: "ü".repeat(100_000) },
      { key: "b", value: "x".repeat(300_000) },
    ];
    const bytes = Buffer.from(new GroupEncoder().encode(1, 2, flat(list)));
    expect(decodeGroup(bytes)?.changes).toEqual(list);
  });

  test("with any flipped bit, or cut short anywhere, is none", () => {
    const encoder = new GroupEncoder();
    const bytes = Buffer.from(encoder.encode(7, 1000, ["fbucket\0key", '{"order":1}', "gone", undefined]));
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const wrong = Buffer.from(bytes);
      wrong[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeGroup(wrong), `bit ${bit}`).toBeUndefined();
    }
    for (let size = 28; size < bytes.length; size++) expect(decodeGroup(bytes.subarray(0, size))).toBeUndefined();
  });

  test("has the bytes that the format says", () => {
    const bytes = Buffer.from(new GroupEncoder().encode(258, 3, ["k", "vv", "d", undefined])).toString("hex");
    expect(bytes).toBe(
      "44504a47" +
        "00000010" +
        "0000000000000102" +
        "0000000000000003" +
        bytes.slice(48, 56) +
        "0001" +
        "00000002" +
        "6b" +
        "7676" +
        "0001" +
        "ffffffff" +
        "64",
    );
    expect(bytes.slice(48, 56)).toBe("0ed4abc9");
  });
});

test("header and close record are read as they were written, and nothing else is taken for one", () => {
  fc.assert(
    fc.property(numbers, fc.boolean(), (after, isEmpty) => {
      expect(decodeHeader(Buffer.from(encodeHeader({ after, isEmpty })))).toEqual({ after, isEmpty });
      expect(decodeClose(Buffer.from(encodeClose(after)))).toBe(after);
    }),
  );
  const close = Buffer.from(encodeClose(5));
  const header = Buffer.from(encodeHeader({ after: 5, isEmpty: false }));
  for (let bit = 0; bit < closeSize * 8; bit++) {
    close[bit >> 3]! ^= 1 << (bit & 7);
    expect(decodeClose(close)).toBeUndefined();
    close[bit >> 3]! ^= 1 << (bit & 7);
    header[bit >> 3]! ^= 1 << (bit & 7);
    expect(decodeHeader(header)).toBeUndefined();
    header[bit >> 3]! ^= 1 << (bit & 7);
  }
});
