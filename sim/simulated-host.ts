/**
 * A machine of a simulation: the Host for a process on it, and what can happen to that process. The disk outlives the
 * process; a new one is started by taking a new Host.
 */
import type { Clock, Host, Log, Timer } from "../src/env/host.ts";
import type { AttachedDisk } from "./attached-disk.ts";
import type { AttachedNetwork } from "./attached-network.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { SimulatedDisk, type SimulatedDiskOptions } from "./simulated-disk.ts";
import type { CrashChoice } from "./simulated-inodes.ts";
import { SimulatedNetwork } from "./simulated-network.ts";
import { SimulatedRandom } from "./simulated-random.ts";

/** A whole simulation: one clock, one network, one seed, any number of machines. */
export class Simulation {
  readonly random: SimulatedRandom;
  readonly clock = new SimulatedClock();
  readonly network: SimulatedNetwork;
  readonly machines = new Map<string, SimulatedMachine>();

  constructor(seed: number) {
    this.random = new SimulatedRandom(seed);
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.random.fork() });
  }

  machine(name: string, disk: Omit<SimulatedDiskOptions, "clock" | "random"> = {}): SimulatedMachine {
    const machine = new SimulatedMachine(this, name, disk);
    this.machines.set(name, machine);
    return machine;
  }
}

export interface SimulatedHost extends Host {
  readonly disk: AttachedDisk;
  readonly network: AttachedNetwork;
  readonly clock: ProcessClock;
}

/** The clock as one process has it: its timers end with it, and its machine's wall clock can be set. */
export class ProcessClock implements Clock {
  readonly #clock: SimulatedClock;
  readonly #machine: { readonly wallOffsetMs: number };
  #alive = true;
  /** Timers that have neither come to their end nor been cancelled. */
  pendingCount = 0;

  constructor(clock: SimulatedClock, machine: { readonly wallOffsetMs: number }) {
    this.#clock = clock;
    this.#machine = machine;
  }

  now(): number {
    return this.#clock.now() + this.#machine.wallOffsetMs;
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  after(delayMs: number, call: () => void): Timer {
    let isPending = true;
    this.pendingCount++;
    const settle = (): boolean => {
      if (isPending) this.pendingCount--;
      isPending = false;
      return this.#alive;
    };
    const timer = this.#clock.after(delayMs, () => {
      if (settle()) call();
    });
    return {
      cancel: () => {
        settle();
        timer.cancel();
      },
    };
  }

  soon(call: () => void): void {
    this.after(0, call);
  }

  kill(): void {
    this.#alive = false;
  }
}

export class SimulatedMachine {
  readonly name: string;
  readonly disk: SimulatedDisk;
  /** Warnings and errors that its processes logged. */
  readonly logged: string[] = [];
  /** Its wall clock, compared with the simulation's. */
  wallOffsetMs = 0;
  readonly #simulation: Simulation;
  readonly #processes = new Set<SimulatedHost>();

  constructor(simulation: Simulation, name: string, disk: Omit<SimulatedDiskOptions, "clock" | "random">) {
    this.#simulation = simulation;
    this.name = name;
    this.disk = new SimulatedDisk({ ...disk, clock: simulation.clock, random: simulation.random.fork() });
  }

  /** The Host of a new process. */
  start(): SimulatedHost {
    const { network, random } = this.#simulation;
    const clock = new ProcessClock(this.#simulation.clock, this);
    const note = (message: string): void => void this.logged.push(message);
    const log: Log = { debug: () => undefined, info: () => undefined, warn: note, error: note };
    const host = { disk: this.disk.attach(), network: network.attach(this.name), clock, random: random.fork(), log };
    this.#processes.add(host);
    return host;
  }

  /** `kill -9`: what the process wrote stays in the system's cache. */
  kill(host: SimulatedHost): void {
    this.#processes.delete(host);
    host.clock.kill();
    host.disk.kill();
    host.network.kill();
  }

  /** The power goes, for all its processes. Nobody on the network is told until the machine is reached again. */
  cutPower(choice: CrashChoice = "random"): void {
    this.#simulation.network.silence(this.name);
    for (const host of this.#processes) {
      host.clock.kill();
      host.network.kill();
    }
    this.#processes.clear();
    this.disk.crash(choice);
    this.#simulation.network.unsilence(this.name);
  }
}
