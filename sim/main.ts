/**
 * `npm run sim`: seeds one after the other, for a time or a number of them; ends at the first failure and says how to
 * have it again.
 *
 *   --seed N        the first seed (without it, one that the time of day gives)
 *   --seeds K       so many seeds; 1 where neither this nor --minutes is given
 *   --minutes M     for so long; --processor-minutes P: until it has used so much of a processor
 *   --twice         each seed twice: the same events must happen; --twice-every N: so with every Nth seed
 *   --events E      clients and faults stop after so many events
 *   --without A,B   these kinds of faults do not happen
 *   --trace FILE    everything that happens, for people; of the last seed
 *   --no-shrink     a failure is shown as it is
 *   --stats         at the end, how often everything happened, and what of it never did
 *   --verbose       one line for each seed
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { runSeed, type SeedOptions, type SeedResult } from "./run-seed.ts";
import { shrink } from "./shrink.ts";
import { Coverage } from "./world/coverage.ts";
import { type FaultKind, faultKinds } from "./world/faults.ts";

const shrinkMaxMs = 180_000;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    minutes: { type: "string" },
    "processor-minutes": { type: "string" },
    events: { type: "string" },
    without: { type: "string" },
    trace: { type: "string" },
    twice: { type: "boolean", default: false },
    "twice-every": { type: "string" },
    stats: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
    "no-shrink": { type: "boolean", default: false },
  },
});

/** Rejections that nobody took: the product must not have any. */
const unhandled: unknown[] = [];
process.on("unhandledRejection", (error) => unhandled.push(error));

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function numberOf(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const number = Number(text);
  if (!Number.isFinite(number)) throw new Error(`${text} is not a number`);
  return number;
}

function kindsOf(text: string | undefined): Set<FaultKind> {
  const names = text === undefined || text === "" ? [] : text.split(",").map((name) => name.trim());
  for (const name of names) {
    if (!faultKinds.some((kind) => kind === name)) {
      throw new Error(`--without ${name}: must be one of ${faultKinds.join(", ")}`);
    }
  }
  return new Set(names as FaultKind[]);
}

const first = numberOf(values.seed, Math.floor(Date.now() / 1000) % 1_000_000_000);
const minutesMax = numberOf(values.minutes, Number.POSITIVE_INFINITY);
const processorMinutesMax = numberOf(values["processor-minutes"], Number.POSITIVE_INFINITY);
const isTimed = values.minutes !== undefined || values["processor-minutes"] !== undefined;
const seedsMax = numberOf(values.seeds, isTimed ? Number.MAX_SAFE_INTEGER : 1);
const without = kindsOf(values.without);
const twiceEvery = numberOf(values["twice-every"], values.twice ? 1 : 0);
const eventsMax = values.events === undefined ? {} : { eventsMax: numberOf(values.events, 0) };
const startedAt = performance.now();
// Most errors of a run are meant to be, and their stacks cost a tenth of its time.
if (values.trace === undefined) Error.stackTraceLimit = 2;

/** Of all seeds so far. */
const sum = { seeds: 0, twice: 0, simulatedMs: 0, operations: 0, events: 0, restarts: 0, versions: 0, undecided: 0 };
const faults = new Map<FaultKind, number>();
const coverage = new Coverage();

async function run(seed: number): Promise<SeedResult> {
  const lines: string[] = [];
  const options: SeedOptions = { seed, without, ...eventsMax };
  const writeTrace = (line: string): void => void lines.push(line);
  const result = await runSeed(values.trace === undefined ? options : { ...options, writeTrace });
  if (values.trace !== undefined) writeFileSync(values.trace, `${lines.join("\n")}\n`);
  const thrown = unhandled.splice(0).map((error) => `errors: nobody took the rejection ${describe(error)}`);
  return { ...result, violations: [...result.violations, ...thrown] };
}

