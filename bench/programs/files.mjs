/** The baselines for small things: a file each, synced, without any of the product. */
import fs from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { checksumSize, ticketDataSize } from "../../dist/core/frame.js";
import { layoutOf, ticketPath } from "../../dist/core/layout.js";
import { answer } from "../support/answer.mjs";

const [mkdir, open, write, fdatasync, fsync, close] = [
  fs.mkdir,
  fs.open,
  fs.write,
  fs.fdatasync,
  fs.fsync,
  fs.close,
].map((call) => promisify(call));
const data = Buffer.alloc(ticketDataSize, 1);
const sum = Buffer.alloc(checksumSize, 2);

answer({
  /** What a ticket is at depth 4: a directory with `obj` and `sum`, each synced, and the directory synced. */
  tickets: ({ directory, first, count, inFlight }) => {
    const layout = layoutOf(4);
    return atOnce(count, inFlight, (index) => {
      const where = path.dirname(path.join(directory, ticketPath(layout, first + index)));
      return writeTicket(where);
    });
  },
  /** A file for each object, written and synced, one after the other or several at once. */
  objects: async ({ directory, count, inFlight }) => {
    if (inFlight > 1)
      return atOnce(count, inFlight, (index) => writeFile(path.join(directory, String(index)), data, fsync));
    for (let index = 0; index < count; index++) {
      const file = fs.openSync(path.join(directory, String(index)), "w");
      fs.writeSync(file, data);
      fs.fsyncSync(file);
      fs.closeSync(file);
    }
  },
  /** Files of the last `objects`, at random. */
  read: ({ directory, count, total }) => {
    for (let index = 0; index < count; index++) {
      const name = String(Math.floor(Math.random() * total));
      if (fs.readFileSync(path.join(directory, name)).length !== ticketDataSize) throw new Error(`${name} is damaged`);
    }
  },
  close: () => undefined,
});

async function atOnce(count, inFlight, work) {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

async function writeTicket(directory) {
  await mkdir(directory).catch((error) => {
    if (error.code !== "ENOENT") throw error;
    return mkdir(directory, { recursive: true });
  });
  await writeFile(path.join(directory, "obj"), data, fdatasync);
  await writeFile(path.join(directory, "sum"), sum, fdatasync);
  const entries = await open(directory, "r");
  await fsync(entries);
  await close(entries);
}

async function writeFile(name, bytes, sync) {
  const file = await open(name, "w");
  await write(file, bytes, 0, bytes.length, 0);
  await sync(file);
  await close(file);
}
