/** The product: the gateway of `data-putter router`, durable as it is by default. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { freePort } from "../../support/ports.mjs";
import { ServerProcess } from "../../support/server-process.mjs";

const executable = fileURLToPath(new URL("../../../bin/data-putter.cjs", import.meta.url));
/** Of no worth: nothing but benchmarks on this machine is kept under it. */
const access = { key: "BENCHBENCHBENCHBENCH", secret: "benchbenchbenchbenchbenchbenchbenchbench" };

let help;

/** Whether this build's `router` has the option. */
export function hasOption(option) {
  help ??= execFileSync(process.execPath, [executable, "router", "--help"], { encoding: "utf8" });
  return new RegExp(`^ +${option}\\b`, "m").test(help);
}

export const gateway = {
  name: "gateway",
  promise: "on disk",
  putStatus: 200,
  isS3: true,
  /** `workers`: undefined leaves the option out. `root`: undefined makes a new one. */
  start: async (context, { root = context.directory("gateway"), workers } = {}) => {
    if (!hasOption("--s3-port")) throw new Error("this build has no S3 gateway (router --s3-port)");
    const [port, streamPort, responsePort] = [await freePort(), await freePort(), await freePort()];
    const ports = ["--s3-port", `${port}`, "--port", `${streamPort}`, "--response-port", `${responsePort}`];
    const more = workers === undefined ? [] : ["--workers", `${workers}`];
    const server = await ServerProcess.start({
      name: "gateway",
      command: process.execPath,
      args: [executable, "router", "--root", root, ...ports, "--log-level", "warn", ...more],
      env: { DATA_PUTTER_ACCESS_KEY: access.key, DATA_PUTTER_SECRET_KEY: access.secret },
      port,
      profiled: context.isProfiling,
    });
    return Object.assign(server, { kind: gateway, access });
  },
};
