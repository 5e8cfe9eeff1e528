/** One seed's cluster: machines, processes, datastore, and what goes wrong with them. */
import { parseKey } from "../../src/core/key.ts";
import type { Depth } from "../../src/core/layout.ts";
import type { Datastore } from "../../src/datastore/datastore.ts";
import { TransactionalDatastore } from "../../src/datastore/transactional.ts";
import { IdLedger, ledgered } from "../checkers/ids.ts";
import { EmbeddedBackend, RemoteBackend, StoreServer } from "../datastore/simulated-backend.ts";
import { SimulatedStore } from "../datastore/simulated-store.ts";
import { type SimulatedHost, type SimulatedMachine, Simulation } from "../simulated-host.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import { Damages } from "./damage.ts";
import { Coverage } from "./coverage.ts";
import { keys } from "./files.ts";
import { Ambushes } from "./ambushes.ts";
import { chooseFaults, type FaultKind, type FaultRates } from "./faults.ts";
import { History } from "./history.ts";
import { SupervisedProcess } from "./process.ts";
import {
  bootPutter,
  bootRouter,
  putterPort,
  responsePort,
  type RunningPutterRole,
  type RunningRouterRole,
  type StoreWatch,
  watched,
} from "./roles.ts";
import { Trace } from "./trace.ts";

export type RouterProcess = SupervisedProcess<RunningRouterRole>;
export type PutterProcess = SupervisedProcess<RunningPutterRole>;

export interface WorldOptions {
  readonly seed: number;
  readonly without: ReadonlySet<FaultKind>;
  readonly writeTrace: ((line: string) => void) | undefined;
}

export const simulationKey = parseKey("000102030405060708090a0b0c0d0e0f", "simulation");
export const clientMachine = "client";

export class World {
  readonly simulation: Simulation;
  readonly trace: Trace;
  readonly random: SimulatedRandom;
  readonly history = new History();
  readonly ids = new IdLedger((text) => this.history.violation(text));
  readonly damages: Damages;
  readonly rates: FaultRates;
  readonly faultCounts = new Map<FaultKind, number>();
  readonly coverage = new Coverage();
  /** Called when something may have been lost a moment ago that others would soon overwrite. */
  onSuspicion: () => void = () => undefined;
  readonly routers: RouterProcess[] = [];
  readonly putters: PutterProcess[] = [];
  readonly store: SimulatedStore;
  /** undefined: the datastore is in the router's process. */
  readonly server: StoreServer | undefined;
  readonly client: SimulatedHost;
  readonly openVolumesMax: number;
  readonly reclaimIntervalMs: number;
  /** Those that clients write: the fewer, the more they are in each other's way. */
  readonly hotKeys: readonly string[];
  /** At greater depths each ticket is a file or nearly so: large objects take very many events. */
  readonly depths = new Set<Depth>();
  #isHealthy = false;
  readonly #ambushes: Ambushes;

  constructor({ seed, without, writeTrace }: WorldOptions) {
    this.simulation = new Simulation(seed);
    const { clock, random } = this.simulation;
    this.trace = new Trace(clock, writeTrace);
    this.random = random.fork();
    this.rates = chooseFaults(random.fork(), without);
    this.#ambushes = new Ambushes(clock, this.random.fork());
    this.damages = new Damages(
      (machine, what) => this.trace.add(machine, what),
      (object) => this.ids.runs.get(object),
    );
    this.store = new SimulatedStore(clock, random.fork());
    this.store.onEvent = (what, changes) => this.trace.add("datastore", `${what} ${changes}`);
    this.openVolumesMax = this.random.between(2, 8);
    this.reclaimIntervalMs = this.random.between(500, 5_000);
    this.hotKeys = keys.slice(0, this.random.between(1, keys.length));
    const isCluster = this.random.chance(0.6);
    this.server = isCluster ? new StoreServer(this.store) : undefined;
    this.#build(isCluster);
    this.client = this.simulation.machine(clientMachine).start();
    this.#watchNetwork();
  }

