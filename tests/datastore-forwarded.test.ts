/** The embedded datastore as a worker has it: changes travel as JSON to who commits, reads are done here. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Datastore } from "../src/datastore/datastore.ts";
import { datastoreContract } from "../src/datastore/datastore.contract.ts";
import { openEmbedded } from "../src/datastore/embedded.ts";
import { type Forward, forwardCommits, runCalls } from "../src/datastore/forwarded.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { silentLog } from "../src/env/node-log.ts";

datastoreContract("the forwarded", async () => {
  const directory = await mkdtemp(join(tmpdir(), "datastore-"));
  const openHere = async (): Promise<Datastore> => {
    const local = await openEmbedded({ directory, clock: nodeClock, durability: "os", log: silentLog });
    const forward: Forward = async (calls) => travelled(await runCalls(local, travelled(calls)));
    return forwardCommits(local, nodeClock, forward);
  };
  let datastore = await openHere();
  return {
    datastore,
    async reopen() {
      await datastore.close();
      datastore = await openHere();
      return datastore;
    },
    async close() {
      await datastore.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});

function travelled<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}
