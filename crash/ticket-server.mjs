/** A server (tcp/5000) for the soak: on a disk that is made slow from outside, killed and started again, and read back. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Program } from "./program.mjs";
import { pause } from "./workplace.mjs";

/** Calls that write to files, and not to sockets. */
const slowCalls = "pwrite64,pwritev,pwritev2";
const attachMs = 10_000;

/** Whether disks can be made slow here: strace is there, and may look at other processes. */
export function canSlowDisks() {
  return spawnSync("strace", ["-e", "trace=none", "true"]).status === 0;
}

export class TicketServer {
  pid;
  port;
  #productRoot;
  #directory;
  #program;
  #strace;

  constructor({ productRoot, directory }) {
    this.#productRoot = productRoot;
    this.#directory = directory;
  }

  get #keyFile() {
    return path.join(this.#directory, "ticket-key");
  }

  async start() {
    if (this.#program === undefined) {
      await writeFile(this.#keyFile, `${randomBytes(16).toString("hex")}\n`, { mode: 0o600 });
    }
    const root = path.join(this.#directory, "tickets");
    const args = ["--json", "--log-level", "error", "--depth", "2", "--root", root, "--port", "0"];
    this.#program = new Program(this.#productRoot, ["server", ...args, "--key-file", this.#keyFile]);
    const ready = await this.#program.ready();
    if (ready === undefined) throw new Error(`the server did not start: ${this.#program.said}`);
    this.pid = this.#program.pid;
    this.port = ready.port;
  }

  /** Every write to a file takes so much longer, as on a disk that is old or used by others. */
  async slowDown(ms) {
    const inject = `inject=${slowCalls}:delay_enter=${ms * 1000}`;
    const args = ["-f", "-qq", "-o", "/dev/null", "-e", `trace=${slowCalls}`, "-e", inject, "-p", String(this.pid)];
    this.#strace = spawn("strace", args, { stdio: "ignore" });
    for (const until = performance.now() + attachMs; !(await this.#isTraced()); await pause(20)) {
      if (this.#strace.exitCode !== null || performance.now() > until) throw new Error("strace did not attach");
    }
  }

  async #isTraced() {
    return !/^TracerPid:\t0$/m.test(await readFile(`/proc/${this.pid}/status`, "latin1"));
  }

  async speedUp() {
    if (this.#strace === undefined || this.#strace.exitCode !== null) return;
    const ended = once(this.#strace, "exit");
    this.#strace.kill("SIGINT");
    await ended;
  }

  async killAndStart() {
    await this.#program.kill();
    await this.start();
  }

  /** { kernel, readId, connect } of the product, under this server's key. */
  async tools() {
    const load = (name) => import(pathToFileURL(path.join(this.#productRoot, "dist", name)).href);
    const [{ RequestClient }, { Kernel }, keys, { nodeHost }, { silentLog }, { readId }] = await Promise.all(
      ["wire/request-client", "core/kernel", "core/key", "env/node-host", "env/node-log", "core/ids"].map((name) =>
        load(`${name}.js`),
      ),
    );
    const key = keys.parseKey((await readFile(this.#keyFile, "utf8")).trim(), "the key file");
    const kernel = new Kernel(key, { tiny: 8, block: 4, group: 0 });
    const connect = () =>
      RequestClient.connect({
        host: nodeHost(silentLog),
        kernel,
        fingerprint: keys.fingerprintOf(key),
        address: { host: "127.0.0.1", port: this.port },
        answerTimeoutMs: 30_000,
      });
    return { kernel, readId, connect };
  }

  killAllAtOnce() {
    this.#strace?.kill("SIGKILL");
    this.#program?.killAtOnce();
  }
}
