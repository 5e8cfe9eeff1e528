/** That the mutations of scripts/mutate.mjs still are changes of the sources as they are now: by their texts alone. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { mutations } from "./mutations.mjs";

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));

it("every mutation applies: its text is once in its file", () => {
  const stale = mutations
    .map(({ name, file, from }) => ({
      name,
      times: readFileSync(path.join(root, file), "utf8").split(from).length - 1,
    }))
    .filter(({ times }) => times !== 1);
  expect(stale).toEqual([]);
});

it("there are at least thirty, each with its own name, and each has its row in docs/simulator.md", () => {
  const names = mutations.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(30);
  const text = readFileSync(path.join(root, "docs/simulator.md"), "utf8");
  expect(names.filter((name) => !text.includes(`| ${name} |`))).toEqual([]);
});
