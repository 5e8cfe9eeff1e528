/**
 * Two worker processes beside one, on one port and one data directory. What makes the load takes its share of the cores:
 * where they are fewer than four, the rate by the clock says what is left over, and the goal is held against what
 * processor time says two free cores would give.
 */
import os from "node:os";
import { gateway, load, withStarted } from "./servers/together.mjs";
import { hasOption } from "./servers/gateway.mjs";

export const name = "workers";
export const goal = "two workers do 1.7 times the operations of one on two free cores";

const ratioGoal = 1.7;
const size = 1024;
const connections = 64;
const workerCounts = [1, 2];
const freeCores = 2;
/** Two for the servers, and two for what makes the load and the system. */
const enoughCores = 4;

export async function run(context) {
  if (!hasOption("--workers")) {
    context.note("skipped: this build's router has no option --workers");
    return [];
  }
  const starts = workerCounts.map((workers) => () => {
    return gateway.start(context, { root: context.directory(`workers-${workers}`), workers });
  });
  return withStarted(context, starts, async (servers, client) => {
    const measured = new Map(servers.map((server) => [server, { PUT: [], GET: [] }]));
    for (let turn = -1; turn < context.runs; turn++) {
      context.tell(turn < 0 ? "warming up" : `run ${turn + 1} of ${context.runs}`);
      for (const server of servers) {
        const argument = { prefix: `${turn + 1}-`, count: context.pick(10_000, 2_000), size };
        const put = await load(context, client, server, "preparePut", argument, connections);
        const get = await load(context, client, server, "prepareGet", argument, connections);
        if (turn < 0) continue;
        measured.get(server).PUT.push(put);
        measured.get(server).GET.push(get);
      }
    }
    return ["PUT", "GET"].flatMap((operation) => {
      return figuresOf(operation, ...servers.map((server) => measured.get(server)[operation]));
    });
  });
}

function figuresOf(operation, one, two) {
  const limits = { goal: { on: "ratio", atLeast: ratioGoal } };
  const byClock = os.availableParallelism() >= enoughCores;
  const rate = ({ seconds, count }) => count / seconds;
  const cost = ({ cpu, count }) => (cpu / count) * 1e6;
  const figure = (detail, unit, value) => ({
    name: `${operation} 1 KB, 2 workers, ${detail}`,
    unit,
    values: two.map(value),
    baseline: { name: "1 worker", values: one.map(value) },
  });
  const computed = `on ${freeCores} free cores (computed)`;
  return [
    { ...figure("rate", "/s", rate), ...(byClock ? limits : {}) },
    figure("CPU", "µs", cost),
    { ...figure(computed, "/s", possibleRate), ...(byClock ? {} : limits) },
  ];
}

/**
 * What so many free cores could do: all processor time of an operation has to fit on them, and no first thread (where
 * JavaScript runs) has more than one.
 */
function possibleRate({ cpu, busiest, count }) {
  return count / Math.max(cpu / freeCores, busiest);
}
