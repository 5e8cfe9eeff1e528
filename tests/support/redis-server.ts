/**
 * A real redis-server for a test, in a directory of its own; Debian's package `redis-server` has it. Where there is none,
 * tests are skipped aloud, but in CI that is a failure.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./program.ts";

/** Whether tests with Redis can run here. */
export function hasRedisServer(): boolean {
  const isThere = spawnSync("redis-server", ["--version"]).status === 0;
  if (!isThere && process.env["CI"] !== undefined)
    throw new Error("redis-server is not installed: CI must test with it");
  if (!isThere)
    console.warn("SKIPPED: redis-server is not installed, nothing is tested with it (apt-get install redis-server)");
  return isThere;
}

export class RedisServer {
  readonly port: number;
  readonly url: string;
  readonly directory: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, directory: string, args: readonly string[]) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.directory = directory;
    this.#args = args;
  }

  /** Durable as the product wants it, unless `args` say otherwise. */
  static async start(...args: string[]): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), "redis-"));
    const server = new RedisServer(await freePort(), directory, args);
    await server.restart();
    return server;
  }

  /** Starts it on what it has stored. */
  async restart(): Promise<void> {
    const durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    const where = ["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.directory];
    const child = spawn("redis-server", [...durable, ...where, ...this.#args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes("Ready to accept connections")) resolve();
      });
      child.once("exit", () => reject(new Error(`redis-server ended: ${output}`)));
      child.once("error", reject);
    });
  }

  /** As in a crash: it gets no chance to write anything. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  /** Suspends it: connections stay open, nothing is answered. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}
