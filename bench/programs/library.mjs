/** The product as a library: a Router with its store and embedded datastore in this process, no socket. */
import { ticketDataSize } from "../../dist/core/frame.js";
import { startRouter } from "../../dist/compose/router-process.js";
import { answer } from "../support/answer.mjs";
import { benchHost, bind, key, noReclaim } from "../support/product.mjs";

let running;
let router;
/** Ids of what was put, in order; the object at index i holds i in its first bytes. */
const ids = [];

answer({
  start: async ({ root }) => {
    const datastore = { kind: "embedded" };
    const common = { root, bind, port: 0, responsePort: 0, key, depth: undefined, putters: [], durability: "disk" };
    running = await startRouter(benchHost(), { ...common, datastore, reclaim: noReclaim });
    router = running.router;
  },
  /** `count` objects of one ticket, from so many writers that each wait for their own. */
  put: async ({ count, writers }) => {
    let left = count;
    const writer = async () => {
      const bytes = new Uint8Array(ticketDataSize).fill(5);
      const view = new DataView(bytes.buffer);
      while (left-- > 0) {
        const index = ids.push(0) - 1;
        view.setUint32(0, index);
        ids[index] = (await router.put(bytes, { kind: "standalone" }, {})).id;
      }
    };
    await Promise.all(Array.from({ length: writers }, writer));
  },
  /** Objects at random: the record, then the bytes, verified by the product and looked at here. */
  read: async ({ count }) => {
    for (let done = 0; done < count; done++) {
      const index = Math.floor(Math.random() * ids.length);
      const bytes = await router.get(await router.datastore.getObject(ids[index]));
      if (bytes.length !== ticketDataSize || new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) !== index) {
        throw new Error(`object ${ids[index]} has other bytes`);
      }
    }
  },
  close: () => running?.close(),
});
