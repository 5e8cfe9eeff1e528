/** Commands to a test's redis-server, by redis-cli, which comes with it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

export async function redisCli(url: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("redis-cli", ["-u", url, ...args]);
  return stdout.trim();
}

export async function flush(url: string): Promise<void> {
  await redisCli(url, "FLUSHALL");
}
