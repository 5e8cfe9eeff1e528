/**
 * `router --workers N`: one store in several processes. The primary, this process, takes the data directory's lock, makes
 * what is missing in it, starts the workers, and commits for all of them (datastore/forwarded.ts); each worker is a
 * router that listens on the shared port, leases its own tickets and writes its own volumes (compose/worker-role.ts).
 *
 * A worker that ends is started again. The primary's end is the end of all: a worker without it stops at once, and until
 * the last one has, the directory stays locked, because each has inherited the lock's socket.
 */
import type { ChildProcess } from "node:child_process";
import cluster from "node:cluster";
import { once } from "node:events";
import type { Banner } from "../compose/router-process.ts";
import { type DatastoreChoice, openDatastore, type SnapshotChoice } from "../compose/datastore.ts";
import type { WorkerRole } from "../compose/worker-role.ts";
import { type ErrorCode, messageOf, StoreError } from "../core/errors.ts";
import type { Depth } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import type { Datastore } from "../datastore/datastore.ts";
import { type Call, runCalls } from "../datastore/forwarded.ts";
import type { Host, Timer } from "../env/host.ts";
import { type DataDirectory, openDataDirectory } from "../volume/data-directory.ts";
import type { Durability } from "../volume/volume-store.ts";
import { ProcessLink } from "./process-link.ts";
import type { Service } from "./service.ts";

export interface WorkersOptions {
  readonly count: number;
  readonly root: string;
  readonly depth: Depth | undefined;
  readonly datastore: DatastoreChoice;
  readonly durability: Durability;
  readonly snapshots: SnapshotChoice;
}

/** What a worker is told when it joins. */
export interface Assignment extends Pick<WorkerRole, "index" | "count" | "directory"> {
  /** Whether the primary commits for it. */
  readonly commits: boolean;
  /** Those of the first worker, which another one in its place takes again. */
  readonly ports: Service["ports"] | undefined;
}

/** What a worker says when it serves, or cannot. */
export type Ready = Pick<Service, "banner" | "ports">;
export interface Failure {
  readonly code: ErrorCode | undefined;
  readonly message: string;
}

/** Makes this process the primary. Resolves when all workers serve. */
export async function startWorkers(host: Host, options: WorkersOptions): Promise<Service> {
  const { root, depth, durability } = options;
  const directory = await openDataDirectory(host.disk, host.random, { root, depth, depthDefault: 2 });
  let datastore: Datastore | undefined;
  try {
    if (options.datastore.kind === "embedded") {
      datastore = await openDatastore(host, options.datastore, root, durability, undefined, options.snapshots);
    }
    const workers = new Workers(host, options.count, directory, datastore);
    const { banner, ports } = await workers.start();
    const close = async (): Promise<void> => {
      await workers.close();
      await datastore?.close();
      await directory.lock.release();
    };
    return { banner: [...banner, bannerRow(options.count)], ports, close };
  } catch (error) {
    await datastore?.close();
    await directory.lock.release();
    throw error;
  }
}

function bannerRow(count: number): Banner[number] {
  return ["workers", `${count} processes share the port for S3; the other ports are the first one's`];
}

interface Slot {
  readonly index: number;
  process: ChildProcess | undefined;
  link: ProcessLink | undefined;
  restartDelayMs: number;
  timer: Timer | undefined;
  /** Resolves when the process has ended and all that it asked for is done. */
  gone: Promise<void>;
}

class Workers {
  readonly #host: Host;
  readonly #directory: DataDirectory;
  readonly #datastore: Datastore | undefined;
  readonly #slots: readonly Slot[];
  #ports: Service["ports"] | undefined;
  #isClosing = false;
  /** Workers that lack nothing but the shared port. */
  readonly #setUp = new Set<number>();
  readonly #firstIsSetUp = signal();
  readonly #allAreSetUp = signal();

