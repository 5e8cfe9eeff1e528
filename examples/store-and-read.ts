/**
 * Stores a file in a router and reads it back: sends its bytes to tcp/5001, then asks the response port for the object
 * and checks every ticket that comes, so that what it got is known to be what was sent.
 *
 *   npm start                                                                  # a router; its key is data/key
 *   npx tsc -p examples && node dist/example/examples/store-and-read.js FILE   # Node 20
 *   node examples/store-and-read.ts FILE                                       # Node 22.18 or newer, after `npm run build`
 *
 * Options: --host, --port, --response-port, --key-file. Exit code 0 when what came back is what was sent, else 1.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import net from "node:net";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { type ObjectId, parseId } from "../src/core/ids.ts";
import { Kernel } from "../src/core/kernel.ts";
import { fingerprintOf, type Key, parseKey } from "../src/core/key.ts";
import { nodeHost } from "../src/env/node-host.ts";
import { silentLog } from "../src/env/node-log.ts";
import { RequestClient } from "../src/wire/request-client.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "5001" },
    "response-port": { type: "string", default: "5002" },
    "key-file": { type: "string", default: "data/key" },
  },
});
const { host } = values;
const [file] = positionals;
if (file === undefined) throw new Error("usage: store-and-read FILE");

const sent = createHash("sha256");
const object = await store(file, sent);
console.log(`${file} is object ${object}`);

const received = createHash("sha256");
const size = await read(object, parseKey(readFileSync(values["key-file"], "latin1"), values["key-file"]), received);
const same = sent.digest("hex") === received.digest("hex");
console.log(`${size} bytes came back, every ticket verified: ${same ? "the same bytes" : "OTHER BYTES"}`);
process.exitCode = same ? 0 : 1;

/** What `nc -N` does: the bytes, half-close, one line back. The line comes when the object is on disk. */
async function store(path: string, hash: Hash): Promise<string> {
  const socket = net.connect({ host, port: Number(values.port), allowHalfOpen: true });
  const hashed = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
  };
  // An ERROR can come, and the connection end, while there is still something to be sent.
  const sending = pipeline(createReadStream(path), hashed, socket);
  const [answer, sent] = await Promise.allSettled([text(socket), sending]);
  const line = answer.status === "fulfilled" ? answer.value : "";
  const stored = /^OBJECT (\w+) WRITTEN OK\n$/.exec(line)?.[1];
  if (stored === undefined) {
    throw new Error(`not stored: ${line.trim()}`, { cause: sent.status === "rejected" ? sent.reason : undefined });
  }
  return stored;
}

/** Asks for a whole object; its bytes go to `hash` in order. Returns how many there were. */
async function read(id: string, key: Key, hash: Hash): Promise<number> {
  // The kernel does the checksums, four tickets at a time, in memory of its own: a few blocks of 180 tickets.
  const kernel = new Kernel(key, { tiny: 1, block: 8, group: 0 });
  const client = await RequestClient.connect({
    host: nodeHost(silentLog),
    kernel,
    fingerprint: fingerprintOf(key),
    address: { host, port: Number(values["response-port"]) },
  });
  let done = 0;
  try {
    for await (const part of client.ask("get", { a: parseId<ObjectId>(id)! })) {
      if (part.kind === "json") continue;
      const { buffer, first, count, skip, take } = part;
      try {
        const good = kernel.checkSums(first, count, buffer.data, buffer.sums);
        if (good < count) throw new Error(`damaged: ticket ${good} of ${count}, near byte ${done} of the object`);
        hash.update(buffer.data.subarray(skip, skip + take));
        done += take;
      } finally {
        buffer.release();
      }
    }
  } finally {
    client.close();
  }
  return done;
}
