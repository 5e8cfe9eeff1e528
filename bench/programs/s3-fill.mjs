/**
 * Fills buckets straight through the Datastore. What the gateway keeps with an object and its file is taken from one
 * that the gateway itself stored (`like`), so nothing here knows its form. No tickets are written: listing looks at none.
 */
import { openDatastore } from "../../dist/compose/datastore.js";
import { answer } from "../support/answer.mjs";
import { benchHost } from "../support/product.mjs";

let datastore;
const router = "bench";
const savedAtOnce = 1024;
/** In a bucket with versioning each tenth file has an older version. */
const versionedEvery = 10;

answer({
  /** `os`: filling is not what is measured. */
  open: async ({ root }) => {
    datastore = await openDatastore(benchHost(), { kind: "embedded" }, root, "os");
  },
  /** `count` files in `bucket`, named as programs/s3-client.mjs names them; the one they are like goes. */
  fill: async ({ bucket, like, prefix, count, versioned }) => {
    const pattern = await patternOf(bucket, like);
    const olderCount = versioned ? Math.ceil(count / versionedEvery) : 0;
    await save(bucket, pattern, olderCount, (index) => nameOf(prefix, index * versionedEvery));
    await save(bucket, pattern, count, (index) => nameOf(prefix, index));
    await datastore.deleteVersion(bucket, like, pattern.version);
  },
  close: () => datastore?.close(),
});

async function patternOf(bucket, key) {
  const { version, object, attributes } = await datastore.getVersion(bucket, key);
  const { size, content, attributes: objectAttributes } = await datastore.getObject(object);
  const ticketCount = content.runs.reduce((sum, { count }) => sum + count, 0);
  return { version, attributes, size, ticketCount, objectAttributes };
}

async function save(bucket, pattern, count, keyOf) {
  for (let done = 0; done < count;) {
    const wanted = (count - done) * pattern.ticketCount;
    const tickets = await datastore.leaseTickets(router, "bench", wanted);
    const part = Math.min(Math.floor(tickets.count / pattern.ticketCount), count - done);
    const objects = await datastore.leaseObjects(router, part);
    let next = 0;
    const saver = async () => {
      for (let index = next++; index < part; index = next++) {
        const first = tickets.first + index * pattern.ticketCount;
        const object = {
          id: objects.first + index,
          size: pattern.size,
          runs: [{ first, count: pattern.ticketCount }],
          attributes: pattern.objectAttributes,
        };
        const target = { kind: "file", bucket, key: keyOf(done + index), attributes: pattern.attributes };
        await datastore.saveObject(object, target, Date.now());
      }
    };
    await Promise.all(Array.from({ length: savedAtOnce }, saver));
    await datastore.releaseTickets(router, tickets, tickets.first + part * pattern.ticketCount);
    await datastore.releaseObjects(router, objects, objects.first + part);
    done += part;
  }
}

function nameOf(prefix, index) {
  return `${prefix}${String(index).padStart(9, "0")}`;
}
