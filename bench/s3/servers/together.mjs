/** The servers of a benchmark, side by side, with a bucket each and one client for all of them. */
import { gateway } from "./gateway.mjs";
import { nginx } from "./nginx.mjs";
import { s3rver } from "./s3rver.mjs";
import { formatNumber } from "../../support/statistics.mjs";

export const bucket = "bench";

/**
 * Starts the gateway and those `baselines` that there are, makes the bucket in each, hands the servers and the client
 * to `work`, and ends them whatever happens.
 */
export function withServers(context, baselines, work) {
  const there = baselines.filter((baseline) => {
    const problem = baseline.problem(context);
    if (problem !== undefined) context.note(`without ${baseline.name}: ${problem}`);
    return problem === undefined;
  });
  return withStarted(
    context,
    [
      () => gateway.start(context),
      ...there.map(
        ({ start }) =>
          () =>
            start(context),
      ),
    ],
    work,
  );
}

/** The same with servers that are told how to start. */
export async function withStarted(context, starts, work) {
  const servers = [];
  try {
    return await context.with(["s3-client"], async (client) => {
      for (const start of starts) {
        const server = await start();
        servers.push(server);
        if (!server.kind.isS3) continue;
        await use(client, server);
        await makeBucket(client, bucket);
      }
      const result = await work(servers, client);
      for (const server of servers) await server.stop();
      return result;
    });
  } finally {
    for (const server of servers) server.kill();
  }
}

export function use(client, { port, access }) {
  return client.call("use", { port, access });
}

/** Where it is not there yet. */
export async function makeBucket(client, name) {
  const listed = await client.call("request", { method: "GET", path: "/" });
  if (listed.includes(`<Name>${name}</Name>`)) return;
  await client.call("request", { method: "PUT", path: `/${name}` });
}

/**
 * Prepares requests, sends them, and tells what they cost the server: seconds, by the clock and of processor time;
 * `busiest`: of the first thread that worked most.
 */
export async function load(context, client, server, prepare, argument, connections) {
  await use(client, server);
  await client.call(prepare, { bucket, ...argument });
  const measured = await context.measure(server, () => client.call("run", { connections }));
  const { result, cpu, user, system, before, after } = measured;
  const firstThreads = [...after.firstThreads].map(([pid, seconds]) => seconds - (before.firstThreads.get(pid) ?? 0));
  return { ...result, cpu, user, system, busiest: Math.max(...firstThreads) };
}

/** With --profile: `work` once more, with a profile of the gateway, and which of its threads did how much for each of `count`. */
export async function profile(context, title, server, count, work) {
  if (!context.isProfiling) return;
  const before = server.threads();
  let measured;
  await context.profile(title, server, async () => {
    measured = await work();
  });
  const each = (seconds) => `${formatNumber((seconds / count) * 1e6)} µs`;
  const threads = [...server.threads()]
    .map(([thread, seconds]) => ({ thread, seconds: seconds - (before.get(thread) ?? 0) }))
    .filter(({ seconds }) => seconds > 0)
    .map(({ thread, seconds }) => `${thread} ${each(seconds)}`);
  const split = `${each(measured.user)} user, ${each(measured.system)} system`;
  context.note(`${title}, profiled: ${each(measured.cpu)} each (${split}); by thread: ${threads.join(", ")}`);
}

/** The name of a baseline in the table, with what its answer promises. */
export function baselineName({ name, promise }) {
  return `${name}, ${promise}`;
}

export { gateway, nginx, s3rver };
