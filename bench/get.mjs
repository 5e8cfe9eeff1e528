/** A cached object read over the response port, every ticket verified before it is sent. */
import { rmSync } from "node:fs";
import path from "node:path";
import { objectOf } from "./support/objects.mjs";

const gibibyte = 2 ** 30;

export const name = "get";
export const goal = "1.0 GB a processor second";

export async function run(context) {
  const size = context.pick(gibibyte, gibibyte / 4);
  const root = context.directory("get", size * 2);
  const plainDirectory = context.directory("get-plain");
  const rates = { product: [], plain: [] };
  const walls = { product: [], plain: [] };
  await context.with(["router", "plain", "stream-client"], async (router, plain, client) => {
    const { streamPort, responsePort } = await router.call("start", { root });
    const [line] = await client.call("send", { port: streamPort, size });
    const { port: receivePort } = await plain.call("receive", { directory: plainDirectory });
    await client.call("send", { port: receivePort, size });
    const { port: plainPort } = await plain.call("send", { file: path.join(plainDirectory, "0") });
    const get = () => client.call("getObjects", { port: responsePort, objects: [objectOf(line)] });
    const drain = () => client.call("drain", { port: plainPort });
    // The first turn fills the page cache: what was written directly is not in it.
    for (let turn = -1; turn < context.runs; turn++) {
      context.tell(turn < 0 ? "warming up" : `run ${turn + 1} of ${context.runs}`);
      for (const [kind, child, work] of [
        ["product", router, get],
        ["plain", plain, drain],
      ]) {
        const { result, seconds, cpu } = await context.measure(child, work);
        if (result[0] !== size) throw new Error(`${result[0]} of ${size} bytes came`);
        if (turn < 0) continue;
        rates[kind].push(size / 1e9 / cpu);
        walls[kind].push(size / 1e6 / seconds);
      }
    }
    await context.profile(name, router, get);
  });
  for (const directory of [root, plainDirectory]) rmSync(directory, { recursive: true });
  return [
    {
      name: `get of ${size / 2 ** 20} MiB, cached, verified`,
      unit: "GB/CPU-s",
      values: rates.product,
      baseline: { name: "file piped to a socket", values: rates.plain },
      goal: { on: "value", atLeast: 1 },
    },
    {
      name: "the same, by the clock",
      unit: "MB/s",
      values: walls.product,
      baseline: { name: "file piped to a socket", values: walls.plain },
    },
  ];
}
