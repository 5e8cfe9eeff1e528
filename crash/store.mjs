/**
 * The processes that are killed: one router, a router of several workers, or a router and two servers; on one data
 * directory for all rounds.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cp, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { freePort } from "../bench/support/ports.mjs";
import { Program } from "./program.mjs";

/** A directory stays locked until the last worker of a primary that was killed has ended. */
const lockedTimeoutMs = 10_000;

export class Store {
  /** Where the router can be reached: { s3Port, streamPort, responsePort }. */
  ports;
  killCount = 0;
  #options;
  #programs = new Map();
  #serverPorts = new Map();

  /** `productRoot` has bin and dist; `kind`: single, workers, group; `more`: options of the router. */
  constructor({ productRoot, directory, kind, workers, more = [] }) {
    this.#options = { productRoot, directory, kind, workers, more };
  }

  get root() {
    return path.join(this.#options.directory, "data");
  }

  /** Of all processes, and of who asks by id. */
  get keyFile() {
    return path.join(this.#options.directory, "key");
  }

  /** Before the first start. */
  async prepare() {
    await writeFile(this.keyFile, `${randomBytes(16).toString("hex")}\n`, { mode: 0o600 });
    if (this.#options.kind !== "group") return;
    for (const name of ["a", "b"]) this.#serverPorts.set(name, await freePort());
  }

  /** What can be killed: each is one choice of victims. */
  get victims() {
    switch (this.#options.kind) {
      case "workers":
        return [["router"], ["router"], ["primary"], ["worker"]];
      case "group":
        return [["router"], ["a"], ["b"], ["a", "b"], ["router", "a"], ["router", "b"], ["router", "a", "b"]];
      default:
        return [["router"]];
    }
  }

  /** Starts whatever does not run. */
  async start() {
    await Promise.all([...this.#serverPorts.keys()].map((name) => this.#startServer(name)));
    await this.#startRouter();
  }

  /** Lets a start begin, and does not wait for its end. */
  startInVain() {
    this.#programs.set("router", this.#launch(this.#routerArguments()));
  }

  async kill(victims) {
    this.killCount++;
    await Promise.all(
      victims.map((victim) => {
        const router = this.#programs.get("router");
        if (victim === "primary") return router.killOnlyFirst();
        if (victim === "worker") return killOne(workersOf(router.pid));
        return this.#programs.get(victim).kill();
      }),
    );
  }

  killAllAtOnce() {
    for (const program of this.#programs.values()) program.killAtOnce();
  }

  get said() {
    return [...this.#programs].map(([name, { said }]) => `${name} said:\n${said}`).join("\n");
  }

  /**
   * For showing that a loss is noticed: what is remembered, as it was at an earlier time; with its snapshots and journal,
   * or the store would notice by itself and refuse to start.
   */
  async copyDatastore() {
    await this.#replace(this.root, this.#copy);
  }

  async putBackDatastore() {
    await this.#replace(this.#copy, this.root);
  }

  async #replace(from, to) {
    for (const name of ["datastore", "snapshots"]) {
      await rm(path.join(to, name), { recursive: true, force: true });
      if (existsSync(path.join(from, name))) await cp(path.join(from, name), path.join(to, name), { recursive: true });
    }
  }

  get #copy() {
    return path.join(this.#options.directory, "datastore-copy");
  }

  #launch(args) {
    const { productRoot } = this.#options;
    return new Program(productRoot, args);
  }

  #routerArguments() {
    const { kind, workers } = this.#options;
    const ports = ["--port", "0", "--response-port", "0", "--s3-port", "0"];
    const more =
      kind === "workers"
        ? ["--workers", String(workers)]
        : kind === "group"
          ? [
              "--putters",
              [...this.#serverPorts.values()].map((port) => `127.0.0.1:${port}`).join(","),
              "--datastore",
              "embedded",
            ]
          : [];
    return [
      "router",
      "--json",
      "--log-level",
      "warn",
      "--root",
      this.root,
      "--key-file",
      this.keyFile,
      ...ports,
      ...more,
      ...this.#options.more,
    ];
  }

  async #startRouter() {
    if (this.#programs.get("router")?.isRunning) return;
    for (const until = performance.now() + lockedTimeoutMs; ;) {
      const router = this.#launch(this.#routerArguments());
      this.#programs.set("router", router);
      const ready = await router.ready();
      if (ready !== undefined) {
        this.ports = ready;
        return;
      }
      const isLocked = /in use|already|locked/i.test(router.said);
      if (!isLocked || performance.now() > until) throw new Error(`the router did not start: ${router.said}`);
    }
  }

  async #startServer(name) {
    if (this.#programs.get(name)?.isRunning) return;
    const root = path.join(this.#options.directory, name);
    const port = String(this.#serverPorts.get(name));
    const args = [
      "--json",
      "--log-level",
      "warn",
      "--depth",
      "2",
      "--root",
      root,
      "--port",
      port,
      "--key-file",
      this.keyFile,
    ];
    const server = this.#launch(["server", ...args]);
    this.#programs.set(name, server);
    if ((await server.ready()) === undefined) throw new Error(`server ${name} did not start: ${server.said}`);
  }
}

function workersOf(pid) {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
    .map(Number);
}

function parentOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}

function killOne(pids) {
  const pid = pids[Math.floor(Math.random() * pids.length)];
  if (pid !== undefined) process.kill(pid, "SIGKILL");
}
