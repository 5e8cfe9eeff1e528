/**
 * Shows that the simulator finds bugs: applies the mutations of sim/mutations one at a time to a copy of the sources,
 * runs seeds until one fails, and writes what it tried into the table in docs/simulator.md.
 *
 *   node scripts/mutate.mjs [--only EXPRESSION] [--missing] [--seconds 60] [--seed 1]
 *
 * --only: those whose names the regular expression finds; --missing: those that have no row yet, or were not caught.
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
    only: { type: "string", default: "" },
    missing: { type: "boolean", default: false },
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
  },
});
const document = path.join(root, "docs/simulator.md");
const notCaught = "not caught";
const begin = "<!-- mutations -->";
const end = "<!-- end of mutations -->";

const copy = mkdtempSync(path.join(tmpdir(), "data-putter-mutations-"));
const rows = [];
try {
  for (const name of ["src", "sim", "package.json", "tsconfig.json", "tsconfig.sim.json"]) {
    cpSync(path.join(root, name), path.join(copy, name), { recursive: true });
  }
  symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"), "dir");
  const expression = new RegExp(values.only);
  const known = knownRows();
  const isCaught = ({ name }) => known.has(name) && known.get(name)[1] !== notCaught;
  for (const mutation of mutations) {
    if (!expression.test(mutation.name) || (values.missing && isCaught(mutation))) continue;
    const row = tried(mutation);
    rows.push(row);
    console.log(`| ${row.join(" | ")} |`);
    writeTable();
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
const missed = rows.filter((row) => row[1] === notCaught);
process.exitCode = missed.length === 0 ? 0 : 1;

/** Its row: what, which checker caught it, seeds, seconds. */
function tried({ name, file, from, to, seed }) {
  const source = path.join(copy, file);
  const before = readFileSync(source, "utf8");
  if (before.split(from).length !== 2) throw new Error(`${name}: its text is not once in ${file} any more`);
  writeFileSync(
    source,
    before.replace(from, () => to),
  );
  try {
    compile();
    return caught(name, seed);
  } finally {
    writeFileSync(source, before);
  }
}

function compile() {
  // A mutation may leave a name unused; what is emitted is run all the same.
  spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.sim.json"], { cwd: copy });
}

/** `seed`: where to begin, for what chance shows rarely. */
function caught(name, seed = Number(values.seed)) {
  const minutes = String(Number(values.seconds) / 60);
  // Of a processor: how many others want it does not matter.
  const args = ["dist.sim/sim/main.js", "--seed", String(seed), "--processor-minutes", minutes];
  let output = "";
  let isCaught = false;
  try {
    // Where a mutation makes it go on for ever, that is a finding as well.
    const timeout = (Number(values.seconds) + 60) * 10_000;
    output = execFileSync(process.execPath, [...args, "--verbose", "--no-shrink"], {
      cwd: copy,
      encoding: "utf8",
      timeout,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    output = String(error.stdout);
    isCaught = true;
  }
  const seconds = /^processor: (\S+) s$/m.exec(output)?.[1] ?? "?";
  const seeds = [...output.matchAll(/^seed \d+:/gm)].length;
  const violation = /^FAILED.*\n {2}(.*)$/m.exec(output)?.[1];
  if (!isCaught) return [name, notCaught, String(seeds), seconds];
  return [name, violation?.split(":")[0] ?? "it did not end", String(seeds), seconds];
}

/** Of the table as it is, by name. */
function knownRows() {
  const text = readFileSync(document, "utf8");
  const lines = text.slice(text.indexOf(begin), text.indexOf(end)).split("\n");
  const cells = lines.filter((line) => line.startsWith("| ")).map((line) => line.slice(2, -2).split(" | "));
  return new Map(cells.map((row) => [row[0], row]));
}

/** Rows that were not tried now stay as they are; those of mutations that are gone go. */
function writeTable() {
  const known = knownRows();
  for (const row of rows) known.set(row[0], row);
  const text = readFileSync(document, "utf8");
  const table = [
    "| mutation | caught by | seeds | seconds |",
    "|---|---|---|---|",
    ...mutations.filter(({ name }) => known.has(name)).map(({ name }) => `| ${known.get(name).join(" | ")} |`),
  ];
  const at = text.indexOf(begin) + begin.length;
  writeFileSync(document, `${text.slice(0, at)}\n\n${table.join("\n")}\n\n${text.slice(text.indexOf(end))}`);
}
