import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { datastoreContract } from "../src/datastore/datastore.contract.ts";
import { openEmbedded } from "../src/datastore/embedded.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { silentLog } from "../src/env/node-log.ts";

datastoreContract("the embedded", async () => {
  const directory = await mkdtemp(join(tmpdir(), "datastore-"));
  const openHere = () => openEmbedded({ directory, clock: nodeClock, durability: "disk", log: silentLog });
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