  constructor(host: Host, count: number, directory: DataDirectory, datastore: Datastore | undefined) {
    this.#host = host;
    this.#directory = directory;
    this.#datastore = datastore;
    this.#slots = Array.from({ length: count }, (_, index) => ({
      index,
      process: undefined,
      link: undefined,
      restartDelayMs: limits.workerRestartMinMs,
      timer: undefined,
      gone: Promise.resolve(),
    }));
    const { descriptor } = directory.lock;
    const inherited = descriptor === undefined ? [] : [descriptor];
    // The workers accept by themselves: a connection that the primary hands to one that dies just then would stay open for
    // ever, and nobody would answer it.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ stdio: ["inherit", "inherit", "inherit", "ipc", ...inherited] });
  }

  /** The first worker alone, until it has made what the others find; then all of them listen together. */
  async start(): Promise<Ready> {
    try {
      const first = this.#startWorker(this.#slots[0]!);
      await Promise.race([first, this.#firstIsSetUp.given]);
      const others = this.#slots.slice(1).map((slot) => this.#startWorker(slot));
      const [ready] = await Promise.all([first, ...others]);
      this.#ports = ready.ports;
      return ready;
    } catch (error) {
      // Who waits for the others does not any more, and hears that it is to close.
      this.#allAreSetUp.give();
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    for (const slot of this.#slots) {
      slot.timer?.cancel();
      slot.link?.ask("close").catch(() => undefined);
    }
    const timer = this.#host.clock.after(closeTimeoutMs, () => {
      for (const slot of this.#slots) slot.process?.kill("SIGKILL");
    });
    await Promise.all(this.#slots.map((slot) => slot.gone));
    timer.cancel();
  }

  /** Resolves when it serves; rejects where it cannot, or ends before. */
  async #startWorker(slot: Slot): Promise<Ready> {
    const child = cluster.fork().process;
    const startedAt = this.#host.clock.monotonic();
    const ended = endOf(child);
    let settle!: (outcome: Ready | Failure) => void;
    const settled = new Promise<Ready | Failure>((resolve) => (settle = resolve));
    const link = new ProcessLink(child, {
      join: () => this.#assignmentOf(slot.index),
      setUp: () => this.#noteSetUp(slot.index),
      ready: (ready: Ready) => settle(ready),
      failed: (failure: Failure) => settle(failure),
      commit: (calls: readonly Call[]) => runCalls(this.#datastore!, calls),
      snapshots: () => this.#datastore?.snapshots?.(),
      readersEnd: () => this.#askOthers(slot, "readersEnd"),
      reclaimed: (volume: number) => void this.#askOthers(slot, "reclaimed", volume),
    });
    slot.process = child;
    slot.link = link;
    let isReady = false;
    // A commit of the last process must not come after the next one has ended its leases.
    slot.gone = ended.then(async (how) => {
      await link.close();
      slot.link = undefined;
      slot.process = undefined;
      settle({ code: "UNAVAILABLE", message: `worker ${slot.index} ended with ${how} before it served` });
      if (isReady) this.#restart(slot, startedAt, how);
    });
    const outcome = await settled;
    if ("message" in outcome) throw errorOf(outcome);
    isReady = true;
    return outcome;
  }

  #noteSetUp(index: number): Promise<void> {
    this.#setUp.add(index);
    this.#firstIsSetUp.give();
    if (this.#setUp.size === this.#slots.length) this.#allAreSetUp.give();
    return this.#allAreSetUp.given;
  }

  #assignmentOf(index: number): Assignment {
    const { root, depth, id } = this.#directory;
    const commits = this.#datastore !== undefined;
    return { index, count: this.#slots.length, directory: { root, depth, id }, commits, ports: this.#ports };
  }

  /** Who has gone in the meantime has no readers, and no files open. */
  async #askOthers(slot: Slot, question: string, body?: unknown): Promise<void> {
    const others = this.#slots.filter((other) => other !== slot && other.link !== undefined);
    await Promise.allSettled(others.map((other) => other.link!.ask(question, body)));
  }

  #restart(slot: Slot, startedAt: number, endedWith: string): void {
    if (this.#isClosing) return;
    const { clock, log } = this.#host;
    const lived = clock.monotonic() - startedAt;
    const delayMs = lived > limits.workerRestartMaxMs ? limits.workerRestartMinMs : slot.restartDelayMs;
    slot.restartDelayMs = Math.min(delayMs * 2, limits.workerRestartMaxMs);
    log.error("a worker has ended and is started again", { worker: slot.index, endedWith, delayMs });
    slot.timer = clock.after(delayMs, () => {
      const attemptedAt = clock.monotonic();
      this.#startWorker(slot).catch(async (error: Error) => {
        slot.process?.kill("SIGKILL");
        await slot.gone;
        this.#restart(slot, attemptedAt, error.message);
      });
    });
  }
}

interface Signal {
  readonly given: Promise<void>;
  readonly give: () => void;
}

function signal(): Signal {
  let give!: () => void;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give };
}

/** Its exit code or signal, when all that it sent has come. */
async function endOf(child: ChildProcess): Promise<string> {
  try {
    const [[code, signal]] = await Promise.all([once(child, "exit"), once(child, "disconnect")]);
    return String(signal ?? code);
  } catch (error) {
    return messageOf(error);
  }
}

/** Twice what a worker waits for itself. */
const closeTimeoutMs = 2 * limits.drainTimeoutMs;

function errorOf({ code, message }: Failure): Error {
  return code === undefined ? new Error(message) : new StoreError(code, message);
}
