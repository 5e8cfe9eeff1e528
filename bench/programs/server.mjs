/** The product: a putter, as `data-putter server` starts it. */
import { startServer } from "../../dist/compose/server-process.js";
import { answer } from "../support/answer.mjs";
import { benchHost, bind, key } from "../support/product.mjs";

let server;

answer({
  start: async ({ root, depth }) => {
    const config = { root, bind, port: 0, key, depth, respondTo: undefined, durability: "disk" };
    server = await startServer(benchHost(), config);
    return { port: server.port };
  },
  counts: () => ({ ...server.store.counts, ...server.putter.counts }),
  close: () => server?.close(),
});
