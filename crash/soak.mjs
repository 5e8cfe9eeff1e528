/**
 * More load than the store can take, for as long as is wanted: what it cannot do it has to refuse, neither its memory nor the
 * time to an answer may grow, and afterwards everything that was acknowledged is there.
 *
 *   npm run soak -- [--minutes M] [--connections N] [--requests N] [--senders N] [--seed S] [--dir DIR] [--product DIR]
 *
 * Two stores at once. A router: each S3 connection asks one thing after the other, without a pause but after a refusal
 * (503 SlowDown), and the router takes fewer `--requests` at a time than there are connections. A server: senders with many
 * tickets in flight on tcp/5000, and a disk on which every write takes longer (by strace; without it nobody expects a status 6,
 * busy). In the end both are killed, started again, and read. Exit code 1 where a bound below was not kept.
 */
import path from "node:path";
import { parseArgs } from "node:util";
import { brokenBounds, Figures } from "./figures.mjs";
import { HttpLoad } from "./http-load.mjs";
import { Memory } from "./memory.mjs";
import { Random } from "./random.mjs";
import { Store } from "./store.mjs";
import { TicketLoad } from "./ticket-load.mjs";
import { canSlowDisks, TicketServer } from "./ticket-server.mjs";
import { inWorkplace, numberOf, pause, placeOptions } from "./workplace.mjs";

/** Megabytes of each process, ever; and how much more it may be at the end than after warming up. */
const memoryMax = 768;
const memoryGrowthMax = 96;
/** Seconds: see brokenBounds. Tickets wait for ten seconds before they are refused, and so may one turn of all senders. */
const httpBounds = { usual: 20, worst: 60, refusal: 5, refuses: true };
const ticketBounds = { usual: 30, worst: 60, refusal: 30 };
const sampleMs = 2_000;
const reportMs = 30_000;
const slowWriteMs = 60;

function readOptions() {
  const { values } = parseArgs({
    options: {
      ...placeOptions,
      minutes: { type: "string", default: "2" },
      connections: { type: "string", default: "400" },
      requests: { type: "string", default: "64" },
      senders: { type: "string", default: "400" },
      seed: { type: "string", default: "1" },
    },
  });
  const whole = (name) => numberOf(values, name, { least: 1, isWhole: true });
  return {
    seconds: numberOf(values, "minutes", { least: 0.05 }) * 60,
    connections: whole("connections"),
    requests: whole("requests"),
    senders: whole("senders"),
    seed: whole("seed"),
    dir: values.dir,
    productRoot: path.resolve(values.product),
  };
}

/** One of the two loads, with what is looked at while it runs. */
class Part {
  #all = new Figures();
  #memory = new Memory();
  #reportedAt = performance.now();
  #startedAt = performance.now();

  constructor(name, load, pid) {
    this.name = name;
    this.load = load;
    this.pid = pid;
  }

  sample() {
    this.#memory.sample(this.pid);
  }

  report() {
    const now = performance.now();
    const figures = this.#take();
    const seconds = Math.round((now - this.#startedAt) / 1000);
    const text = figures.describe((now - this.#reportedAt) / 1000);
    console.log(`  ${this.name}, ${seconds} s: ${text}; ${this.#memory.last} MB`);
    this.#reportedAt = now;
  }

  /** The sum, and what was not kept. */
  conclude(bounds) {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    this.#take();
    console.log(`${this.name}: ${this.#all.describe(seconds)}; ${this.#memory.describe()}`);
    const broken = [...brokenBounds(this.#all, bounds), ...this.#memory.broken(memoryMax, memoryGrowthMax)];
    return broken.map((what) => `${this.name}: ${what}`);
  }

  #take() {
    const { figures } = this.load;
    this.load.figures = new Figures();
    this.#all.add(figures);
    return figures;
  }
}

async function soak({ seconds, connections, requests, senders, seed, productRoot }, { directory, own }) {
  const random = new Random(seed);
  const store = own(
    new Store({ productRoot, directory, kind: "single", workers: 1, more: ["--max-requests", String(requests)] }),
  );
  await store.prepare();
  const server = own(new TicketServer({ productRoot, directory }));
  await Promise.all([store.start(), server.start()]);
  const isSlow = canSlowDisks();
  if (isSlow) await server.slowDown(slowWriteMs);
  console.log(
    `soak: ${connections} connections, ${requests} requests at a time; ${senders} senders of tickets, ` +
      `${isSlow ? `${slowWriteMs} ms more for each write` : "without strace"}; ${Math.round(seconds)} s, seed ${seed}`,
  );
  const tools = await server.tools();
  const http = new Part("S3", new HttpLoad(store.ports.s3Port, random.branch()), store.ports.pid);
  const tickets = new Part("tickets", new TicketLoad(tools, random.branch()), server.pid);
  const parts = [http, tickets];
  const ended = Promise.all([
    http.load.run(connections, random.branch()),
    tickets.load.run(server.port, senders, random.branch()),
  ]);
  ended.catch(() => parts.forEach(({ load }) => load.end()));
  const startedAt = performance.now();
  for (let reportedAt = startedAt; performance.now() - startedAt < seconds * 1000;) {
    await Promise.race([pause(sampleMs), ended]);
    for (const part of parts) part.sample();
    if (performance.now() - reportedAt < reportMs) continue;
    for (const part of parts) part.report();
    reportedAt = performance.now();
  }
  for (const { load } of parts) load.end();
  await server.speedUp();
  await ended;
  const broken = [...http.conclude(httpBounds), ...tickets.conclude({ ...ticketBounds, refuses: isSlow })];
  await readBack({ store, server, http, tickets, tools });
  for (const what of broken) console.error(`NOT KEPT: ${what}`);
  if (broken.length > 0) console.error(store.said.slice(-2000));
  if (broken.length > 0) process.exitCode = 1;
}

/** After a kill, so that what was acknowledged and not stored has had no time to be. */
async function readBack({ store, server, http, tickets, tools }) {
  await store.kill(["router"]);
  await Promise.all([store.start(), server.killAndStart()]);
  const objects = await http.load.readAll(store.ports.s3Port);
  const client = await tools.connect();
  const count = await tickets.load.readAll((...args) => client.askTickets("read", ...args));
  client.close();
  console.log(`after kill -9: ${objects} objects and ${count} tickets that were acknowledged, none lost`);
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
  try {
    await inWorkplace({ name: "soak", dir: options.dir, keepsWhenFailed: false }, (place) => soak(options, place));
  } catch (error) {
    console.error(`\nFAILED: ${error.stack}`);
    process.exitCode = 1;
  }
}

await main();
process.exit();
