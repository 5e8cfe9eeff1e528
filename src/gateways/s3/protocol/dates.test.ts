import fc from "fast-check";
import { expect, test } from "vitest";
import { httpDate } from "./dates.ts";

test("a date in a header is what Date makes of it, at any time", () => {
  const times = fc.integer({ min: -8_640_000_000_000_000, max: 8_640_000_000_000_000 });
  const usual = fc.integer({ min: -100_000, max: 260_000_000_000_000 });
  fc.assert(
    fc.property(fc.oneof(usual, times), (time) => {
      expect(httpDate(time)).toBe(new Date(time).toUTCString());
    }),
    { numRuns: 5_000 },
  );
});

test("the days around the ends of months, of leap years too", () => {
  for (const year of [1970, 1972, 1999, 2000, 2024, 2026, 2100, 2400, 9999]) {
    for (let month = 0; month < 12; month++) {
      const first = Date.UTC(year, month, 1);
      for (const time of [first, first - 1, first + 86_399_999]) {
        expect(httpDate(time)).toBe(new Date(time).toUTCString());
      }
    }
  }
});