function processorMinutes(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 60e6;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function add(result: SeedResult): void {
  sum.seeds++;
  for (const name of ["simulatedMs", "operations", "events", "restarts", "versions", "undecided"] as const) {
    sum[name] += result[name];
  }
  coverage.add(result.coverage);
  for (const [kind, count] of result.faults) faults.set(kind, (faults.get(kind) ?? 0) + count);
}

function report(): void {
  const realMinutes = (performance.now() - startedAt) / 60_000;
  const faultCount = [...faults.values()].reduce((all, count) => all + count, 0);
  const minutes = processorMinutes();
  const per = (count: number): string => (count / minutes).toFixed(count / minutes < 10 ? 2 : 0);
  say(
    `${realMinutes.toFixed(1)} min: ${sum.seeds} seeds (${sum.twice} of them twice), ${(sum.simulatedMs / 3_600_000).toFixed(2)} simulated hours, ` +
      `${sum.operations} operations, ${faultCount} faults, ${sum.restarts} restarts, ${sum.versions} versions read ` +
      `back, ${sum.events} events, ${sum.undecided} histories undecided; per minute of a processor ` +
      `${per(sum.simulatedMs / 3_600_000)} simulated hours, ${per(sum.operations)} operations, ${per(faultCount)} faults`,
  );
}

function commitOf(): string {
  try {
    const run = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
    return (
      run("rev-parse", "--short", "HEAD") + (run("status", "--porcelain", "src", "sim") === "" ? "" : " and changes")
    );
  } catch {
    return "unknown";
  }
}

async function fail(result: SeedResult): Promise<void> {
  const { seed, violations, description, kinds } = result;
  say(`\nFAILED: seed ${seed}, commit ${commitOf()}: ${description}; faults: ${kinds.join(", ")}`);
  for (const text of violations.slice(0, 5)) say(`  ${text}`);
  if (!values["no-shrink"]) {
    const end = performance.now() + shrinkMaxMs;
    const shrunk = await shrink(result, () => performance.now() > end);
    say(`  shortest prefix found that still fails: ${shrunk.eventsMax} events; needs: ${shrunk.needed.join(", ")}`);
    for (const text of shrunk.violations.slice(0, 3)) say(`  then: ${text}`);
    const leftOut = shrunk.without.length === 0 ? "" : ` --without "${shrunk.without.join(",")}"`;
    say(`  again: npm run sim -- --seed ${seed} --events ${shrunk.eventsMax}${leftOut} --trace trace.txt`);
  } else say(`  again: npm run sim -- --seed ${seed} --trace trace.txt`);
  sayProcessor();
  process.exit(1);
}

function sayProcessor(): void {
  say(`processor: ${Math.round(processorMinutes() * 60)} s`);
}

let saidAt = startedAt;
for (let seed = first; sum.seeds < seedsMax; seed++) {
  const beganAt = performance.now();
  if (beganAt - startedAt > minutesMax * 60_000 || processorMinutes() > processorMinutesMax) break;
  const result = await run(seed);
  add(result);
  if (values.verbose || seedsMax === 1) {
    const tookMs = Math.round(performance.now() - beganAt);
    say(
      `seed ${seed}: ${result.hash}, ${result.events} events, ${(result.simulatedMs / 1000).toFixed(0)} s simulated in ` +
        `${tookMs} ms, ${result.operations} operations, ${result.versions} versions, ${result.restarts} restarts, ` +
        `${result.description}; ${result.kinds.join(", ")}`,
    );
  }
  if (result.violations.length > 0) await fail(result);
  if (twiceEvery > 0 && sum.seeds % twiceEvery === 0) {
    sum.twice++;
    const again = await run(seed);
    if (again.hash !== result.hash) {
      await fail({ ...again, violations: [`determinism: ${result.hash} the first time, ${again.hash} the second`] });
    }
  }
  if (performance.now() - saidAt > 60_000) {
    report();
    saidAt = performance.now();
  }
}
report();
sayProcessor();
if (values.stats) {
  for (const line of coverage.lines) say(line);
  for (const name of coverage.missing) say(`     never  ${name}`);
}
