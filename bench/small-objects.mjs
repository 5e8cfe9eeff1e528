/** Objects of one ticket through the library: written durably by 128 writers, and read at random. */
import { rmSync } from "node:fs";

export const name = "small-objects";
export const goal = "20 times a loop that syncs a file for each; 100,000 verified reads a processor second";

const writers = 128;

export async function run(context) {
  const putCount = context.pick(40_000, 8_000);
  const fileCount = context.pick(2_000, 500);
  const readCount = context.pick(200_000, 40_000);
  const root = context.directory("small-objects", (context.runs + 2) * putCount * 4_000);
  const fileDirectory = context.directory("small-objects-files");
  const puts = { product: [], loop: [], together: [] };
  const putCosts = [];
  const reads = { product: [], loop: [] };
  await context.with(["library", "files"], async (library, files) => {
    await library.call("start", { root });
    await library.call("put", { count: putCount / 4, writers });
    for (let turn = 0; turn < context.runs; turn++) {
      context.tell(`writing, run ${turn + 1} of ${context.runs}`);
      const put = await context.measure(library, () => library.call("put", { count: putCount, writers }));
      puts.product.push(putCount / put.seconds);
      putCosts.push((put.cpu / putCount) * 1e6);
      for (const [kind, inFlight] of [
        ["together", writers],
        ["loop", 1],
      ]) {
        const work = { directory: fileDirectory, count: fileCount, inFlight };
        const loop = await context.measure(files, () => files.call("objects", work));
        puts[kind].push(fileCount / loop.seconds);
      }
    }
    await library.call("read", { count: readCount / 4 });
    for (let turn = 0; turn < context.runs; turn++) {
      context.tell(`reading, run ${turn + 1} of ${context.runs}`);
      const read = await context.measure(library, () => library.call("read", { count: readCount }));
      reads.product.push(readCount / read.cpu);
      const work = { directory: fileDirectory, count: readCount / 4, total: fileCount };
      const loop = await context.measure(files, () => files.call("read", work));
      reads.loop.push(readCount / 4 / loop.cpu);
    }
    await context.profile(`${name}, writing`, library, () => library.call("put", { count: putCount, writers }));
    await context.profile(`${name}, reading`, library, () => library.call("read", { count: readCount }));
  });
  for (const directory of [root, fileDirectory]) rmSync(directory, { recursive: true });
  return [
    {
      name: `objects of one ticket, ${writers} writers, durable`,
      unit: "/s",
      values: puts.product,
      baseline: { name: "loop: a file each, fsync", values: puts.loop },
      goal: { on: "ratio", atLeast: 20 },
    },
    {
      name: "the same, beside files written together",
      unit: "/s",
      values: puts.product,
      baseline: { name: `${writers} loops: a file each, fsync`, values: puts.together },
    },
    { name: "the same, processor time", unit: "µs/object", values: putCosts },
    {
      name: "reads of one ticket at random, verified",
      unit: "/CPU-s",
      values: reads.product,
      baseline: { name: "readFileSync of a file each", values: reads.loop },
      goal: { on: "value", atLeast: 100_000 },
    },
  ];
}
