/**
 * s3rver (npm), which syncs nothing and checks no SigV4 signature of this form to the end. It is no dependency of this
 * project: it is installed when a benchmark needs it, into a directory of its own, without running any script of its
 * packages.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../../support/ports.mjs";
import { ServerProcess } from "../../support/server-process.mjs";

const version = "3.7.1";
const installTimeoutMs = 120_000;
const cache = fileURLToPath(new URL(`../../../node_modules/.cache/bench-s3rver-${version}`, import.meta.url));
const program = path.join(cache, "node_modules/s3rver/bin/s3rver.js");

export const s3rver = {
  name: `s3rver ${version}`,
  promise: "not synced",
  putStatus: 200,
  isS3: true,
  /** Why it cannot be run, or undefined. */
  problem: (context) => {
    if (existsSync(program)) return undefined;
    context.tell(`installing s3rver ${version}`);
    try {
      mkdirSync(cache, { recursive: true });
      writeFileSync(path.join(cache, "package.json"), "{}");
      const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
      const where = ["--no-save", "--ignore-scripts", "--prefix", cache];
      execFileSync("npm", ["install", ...where, ...quiet, `s3rver@${version}`], {
        cwd: cache,
        stdio: ["ignore", "ignore", "pipe"],
        timeout: installTimeoutMs,
      });
      return undefined;
    } catch (error) {
      return `npm could not install it (${error.message.split("\n")[0]})`;
    }
  },
  start: async (context) => {
    const port = await freePort();
    const where = ["--directory", context.directory("s3rver"), "--address", "127.0.0.1", "--port", `${port}`];
    const server = await ServerProcess.start({
      name: "s3rver",
      command: process.execPath,
      args: [program, ...where, "--silent", "--no-vhost-buckets"],
      port,
    });
    return Object.assign(server, { kind: s3rver, access: { key: "S3RVER", secret: "S3RVER" } });
  },
};
