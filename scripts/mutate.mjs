/**
 * Shows that the simulator finds bugs: applies the mutations of sim/mutations one at a time to a copy of the sources,
 * runs seeds until one fails, and writes the table in docs/simulator.md.
 *
 *   node scripts/mutate.mjs [--only TEXT] [--seconds 60] [--seed 1]
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { mutations } from "../sim/mutations/mutations.mjs";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    only: { type: "string" },
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
  },
});
const document = path.join(root, "docs/simulator.md");
const begin = "<!-- mutations -->";
const end = "<!-- end of mutations -->";

const copy = mkdtempSync(path.join(tmpdir(), "data-putter-mutations-"));
const rows = [];
try {
  for (const name of ["src", "sim", "package.json", "tsconfig.json", "tsconfig.sim.json"]) {
    cpSync(path.join(root, name), path.join(copy, name), { recursive: true });
  }
  symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"), "dir");
  const chosen = mutations.filter(({ name }) => values.only === undefined || name.includes(values.only));
  for (const mutation of chosen) {
    const row = tried(mutation);
    rows.push(row);
    console.log(`| ${row.join(" | ")} |`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
if (values.only === undefined) writeTable();
const missed = rows.filter((row) => row[1] === "not caught");
process.exitCode = missed.length === 0 ? 0 : 1;

/** Its row: what, which checker caught it, seeds, seconds. */
function tried({ name, file, from, to }) {
  const source = path.join(copy, file);
  const before = readFileSync(source, "utf8");
  if (before.split(from).length !== 2) throw new Error(`${name}: its text is not once in ${file} any more`);
  writeFileSync(
    source,
    before.replace(from, () => to),
  );
  try {
    compile();
    return caught(name);
  } finally {
    writeFileSync(source, before);
  }
}

function compile() {
  // A mutation may leave a name unused; what is emitted is run all the same.
  spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.sim.json"], { cwd: copy });
}

function caught(name) {
  const startedAt = performance.now();
  const minutes = String(Number(values.seconds) / 60);
  const args = ["dist.sim/sim/main.js", "--seed", values.seed, "--minutes", minutes, "--verbose", "--no-shrink"];
  let output = "";
  let isCaught = false;
  try {
    // Where a mutation makes it go on for ever, that is a finding as well.
    const timeout = (Number(values.seconds) + 60) * 1000;
    output = execFileSync(process.execPath, args, {
      cwd: copy,
      encoding: "utf8",
      timeout,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    output = String(error.stdout);
    isCaught = true;
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  const seeds = [...output.matchAll(/^seed \d+:/gm)].length;
  const violation = /^FAILED.*\n {2}(.*)$/m.exec(output)?.[1];
  if (!isCaught) return [name, "not caught", String(seeds), String(seconds)];
  return [name, violation?.split(":")[0] ?? "it did not end", String(seeds), String(seconds)];
}

function writeTable() {
  const text = readFileSync(document, "utf8");
  const table = [
    "| mutation | caught by | seeds | seconds |",
    "|---|---|---|---|",
    ...rows.map((row) => `| ${row.join(" | ")} |`),
  ];
  const at = text.indexOf(begin) + begin.length;
  writeFileSync(document, `${text.slice(0, at)}\n\n${table.join("\n")}\n\n${text.slice(text.indexOf(end))}`);
}
