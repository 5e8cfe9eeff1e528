/**
 * One seed from beginning to end: a cluster is built, clients work while things go wrong, then all is well again and
 * everything is checked; then it rests and reclaims, the power of all machines is cut at once, and it is checked again.
 */
import { checkStreams, checkUploads, checkVersions } from "./checkers/durability.ts";
import { checkFile } from "./checkers/linearizability.ts";
import { checkListings } from "./checkers/listing.ts";
import { checkDeadSpace } from "./checkers/reclaim.ts";
import { checkReferences } from "./checkers/references.ts";
import { checkClosed, checkIdleQueues, checkMemory, checkOpenFiles, checkQueues } from "./checkers/resources.ts";
import type { SimulatedRandom } from "./simulated-random.ts";
import { Client } from "./world/client.ts";
import type { Coverage } from "./world/coverage.ts";
import { buckets, keys } from "./world/files.ts";
import type { FaultKind } from "./world/faults.ts";
import type { SupervisedProcess } from "./world/process.ts";
import { describeError, type RunningPutterRole, type RunningRouterRole } from "./world/roles.ts";
import { Streams } from "./world/streams.ts";
import { World } from "./world/world.ts";

export interface SeedOptions {
  readonly seed: number;
  /** Events after which clients and faults stop; what follows is the healing and the checks. */
  readonly eventsMax?: number;
  readonly without?: ReadonlySet<FaultKind>;
  readonly writeTrace?: (line: string) => void;
}

export interface SeedResult {
  readonly seed: number;
  /** What is wrong, the first thing first; none: all checks passed. */
  readonly violations: readonly string[];
  /** Of everything that happened. */
  readonly hash: string;
  /** When clients and faults stopped. */
  readonly workEvents: number;
  readonly events: number;
  readonly simulatedMs: number;
  readonly operations: number;
  readonly versions: number;
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly restarts: number;
  readonly undecided: number;
  readonly description: string;
  /** What happened, and how often: see coverage.ts. */
  readonly coverage: Coverage;
  /** Kinds of faults that the seed has. */
  readonly kinds: readonly FaultKind[];
}

/** How long the clients work, at most, in simulated time. */
const workMs = 120_000;
const eventsUsual = 20_000;
const operationsMax = 500;
/** How long anything may take once all is well. */
const patienceMs = 240_000;

export async function runSeed(options: SeedOptions): Promise<SeedResult> {
  const run = new SeedRun(options);
  return run.run();
}

/** What stops a run: there is no sense in going on. */
class Stuck extends Error {}

class SeedRun {
  readonly #options: SeedOptions;
  readonly #world: World;
  readonly #random: SimulatedRandom;
  readonly #streams: Streams;
  readonly #clients: Client[] = [];
  /** Reads what has to be there. */
  readonly #judge: Client;
  #stopping = false;
  #workEvents = 0;
  /** Audits under way. */
  #auditCount = 0;
  #versions = 0;
  #undecided = 0;

