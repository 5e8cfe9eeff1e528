/** The simulator's datastore is a Datastore: it passes the contract, in the process and on another machine. */
import { expect, it } from "vitest";
import type { Datastore } from "../../src/datastore/datastore.ts";
import { datastoreContract } from "../../src/datastore/datastore.contract.ts";
import { TransactionalDatastore } from "../../src/datastore/transactional.ts";
import { silentLog } from "../../src/env/silent-log.ts";
import { SimulatedClock } from "../simulated-clock.ts";
import { SimulatedRandom } from "../simulated-random.ts";
import { EmbeddedBackend, RemoteBackend, StoreServer } from "./simulated-backend.ts";
import { SimulatedStore } from "./simulated-store.ts";

/** Lets virtual time go on for as long as the test waits for something. */
function pump(clock: SimulatedClock): () => void {
  const state = { on: true };
  void (async () => {
    while (state.on) await clock.step();
  })();
  return () => (state.on = false);
}

datastoreContract("the simulated, in the process,", async () => {
  const clock = new SimulatedClock();
  const store = new SimulatedStore(clock, new SimulatedRandom(1));
  const open = (): Promise<Datastore> =>
    TransactionalDatastore.open(new EmbeddedBackend(store, clock), clock, silentLog);
  const stop = pump(clock);
  const datastore = await open();
  return {
    datastore,
    async reopen() {
      store.crash();
      return open();
    },
    close: async () => stop(),
  };
});

datastoreContract("the simulated, on another machine,", async () => {
  const clock = new SimulatedClock();
  const server = new StoreServer(new SimulatedStore(clock, new SimulatedRandom(1)));
  const open = (): Promise<Datastore> =>
    TransactionalDatastore.open(new RemoteBackend(server, clock), clock, silentLog);
  const stop = pump(clock);
  return {
    datastore: await open(),
    second: await open(),
    async reopen() {
      server.crash();
      return open();
    },
    close: async () => stop(),
  };
});

it("a commit that is being synced when the process ends is there wholly or not at all, and one that was answered is there", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 40; seed++) {
    const clock = new SimulatedClock();
    const random = new SimulatedRandom(seed);
    const store = new SimulatedStore(clock, random.fork());
    const open = (): Promise<Datastore> =>
      TransactionalDatastore.open(new EmbeddedBackend(store, clock), clock, silentLog);
    const datastore = await clock.run(open());
    const answered: string[] = [];
    const names = ["one", "two", "three", "four"];
    for (const [index, name] of names.entries()) {
      clock.after(index % 2, () => void datastore.createBucket(name, {}, 1).then(() => answered.push(name)));
    }
    for (let steps = random.below(25); steps > 0; steps--) await clock.step();
    store.crash();
    const acknowledged = [...answered];
    const reopened = await clock.run(open());
    const found = new Set((await clock.run(reopened.listBuckets())).map(({ name }) => name));
    expect(acknowledged.filter((name) => !found.has(name))).toEqual([]);
    expect((await clock.run(reopened.counters())).buckets).toBe(found.size);
    seen.add(`${acknowledged.length > 0} ${found.size > acknowledged.length}`);
  }
  expect([...seen].sort()).toEqual(["false false", "false true", "true false", "true true"]);
});

it("a sync that fails takes all of its group back", async () => {
  const clock = new SimulatedClock();
  const store = new SimulatedStore(clock, new SimulatedRandom(1));
  const datastore = await clock.run(TransactionalDatastore.open(new EmbeddedBackend(store, clock), clock, silentLog));
  store.failingSyncs = 1;
  const both = [datastore.createBucket("one", {}, 1), datastore.createBucket("two", {}, 1)];
  for (const refused of await clock.run(Promise.allSettled(both)))
    expect(refused).toMatchObject({ status: "rejected" });
  expect(await clock.run(datastore.listBuckets())).toEqual([]);
});
