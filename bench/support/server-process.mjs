/**
 * A server that is measured from outside: started by its command, watched through /proc, ended by a signal. It answers
 * `call` as a Child does, so that Context measures and profiles both the same way.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import net from "node:net";
import { fileURLToPath } from "node:url";
import { threadCount } from "./child.mjs";

/** USER_HZ: what /proc/PID/stat counts in, 100 on every architecture that Node.js supports. */
const ticksPerSecond = 100;
const probeIntervalMs = 10;
const startTimeoutMs = 30_000;
const stopTimeoutMs = 20_000;
const profilerUrl = new URL("profiled.mjs", import.meta.url);

const running = new Set();

export function killServers() {
  for (const server of running) server.kill();
}

export class ServerProcess {
  name;
  port;
  #process;
  #gone;
  #output = "";
  #number = 0;
  #waiting = new Map();

  /** Resolves when `port` takes connections. `profiled`: a Node.js program that can be asked for a profile of itself. */
  static async start(options) {
    const server = new ServerProcess(options);
    try {
      await server.#listening();
    } catch (error) {
      server.kill();
      throw error;
    }
    return server;
  }

  constructor({ name, command, args, env = {}, port, profiled = false }) {
    this.name = name;
    this.port = port;
    const preload = profiled ? ["--import", profilerUrl.href] : [];
    // What is loaded before the program uses the pool, and from then on its size is fixed.
    const pool = profiled ? { UV_THREADPOOL_SIZE: String(threadCount) } : {};
    this.#process = spawn(command, [...preload, ...args], {
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
      env: { ...process.env, ...pool, ...env },
      stdio: ["ignore", "pipe", "pipe", ...(profiled ? ["ipc"] : [])],
      serialization: "advanced",
    });
    running.add(this);
    // Said only where it does not come up; the end of it is enough.
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on("data", (text) => (this.#output = (this.#output + text).slice(-4_000)));
    }
    this.#process.on("message", ({ number, result, error }) => {
      const waiting = this.#waiting.get(number);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(`${name}: ${error}`));
    });
    this.#process.on("error", (error) => (this.#output += error.message));
    this.#gone = once(this.#process, "close").then(() => {
      running.delete(this);
      for (const { reject } of this.#waiting.values()) reject(new Error(`${name} has ended: ${this.#output}`));
    });
  }

  get pid() {
    return this.#process.pid;
  }

  /** `usage` from /proc; what else there is is asked of the process (support/profiled.mjs). */
  call(operation, argument) {
    if (operation === "usage") return Promise.resolve(this.usage());
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#process.send({ number, operation, argument });
    });
  }

  /** Seconds of processor time so far, of the process and all below it; `firstThreads` by process: JavaScript's. */
  usage() {
    const total = { user: 0, system: 0, firstThreads: new Map() };
    for (const pid of treeBelow(this.pid)) {
      const { user, system } = timesIn(`/proc/${pid}/stat`);
      const main = timesIn(`/proc/${pid}/task/${pid}/stat`);
      total.user += user;
      total.system += system;
      total.firstThreads.set(pid, main.user + main.system);
    }
    return total;
  }

  /** Seconds of processor time so far by name of thread, of the first process alone. */
  threads() {
    const times = new Map();
    for (const thread of readdirSync(`/proc/${this.pid}/task`)) {
      const place = `/proc/${this.pid}/task/${thread}`;
      const name = Number(thread) === this.pid ? "first" : readFileSync(`${place}/comm`, "latin1").trim();
      const { user, system } = timesIn(`${place}/stat`);
      times.set(name, (times.get(name) ?? 0) + user + system);
    }
    return times;
  }

  async stop() {
    if (!running.has(this)) return;
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), stopTimeoutMs);
    await this.#gone;
    clearTimeout(timer);
  }

  /** With what it started: a worker of nginx lives on without its master, and holds what it inherited open. */
  kill() {
    if (!running.has(this) || this.pid === undefined) return;
    for (const pid of treeBelow(this.pid)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended already.
      }
    }
  }

  async #listening() {
    const until = performance.now() + startTimeoutMs;
    while (!(await canConnect(this.port))) {
      if (this.#process.exitCode !== null || this.pid === undefined)
        throw new Error(`${this.name} ended with ${this.#process.exitCode}: ${this.#output}`);
      if (performance.now() > until)
        throw new Error(`${this.name} did not listen within ${startTimeoutMs} ms: ${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, probeIntervalMs));
    }
  }
}

function canConnect(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ host: "127.0.0.1", port });
    socket.on("error", () => resolve(false));
    socket.on("connect", () => {
      resolve(true);
      socket.destroy();
    });
  });
}

function treeBelow(root) {
  const parents = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      parents.set(Number(name), Number(fieldsOf(`/proc/${name}/stat`)[1]));
    } catch {
      // It has ended since the directory was read.
    }
  }
  const tree = [root];
  // Grows while it is walked: the children of children follow.
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

function timesIn(file) {
  const fields = fieldsOf(file);
  return { user: Number(fields[11]) / ticksPerSecond, system: Number(fields[12]) / ticksPerSecond };
}

/** The fields after the name of the program, which can hold blanks and brackets: state, parent, … (proc(5)). */
function fieldsOf(file) {
  const text = readFileSync(file, "latin1");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}
