/**
 * Stores a file in a directory and reads it back, in this process: no server, no port. The same directory can be served
 * afterwards (`npx data-putter router --root DIRECTORY`).
 *
 *   npm run build
 *   node examples/store-and-read.ts FILE                               # Node 22.18 or newer
 *   npx tsc -p examples && node dist/example/store-and-read.js FILE    # Node 20
 *
 * Options: --root. Exit code 0 when what came back is what was sent, else 1.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { openStore } from "data-putter";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { root: { type: "string", default: "data" } },
});
const [file] = positionals;
if (file === undefined) throw new Error("usage: store-and-read FILE");

const store = await openStore({ root: values.root });
if ((await store.bucket("files")) === undefined) await store.createBucket("files");

const sent = createHash("sha256");
const bytes = createReadStream(file).on("data", (chunk) => sent.update(chunk));
const { etag, size } = await store.put("files", path.basename(file), bytes, { metadata: { from: path.dirname(file) } });
console.log(`${file} is stored: ${size} bytes, ETag ${etag}`);

const object = await store.get("files", path.basename(file));
const received = createHash("sha256");
for await (const piece of object!.body) received.update(piece);
const same = sent.digest("hex") === received.digest("hex");
console.log(`${object!.size} bytes came back, every one verified: ${same ? "the same bytes" : "OTHER BYTES"}`);

for await (const entry of store.list("files")) if (entry.kind === "object") console.log(`  ${entry.key} ${entry.size}`);
await store.close();
process.exitCode = same ? 0 : 1;
