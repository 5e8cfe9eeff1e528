/**
 * A primary and its workers as `router --workers` makes them, from what was built last, but each worker takes commands
 * over a port of its own (lines of JSON), so that a test can say which process does what.
 *
 *   node workers-child.mjs '{"root":…,"count":2}'      prints a line for each worker that serves, then { "ready": true }
 */
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { resolveSettings } from "../../dist/cli/settings.js";
import { isWorker, runWorker } from "../../dist/cli/worker.js";
import { startWorkers } from "../../dist/cli/workers.js";
import { startRouter } from "../../dist/compose/router-process.js";
import { nodeHost } from "../../dist/env/node-host.js";
import { nodeLog } from "../../dist/env/node-log.js";

const { root, count, durability = "os" } = JSON.parse(process.argv[2]);
const flags = { root, logLevel: "info" };
const { settings } = resolveSettings("router", { flags, environment: process.env, readFile: () => "" });

if (isWorker()) {
  await runWorker({ settings }, async (host, place, key, worker) => {
    const running = await startRouter(host, {
      root: place,
      key,
      worker,
      durability,
      bind: "127.0.0.1",
      port: 0,
      responsePort: 0,
      depth: undefined,
      putters: [],
      datastore: { kind: "embedded" },
      spaceReserveSize: 0,
      reclaim: { intervalMs: 1e9, openDeadMin: 1, deadShareMin: 0.1 },
    });
    const port = await serve(commandsOf(running.router));
    say({ index: worker.index, pid: process.pid, port });
    return { banner: [], ports: {}, close: () => running.close() };
  });
} else {
  const host = nodeHost(nodeLog("warn"));
  const service = await startWorkers(host, {
    root,
    count,
    depth: undefined,
    datastore: { kind: "embedded" },
    durability,
  });
  say({ ready: true });
  process.once("SIGTERM", () => {
    void service.close().then(() => process.disconnect?.());
  });
}

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function commandsOf(router) {
  const { datastore } = router;
  const reads = new Map();
  return {
    bucket: () => datastore.createBucket("bucket", {}, Date.now()).then(() => true),
    /** `size` bytes of `fill`. */
    put: async ({ key, size, fill, absent }) => {
      const condition = absent === true ? { condition: { kind: "absent" } } : {};
      const target = { kind: "file", bucket: "bucket", key, attributes: {}, ...condition };
      const { id } = await router.put(new Uint8Array(size).fill(fill), target, {});
      return { id, places: await router.places(await datastore.getObject(id)) };
    },
    get: async ({ key }) => {
      const version = await datastore.getVersion("bucket", key);
      if (version?.object === undefined) return null;
      const bytes = await router.get(await datastore.getObject(version.object));
      return { size: bytes.length, fill: bytes[0], same: bytes.every((byte) => byte === bytes[0]) };
    },
    remove: ({ key }) => datastore.deleteFile("bucket", key, Date.now()).then(() => true),
    /** Begins to read; the rest is for `finish`. */
    begin: async ({ key }) => {
      const { object, size } = await datastore.getVersion("bucket", key);
      const pieces = router.read(await datastore.getObject(object), 0, size);
      const { value } = await pieces.next();
      value.buffer.release();
      reads.set(key, { pieces, done: value.take });
      return value.take;
    },
    finish: async ({ key }) => {
      let { pieces, done } = reads.get(key);
      for await (const { buffer, take } of pieces) {
        buffer.release();
        done += take;
      }
      return done;
    },
    reclaim: async () => {
      await router.reclaimer.runOnce();
      return router.reclaimer.status;
    },
  };
}

async function serve(commands) {
  const server = createServer(async (socket) => {
    socket.on("error", () => undefined);
    for await (const line of createInterface(socket)) void answer(socket, JSON.parse(line));
  });
  const answer = async (socket, { number, command, ...argument }) => {
    const outcome = await commands[command](argument).then(
      (result) => ({ result }),
      (error) => ({ error: error.code ?? error.message }),
    );
    socket.write(`${JSON.stringify({ number, ...outcome })}\n`);
  };
  await new Promise((resolve) => server.listen({ host: "127.0.0.1", port: 0, exclusive: true }, resolve));
  server.unref();
  return server.address().port;
}
