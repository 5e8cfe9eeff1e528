/** The embedded datastore as a worker has it: changes travel as JSON to who commits, reads are done here. */
import { datastoreContract } from "../src/datastore/datastore.contract.ts";
import { openEmbedded } from "../src/datastore/embedded.ts";
import { type Forward, forwardCommits, runCalls } from "../src/datastore/forwarded.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { silentLog } from "../src/env/node-log.ts";
import { inDirectory } from "./support/datastore-directory.ts";

datastoreContract("the forwarded", () =>
  inDirectory(async (directory) => {
    const local = await openEmbedded({ directory, clock: nodeClock, durability: "os", log: silentLog });
    const forward: Forward = async (calls) => travelled(await runCalls(local, travelled(calls)));
    return forwardCommits(local, nodeClock, forward);
  }),
);

function travelled<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}
