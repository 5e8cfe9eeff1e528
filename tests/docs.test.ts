/** What the documents point to is there: files, folders, headings, scripts, commands. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { projectRoot } from "./support/program.ts";

const folders = ["", "docs", "docs/decisions", "docs/formats", "docs/runbooks"];
const documents = folders.flatMap((folder) =>
  readdirSync(path.join(projectRoot, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => path.join(folder, name)),
);
const textOf = (document: string): string => readFileSync(path.join(projectRoot, document), "utf8");
const isThere = (file: string): boolean => existsSync(path.join(projectRoot, file));
const scripts = Object.keys((JSON.parse(textOf("package.json")) as { scripts: object }).scripts);

/** As a heading is called in a link: lower case, hyphens for spaces, without punctuation. */
function anchorsOf(document: string): string[] {
  return [...textOf(document).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test.each(documents)("%s links to what is there", (document) => {
  const broken: string[] = [];
  for (const [, target] of textOf(document).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(target!)) continue;
    const [file, anchor] = target!.split("#") as [string, string?];
    const at = file === "" ? document : path.join(path.dirname(document), file);
    if (!isThere(at) || (anchor !== undefined && !anchorsOf(at).includes(anchor))) broken.push(target!);
  }
  expect(broken).toEqual([]);
});

test.each(documents)("%s names files and scripts that are there", (document) => {
  const missing: string[] = [];
  for (const [, words] of textOf(document).matchAll(/`([^`\n]+)`/g)) {
    for (const [named] of words!.matchAll(
      /(?<![\w./-])(?:src|tests|sim|crash|bench|scripts|docs|examples)\/[\w./-]+[\w/]/g,
    )) {
      // `src/volume`, `tests/router.test.ts`; the beginning of several, as in `tests/datastore-*.test.ts`, will do.
      const folder = path.join(projectRoot, path.dirname(named));
      const isBeginning =
        existsSync(folder) && readdirSync(folder).some((name) => name.startsWith(path.basename(named)));
      if (!isBeginning) missing.push(named);
    }
    const script = /^npm run ([\w:-]+)/.exec(words!)?.[1];
    if (script !== undefined && !scripts.includes(script)) missing.push(`npm run ${script}`);
  }
  expect(missing).toEqual([]);
});
