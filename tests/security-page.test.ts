/** docs/security.md against the tests that it names, and against the limits: neither can go its own way. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as limits from "../src/core/limits.ts";

const page = new URL("../docs/security.md", import.meta.url);
const rows = readFileSync(page, "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) => line.slice(2, -2).split(" | "));

/** Rows with a link to a test: what holds, and the file. */
const claims = rows.flatMap(([claim = "", link = ""]) => {
  const file = /^\[[^\]]+\]\((\.\.\/[^)]+\.(?:test|contract)\.ts)\)$/.exec(link)?.[1];
  return file === undefined ? [] : [{ claim: claim.replaceAll("`", ""), file }];
});

/** Names of tests as they stand in a file. */
function namesIn(file: string): string[] {
  const text = readFileSync(new URL(file, page), "utf8");
  const calls = /\b(?:it|test)(?:\.skipIf\([^)]*\)+)?\(\s*"((?:[^"\\]|\\.)*)"/g;
  const tables = /^ *\]?\)\(\s*"((?:[^"\\]|\\.)*)",/gm;
  const single = /\b(?:it|test)\.each\([^\n]*\)\(\s*"((?:[^"\\]|\\.)*)"/g;
  return [calls, tables, single].flatMap((form) => [...text.matchAll(form)].map((match) => match[1]!));
}

/** "5000: what holds": what it is about stands before a colon, where the name alone does not say. */
function isName(claim: string, names: readonly string[]): boolean {
  return names.includes(claim) || names.includes(claim.replace(/^[\w' -]+: /, ""));
}

test("each line that says what holds is the name of a test in the file that it names", () => {
  expect(claims.length).toBeGreaterThan(50);
  expect(claims.filter(({ claim, file }) => !isName(claim, namesIn(file)))).toEqual([]);
});

test("no link to a test is anything else, and each leads to a file", () => {
  const links = readFileSync(page, "utf8").match(/\]\(\.\.\/[^)]*\.(?:test|contract)\.ts\)/g) ?? [];
  expect(links.length).toBe(claims.length);
});

test("each test of what the page says is on the page", () => {
  const files = readdirSync(new URL("../tests", page)).filter((name) => /^security(?!-page).*\.test\.ts$/.test(name));
  expect(files.length).toBeGreaterThan(3);
  const missing = files.flatMap((name) => {
    const file = `../tests/${name}`;
    const told = claims.filter((each) => each.file === file).map(({ claim }) => claim);
    return namesIn(file).filter((one) => !told.some((claim) => isName(claim, [one])));
  });
  expect(missing).toEqual([]);
});

describe("numbers", () => {
  const units: { readonly [unit: string]: number } = {
    "": 1,
    s: 1000,
    minutes: 60_000,
    KiB: 1024,
    MiB: 1024 ** 2,
    days: 86_400,
  };

  test("are those of limits.ts", () => {
    const told = rows.flatMap(([name = "", value = ""]) => {
      const match = /^`(\w+)`$/.exec(name);
      return match === null ? [] : [[match[1]!, value] as const];
    });
    expect(told.length).toBeGreaterThan(10);
    for (const [name, value] of told) {
      const [, digits = "", unit = ""] = /^([\d.,]+) ?(\w*)$/.exec(value) ?? [];
      const size = Number(digits.replaceAll(",", "")) * units[unit]!;
      expect([name, (limits as { readonly [name: string]: unknown })[name]]).toEqual([name, size]);
    }
  });
});
