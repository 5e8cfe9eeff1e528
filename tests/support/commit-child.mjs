/**
 * Commits three times, and says so after each: what datastore-durability.test.ts watches. Plain JavaScript over the
 * compiled store, so that strace sees nothing but the store.
 *
 *   node commit-child.mjs <compiled> <directory> disk|os
 */
import { writeSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [compiled, directory, durability] = process.argv.slice(2);
const { openEmbedded } = await import(pathToFileURL(`${compiled}/datastore/embedded.js`).href);
const { nodeClock } = await import(pathToFileURL(`${compiled}/env/node-clock.js`).href);

// What waits for a failed disk waits for one turn.
const after = (_delayMs, call) => {
  const timer = setImmediate(() => call());
  return { cancel: () => clearImmediate(timer) };
};
const clock = { ...nodeClock, after };
const log = { debug() {}, info() {}, warn() {}, error() {} };
const datastore = await openEmbedded({ directory, clock, durability, log });
for (let round = 0; round < 3; round++) {
  const name = `bucket-${round}`;
  try {
    await datastore.createBucket(name, {}, 0);
    writeSync(1, `MARKER ${round}\n`);
  } catch (error) {
    const isThere = (await datastore.getBucket(name)) !== undefined;
    writeSync(1, `${error.code ?? error.message} ${round}, ${isThere ? "there" : "absent"}\n`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
await datastore.close();
