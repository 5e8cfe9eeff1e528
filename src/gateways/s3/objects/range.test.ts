import fc from "fast-check";
import { expect, it } from "vitest";
import { S3Error } from "../protocol/error.ts";
import { parseRange } from "./range.ts";

function refused(text: string, size: number): boolean {
  try {
    parseRange(text, size);
    return false;
  } catch (error) {
    if (error instanceof S3Error && error.code === "InvalidRange") return true;
    throw error;
  }
}

it("a range lies within the object and is what was asked for of it", () => {
  fc.assert(
    fc.property(fc.nat(100), fc.nat(120), fc.nat(120), (size, first, more) => {
      const text = `bytes=${first}-${first + more}`;
      if (first >= size) expect(refused(text, size)).toBe(true);
      else expect(parseRange(text, size)).toEqual({ offset: first, length: Math.min(more + 1, size - first) });
    }),
  );
});

it("a suffix is as much of the end as there is", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 120 }), (size, count) => {
      const length = Math.min(count, size);
      expect(parseRange(`bytes=-${count}`, size)).toEqual({ offset: size - length, length });
    }),
  );
  expect(refused("bytes=-0", 5)).toBe(true);
  expect(refused("bytes=-5", 0)).toBe(true);
});

it("whatever it says, it never leaves the object", () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d{0,25}-\d{0,25}$/));
  fc.assert(
    fc.property(text, fc.nat(50), (range, size) => {
      if (refused(range, size)) return;
      const found = parseRange(range, size);
      if (found === undefined) return;
      expect(found.length).toBeGreaterThan(0);
      expect(found.offset + found.length).toBeLessThanOrEqual(size);
    }),
  );
});
