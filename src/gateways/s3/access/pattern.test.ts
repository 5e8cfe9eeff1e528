import fc from "fast-check";
import { expect, test } from "vitest";
import { canContinue, matchesPattern, patternOf } from "./pattern.ts";

const text = fc.string({ unit: fc.constantFrom("a", "b", "/", "😀"), maxLength: 8 });
const source = fc.string({ unit: fc.constantFrom("a", "b", "/", "😀", "*", "?"), maxLength: 6 });

function expression(pattern: string): RegExp {
  return new RegExp(`^${pattern.replaceAll("*", "[^]*").replaceAll("?", "[^]")}$`, "u");
}

test("a pattern matches what its regular expression does", () => {
  fc.assert(
    fc.property(source, text, (pattern, tried) => {
      expect(matchesPattern(patternOf(pattern), tried)).toBe(expression(pattern).test(tried));
    }),
    { numRuns: 2_000 },
  );
});

test("a text can be continued where some longer text, or itself, matches", () => {
  fc.assert(
    fc.property(source, text, text, (pattern, start, rest) => {
      if (matchesPattern(patternOf(pattern), start + rest)) expect(canContinue(patternOf(pattern), start)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
  expect(canContinue(patternOf("shop/*"), "shop/")).toBe(true);
  expect(canContinue(patternOf("shop"), "shop/")).toBe(false);
  expect(canContinue(patternOf("s*/a"), "shop/")).toBe(true);
  expect(canContinue(patternOf("shopping/*"), "shop/")).toBe(false);
});

test("no pattern takes long", () => {
  const began = process.cpuUsage();
  matchesPattern(patternOf(`${"*a".repeat(10_000)}b`), "a".repeat(1024));
  matchesPattern(patternOf(`*${"a".repeat(512)}b`), "a".repeat(1024));
  expect(process.cpuUsage(began).user).toBeLessThan(500_000);
});
