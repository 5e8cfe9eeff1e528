/** A process of the product: started, asked what it listens on, killed. */
import { spawn } from "node:child_process";
import path from "node:path";
import { access } from "./client.mjs";

const startTimeoutMs = 30_000;
const saidSizeMax = 64 * 1024;

/** One process, and what it started. */
export class Program {
  #child;
  #said = "";
  #ended;

  /** `productRoot` has bin and dist. */
  constructor(productRoot, args) {
    this.#child = spawn(process.execPath, [path.join(productRoot, "bin", "data-putter.cjs"), ...args], {
      env: environment(),
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own: what it starts is killed with it.
      detached: true,
    });
    this.#ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
    this.#child.stderr.on("data", (text) => (this.#said = (this.#said + text).slice(-saidSizeMax)));
  }

  get pid() {
    return this.#child.pid;
  }

  get isRunning() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get said() {
    return this.#said;
  }

  /** What it says of itself when it serves; undefined where it ended before. */
  async ready() {
    let line = "";
    const said = new Promise((resolve) => {
      this.#child.stdout.on("data", (text) => {
        line += text;
        if (line.includes("\n")) resolve(JSON.parse(line.slice(0, line.indexOf("\n"))));
      });
    });
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`it did not start within ${startTimeoutMs} ms: ${this.#said}`)),
        startTimeoutMs,
      );
    });
    try {
      return await Promise.race([said, late, this.#ended]);
    } finally {
      clearTimeout(timer);
    }
  }

  async kill() {
    this.killAtOnce();
    await this.#ended;
  }

  killAtOnce() {
    if (!this.isRunning) return;
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch {
      this.#child.kill("SIGKILL");
    }
  }

  killOnlyFirst() {
    this.#child.kill("SIGKILL");
    return this.#ended;
  }
}

function environment() {
  const kept = Object.entries(process.env).filter(([name]) => !/^(DATA_PUTTER_|REDIS_HOSTPORT$)/.test(name));
  return { ...Object.fromEntries(kept), DATA_PUTTER_ACCESS_KEY: access.key, DATA_PUTTER_SECRET_KEY: access.secret };
}
