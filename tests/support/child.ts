/**
 * Routers and servers as processes of their own, where being killed, or what a process costs, is the point. They run what
 * was built last; `npm test` builds first.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("server-child.mjs", import.meta.url));

export class Child {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  port = 0;
  responsePort = 0;

  private constructor(child: ChildProcess) {
    this.process = child;
    this.#reader = createInterface(child.stdout!);
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  static async start(kind: "router" | "server", config: { readonly [name: string]: unknown }): Promise<Child> {
    const args = ["--expose-gc", program, kind, JSON.stringify(config)];
    const child = new Child(spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] }));
    const { port, responsePort } = (await child.#line()) as { port: number; responsePort?: number };
    child.port = port;
    child.responsePort = responsePort ?? 0;
    return child;
  }

  async memory(): Promise<number> {
    this.process.stdin!.write("?\n");
    return ((await this.#line()) as { rss: number }).rss;
  }

  /** Open descriptors, as Linux tells them. */
  descriptors(): number {
    return readdirSync(`/proc/${this.process.pid}/fd`).length;
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill("SIGKILL");
    await once(this.process, "exit");
  }

  async #line(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("the child ended");
    return JSON.parse(value);
  }
}
