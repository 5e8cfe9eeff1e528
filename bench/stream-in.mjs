/** One long stream over tcp/5001, durable: beside a plain program, and beside what the disk takes at that moment. */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import path from "node:path";

const gibibyte = 2 ** 30;
const ticketDataSize = 1458;

export const name = "stream-in";
export const goal = "1.5 times a plain program, at most 2 µs of processor time a ticket, half of dd's rate";

export async function run(context) {
  const size = context.pick(gibibyte, gibibyte / 4);
  const root = context.directory("stream-in", size * (context.runs + 3));
  const plainDirectory = context.directory("stream-in-plain");
  const rates = { product: [], plain: [], dd: [] };
  const costs = { product: [], plain: [] };
  await context.with(["router", "plain", "stream-client"], async (router, plain, client) => {
    const { streamPort } = await router.call("start", { root });
    const { port: plainPort } = await plain.call("receive", { directory: plainDirectory });
    const once = async (kind, child, port) => {
      const { seconds, cpu } = await context.measure(child, () => client.call("send", { port, size }));
      rates[kind].push(size / 1e6 / seconds);
      costs[kind].push((cpu / Math.ceil(size / ticketDataSize)) * 1e6);
    };
    // Both programs compiled, and the router's directories made.
    for (const port of [streamPort, plainPort]) await client.call("send", { port, size: size / 8 });
    for (let turn = 0; turn < context.runs; turn++) {
      context.tell(`run ${turn + 1} of ${context.runs}`);
      await once("product", router, streamPort);
      await once("plain", plain, plainPort);
      await plain.call("clear", { directory: plainDirectory });
      rates.dd.push(size / 1e6 / copyDirectly(path.join(plainDirectory, "dd"), size));
    }
    await context.profile(name, router, () => client.call("send", { port: streamPort, size }));
  });
  rmSync(root, { recursive: true });
  return [
    {
      name: `stream of ${size / 2 ** 20} MiB, durable`,
      unit: "MB/s",
      values: rates.product,
      baseline: { name: "socket piped to a file, one fsync", values: rates.plain },
      goal: { on: "ratio", atLeast: 1.5 },
    },
    {
      name: "the same, processor time of router and putter",
      unit: "µs/ticket",
      values: costs.product,
      baseline: { name: "socket piped to a file, one fsync", values: costs.plain },
      goal: { on: "value", atMost: 2 },
    },
    {
      name: "the same, beside the disk",
      unit: "MB/s",
      values: rates.product,
      baseline: { name: "dd oflag=direct bs=4M conv=fdatasync", values: rates.dd },
      goal: { on: "ratio", atLeast: 0.5 },
    },
  ];
}

/** Seconds. */
function copyDirectly(file, size) {
  const blockSize = 4 * 2 ** 20;
  const count = size / blockSize;
  const startedAt = performance.now();
  const flags = ["oflag=direct", "bs=4M", "conv=fdatasync", `count=${count}`, "status=none"];
  execFileSync("dd", ["if=/dev/zero", `of=${file}`, ...flags]);
  const seconds = (performance.now() - startedAt) / 1000;
  rmSync(file);
  return seconds;
}
