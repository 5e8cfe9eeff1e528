/** A store in several processes (workers-child.mjs), each of which can be told what to do, and killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { formatKey } from "../../src/core/key.ts";
import { testKey } from "./store.ts";

const program = fileURLToPath(new URL("workers-child.mjs", import.meta.url));

export interface Stored {
  readonly id: number;
  readonly places: readonly { readonly volume: number; readonly putter: string }[];
}

/** A connection to one worker. */
export class WorkerClient {
  readonly pid: number;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, (answer: { result?: unknown; error?: string }) => void>();
  #number = 0;

  constructor(pid: number, port: number) {
    this.pid = pid;
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      for (const settle of this.#waiting.values()) settle({ error: "gone" });
    });
    const lines = createInterface(this.#socket);
    // A reset is told by the end.
    lines.on("error", () => undefined);
    lines.on("line", (line) => {
      const { number, ...answer } = JSON.parse(line) as { number: number };
      this.#waiting.get(number)!(answer);
      this.#waiting.delete(number);
    });
  }

  /** Rejects with the error's code, or "gone". */
  async do<Result>(command: string, argument: object = {}): Promise<Result> {
    if (this.#socket.destroyed) throw new Error("gone");
    const number = ++this.#number;
    const answer = await new Promise<{ result?: unknown; error?: string }>((resolve) => {
      this.#waiting.set(number, resolve);
      this.#socket.write(`${JSON.stringify({ number, command, ...argument })}\n`);
    });
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result as Result;
  }

  close(): void {
    this.#socket.destroy();
  }
}

export class WorkersStore {
  readonly process: ChildProcess;
  readonly #root: string;
  readonly #workers = new Map<number, WorkerClient>();
  #changed: (() => void)[] = [];
  #isReady = false;

  private constructor(root: string, count: number) {
    this.#root = root;
    const environment = { ...process.env, DATA_PUTTER_KEY: formatKey(testKey), UV_THREADPOOL_SIZE: "8" };
    this.process = spawn(process.execPath, [program, JSON.stringify({ root, count })], {
      env: environment,
      stdio: ["ignore", "pipe", "ignore"],
    });
    createInterface(this.process.stdout!).on("line", (line) => {
      const { index, pid, port } = JSON.parse(line) as { index?: number; pid: number; port: number };
      if (index === undefined) this.#isReady = true;
      else this.#workers.set(index, new WorkerClient(pid, port));
      for (const tell of this.#changed.splice(0)) tell();
    });
    this.process.once("exit", () => {
      for (const tell of this.#changed.splice(0)) tell();
    });
  }

  /** Undefined where it does not start. */
  static async start(root: string, count = 2): Promise<WorkersStore | undefined> {
    const store = new WorkersStore(root, count);
    await store.#until(() => store.#isReady || store.process.exitCode !== null);
    return store.#isReady ? store : undefined;
  }

  get root(): string {
    return this.#root;
  }

  worker(index: number): WorkerClient {
    return this.#workers.get(index)!;
  }

  async killWorker(index: number): Promise<void> {
    process.kill(this.worker(index).pid, "SIGKILL");
  }

  /** The one in the place of `former`. */
  async nextWorker(index: number, former: WorkerClient): Promise<WorkerClient> {
    await this.#until(() => this.worker(index) !== former);
    return this.worker(index);
  }

  /** `SIGKILL`: of the primary alone. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = once(this.process, "exit");
      this.process.kill(signal);
      await ended;
    }
    for (const client of this.#workers.values()) client.close();
  }

  /** As Linux tells it: one that has ended and that nobody has asked about yet is none any more. */
  isAlive(pid: number): boolean {
    try {
      return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }
}
