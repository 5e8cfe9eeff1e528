// A router or a server as a process of its own, to be killed: `node server-child.mjs router|server JSON`. Prints its ports.
import { startRouter } from "../../dist/compose/router-process.js";
import { startServer } from "../../dist/compose/server-process.js";
import { parseKey } from "../../dist/core/key.js";
import { nodeHost } from "../../dist/env/node-host.js";
import { silentLog } from "../../dist/env/node-log.js";

const [kind, json] = process.argv.slice(2);
const config = {
  bind: "127.0.0.1",
  port: 0,
  responsePort: 0,
  key: parseKey("000102030405060708090a0b0c0d0e0f", "test"),
  depth: undefined,
  putters: [],
  respondTo: undefined,
  datastore: { kind: "embedded" },
  durability: "os",
  spaceReserveSize: 0,
  ...JSON.parse(json),
};
const host = nodeHost(silentLog);
const running = kind === "router" ? await startRouter(host, config) : await startServer(host, config);
const ports =
  kind === "router" ? { port: running.streamPort, responsePort: running.responsePort } : { port: running.port };
process.stdout.write(`${JSON.stringify(ports)}\n`);
// Told what it costs, when asked by a line.
process.stdin.on("data", () => {
  globalThis.gc?.();
  process.stdout.write(`${JSON.stringify({ rss: process.memoryUsage().rss })}\n`);
});
