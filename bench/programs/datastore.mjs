/** A Datastore by itself: filled through its interface, and listed. */
import { openDatastore } from "../../dist/compose/datastore.js";
import { ticketDataSize } from "../../dist/core/frame.js";
import { answer } from "../support/answer.mjs";
import { benchHost } from "../support/product.mjs";

let datastore;
const router = "bench";
/** Saved at once: enough to fill the groups that share a commit. */
const savedAtOnce = 1024;

answer({
  /** `os`: filling is not what is measured. */
  open: async ({ choice, root }) => {
    datastore = await openDatastore(benchHost(), choice, root, "os");
  },
  /** `count` files of one ticket each. No tickets are written: only what the datastore keeps of them. */
  fill: async ({ bucket, count }) => {
    await datastore.createBucket(bucket, {}, Date.now());
    for (let done = 0; done < count;) {
      const tickets = await datastore.leaseTickets(router, "bench", count - done);
      const part = Math.min(tickets.count, count - done);
      const objects = await datastore.leaseObjects(router, part);
      let next = 0;
      const saver = async () => {
        for (let index = next++; index < part; index = next++) {
          await save(bucket, done + index, objects.first + index, tickets.first + index);
        }
      };
      await Promise.all(Array.from({ length: savedAtOnce }, saver));
      await datastore.releaseTickets(router, tickets, tickets.first + part);
      await datastore.releaseObjects(router, objects, objects.first + part);
      done += part;
    }
  },
  /** So many pages of 1,000 names, each after a name at random. */
  list: async ({ bucket, count, pages, limit }) => {
    for (let page = 0; page < pages; page++) {
      const start = Math.floor(Math.random() * (count - limit + 1));
      const after = start === 0 ? undefined : nameOf(start - 1);
      const { items } = await datastore.listFiles({ bucket, prefix: "", delimiter: undefined, after, limit });
      if (items.length !== limit || items[0].key !== nameOf(start))
        throw new Error(`${bucket}: not the page asked for`);
    }
  },
  close: () => datastore?.close(),
});

function save(bucket, index, id, ticket) {
  const object = { id, size: ticketDataSize, runs: [{ first: ticket, count: 1 }], attributes: { etag: etagOf(index) } };
  return datastore.saveObject(object, { kind: "file", bucket, key: nameOf(index), attributes: {} }, Date.now());
}

/** In order of their numbers, and as long as names are. */
function nameOf(index) {
  return `photos/2026/album-${String(index).padStart(9, "0")}/image.jpg`;
}

function etagOf(index) {
  return index.toString(16).padStart(32, "0");
}
