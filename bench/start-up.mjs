/** From starting the process to its port listening, with few and with many objects stored. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import net from "node:net";
import { Child } from "./support/child.mjs";
import { filledStore } from "./support/filled-store.mjs";
import { freePort } from "./support/ports.mjs";
import { bind, keyText } from "./support/product.mjs";

export const name = "start-up";
export const goal = "under a second, and no slower (1.5) with a million objects than with a thousand";

const executable = fileURLToPath(new URL("../bin/data-putter.cjs", import.meta.url));
const commandLine = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const probeIntervalMs = 2;
const startTimeoutMs = 30_000;

export async function run(context) {
  const few = await filledStore(context, context.pick(1_000, 1_000));
  const many = await filledStore(context, context.pick(1_000_000, 20_000));
  const start = existsSync(commandLine) ? startExecutable : startProgram;
  const times = { few: [], many: [] };
  for (let turn = -1; turn < context.runs; turn++) {
    context.tell(turn < 0 ? "warming up" : `run ${turn + 1} of ${context.runs}`);
    for (const [kind, { root }] of [
      ["few", few],
      ["many", many],
    ]) {
      const seconds = await start(root);
      if (turn >= 0) times[kind].push(seconds * 1000);
    }
  }
  const figure = {
    unit: "ms",
    values: times.many,
    baseline: { name: `with ${few.count.toLocaleString("en-US")} objects`, values: times.few },
  };
  return [
    {
      ...figure,
      name: `start with ${many.count.toLocaleString("en-US")} objects`,
      goal: { on: "value", atMost: 1000 },
    },
    { ...figure, name: "the same", goal: { on: "ratio", atMost: 1.5 } },
  ];
}

/** The real command, until it takes connections. */
async function startExecutable(root) {
  const [port, responsePort, s3Port] = [await freePort(), await freePort(), await freePort()];
  const ports = ["--port", `${port}`, "--response-port", `${responsePort}`, "--s3-port", `${s3Port}`];
  const startedAt = performance.now();
  const router = spawn(process.execPath, [executable, "router", "--root", root, ...ports], {
    env: { ...process.env, DATA_PUTTER_KEY: keyText },
    stdio: ["ignore", "ignore", "pipe"],
  });
  // Said only where it does not come up.
  let errors = "";
  router.stderr.on("data", (text) => (errors += text));
  const gone = once(router, "exit");
  try {
    // The port of S3 is opened last.
    await listening(router, s3Port, startedAt + startTimeoutMs, () => errors);
    return (performance.now() - startedAt) / 1000;
  } finally {
    router.kill("SIGTERM");
    await gone;
  }
}

async function listening(router, port, until, errors) {
  while (!(await canConnect(port))) {
    if (router.exitCode !== null) throw new Error(`the router ended with ${router.exitCode}: ${errors()}`);
    if (performance.now() > until)
      throw new Error(`the router did not listen within ${startTimeoutMs} ms: ${errors()}`);
    await new Promise((resolve) => setTimeout(resolve, probeIntervalMs));
  }
}

function canConnect(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ host: bind, port });
    socket.on("error", () => resolve(false));
    socket.on("connect", () => {
      resolve(true);
      socket.destroy();
    });
  });
}

/** Where the command line is not built: the same parts, without it. */
async function startProgram(root) {
  const startedAt = performance.now();
  const router = await Child.start("router");
  await router.call("start", { root });
  const seconds = (performance.now() - startedAt) / 1000;
  await router.stop();
  return seconds;
}
