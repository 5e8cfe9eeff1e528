/**
 * More load than the store can take, for as long as is wanted: what it cannot do it has to refuse, and neither its memory nor
 * the time to an answer may grow.
 *
 *   npm run soak -- [--minutes M] [--connections N] [--requests N] [--seed S] [--dir DIR] [--product DIR]
 *
 * Each connection asks one thing after the other, without a pause but after a refusal: PUT (most), GET of what it has stored
 * itself (compared byte for byte), listing, DELETE. The router takes fewer `--requests` at a time than there are connections. Exit code 1 where a bound below was not kept.
 */
import { readdirSync, readFileSync, rmSync, statfsSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { NeverAnswered, NoAnswer, S3Client } from "./client.mjs";
import { Random } from "./random.mjs";
import { Store } from "./store.mjs";

/** Megabytes of the router's memory, ever; and how much more it may be at the end than after warming up. */
const memoryMax = 768;
const memoryGrowthMax = 96;
/** Seconds to an answer: of what was done, at worst and nearly always; and of what was refused. */
const latencyMax = 60;
const latencyUsualMax = 20;
const refusalUsualMax = 5;
/** Share of the time in which memory may still grow. */
const warmUpShare = 0.4;
const sampleMs = 2_000;
const reportMs = 30_000;
/** Of each connection. */
const keyCount = 6;
const connectEveryMs = 12;
const afterRefusalMs = [200, 1_000];
const bucket = "/soak";
const poolSize = 4 * 1024 * 1024;

const sizes = [
  [50, (random) => random.between(0, 4096)],
  [35, (random) => random.between(4096, 262_144)],
  [14, (random) => random.between(262_144, 1_048_576)],
  [1, (random) => random.between(1_048_576, 4_000_000)],
];
const actions = [
  [62, "PUT"],
  [22, "GET"],
  [4, "LIST"],
  [12, "DELETE"],
];

function readOptions() {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "2" },
      connections: { type: "string", default: "400" },
      requests: { type: "string", default: "64" },
      seed: { type: "string", default: "1" },
      dir: { type: "string", default: os.tmpdir() },
      product: { type: "string", default: path.dirname(path.dirname(fileURLToPath(import.meta.url))) },
    },
  });
  const number = (name) => {
    const value = Number(values[name]);
    if (!(value > 0)) throw new Error(`--${name}: a number above 0, not ${values[name]}`);
    return value;
  };
  return {
    seconds: number("minutes") * 60,
    connections: number("connections"),
    requests: number("requests"),
    seed: number("seed"),
    directory: path.resolve(values.dir),
    productRoot: path.resolve(values.product),
  };
}

/** What happened since it was made: seconds of each answer, by what kind of answer. */
class Figures {
  done = [];
  refused = [];
  /** The first ones on their connections: they include how long the connection waited to be taken. */
  first = [];
  failures = new Map();
  bytesIn = 0;

  add(other) {
    // Not by spreading: an argument each is more than a call can take.
    this.done = this.done.concat(other.done);
    this.refused = this.refused.concat(other.refused);
    this.first = this.first.concat(other.first);
    this.bytesIn += other.bytesIn;
    for (const [what, count] of other.failures) this.failures.set(what, (this.failures.get(what) ?? 0) + count);
  }

  fail(what) {
    this.failures.set(what, (this.failures.get(what) ?? 0) + 1);
  }
}

class Soak {
  figures = new Figures();
  #port;
  #pool = Buffer.alloc(poolSize);
  #isOver = false;

  constructor(port, random) {
    this.#port = port;
    for (let at = 0; at < poolSize; at += 4) this.#pool.writeUInt32LE(random.between(0, 2 ** 32), at);
  }

  end() {
    this.#isOver = true;
  }

  async run(number, random) {
    const client = new S3Client(this.#port);
    const stored = new Map();
    // One after the other: a busy process takes one connection from the system in each turn of its loop, and no more.
    await pause(number * connectEveryMs);
    let isFirst = true;
    while (!this.#isOver) {
      const key = `${String(number).padStart(5, "0")}/${random.between(0, keyCount)}`;
      const began = performance.now();
      let status;
      try {
        status = await this.#ask(client, random.weighted(actions), key, stored, random);
      } catch (error) {
        if (!(error instanceof NoAnswer || error instanceof NeverAnswered)) throw error;
        // It is not known what the key holds now.
        stored.delete(key);
        this.figures.fail(error instanceof NeverAnswered ? "no answer in 60 s" : `connection lost: ${error.message}`);
        continue;
      }
      const seconds = (performance.now() - began) / 1000;
      if (status === 503) {
        this.figures.refused.push(seconds);
        await pause(random.between(...afterRefusalMs));
      } else if (status < 300 || status === 404) (isFirst ? this.figures.first : this.figures.done).push(seconds);
      else this.figures.fail(`answered ${status}`);
      isFirst = false;
    }
    client.close();
  }

  async #ask(client, action, key, stored, random) {
    const before = stored.get(key);
    if (action === "GET" && before !== undefined) {
      const { status, body } = await client.send("GET", `${bucket}/${key}`);
      if (status === 200 && !body.equals(before)) throw new Error(`GET ${key}: other bytes than were stored`);
      if (status === 404) throw new Error(`GET ${key}: it was acknowledged, and is gone`);
      return status;
    }
    if (action === "LIST") {
      const query = [
        ["list-type", "2"],
        ["max-keys", "100"],
        ["prefix", key.slice(0, 4)],
      ];
      return (await client.send("GET", bucket, { query })).status;
    }
    if (action === "DELETE") {
      stored.delete(key);
      return (await client.send("DELETE", `${bucket}/${key}`)).status;
    }
    const size = random.weighted(sizes)(random);
    const at = random.between(0, poolSize - size);
    const body = this.#pool.subarray(at, at + size);
    stored.delete(key);
    const { status } = await client.send("PUT", `${bucket}/${key}`, { body });
    if (status === 200) {
      stored.set(key, body);
      this.figures.bytesIn += size;
    } else if (before !== undefined && status === 503) stored.set(key, before);
    return status;
  }
}

