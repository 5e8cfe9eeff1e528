/** DeleteObjects: objects that were put as clients put them, 1,000 in a request, from four connections. */
import { baselineName, gateway, load, profile, s3rver, withServers } from "./servers/together.mjs";

export const name = "delete";
export const goal = "30 µs of processor time an object";

const limit = 1_000;
const connections = 4;
const size = 1024;
const cpuGoal = 30;

export function run(context) {
  const runs = Math.min(context.runs, context.pick(3, 2));
  return withServers(context, context.pick([s3rver], []), async (servers, client) => {
    const costs = new Map(servers.map((server) => [server, []]));
    for (let turn = 0; turn < runs; turn++) {
      for (const server of servers) {
        const count = server.kind === s3rver ? context.pick(2_000, 1_000) : context.pick(100_000, 5_000);
        context.tell(`${server.name}, run ${turn + 1} of ${runs}: storing ${count.toLocaleString("en-US")} objects`);
        costs.get(server).push(await storeAndDelete(context, client, server, `${turn}-`, count));
      }
    }
    const [product, slow] = servers;
    await profileDeleting(context, client, product);
    const count = context.pick(100_000, 5_000).toLocaleString("en-US");
    return [
      {
        name: `DeleteObjects, ${count} objects, ${gateway.promise}`,
        unit: "µs CPU",
        values: costs.get(product),
        ...(slow === undefined ? {} : { baseline: { name: baselineName(slow.kind), values: costs.get(slow) } }),
        goal: { on: "value", atMost: cpuGoal },
      },
    ];
  });
}

/** Microseconds of processor time an object. */
async function storeAndDelete(context, client, server, prefix, count) {
  await store(context, client, server, prefix, count);
  const { cpu } = await load(context, client, server, "prepareDelete", { prefix, count, limit }, connections);
  return (cpu / count) * 1e6;
}

function store(context, client, server, prefix, count) {
  return load(context, client, server, "preparePut", { prefix, count, size }, 64);
}

async function profileDeleting(context, client, server) {
  if (!context.isProfiling) return;
  const argument = { prefix: "profile-", count: context.pick(50_000, 5_000) };
  await store(context, client, server, argument.prefix, argument.count);
  const deleting = () => load(context, client, server, "prepareDelete", { ...argument, limit }, connections);
  await profile(context, "DeleteObjects", server, argument.count, deleting);
}
