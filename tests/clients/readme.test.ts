/** README's table of clients: it names those that have a session, and no others. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { clients } from "./clients.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const section = /^## Clients\n(.*?)^## /ms.exec(readme)?.[1] ?? "";
const rows = section
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .slice(1)
  .map((line) => line.split("|").map((cell) => cell.trim()));

test("each client with a session is in the table, in the same order", () => {
  expect(rows.map(([, name]) => name)).toEqual(Object.keys(clients));
});

test("each row says which versions were run, and what was done", () => {
  for (const [, , versions, what] of rows) {
    expect(versions).toMatch(/^\d+\.\d+\.?\d*(, \d+\.\d+\.?\d*)*$/);
    expect(what).not.toBe("");
  }
});

test("each session's file is a client's", () => {
  const files = readdirSync(new URL("./", import.meta.url)).filter((name) => name.endsWith(".test.ts"));
  const sessions = Object.values(clients).map(({ file }) => `${file}.test.ts`);
  expect(files.sort()).toEqual([...sessions, "readme.test.ts"].sort());
});
