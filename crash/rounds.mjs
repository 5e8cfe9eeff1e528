/** The rounds of one run, and the line that is written of each. */
import { readFile } from "node:fs/promises";
import { Check } from "./check.mjs";
import { ObjectClient, S3Client } from "./client.mjs";
import { Contents } from "./contents.mjs";
import { Load, plainBucket, versionedBucket } from "./load.mjs";
import { Model } from "./model.mjs";
import { Random } from "./random.mjs";
import { pause } from "./workplace.mjs";

/** From the first request to the kill: as a rule short; now and then so long that reclaiming takes place. */
const shortLoadMs = [20, 600];
const longLoadMs = [5_200, 6_500];
const longShare = 0.04;
/** How often a start is killed, too, before it has come to its end, and when at the latest. */
const vainStartShare = 0.1;
const vainStartMs = 400;
/** Where only some of the processes were killed, the load goes on for so long. */
const afterwardsMs = 300;
const forgetEvery = 50;
const workerBackMs = 20_000;
const retryMs = 50;

export async function runRounds(store, { rounds, until, seed, kind, productRoot, breaking }) {
  const random = new Random(seed);
  const contents = new Contents(seed);
  const model = new Model({
    plainKeys: names("key", 24),
    versionedKeys: names("file", 8),
    forgetEvery: breaking === "forget" ? forgetEvery : 0,
  });
  const totals = {
    operations: 0,
    unanswered: 0,
    checked: 0,
    counts: new Map(),
  };
  const startedAt = performance.now();
  let session = await openSession(store, productRoot);
  await makeBuckets(session.client);
  let round = 0;
  while (round < rounds && performance.now() < until) {
    round++;
    const roundRandom = random.branch();
    if (breaking === "rollback") session = await reopenWithCopy(store, productRoot, session);
    const victims = roundRandom.pick(store.victims);
    const { ms, counts } = await runLoad(store, { model, contents, session, victims, random: roundRandom });
    for (const [action, count] of counts) totals.counts.set(action, (totals.counts.get(action) ?? 0) + count);
    session.close();
    if (breaking === "rollback") await store.putBackDatastore();
    if (victims.includes("router") && roundRandom.chance(vainStartShare)) {
      store.startInVain();
      await pause(roundRandom.between(0, vainStartMs));
      await store.kill(["router"]);
    }
    const downAt = performance.now();
    session = await openSession(store, productRoot);
    const backMs = performance.now() - downAt;
    const check = new Check({
      model,
      contents,
      client: session.client,
      objects: session.objects,
      isPatient: kind !== "single",
    });
    const { objects, tickets } = await check.run();
    totals.checked += objects;
    const done = `${victims.join(" and ")} killed after ${ms} ms, back in ${Math.round(backMs)} ms`;
    const holds = `${objects} objects, ${tickets} tickets verified`;
    console.log(`round ${round}: ${done}; ${model.acknowledgedCount} acknowledged so far, ${holds}`);
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  const kinds = [...totals.counts].map(([action, count]) => `${action} ${count}`).toSorted();
  console.log(`\nanswered: ${kinds.join(", ")}`);
  console.log(
    `crash: ${round} rounds, ${store.killCount} kills, ${model.acknowledgedCount} operations acknowledged, ` +
      `${model.unknownCount} without an answer, 0 losses, ${seconds} s, seed ${seed}`,
  );
  session.close();
}

async function openSession(store, productRoot) {
  await store.start();
  const { s3Port, responsePort } = store.ports;
  const client = new S3Client(s3Port);
  const key = await readFile(store.keyFile, "utf8");
  const objects = await patiently(() => ObjectClient.connect(productRoot, responsePort, key));
  const close = () => {
    client.close();
    objects.close();
  };
  return { client, objects, ports: store.ports, close };
}

/** A worker that was killed, and what it listens on, comes back by itself. */
async function patiently(connect) {
  for (const until = performance.now() + workerBackMs; ;) {
    try {
      return await connect();
    } catch (error) {
      if (performance.now() > until) throw error;
      await pause(retryMs);
    }
  }
}

/** Starts again with a copy of the datastore made while nothing runs: what the machine is set back to after the kill. */
async function reopenWithCopy(store, productRoot, session) {
  session.close();
  await store.kill(["router"]);
  await store.copyDatastore();
  return openSession(store, productRoot);
}

async function makeBuckets(client) {
  const versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
  for (const answer of [
    await client.send("PUT", plainBucket),
    await client.send("PUT", versionedBucket),
    await client.send("PUT", versionedBucket, { query: [["versioning", ""]], body: Buffer.from(versioning) }),
  ]) {
    if (answer.status !== 200) throw new Error(`a bucket could not be made: ${answer.status} ${answer.body}`);
  }
}

async function runLoad(store, { model, contents, session, victims, random }) {
  const load = new Load({ model, contents, ...session });
  const [from, to] = random.chance(longShare) ? longLoadMs : shortLoadMs;
  const ms = random.between(from, to);
  const ended = load.run(random.branch());
  // What goes wrong in the load is told when it is awaited.
  ended.catch(() => undefined);
  await pause(ms);
  const isWhole = victims.includes("router") || victims.includes("primary");
  if (isWhole) load.stop();
  await store.kill(victims);
  if (!isWhole) {
    await pause(afterwardsMs);
    load.stop();
  }
  await ended;
  return { ms, counts: load.counts };
}

function names(prefix, count) {
  return Array.from({ length: count }, (_, index) => `${prefix}${String(index).padStart(2, "0")}`);
}
