/** A redis-server of our own, on a free port. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { freePort } from "./ports.mjs";

const running = new Set();

export function killRedis() {
  for (const server of running) server.kill("SIGKILL");
}

/** Keeps nothing on disk: what is measured is reading. */
export async function startRedis(directory) {
  const port = await freePort();
  const where = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory];
  const server = spawn("redis-server", ["--save", "", "--appendonly", "no", ...where], {
    stdio: ["ignore", "pipe", 2],
  });
  running.add(server);
  const gone = once(server, "exit").then(() => running.delete(server));
  await new Promise((resolve, reject) => {
    let output = "";
    server.stdout.on("data", (text) => {
      output += text;
      if (output.includes("Ready to accept connections")) resolve();
    });
    server.on("error", reject);
    void gone.then(() => reject(new Error(`redis-server ended: ${output}`)));
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => {
      server.kill("SIGKILL");
      await gone;
    },
  };
}
