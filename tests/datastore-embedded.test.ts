import { datastoreContract } from "../src/datastore/datastore.contract.ts";
import { openEmbedded } from "../src/datastore/embedded.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { silentLog } from "../src/env/node-log.ts";
import { inDirectory } from "./support/datastore-directory.ts";

datastoreContract("the embedded", () =>
  inDirectory((directory) => openEmbedded({ directory, clock: nodeClock, durability: "disk", log: silentLog })),
);