  get processes(): (RouterProcess | PutterProcess)[] {
    return [...this.routers, ...this.putters];
  }

  start(): void {
    for (const process of this.processes) process.start();
    this.#planFault();
  }

  /** The router that clients speak to now; any that runs. */
  pickRouter(random: SimulatedRandom): RouterProcess {
    const running = this.routers.filter(({ running }) => running !== undefined);
    return random.pick(running.length > 0 ? running : this.routers);
  }

  /** Of all machines at once, at whatever they are doing. */
  cutAllPower(): void {
    for (const process of this.processes) process.cutPower();
    this.server?.crash();
  }

  /** Faults end: what was cut is whole, disks do as they are told. What is down is started. */
  heal(): void {
    this.#isHealthy = true;
    this.trace.add("world", "heals");
    this.#ambushes.clear();
    const { network } = this.simulation;
    network.endPartitions();
    for (const { machine } of this.processes) {
      network.unsilence(machine.name);
      this.#healDisk(machine);
      machine.disk.faults.length = 0;
      machine.disk.misdirect = undefined;
    }
    network.delayMaxMs = 2;
    this.store.failingSyncs = 0;
    this.store.refusingGroups = 0;
    this.#healDatastore();
    for (const process of this.processes) process.start();
  }

  // ── building ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #build(isCluster: boolean): void {
    const { random } = this;
    const routerCount = isCluster ? random.between(1, 3) : 1;
    const putterCount = isCluster ? random.between(1, 3) : 0;
    if (routerCount > 1) this.coverage.note("cluster", "several routers");
    if (putterCount > 1) this.coverage.note("cluster", "several putters");
    this.coverage.note(
      "cluster",
      isCluster ? "datastore on a machine of its own" : "datastore in the router's process",
    );
    const addresses = Array.from({ length: putterCount }, (_, index) => ({
      host: `putter-${index}`,
      port: putterPort,
    }));
    const idleTimeoutMs = random.pick([2_000, 20_000, 120_000]);
    const watch: StoreWatch = {
      onWrite: (first, count) => this.ids.noteWrite(first, count),
      onReclaimed: ({ volumesUnlinked, volumesRewritten }) => {
        if (volumesUnlinked > 0) this.coverage.note("process", "reclaimed a volume by unlinking it");
        if (volumesRewritten > 0) this.coverage.note("process", "reclaimed a volume by writing it anew");
      },
    };
    for (let index = 0; index < routerCount; index++) {
      const machine = this.#machine(`router-${index}`);
      const depth = this.#depth();
      const process: RouterProcess = new SupervisedProcess(machine, this.trace, (host) =>
        bootRouter(host, {
          key: simulationKey,
          arena: { tiny: 16, block: 12, group: 1 },
          depth,
          putters: addresses,
          openDatastore: (opening) => this.#openDatastore(opening),
          watch: (store) => watched(store, watch),
          reclaim: { intervalMs: this.reclaimIntervalMs, openDeadMin: 1, deadShareMin: 0.2, rate: 1e9 },
          openVolumesMax: this.openVolumesMax,
          idleTimeoutMs,
        }),
      );
      // In the process, the datastore ends with it.
      process.onCut = (what) => this.coverage.note("process", what);
      if (!isCluster) process.onEnd = () => this.store.crash();
      this.routers.push(process);
    }
    const respondTo =
      routerCount === 1 && random.chance(0.6) ? { host: this.routers[0]!.name, port: responsePort } : undefined;
    if (respondTo !== undefined && putterCount > 0) this.coverage.note("cluster", "responses over tcp/5002");
    for (const { host: name } of addresses) {
      const machine = this.#machine(name);
      const depth = this.#depth();
      const process: PutterProcess = new SupervisedProcess(machine, this.trace, (host) =>
        bootPutter(host, {
          key: simulationKey,
          arena: { tiny: 8, block: 12, group: 1 },
          depth,
          respondTo,
          openVolumesMax: this.openVolumesMax,
          idleTimeoutMs,
        }),
      );
      process.onCut = (what) => this.coverage.note("process", what);
      this.putters.push(process);
    }
  }

  #depth(): Depth {
    const depth: Depth = this.random.chance(0.75) ? 2 : this.random.pick([3, 4] as const);
    this.coverage.note("cluster", `depth ${depth}`);
    this.damages.noteLayout(depth);
    this.depths.add(depth);
    return depth;
  }

  #machine(name: string): SimulatedMachine {
    const machine = this.simulation.machine(name, { direct: this.random.chance(0.8) });
    machine.disk.onEvent = ({ operation, path, phase, position = 0, size = 0 }) => {
      this.trace.add(name, `${operation} ${phase} ${path} ${position} ${size}`);
      this.#ambushes.noteEvent(name);
    };
    machine.disk.onEffect = (effect) => this.coverage.note("disk", effect);
    return machine;
  }

  async #openDatastore(host: SimulatedHost): Promise<Datastore> {
    const backend =
      this.server === undefined
        ? new EmbeddedBackend(this.store, host.clock)
        : new RemoteBackend(this.server, host.clock);
    return ledgered(await TransactionalDatastore.open(backend, host.clock, host.log), this.ids);
  }

  #watchNetwork(): void {
    this.simulation.network.onEvent = (what, from, to, size) => {
      this.trace.add(to, `${what} from ${from} ${size}`);
      this.#ambushes.noteEvent(to);
      this.#ambushes.noteEvent(from);
    };
    this.simulation.network.onEffect = (effect) => this.coverage.note("network", effect);
  }

  // ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #planFault(): void {
    const total = [...this.rates.values()].reduce((sum, rate) => sum + rate, 0);
    if (total === 0) return;
    const waitMs = (-Math.log(1 - this.random.fraction()) / total) * 60_000;
    this.simulation.clock.after(waitMs, () => {
      if (this.#isHealthy) return;
      let point = this.random.fraction() * total;
      for (const [kind, rate] of this.rates) {
        point -= rate;
        if (point > 0) continue;
        this.#inject(kind);
        break;
      }
      this.#planFault();
    });
  }

  #inject(kind: FaultKind): void {
    const { random } = this;
    const { network } = this.simulation;
    const process = random.pick(this.processes);
    const { machine } = process;
    const { disk } = machine;
    this.faultCounts.set(kind, (this.faultCounts.get(kind) ?? 0) + 1);
    this.coverage.note("fault", kind);
    this.trace.add(machine.name, `fault: ${kind}`);
    const fails = (operation: "sync" | "read" | "write", path: RegExp): void => {
      const lateMs = operation === "sync" && random.chance(0.8) ? random.between(100, 2_000) : 0;
      const onStrike = operation === "sync" ? (): void => this.#afterFailedSync(process) : undefined;
      const fault = { operation, path, code: "EIO", count: random.pick([1, 1, 1, 2, 4]), lateMs };
      disk.faults.push(onStrike === undefined ? fault : { ...fault, onStrike });
      // A disk that fails takes its time.
      if (operation === "sync" || random.chance(0.5)) return;
      disk.delayMaxMs = random.between(5, 100);
      this.#later(4_000, () => this.#healDisk(machine));
    };
    switch (kind) {
      case "kill":
        return this.#strike(machine.name, () => process.kill());
      case "power cut":
        return this.#strike(machine.name, () => process.cutPower());
      case "restart":
        return void process.stop(15_000).then(() => process.start());
      case "clock jump":
        return this.#moveClock(machine);
      case "sync fails":
        return fails("sync", /\/(obj|sum)(\.new|\.tail)?$/);
      case "read fails":
        return fails("read", /\/(obj|sum)$/);
      case "write fails":
        return fails("write", /\/(obj|sum)(\.new|\.tail)?$/);
      case "directory fails": {
        const operations = ["create", "makeDirectory", "syncDirectory", "rename", "unlink", "open", "list", "truncate"];
        const operation = random.pick(operations) as "create";
        disk.faults.push({ operation, path: /^/, code: random.pick(["EIO", "EMFILE"]), count: random.between(1, 3) });
        return;
      }
      case "disk full":
        disk.capacity = disk.usedPages * 4096 + random.below(200_000);
        return this.#later(20_000, () => this.#healDisk(machine));
      case "slow disk":
        disk.delayMaxMs = 10 ** random.between(1, 3);
        return this.#later(20_000, () => this.#healDisk(machine));
      case "bit flip":
        return void this.damages.flipBit(machine, random);
      case "misdirected write":
        return this.damages.misdirectNext(machine, random);
      case "connections cut":
        return this.#ambushes.lay(machine.name, () => network.cut(random.chance(0.5) ? clientMachine : machine.name));
      case "half-open":
        this.#ambushes.lay(machine.name, () => network.silence(machine.name));
        return this.#later(30_000, () => network.unsilence(machine.name));
      case "partition":
        this.#ambushes.lay(machine.name, () => {
          for (const other of this.processes) {
            if (other !== process && random.chance(0.5)) network.partition(machine.name, other.name);
          }
        });
        return this.#later(40_000, () => network.endPartitions());
      case "slow network":
        network.delayMaxMs = 10 ** random.between(1, 3);
        return this.#later(20_000, () => (network.delayMaxMs = 2));
      case "datastore sync fails":
        // Not added up: more could fail than are tried.
        this.store.failingSyncs = Math.max(this.store.failingSyncs, random.between(1, 2));
        return;
      case "datastore requests lost":
        if (this.server !== undefined) this.server.requestLoss = random.fraction();
        return this.#later(8_000, () => this.#healDatastore());
      case "datastore answers lost":
        if (this.server !== undefined) this.server.answerLoss = random.fraction();
        return this.#later(8_000, () => this.#healDatastore());
      case "datastore crash":
        return this.server === undefined ? process.kill() : this.server.crash();
      case "cache dropped":
        return disk.dropCaches();
      case "descriptors run out":
        // Connections take them as well: there may be more files open than new ones could be.
        this.#ambushes.lay(machine.name, () => {
          disk.openFilesMax = (process.host?.disk.openFileCount ?? 0) + random.between(-3, 3);
        });
        return this.#later(10_000, () => this.#healDisk(machine));
      case "commits refused":
        this.store.refusingGroups = Math.max(this.store.refusingGroups, random.between(1, 3));
        return;
    }
  }

  /** Now and then a second time, while it starts again. */
  #strike(machine: string, strike: () => void): void {
    this.#ambushes.lay(machine, () => {
      strike();
      if (this.random.chance(0.3)) this.#ambushes.lay(machine, strike);
    });
  }

  /** What it has lost is often missed soon: before its volume is written anew from what still looks as it should. */
  #afterFailedSync(process: RouterProcess | PutterProcess): void {
    const { clock } = this.simulation;
    const point = this.random.fraction();
    const delayMs = this.random.fraction() * 400;
    if (point < 0.6) clock.after(delayMs, () => process.machine.disk.dropCaches());
    else if (point < 0.9) clock.after(delayMs, () => this.#isHealthy || process.cutPower());
    else return;
    clock.after(delayMs + this.random.between(10, 2_000), () => this.#isHealthy || this.onSuspicion());
  }

  #moveClock(machine: SimulatedMachine): void {
    const ms = (this.random.fraction() * 2 - 1) * this.random.pick([1_000, 100_000, 1e8]);
    this.coverage.note("process", ms < 0 ? "clock jumps back" : "clock jumps ahead");
    machine.wallOffsetMs += ms;
  }

  #later(maxMs: number, call: () => void): void {
    this.simulation.clock.after(this.random.fraction() * maxMs, call);
  }

  #healDisk({ disk }: SimulatedMachine): void {
    disk.capacity = Number.POSITIVE_INFINITY;
    disk.delayMaxMs = 1;
    disk.openFilesMax = Number.POSITIVE_INFINITY;
  }

  #healDatastore(): void {
    if (this.server === undefined) return;
    this.server.requestLoss = 0;
    this.server.answerLoss = 0;
  }
}
