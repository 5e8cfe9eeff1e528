/**
 * A program of bench/programs in a process of its own: what is measured, its baseline, and what makes the load never
 * share a process (but where the library itself is measured), so that each one's processor time is its own.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** As the product's own executable sets it. */
export const threadCount = 16;
const callTimeoutMs = 600_000;
const stopTimeoutMs = 20_000;

const running = new Set();

/** Ends what still runs, at once. */
export function killChildren() {
  for (const child of running) child.kill();
}

export class Child {
  #process;
  #number = 0;
  #waiting = new Map();
  #gone;

  /** Resolves when the program is loaded. */
  static async start(program) {
    const child = new Child(program);
    await child.#expect(0, `${program} to start`);
    return child;
  }

  constructor(program) {
    const file = fileURLToPath(new URL(`../programs/${program}.mjs`, import.meta.url));
    this.#process = fork(file, [], {
      env: { ...process.env, UV_THREADPOOL_SIZE: String(threadCount) },
      stdio: ["ignore", 2, 2, "ipc"],
      serialization: "advanced",
    });
    running.add(this);
    this.#process.on("message", ({ number, result, error }) => {
      const waiting = this.#waiting.get(number);
      this.#waiting.delete(number);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(`${program}: ${error}`));
    });
    this.#gone = once(this.#process, "exit").then(([code, signal]) => {
      running.delete(this);
      const lost = new Error(`${program} ended with ${signal ?? code}`);
      for (const { reject } of this.#waiting.values()) reject(lost);
      this.#waiting.clear();
    });
  }

  get pid() {
    return this.#process.pid;
  }

  call(operation, argument) {
    const number = ++this.#number;
    const answered = this.#expect(number, operation);
    if (this.#process.connected) this.#process.send({ number, operation, argument });
    else this.#waiting.get(number).reject(new Error(`${operation}: the process has ended`));
    return answered;
  }

  /** Lets the program close what it has open (operation `close`, where it has one) and waits for its end. */
  async stop({ closes = true } = {}) {
    if (!running.has(this)) return;
    const timer = setTimeout(() => this.kill(), stopTimeoutMs);
    if (closes) await this.call("close");
    if (this.#process.connected) this.#process.disconnect();
    await this.#gone;
    clearTimeout(timer);
  }

  kill() {
    this.#process.kill("SIGKILL");
  }

  #expect(number, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${what}: no answer in ${callTimeoutMs} ms`)), callTimeoutMs);
      const settle = (done) => (value) => {
        clearTimeout(timer);
        done(value);
      };
      this.#waiting.set(number, { resolve: settle(resolve), reject: settle(reject) });
    });
  }
}
