/** The most memory that a router has ever had resident while much goes in and out, from one client and from many. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { objectOf } from "./support/objects.mjs";

const gibibyte = 2 ** 30;
const sampleIntervalMs = 50;

export const name = "memory";
export const goal = "at most 200 MB while 10 GiB go in and out";

export async function run(context) {
  if (!existsSync("/proc/self/status")) {
    context.tell("skipped: peak memory is read from /proc, which is not here");
    return [];
  }
  const total = context.pick(10 * gibibyte, gibibyte);
  // A peak is no average: it takes no repetition, and 40 GiB of it would take long.
  const plainSize = context.pick(gibibyte, gibibyte / 4);
  const baselineName = `sockets piped to files, ${plainSize / 2 ** 20} MiB in`;
  const figures = [];
  for (const clients of [1, 64]) {
    const product = await measureRouter(context, total, clients);
    const plain = await measurePlain(context, plainSize, clients);
    const which = `${total / gibibyte} GiB in and out, ${clients} client${clients === 1 ? "" : "s"}`;
    figures.push({
      name: `peak memory: ${which}`,
      unit: "MB",
      values: [product.peak],
      baseline: { name: baselineName, values: [plain.peak] },
      goal: { on: "value", atMost: 200 },
    });
    figures.push({
      name: "the same, not counting mapped files",
      unit: "MB",
      values: [product.peakAnonymous],
      baseline: { name: baselineName, values: [plain.peakAnonymous] },
    });
  }
  return figures;
}

async function measureRouter(context, total, clients) {
  const root = context.directory("memory", total);
  const peaks = await context.with(["router", "stream-client"], async (router, client) => {
    const { streamPort, responsePort } = await router.call("start", { root });
    const size = total / clients;
    return peaksDuring(router.pid, async () => {
      context.tell(`${clients} × ${size / 2 ** 20} MiB in`);
      const lines = await client.call("send", { port: streamPort, size, connections: clients });
      context.tell(`${clients} × ${size / 2 ** 20} MiB out`);
      const sizes = await client.call("getObjects", { port: responsePort, objects: lines.map(objectOf) });
      if (sizes.some((got) => got !== size)) throw new Error(`not all objects came whole: ${sizes}`);
    });
  });
  rmSync(root, { recursive: true });
  return peaks;
}

async function measurePlain(context, total, clients) {
  const directory = context.directory("memory-plain", total);
  const peaks = await context.with(["plain", "stream-client"], async (plain, client) => {
    const { port } = await plain.call("receive", { directory });
    const send = { port, size: total / clients, connections: clients };
    return peaksDuring(plain.pid, () => client.call("send", send));
  });
  rmSync(directory, { recursive: true });
  return peaks;
}

/** The kernel keeps the peak of all memory; of the anonymous part there is only what is seen now and then. */
async function peaksDuring(pid, work) {
  let peakAnonymous = 0;
  const look = () => (peakAnonymous = Math.max(peakAnonymous, statusOf(pid, "RssAnon")));
  const timer = setInterval(look, sampleIntervalMs);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  look();
  return { peak: statusOf(pid, "VmHWM"), peakAnonymous };
}

/** Megabytes; nothing of a process that has just ended. */
function statusOf(pid, field) {
  const status = `/proc/${pid}/status`;
  if (!existsSync(status)) return 0;
  const text = readFileSync(status, "utf8");
  return (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024) / 1e6;
}
