/** The product: a router with its putter and datastore, as `data-putter router` starts it. */
import { startRouter } from "../../dist/compose/router-process.js";
import { answer } from "../support/answer.mjs";
import { benchHost, bind, key, noReclaim } from "../support/product.mjs";

let router;

answer({
  start: async ({ root, durability = "disk" }) => {
    router = await startRouter(benchHost(), {
      root,
      bind,
      port: 0,
      responsePort: 0,
      key,
      depth: undefined,
      putters: [],
      datastore: { kind: "embedded" },
      durability,
      reclaim: noReclaim,
    });
    return { streamPort: router.streamPort, responsePort: router.responsePort };
  },
  close: () => router?.close(),
});