/** Of a process and its threads, in megabytes. */
function memoryOf(pid) {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
  return (pages * 4096) / 1e6;
}

function quantile(values, share) {
  if (values.length === 0) return 0;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function describe({ done, refused, first, bytesIn, failures }, seconds) {
  const text = (value) => (value >= 1 ? `${value.toFixed(1)} s` : `${Math.round(value * 1000)} ms`);
  const latencies = [0.5, 0.99, 1].map((share) => text(quantile(done, share))).join(" / ");
  const failed = [...failures].map(([what, count]) => `, ${count} × ${what}`).join("");
  return (
    `${Math.round(done.length / seconds)} done/s, ${(bytesIn / 1e6 / seconds).toFixed(1)} MB/s in, ` +
    `p50 / p99 / max ${latencies}; ${first.length} first ones, max ${text(quantile(first, 1))}; ` +
    `${refused.length} refused, p99 ${text(quantile(refused, 0.99))}${failed}`
  );
}

function boundsBroken(all, memory) {
  const broken = [];
  const require = (holds, what) => void (holds || broken.push(what));
  const warm = memory.slice(Math.floor(memory.length * warmUpShare));
  const third = Math.ceil(warm.length / 3);
  const [early, late] = [quantile(warm.slice(0, third), 0.5), quantile(warm.slice(-third), 0.5)];
  require(Math.max(...memory) <= memoryMax, `memory: ${Math.round(Math.max(...memory))} MB, at most ${memoryMax}`);
  require(late - early <= memoryGrowthMax, `memory grows: ${Math.round(early)} MB, later ${Math.round(late)} MB`);
  const [usual, worst] = [quantile(all.done, 0.99), quantile(all.done, 1)];
  require(usual <= latencyUsualMax, `p99: ${usual.toFixed(1)} s, at most ${latencyUsualMax}`);
  require(worst <= latencyMax, `the longest answer: ${worst.toFixed(1)} s, at most ${latencyMax}`);
  const first = quantile(all.first, 1);
  require(first <=
    latencyMax, `the longest first answer on a connection: ${first.toFixed(1)} s, at most ${latencyMax}`);
  const refusal = quantile(all.refused, 0.99);
  require(refusal <= refusalUsualMax, `p99 of refusals: ${refusal.toFixed(1)} s, at most ${refusalUsualMax}`);
  require(all.done.length > 0, "nothing was done");
  for (const [what, count] of all.failures) broken.push(`${count} × ${what}`);
  return { broken, early, late };
}

async function main() {
  const { seconds, connections, requests, seed, productRoot, ...options } = readOptions();
  const directory = await mkdtemp(path.join(options.directory, "data-putter-soak-"));
  const store = new Store({
    productRoot,
    directory,
    kind: "single",
    workers: 1,
    more: ["--max-requests", String(requests)],
  });
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      store.killAllAtOnce();
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
      process.exit(130);
    });
  }
  try {
    await store.prepare();
    await store.start();
    const random = new Random(seed);
    const first = new S3Client(store.ports.s3Port);
    await first.send("PUT", bucket);
    console.log(
      `soak: ${connections} connections, ${requests} requests at a time, for ${Math.round(seconds)} s, seed ${seed}, in ${directory}`,
    );
    const soak = new Soak(store.ports.s3Port, random);
    const clients = Array.from({ length: connections }, (_, number) => soak.run(number, random.branch()));
    const ended = Promise.all(clients);
    ended.catch(() => soak.end());
    const all = new Figures();
    const memory = [];
    const began = performance.now();
    let reportedAt = began;
    while (performance.now() - began < seconds * 1000) {
      await Promise.race([pause(sampleMs), ended]);
      memory.push(memoryOf(store.ports.pid));
      if (performance.now() - reportedAt < reportMs) continue;
      const part = soak.figures;
      soak.figures = new Figures();
      console.log(
        `  ${Math.round((performance.now() - began) / 1000)} s: ${describe(part, (performance.now() - reportedAt) / 1000)}; ${Math.round(memory.at(-1))} MB`,
      );
      reportedAt = performance.now();
      all.add(part);
    }
    soak.end();
    await ended;
    all.add(soak.figures);
    const { broken, early, late } = boundsBroken(all, memory);
    const step = Math.max(1, Math.floor(memory.length / 24));
    console.log(
      `\nmemory (MB): ${memory
        .filter((_, index) => index % step === 0)
        .map(Math.round)
        .join(" ")}`,
    );
    console.log(
      `soak: ${describe(all, (performance.now() - began) / 1000)}; memory ${Math.round(early)} → ${Math.round(late)} MB`,
    );
    const free = statfsSync(directory);
    console.log(
      `on disk: ${Math.round(sizeOf(store.root) / 1e6)} MB, ${Math.round((free.bavail * free.bsize) / 1e9)} GB free`,
    );
    for (const what of broken) console.error(`NOT KEPT: ${what}`);
    if (broken.length > 0) process.exitCode = 1;
    if (broken.length > 0) console.error(store.said.slice(-2000));
  } finally {
    store.killAllAtOnce();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

function sizeOf(directory) {
  let total = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    try {
      if (entry.isFile()) total += statSync(path.join(entry.parentPath, entry.name)).blocks * 512;
    } catch {
      // It was reclaimed since.
    }
  }
  return total;
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

await main();
process.exit();
