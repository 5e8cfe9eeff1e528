/**
 * Opens a store whose files were damaged, reads everything, and says what it got: in a process of its own, since a damaged
 * datastore file can end one.
 *
 *   node rot-child.mjs <compiled> <root> <expected.json>
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [compiled, root, expectedFile] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${compiled}/${name}.js`).href);
const { startRouter } = await load("compose/router-process");
const { nodeHost } = await load("env/node-host");
const { silentLog } = await load("env/silent-log");
const { parseKey } = await load("core/key");

const expected = JSON.parse(readFileSync(expectedFile, "utf8"));
const key = parseKey("000102030405060708090a0b0c0d0e0f", "test");
const said = { refused: undefined, right: 0, errors: [], wrong: [] };
try {
  const running = await startRouter(nodeHost(silentLog), {
    root,
    key,
    bind: "127.0.0.1",
    port: undefined,
    responsePort: undefined,
    depth: undefined,
    putters: [],
    datastore: { kind: "embedded" },
    durability: "os",
    spaceReserveSize: 0,
  });
  for (const { id, name, sha256 } of expected) {
    try {
      const version = name === undefined ? undefined : await running.router.datastore.getVersion("bucket", name);
      if (name !== undefined && version?.object === undefined) throw new Error(`${name} is not there`);
      const record = await running.router.stat(version?.object ?? id);
      if (record?.status !== "saved") throw new Error(`object ${id} is not there`);
      const bytes = await running.router.get(record);
      if (createHash("sha256").update(bytes).digest("hex") === sha256) said.right++;
      else said.wrong.push(name ?? id);
    } catch (error) {
      said.errors.push(String(error.message));
    }
  }
  await running.close();
} catch (error) {
  said.refused = String(error.message);
}
process.stdout.write(JSON.stringify(said));
