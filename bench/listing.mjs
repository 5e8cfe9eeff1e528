/**
 * A page of 1,000 names out of a bucket of a thousand, and of a million. Processor time is that of the process that
 * lists; a Redis' own shows in the time by the clock.
 */
import { spawnSync } from "node:child_process";
import { bucket, filledStore } from "./support/filled-store.mjs";
import { startRedis } from "./support/redis.mjs";

export const name = "listing";
export const goal = "a page costs the same (ratio under 2) in a bucket of a thousand and of a million";

const limit = 1_000;

export async function run(context) {
  const counts = { few: 1_000, many: context.pick(1_000_000, 20_000) };
  return [...(await embedded(context, counts)), ...(await redis(context, counts))];
}

async function embedded(context, counts) {
  const few = await filledStore(context, counts.few);
  const many = await filledStore(context, counts.many);
  return context.with(["datastore", "datastore"], async (one, other) => {
    await one.call("open", { choice: { kind: "embedded" }, root: few.root });
    await other.call("open", { choice: { kind: "embedded" }, root: many.root });
    const figures = await compare(context, "embedded", { few: one, many: other }, counts, context.pick(300, 100));
    await context.profile(`${name}, embedded`, other, () => list(other, counts.many, 300));
    return figures;
  });
}

async function redis(context, counts) {
  if (spawnSync("redis-server", ["--version"]).status !== 0) {
    context.tell("skipped: redis-server is not installed (apt-get install redis-server)");
    return [];
  }
  const servers = [];
  try {
    return await context.with(["datastore", "datastore"], async (few, many) => {
      for (const [child, count] of [
        [few, counts.few],
        [many, counts.many],
      ]) {
        context.tell(`filling a Redis with ${count.toLocaleString("en-US")} files`);
        const server = await startRedis(context.directory(`redis-${count}`));
        servers.push(server);
        await child.call("open", { choice: { kind: "redis", url: server.url }, root: "" });
        await child.call("fill", { bucket, count });
      }
      return compare(context, "redis", { few, many }, counts, context.pick(100, 30));
    });
  } finally {
    for (const server of servers) await server.stop();
  }
}

async function compare(context, kind, children, counts, pages) {
  const walls = { few: [], many: [] };
  const costs = { few: [], many: [] };
  for (let turn = -1; turn < context.runs; turn++) {
    context.tell(turn < 0 ? `${kind}, warming up` : `${kind}, run ${turn + 1} of ${context.runs}`);
    for (const size of ["few", "many"]) {
      const child = children[size];
      const { seconds, cpu } = await context.measure(child, () => list(child, counts[size], pages));
      if (turn < 0) continue;
      walls[size].push((seconds / pages) * 1000);
      costs[size].push((cpu / pages) * 1000);
    }
  }
  const of = (count) => `of ${count.toLocaleString("en-US")}`;
  const figure = (what, values) => ({
    name: `page of ${limit} names ${of(counts.many)}, ${kind}, ${what}`,
    unit: "ms",
    values: values.many,
    baseline: { name: `the same ${of(counts.few)}`, values: values.few },
    goal: { on: "ratio", atMost: 2 },
  });
  return [figure("by the clock", walls), figure("processor time", costs)];
}

function list(child, count, pages) {
  return child.call("list", { bucket, count, pages, limit });
}
