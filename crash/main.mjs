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
import path from "node:path";
import { parseArgs } from "node:util";
import { runRounds } from "./rounds.mjs";
import { Store } from "./store.mjs";
import { inWorkplace, numberOf, placeOptions } from "./workplace.mjs";

function readOptions() {
  const { values } = parseArgs({
    options: {
      ...placeOptions,
      rounds: { type: "string", default: "20" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
      minutes: { type: "string" },
      group: { type: "boolean", default: false },
      workers: { type: "string", default: "1" },
      break: { type: "string", default: "nothing" },
      keep: { type: "boolean", default: false },
    },
  });
  const whole = (name, least) => numberOf(values, name, { least, isWhole: true });
  const workers = whole("workers", 1);
  if (!["nothing", "forget", "rollback"].includes(values.break))
    throw new Error(`--break: forget or rollback, not ${values.break}`);
  if (values.group && workers > 1) throw new Error("--group and --workers: one of them");
  const minutes = values.minutes === undefined ? undefined : numberOf(values, "minutes", { least: 0 });
  return {
    rounds: minutes === undefined ? whole("rounds", 1) : Infinity,
    until: minutes === undefined ? Infinity : performance.now() + minutes * 60_000,
    seed: whole("seed", 0),
    kind: values.group ? "group" : workers > 1 ? "workers" : "single",
    workers,
    dir: values.dir,
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
  const { seed, kind, workers, rounds, productRoot, dir, keep } = options;
  const [what, more] = {
    single: ["a router", ""],
    workers: [`a router of ${workers} workers`, ` --workers ${workers}`],
    group: ["a router and two servers", " --group"],
  }[kind];
  const length = rounds === Infinity ? "by the clock" : `${rounds} rounds`;
  const workplace = { name: "crash", dir, keepsWhenFailed: true, keepsAlways: keep };
  let where;
  let store;
  try {
    await inWorkplace(workplace, async ({ directory, own }) => {
      where = directory;
      console.log(`crash: ${what}, seed ${seed}, ${length}, in ${directory}`);
      store = own(new Store({ productRoot, directory, kind, workers }));
      await store.prepare();
      await runRounds(store, options);
    });
  } catch (error) {
    process.exitCode = 1;
    console.error(`\nFAILED: ${error.message}\n${error.stack}\n${store?.said}`);
    const again = `npm run crash -- --seed ${seed}${more}`;
    console.error(
      `what was stored is left in ${where}\nto repeat: ${again} (the same load; the machine's own timing differs)`,
    );
  }
}

await main();
// Connections to what was killed are of no use to anybody.
process.exit();
