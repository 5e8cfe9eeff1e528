/**
 * Pages of 1,000 keys: ListObjectsV2 in buckets of a thousand and of a million keys, without versioning and with it
 * (there each tenth key has an older version too), and ListObjectVersions. All buckets are in one store.
 */
import { gateway, load, makeBucket, profile, s3rver, use, withStarted } from "./servers/together.mjs";

export const name = "list";
export const goal = "a page at 2 ms of processor time, the same (1.25) in a bucket of a thousand and of a million";

const limit = 1_000;
const pageGoal = 2;
const sameness = 1.25;
const prefix = "photos/2026/album-";
const fewCount = 1_000;
const seed = "seed";
const enableVersioning =
  '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>';

export async function run(context) {
  const many = context.pick(1_000_000, 20_000);
  const buckets = [false, true].flatMap((versioned) =>
    [fewCount, many].map((count) => ({ name: `${versioned ? "versioned" : "plain"}-${count}`, versioned, count })),
  );
  const root = await filledRoot(context, buckets);
  // s3rver alone takes as long as all the rest of the short run.
  const problem = context.quick ? "left out of the short run" : s3rver.problem(context);
  if (problem !== undefined) context.note(`without ${s3rver.name}: ${problem}`);
  const starts = [
    () => gateway.start(context, { root }),
    ...(problem === undefined ? [() => s3rver.start(context)] : []),
  ];
  return withStarted(context, starts, async ([product, slow], client) => {
    const cases = casesOf(buckets);
    const measured = new Map(cases.map((one) => [one, []]));
    const slowly = [];
    if (slow !== undefined) {
      context.tell("filling s3rver");
      await load(context, client, slow, "preparePut", { prefix, count: fewCount, size: 16 }, 16);
    }
    for (let turn = -1; turn < context.runs; turn++) {
      context.tell(turn < 0 ? "warming up" : `run ${turn + 1} of ${context.runs}`);
      for (const one of cases) {
        const cost = await pages(context, client, product, one, context.pick(300, 50));
        if (turn >= 0) measured.get(one).push(millisecondsEach(cost));
      }
      if (slow === undefined) continue;
      const cost = await pages(context, client, slow, { bucket: "bench", count: fewCount }, context.pick(10, 2));
      if (turn >= 0) slowly.push(millisecondsEach(cost));
    }
    for (const one of cases.filter(({ count }) => count === many)) {
      await profile(context, titleOf(one), product, 500, () => pages(context, client, product, one, 500));
    }
    return cases.flatMap((one) => figuresOf(one, cases, measured, slowly));
  });
}

function casesOf(buckets) {
  const cases = buckets.map((bucket) => ({ ...bucket, bucket: bucket.name, kind: "objects" }));
  const versioned = buckets.filter((bucket) => bucket.versioned);
  return [...cases, ...versioned.map((bucket) => ({ ...bucket, bucket: bucket.name, kind: "versions" }))];
}

function titleOf({ kind, versioned, count }) {
  const what = kind === "versions" ? "versions" : versioned ? "versioned" : "keys";
  return `page of ${limit} ${what}, of ${count.toLocaleString("en-US")}`;
}

function pages(context, client, server, { bucket, count, kind }, number) {
  const argument = { bucket, prefix, count, pages: number, limit, kind };
  return load(context, client, server, "prepareList", argument, 1);
}

function millisecondsEach({ cpu, count }) {
  return (cpu / count) * 1000;
}

function figuresOf(one, cases, measured, slowly) {
  const figure = { name: titleOf(one), unit: "ms CPU", values: measured.get(one) };
  const limits = { on: "value", atMost: pageGoal };
  if (one.count === fewCount) {
    const compared = slowly.length > 0 && one.kind === "objects" && !one.versioned;
    return [{ ...figure, goal: limits, ...(compared ? { baseline: { name: s3rver.name, values: slowly } } : {}) }];
  }
  const few = cases.find(({ kind, versioned, count }) => {
    return kind === one.kind && versioned === one.versioned && count === fewCount;
  });
  const baseline = { name: `of ${fewCount.toLocaleString("en-US")}`, values: measured.get(few) };
  return [
    { ...figure, goal: limits },
    { ...figure, name: "the same", baseline, goal: { on: "ratio", atMost: sameness } },
  ];
}

/** A data directory with these buckets, each filled with what is like the one object that the gateway stored in it. */
async function filledRoot(context, buckets) {
  const total = buckets.reduce((sum, { count }) => sum + count, 0);
  const root = context.directory("list", total * 3_000);
  await withStarted(context, [() => gateway.start(context, { root })], async ([server], client) => {
    await use(client, server);
    for (const bucket of buckets) {
      await makeBucket(client, bucket.name);
      if (bucket.versioned) {
        await client.call("request", {
          method: "PUT",
          path: `/${bucket.name}`,
          query: [["versioning", ""]],
          body: enableVersioning,
        });
      }
      await client.call("request", { method: "PUT", path: `/${bucket.name}/${seed}`, body: "of one ticket" });
    }
  });
  await context.with(["s3-fill"], async (filler) => {
    await filler.call("open", { root });
    for (const bucket of buckets) {
      context.tell(`filling a bucket with ${bucket.count.toLocaleString("en-US")} keys`);
      await filler.call("fill", { bucket: bucket.name, like: seed, prefix, ...bucket });
    }
  });
  return root;
}