  constructor(options: SeedOptions) {
    this.#options = options;
    const { seed, without = new Set(), writeTrace } = options;
    this.#world = new World({ seed, without, writeTrace });
    this.#random = this.#world.random.fork();
    this.#streams = new Streams(this.#world, this.#random.fork());
    const count = this.#random.between(1, 8);
    for (let index = 0; index < count; index++) {
      this.#clients.push(new Client(this.#world, `client-${index}`, this.#random.fork(), this.#streams));
    }
    this.#judge = new Client(this.#world, "judge", this.#random.fork(), this.#streams);
    const auditor = new Client(this.#world, "auditor", this.#random.fork(), this.#streams);
    this.#world.onSuspicion = () => void this.#audit(auditor);
  }

  async run(): Promise<SeedResult> {
    const world = this.#world;
    const { clock } = world.simulation;
    try {
      await this.#setUp();
      await this.#work();
      if (world.history.violations.length === 0) await this.#settle();
      if (world.history.violations.length === 0) await this.#judgeAll();
      if (world.history.violations.length === 0) await this.#rest();
      if (world.history.violations.length === 0) await this.#cutAllPower();
      if (world.history.violations.length === 0) await this.#end();
      if (world.history.violations.length === 0) this.#judgeHistories();
    } catch (error) {
      world.history.violation(
        error instanceof Stuck ? error.message : `errors: the run threw ${(error as Error).stack ?? String(error)}`,
      );
    }
    for (const text of world.history.violations) world.trace.add("checker", text);
    return {
      seed: this.#options.seed,
      violations: world.history.violations,
      hash: world.trace.digest(),
      workEvents: this.#workEvents,
      events: clock.eventCount,
      simulatedMs: clock.monotonic(),
      operations: world.history.operationCount,
      versions: this.#versions,
      faults: world.faultCounts,
      restarts: world.processes.reduce((sum, { startCount }) => sum + startCount - 1, 0),
      undecided: this.#undecided,
      description: `${world.routers.length} routers, ${world.putters.length} putters, ${this.#clients.length} clients`,
      kinds: [...world.rates.keys()],
      coverage: world.coverage,
    };
  }

  // ── the work ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #setUp(): Promise<void> {
    const world = this.#world;
    world.start();
    for (const { name } of buckets) {
      await this.#insist(`bucket ${name}`, async ({ datastore }) => {
        if ((await datastore.getBucket(name)) === undefined) await datastore.createBucket(name, {}, 1);
        if (name === "on") await datastore.updateBucket(name, { versioning: "enabled" });
      });
    }
  }

  /** Asks until it is answered, whatever goes wrong. */
  async #insist(what: string, work: (running: RunningRouterRole) => Promise<unknown>): Promise<void> {
    const { clock } = this.#world.simulation;
    const until = clock.monotonic() + patienceMs;
    for (;;) {
      const called = this.#world.pickRouter(this.#random).call(work);
      const outcome = await clock.run(called);
      if (outcome.kind === "value") return;
      if (clock.monotonic() > until) {
        throw new Stuck(`liveness: ${what}: ${outcome.kind === "error" ? describeError(outcome.error) : "died"}`);
      }
      await clock.runFor(500);
    }
  }

  async #work(): Promise<void> {
    const { clock } = this.#world.simulation;
    const eventsMax = this.#options.eventsMax ?? eventsUsual;
    const until = clock.monotonic() + workMs * (0.2 + 0.8 * this.#random.fraction());
    const loops = this.#clients.map((client) => this.#loop(client));
    void Promise.all(loops).catch((error: unknown) =>
      this.#world.history.violation(`errors: a client threw ${(error as Error).stack}`),
    );
    while (clock.eventCount < eventsMax && clock.monotonic() < until) {
      if (!(await clock.step())) break;
      const { violations, operationCount } = this.#world.history;
      if (violations.length > 0 || operationCount >= operationsMax) break;
      if (clock.eventCount % 64 === 0) {
        checkOpenFiles(this.#world);
        checkQueues(this.#world);
      }
    }
    this.#workEvents = clock.eventCount;
    this.#stopping = true;
  }

  async #loop(client: Client): Promise<void> {
    while (!this.#stopping && this.#world.history.operationCount < operationsMax) {
      await client.pause();
      const isUp = this.#world.routers.some(({ running }) => running !== undefined);
      if (!this.#stopping && isUp) await client.act();
    }
  }

  /** Reads everything while things go wrong: what cannot be had now may be asked for again, what is damaged may not be. */
  async #audit(auditor: Client): Promise<void> {
    this.#auditCount++;
    try {
      for (const { name } of buckets) {
        for (const version of (await auditor.listVersions(name)) ?? []) {
          if (version.object !== undefined) await auditor.readVersion(name, version, "mid-run");
        }
      }
    } catch (error) {
      this.#world.history.violation(`errors: the auditor threw ${(error as Error).stack}`);
    } finally {
      this.#auditCount--;
    }
  }

  // ── when all is well ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Faults end, what was asked for is answered, and every process is started anew: a poisoned one stays so for life. */
  async #settle(): Promise<void> {
    const world = this.#world;
    if (this.#random.chance(0.4) && this.#options.without?.has("power cut") !== true) world.cutAllPower();
    world.heal();
    await this.#until("clients are answered", () => {
      const busy = this.#clients.filter(({ doing }) => doing !== "");
      if (busy.length > 0) return busy.map(({ name, doing }) => `${name}: ${doing}`).join(", ");
      return this.#auditCount === 0 ? undefined : "the auditor reads";
    });
    for (const process of world.processes) {
      if (this.#random.chance(0.5)) process.kill();
      else await this.#stop(process);
      process.start();
    }
    await this.#untilUp();
  }

  #untilUp(): Promise<void> {
    return this.#until("processes are up and know one another", () => {
      for (const { name, running, startErrors } of this.#world.processes) {
        if (running === undefined) return `${name} is down: ${describeError(startErrors.at(-1))}`;
      }
      for (const { name, running } of this.#world.routers) {
        const found = running!.putters.filter(({ available }) => available).length;
        if (found < this.#world.putters.length) return `${name} has found ${found} putters`;
      }
      return undefined;
    });
  }

  /** Lets time pass until `missing` tells nothing any more. */
  async #until(what: string, missing: () => string | undefined): Promise<void> {
    const { clock } = this.#world.simulation;
    const end = clock.monotonic() + patienceMs;
    for (let text = missing(); text !== undefined; text = missing()) {
      if (clock.monotonic() > end) throw new Stuck(`liveness: ${patienceMs} ms are not enough until ${what}: ${text}`);
      await clock.runFor(100);
    }
  }

  async #judgeAll(): Promise<void> {
    const world = this.#world;
    const { clock } = world.simulation;
    const { running } = world.routers[0]!;
    this.#versions = await clock.run(checkVersions(world, this.#judge));
    await clock.run(checkStreams(world, this.#streams, running!));
    await clock.run(checkUploads(world, running!));
    await clock.run(checkListings(world, running!.datastore));
    await clock.run(checkReferences(world, running!.datastore));
  }

  /** One router alone, so that no lease of another one keeps dead space from being told; for long enough to reclaim. */
  async #rest(): Promise<void> {
    const world = this.#world;
    const { clock } = world.simulation;
    for (const process of world.routers.slice(1)) {
      const how = await clock.run(process.stop(30_000));
      if (how !== "closed")
        world.history.violation(`liveness: ${process.name} did not close in 30 s with nothing to do`);
    }
    await clock.runFor(20 * world.reclaimIntervalMs);
    // A connection that was idle for too long is made again, and has a block meanwhile.
    const isConnected = (): boolean => world.routers[0]!.running!.putters.every(({ available }) => available);
    for (let round = 0; round < 100 && !isConnected(); round++) await clock.runFor(50);
    checkMemory(world);
    checkOpenFiles(world);
    checkIdleQueues(world);
    await clock.run(checkDeadSpace(world, world.routers[0]!.running!.datastore));
    for (const process of world.routers) process.start();
    await this.#untilUp();
    await this.#judgeAll();
  }

  async #cutAllPower(): Promise<void> {
    const world = this.#world;
    world.cutAllPower();
    await this.#untilUp();
    await this.#judgeAll();
  }

  async #end(): Promise<void> {
    const world = this.#world;
    for (const process of world.processes) {
      const how = await this.#stop(process);
      if (how !== "closed") world.history.violation(`liveness: ${process.name} did not close within 30 s`);
    }
  }

  /** Closes it in order; what it did while things went wrong must not have left anything open or taken. */
  async #stop(process: SupervisedProcess<RunningRouterRole> | SupervisedProcess<RunningPutterRole>) {
    const { running, host } = process;
    const how = await this.#world.simulation.clock.run(process.stop(30_000));
    if (how === "closed") checkClosed(this.#world, process.name, host!, running!);
    return how;
  }

  #judgeHistories(): void {
    const { history } = this.#world;
    for (const { name } of buckets) {
      for (const key of keys) {
        const operations = history.files.get(`${name}\0${key}`) ?? [];
        const verdict = checkFile(operations, name === "on" ? "enabled" : "off", history);
        if (verdict === "undecided") this.#undecided++;
        else this.#world.coverage.note("check", "history decided");
        if (verdict === "not linearizable") {
          history.violation(`linearizability: no order explains what clients were told of ${name}/${key}`);
          for (const { client, calledAt, returnedAt, input, answer } of operations) {
            const span = `${calledAt}-${returnedAt === Number.POSITIVE_INFINITY ? "" : returnedAt}`;
            this.#world.trace.add(client, `${span} ${JSON.stringify(input)} -> ${JSON.stringify(answer)}`);
          }
        }
      }
    }
  }
}
