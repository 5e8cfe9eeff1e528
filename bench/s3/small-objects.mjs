/** PUT and GET of small objects over connections that stay open: processor time of the server, and the rate. */
import { baselineName, gateway, load, nginx, profile, s3rver, withServers } from "./servers/together.mjs";

export const name = "small";
export const goal = "PUT 65 µs, GET 50 µs of processor time, durable; 10 times the rate of s3rver";

const cpuGoals = { PUT: 65, GET: 50 };
const rateGoal = 10;

export function run(context) {
  const cases = context.pick(
    [1, 4].flatMap((kibibytes) => [16, 64].map((connections) => ({ size: kibibytes * 1024, connections }))),
    [
      { size: 1024, connections: 16 },
      { size: 4096, connections: 64 },
    ],
  );
  return withServers(context, [s3rver, nginx], async (servers, client) => {
    const figures = [];
    context.tell("warming up");
    // A JavaScript server needs some thousand requests until it runs as fast as it will.
    for (const server of servers) await putAndGet(context, client, server, { size: 1024, connections: 16 }, "warm-", 4);
    for (const { size, connections } of cases) {
      const measured = await measure(context, servers, client, size, connections);
      figures.push(...figuresOf(measured, servers, size, connections));
    }
    await profileBoth(context, servers[0], client);
    return figures;
  });
}

async function measure(context, servers, client, size, connections) {
  const measured = new Map(servers.map((server) => [server, { PUT: [], GET: [] }]));
  for (let turn = 0; turn < context.runs; turn++) {
    context.tell(`${size} bytes, ${connections} connections, run ${turn + 1} of ${context.runs}`);
    for (const server of servers) {
      const { put, get } = await putAndGet(context, client, server, { size, connections }, `${turn}-`);
      measured.get(server).PUT.push(put);
      measured.get(server).GET.push(get);
    }
  }
  return measured;
}

async function putAndGet(context, client, server, { size, connections }, run, share = 1) {
  // s3rver takes a multiple of the time.
  const usual = server.kind === s3rver ? context.pick(1_500, 300) : context.pick(10_000, 2_000);
  const count = usual * share;
  const argument = { prefix: `${size}-${connections}-${run}`, count, size };
  const putting = { ...argument, status: server.kind.putStatus };
  const put = await load(context, client, server, "preparePut", putting, connections);
  const get = await load(context, client, server, "prepareGet", argument, connections);
  return { put, get };
}

function figuresOf(measured, servers, size, connections) {
  const figures = [];
  const [product, ...baselines] = servers;
  for (const operation of ["PUT", "GET"]) {
    const of = (server, value) => measured.get(server)[operation].map(value);
    const beside = (server, value) => ({ name: baselineName(server.kind), values: of(server, value) });
    const microseconds = ({ cpu, count }) => (cpu / count) * 1e6;
    const rate = ({ seconds, count }) => count / seconds;
    const what = `${operation} ${size / 1024} KB, ${connections} conn.`;
    const promise = operation === "PUT" ? `, ${gateway.promise}` : ", verified";
    const add = (detail, unit, value, baseline, limits) =>
      figures.push({
        name: `${what}${promise}, ${detail}`,
        unit,
        values: of(product, value),
        ...(baseline === undefined ? {} : { baseline: beside(baseline, value) }),
        ...(limits === undefined ? {} : { goal: limits }),
      });
    const slow = baselines.find(({ kind }) => kind === s3rver);
    const plain = baselines.find(({ kind }) => kind === nginx);
    add("CPU", "µs", microseconds, plain, { on: "value", atMost: cpuGoals[operation] });
    if (slow !== undefined) add("CPU", "µs", microseconds, slow);
    if (plain !== undefined) add("rate", "/s", rate, plain);
    add("rate", "/s", rate, slow, { on: "ratio", atLeast: rateGoal });
  }
  return figures;
}

async function profileBoth(context, server, client) {
  const argument = { prefix: "profile-", count: context.pick(20_000, 5_000), size: 1024 };
  for (const operation of ["PUT", "GET"]) {
    const prepare = operation === "PUT" ? "preparePut" : "prepareGet";
    const work = () => load(context, client, server, prepare, argument, 64);
    await profile(context, `${operation} 1 KB, 64 connections`, server, argument.count, work);
  }
}
