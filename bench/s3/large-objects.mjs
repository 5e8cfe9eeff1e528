/**
 * Objects of 64 MiB. A PUT has to make an MD5 of what it stores, one stream after the other: what that costs by itself
 * stands beside it.
 */
import { baselineName, gateway, load, nginx, profile, s3rver, withServers } from "./servers/together.mjs";

export const name = "large";
export const goal = "PUT 0.8 of the rate of MD5 alone, more from several clients; GET 1.2 GB a processor second";

const size = 64 * 2 ** 20;
const md5Share = 0.8;
const getRate = 1.2;
const modes = [
  { mode: "unsigned", what: "unsigned payload" },
  { mode: "trailer", what: "aws-chunked, CRC32 trailer" },
  { mode: "sha256", what: "SHA-256 in the head" },
];

export function run(context) {
  const count = context.pick(4, 1);
  // s3rver alone would take a quarter of the short run.
  return withServers(context, context.pick([s3rver, nginx], [nginx]), async (servers, client) => {
    const [product] = servers;
    const runs = [];
    for (let turn = -1; turn < context.runs; turn++) {
      context.tell(turn < 0 ? "warming up" : `run ${turn + 1} of ${context.runs}`);
      const measured = await measure(context, client, turn < 0 ? servers.slice(0, 1) : servers, count);
      if (turn >= 0) runs.push(measured);
    }
    const eight = 8;
    for (const mode of ["unsigned", "trailer"]) {
      await profile(context, `PUT 64 MiB, ${mode}`, product, eight, () => put(context, client, product, mode, eight));
    }
    await profile(context, "GET 64 MiB", product, eight, () => get(context, client, product, eight));
    return [...putFigures(runs, servers), ...getFigures(runs, servers)];
  });
}

/** One turn of everything, in gigabytes and seconds. */
async function measure(context, client, servers, count) {
  const [product, ...baselines] = servers;
  const measured = {};
  measured.md5 = await client.call("digest", { algorithm: "md5", size, count });
  for (const { mode } of modes) measured[mode] = await put(context, client, product, mode, count);
  measured.several = await put(context, client, product, "unsigned", Math.max(count * 2, 4), 4);
  // What was written directly is in no cache yet; what the baselines wrote is.
  await get(context, client, product, count);
  measured.get = await get(context, client, product, count);
  for (const server of baselines) {
    measured[`put ${server.name}`] = await put(context, client, server, "unsigned", count);
    measured[`get ${server.name}`] = await get(context, client, server, count);
  }
  return measured;
}

async function put(context, client, server, mode, count, connections = 1) {
  const argument = { prefix: `${mode}-`, count, size, mode, status: server.kind.putStatus };
  return load(context, client, server, "prepareLargePut", argument, connections);
}

async function get(context, client, server, count) {
  return load(context, client, server, "prepareLargeGet", { prefix: "unsigned-", count, size }, 1);
}

function putFigures(runs, servers) {
  const baselines = servers.slice(1);
  const md5 = (value) => ({ name: "MD5 alone", values: runs.map((run) => value(run.md5)) });
  const figures = [];
  const add = (name, which, unit, value, baseline, limits) =>
    figures.push({
      name: `PUT 64 MiB, ${name}`,
      unit,
      values: runs.map((run) => value(run[which])),
      baseline,
      goal: limits,
    });
  for (const { mode, what } of modes) {
    const limits = mode === "unsigned" ? { on: "ratio", atLeast: md5Share } : undefined;
    add(`${what}, ${gateway.promise}`, mode, "MB/s", wallRate, md5(wallRate), limits);
    add(`the same, CPU`, mode, "GB/CPU-s", cpuRate, md5(cpuRate));
  }
  for (const server of baselines) {
    const values = (value) => runs.map((run) => value(run[`put ${server.name}`]));
    add("unsigned payload", "unsigned", "MB/s", wallRate, {
      name: baselineName(server.kind),
      values: values(wallRate),
    });
    add("the same, CPU", "unsigned", "GB/CPU-s", cpuRate, { name: baselineName(server.kind), values: values(cpuRate) });
  }
  const single = (value) => ({ name: "1 client", values: runs.map((run) => value(run.unsigned)) });
  add("4 clients", "several", "MB/s", wallRate, single(wallRate));
  add("4 clients, cores in use", "several", "cores", coresUsed, single(coresUsed));
  return figures;
}

function getFigures(runs, servers) {
  const values = (which, value) => runs.map((run) => value(run[which]));
  const product = { name: "GET 64 MiB, cached, verified", unit: "GB/CPU-s", values: values("get", cpuRate) };
  const limits = { on: "value", atLeast: getRate };
  const figures = servers.slice(1).map((server, index) => ({
    ...product,
    baseline: { name: baselineName(server.kind), values: values(`get ${server.name}`, cpuRate) },
    ...(index === 0 ? { goal: limits } : {}),
  }));
  if (figures.length === 0) figures.push({ ...product, goal: limits });
  return [...figures, { name: "GET 64 MiB, by the clock", unit: "MB/s", values: values("get", wallRate) }];
}

function wallRate({ count, seconds }) {
  return (count * size) / 1e6 / seconds;
}

function cpuRate({ count, cpu }) {
  return (count * size) / 1e9 / cpu;
}

function coresUsed({ cpu, seconds }) {
  return cpu / seconds;
}
