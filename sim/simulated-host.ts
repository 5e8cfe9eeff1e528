/**
 * A machine of a simulation: the Host for a process on it, and what can happen to that process. The disk outlives the
 * process; a new one is started by taking a new Host.
 */
import type { Host, Log } from "../src/env/host.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { type AttachedDisk, SimulatedDisk, type SimulatedDiskOptions } from "./simulated-disk.ts";
import type { CrashChoice } from "./simulated-inodes.ts";
import { type AttachedNetwork, SimulatedNetwork } from "./simulated-network.ts";
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
}

export class SimulatedMachine {
  readonly name: string;
  readonly disk: SimulatedDisk;
  /** Warnings and errors that its processes logged. */
  readonly logged: string[] = [];
  readonly #simulation: Simulation;
  readonly #processes = new Set<SimulatedHost>();

  constructor(simulation: Simulation, name: string, disk: Omit<SimulatedDiskOptions, "clock" | "random">) {
    this.#simulation = simulation;
    this.name = name;
    this.disk = new SimulatedDisk({ ...disk, clock: simulation.clock, random: simulation.random.fork() });
  }

  /** The Host of a new process. */
  start(): SimulatedHost {
    const { clock, network, random } = this.#simulation;
    const note = (message: string): void => void this.logged.push(message);
    const log: Log = { debug: () => undefined, info: () => undefined, warn: note, error: note };
    const host = { disk: this.disk.attach(), network: network.attach(this.name), clock, random: random.fork(), log };
    this.#processes.add(host);
    return host;
  }

  /** `kill -9`: what the process wrote stays in the system's cache. */
  kill(host: SimulatedHost): void {
    this.#processes.delete(host);
    host.disk.kill();
    host.network.kill();
  }

  /** The power goes, for all its processes. Nobody on the network is told until the machine is reached again. */
  cutPower(choice: CrashChoice = "random"): void {
    this.#simulation.network.silence(this.name);
    for (const host of this.#processes) host.network.kill();
    this.#processes.clear();
    this.disk.crash(choice);
    this.#simulation.network.unsilence(this.name);
  }
}
