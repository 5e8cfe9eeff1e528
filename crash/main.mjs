/**
 * Kills the store again and again, and looks whether it has kept its word.
 *
 *   npm run crash -- [--rounds N] [--seed S] [--group | --workers W] [--minutes M] [--dir DIR] [--product DIR]
 *                    [--break forget|rollback] [--keep]
 *
 * Each round: start what does not run, let many clients write, overwrite, copy, upload, delete and read over S3 and tcp/5001,
 * kill -9 at a moment of chance, start again, and compare everything with what was acknowledged (model.mjs, check.mjs). One
 * data directory serves all rounds, so what is reclaimed is killed in the middle, too. Exit code 1 is a broken promise.
 */
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runRounds } from "./rounds.mjs";
import { Store } from "./store.mjs";

const projectRoot = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "20" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
      minutes: { type: "string" },
      group: { type: "boolean", default: false },
      workers: { type: "string", default: "1" },
      dir: { type: "string", default: os.tmpdir() },
      product: { type: "string", default: projectRoot },
      break: { type: "string", default: "nothing" },
      keep: { type: "boolean", default: false },
    },
  });
  const whole = (name, least) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < least)
      throw new Error(`--${name}: a whole number from ${least} on, not ${values[name]}`);
    return value;
  };
  const workers = whole("workers", 1);
  if (!["nothing", "forget", "rollback"].includes(values.break))
    throw new Error(`--break: forget or rollback, not ${values.break}`);
  if (values.group && workers > 1) throw new Error("--group and --workers: one of them");
  return {
    rounds: values.minutes === undefined ? whole("rounds", 1) : Infinity,
    until: values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000,
    seed: whole("seed", 0),
    kind: values.group ? "group" : workers > 1 ? "workers" : "single",
    workers,
    directory: path.resolve(values.dir),
    productRoot: path.resolve(values.product),
    breaking: values.break,
    keep: values.keep,
  };
}

async function main() {
  let options;
  try {
    options = readOptions();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 2;
    return;
  }
  const { seed, kind, workers, rounds, productRoot, keep } = options;
  const directory = await mkdtemp(path.join(options.directory, "data-putter-crash-"));
  const store = new Store({ productRoot, directory, kind, workers });
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      store.killAllAtOnce();
      process.exit(130);
    });
  }
  const what = { single: "a router", workers: `a router of ${workers} workers`, group: "a router and two servers" }[
    kind
  ];
  console.log(
    `crash: ${what}, seed ${seed}, ${rounds === Infinity ? "by the clock" : `${rounds} rounds`}, in ${directory}`,
  );
  try {
    await store.prepare();
    await runRounds(store, options);
    if (!keep) await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  } catch (error) {
    process.exitCode = 1;
    const more = { single: "", workers: ` --workers ${workers}`, group: " --group" }[kind];
    console.error(`\nFAILED: ${error.message}\n${error.stack}\n${store.said}`);
    console.error(
      `what was stored is left in ${directory}\nto repeat: npm run crash -- --seed ${seed}${more} (the same load; the machine's own timing differs)`,
    );
  } finally {
    store.killAllAtOnce();
  }
}

await main();
// Connections to what was killed are of no use to anybody.
process.exit();
