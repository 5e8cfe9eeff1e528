import { crc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { crcOfBytes, crcOfText } from "./short-crc.ts";

test("is zlib's CRC-32, whatever the size", () => {
  expect(crcOfBytes(Buffer.from("123456789"), 9)).toBe(0xcbf43926);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000, size: "max" }), fc.uint8Array({ maxLength: 600 }), (left, right) => {
      const text = Buffer.from(right).toString("latin1");
      expect(crcOfBytes(left, left.length)).toBe(crc32(left));
      expect(crcOfText(text, crcOfBytes(left, left.length))).toBe(crc32(right, crc32(left)));
      const part = left.length >> 1;
      expect(crcOfBytes(left, part)).toBe(crc32(left.subarray(0, part)));
    }),
  );
});
