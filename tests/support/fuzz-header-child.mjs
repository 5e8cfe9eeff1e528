/**
 * Opens stores whose files were damaged, one after the other, and says what became of each: in a process of its own, since
 * what lies in a mapped file can end one.
 *
 *   node fuzz-header-child.mjs <compiled>    then a line of JSON for each: { root, expected: [{ key, sha256 }] }
 */
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [compiled] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${compiled}/${name}.js`).href);
const { startRouter } = await load("compose/router-process");
const { nodeHost } = await load("env/node-host");
const { keyOfDirectory } = await load("env/node-key-file");
const { markerName } = await load("volume/data-directory");

const logged = [];
const note = (message, fields) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
const log = { debug: () => undefined, info: () => undefined, warn: note, error: note };
const host = nodeHost(log);

const told = (error) => ({
  name: error?.name,
  code: error?.code,
  message: String(error?.message),
  stack: error?.stack,
});

async function look({ root, expected }) {
  logged.length = 0;
  const said = { refused: undefined, right: 0, errors: [], wrong: [], logged };
  let running;
  try {
    const { key } = await keyOfDirectory(root, undefined, markerName, host.random);
    running = await startRouter(host, {
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
      arena: { tiny: 4, block: 8, group: 1 },
    });
  } catch (error) {
    said.refused = told(error);
    return said;
  }
  for (const { key, sha256 } of expected) {
    try {
      const version = await running.router.datastore.getVersion("bucket", key);
      if (version?.object === undefined) {
        said.wrong.push(`${key} is not there`);
        continue;
      }
      const record = await running.router.stat(version.object);
      if (record?.status !== "saved") {
        said.wrong.push(`${key} has an object that is ${record?.status}`);
        continue;
      }
      const bytes = await running.router.get(record);
      if (createHash("sha256").update(bytes).digest("hex") === sha256) said.right++;
      else said.wrong.push(`${key} is other bytes`);
    } catch (error) {
      said.errors.push(told(error));
    }
  }
  try {
    const page = await running.router.datastore.listFiles({ bucket: "bucket", prefix: "", limit: 1000 });
    for (const { key } of page.items) if (!expected.some((one) => one.key === key)) said.wrong.push(`${key} is listed`);
    if (page.items.length !== expected.length) said.wrong.push(`${page.items.length} of ${expected.length} are listed`);
  } catch (error) {
    said.errors.push(told(error));
  }
  try {
    await running.close();
  } catch (error) {
    said.errors.push(told(error));
  }
  return said;
}

for await (const line of createInterface(process.stdin)) {
  const said = await look(JSON.parse(line));
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
process.exit(0);
