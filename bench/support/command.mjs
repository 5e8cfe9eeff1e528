/**
 * The command line of a set of benchmarks: options, the machine, each benchmark's table, all of them at the end.
 *
 * The process that is measured is never the one that makes the load. Exit code 1 means that a benchmark failed to run;
 * a goal that was missed is in the table.
 */
import { writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { killChildren } from "./child.mjs";
import { Context } from "./context.mjs";
import { describeMachine, requireDisk } from "./machine.mjs";
import { killRedis } from "./redis.mjs";
import { formatProfile, formatTable, judge } from "./report.mjs";
import { killServers } from "./server-process.mjs";
import { formatNumber } from "./statistics.mjs";

/** Runs the scenarios that the command line asks for; `title` and `note` are told, the note before the figures too. */
export async function runBenchmarks(scenarios, { title, note }) {
  const options = readOptions(scenarios, title);
  if (options !== undefined) await run(scenarios, note, options);
}

async function run(scenarios, note, { quick, only, runs, directory, json, profile }) {
  const machine = describeMachine(directory);
  printMachine(machine, directory);
  if (note !== undefined) console.log(`${note}\n`);
  const context = new Context({ quick, runs, directory, profile, tell });
  const clean = () => {
    killChildren();
    killServers();
    killRedis();
    context.remove();
  };
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      clean();
      process.exit(1);
    });
  }
  const results = [];
  const startedAt = performance.now();
  for (const scenario of scenarios.filter(({ name }) => only.length === 0 || only.includes(name))) {
    results.push(...(await runScenario(scenario, context)));
  }
  clean();
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  const missed = results.filter(({ met }) => met === false).length;
  console.log(`${"─".repeat(40)}\n${formatTable(results)}\n`);
  const said =
    missed > 0 ? `${missed} goals missed` : process.exitCode === 1 ? "some could not be run" : "all goals met";
  console.log(`${said}; ${seconds} s, ${context.runs} runs each`);
  if (quick) console.log("quick: small sizes, so goals are only indicated");
  if (json !== undefined)
    writeFileSync(json, `${JSON.stringify({ machine, quick, results, profiles: context.profiles }, null, 2)}\n`);
}

async function runScenario(scenario, context) {
  console.log(`${scenario.name}: ${scenario.goal}`);
  const profilesBefore = context.profiles.length;
  const notesBefore = context.notes.length;
  try {
    const rows = (await scenario.run(context)).map(judge);
    tell("");
    for (const note of context.notes.slice(notesBefore)) console.log(note);
    console.log(`${formatTable(rows)}\n`);
    for (const profile of context.profiles.slice(profilesBefore)) console.log(`${formatProfile(profile)}\n`);
    return rows.map((row) => ({ benchmark: scenario.name, ...row }));
  } catch (error) {
    tell("");
    console.error(`${scenario.name} could not be run: ${error.stack}\n`);
    process.exitCode = 1;
    return [];
  }
}

/** One line that is overwritten on a terminal; nothing where output goes to a file. */
function tell(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

function printMachine(machine, directory) {
  const gigabytes = (size) => `${formatNumber(size / 1e9)} GB`;
  const { cores, processor, memorySize, platform, node, fileSystem, freeSize, loadAverage } = machine;
  console.log(`machine: ${cores} cores (${processor}), ${gigabytes(memorySize)} memory, ${platform}, node ${node}`);
  console.log(`disk: ${fileSystem}, ${gigabytes(freeSize)} free (${directory})`);
  console.log(`load average: ${loadAverage.join(", ")}`);
  if (loadAverage[0] > cores / 4) {
    console.log("others use this machine now: look at ratios and at processor time, not at rates by the clock");
  } else {
    console.log("on a machine that is shared, look at ratios and at processor time rather than at rates by the clock");
  }
  console.log("");
}

/** undefined where there is nothing to run. */
function readOptions(scenarios, title) {
  const help = helpFor(scenarios, title);
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        only: { type: "string", multiple: true, default: [] },
        runs: { type: "string" },
        dir: { type: "string", default: os.tmpdir() },
        json: { type: "string" },
        profile: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      console.log(help);
      return undefined;
    }
    const { quick, only, json, profile } = values;
    const unknown = only.find((name) => !scenarios.some((scenario) => scenario.name === name));
    if (unknown !== undefined) throw new Error(`--only: no benchmark is called ${unknown}`);
    const runs = values.runs === undefined ? undefined : Number(values.runs);
    if (runs !== undefined && !(Number.isInteger(runs) && runs >= 1 && runs <= 100)) {
      throw new Error(`--runs: a whole number from 1 to 100, not ${values.runs}`);
    }
    const directory = path.resolve(values.dir);
    requireDisk(directory);
    return { quick, only, runs, directory, json, profile };
  } catch (error) {
    console.error(`${error.message}\n\n${help}`);
    process.exitCode = 2;
    return undefined;
  }
}

function helpFor(scenarios, title) {
  return `${title}

  --quick         small sizes, under a minute; its figures are rougher
  --only NAME     one benchmark; can be repeated: ${scenarios.map(({ name }) => name).join(", ")}
  --runs N        repetitions (default 5, quick 3)
  --dir DIR       where to write; must be on a real disk (default: the system's directory for temporary files)
  --json FILE     write all figures, with each run's value, to FILE
  --profile       say for each benchmark where the measured process spends its time (in one more run)
`;
}
