/**
 * Connections between the machines of one simulation. Bytes arrive in order, late, and cut at any place; a connection
 * may be cut, or fall silent: then what is sent goes nowhere and nobody is told.
 *
 * Assumed, as of TCP: no byte is lost, repeated or changed on a connection that is not cut.
 */
import { AttachedNetwork, type Bound } from "./attached-network.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import type { SimulatedConnection } from "./simulated-connection.ts";
import type { SimulatedRandom } from "./simulated-random.ts";

const firstFreePort = 49_152;

/** What the network did to somebody. */
export type NetworkEffect =
  | "cut with bytes under way"
  | "cut in the middle of a frame"
  | "silence with bytes under way"
  | "bytes held up by a partition"
  | "bytes that overtook others of another connection";

export class SimulatedNetwork {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  /** A piece takes up to so long. */
  delayMaxMs = 2;
  /** The largest piece that is delivered at once. */
  pieceSizeMax = 65_536;
  readonly bound = new Map<string, Bound>();
  readonly connections = new Set<SimulatedConnection>();
  /** Machines that cannot be reached and reach nobody, without anyone being told. */
  readonly silent = new Set<string>();
  /** For checkers and traces: what was delivered, and to whom. */
  onEvent: ((what: "connect" | "bytes" | "end" | "closed", from: string, to: string, size: number) => void) | undefined;
  /** For the statistics of a run. */
  onEffect: (effect: NetworkEffect) => void = () => undefined;
  /** Pieces are numbered as they are sent; per machine, the highest number that has arrived. */
  sentCount = 0;
  readonly arrived = new Map<string, number>();
  readonly #partitioned = new Set<string>();
  #nextPort = firstFreePort;

  constructor(options: { clock: SimulatedClock; random: SimulatedRandom }) {
    this.clock = options.clock;
    this.random = options.random;
  }

  /** The network as one process on a machine of this name has it. */
  attach(host: string): AttachedNetwork {
    return new AttachedNetwork(this, host);
  }

  /** Cuts connections (all, or those of a machine); both sides hear of it. */
  cut(host?: string): void {
    for (const connection of this.connections) {
      if (host === undefined || connection.localHost === host || connection.remoteHost === host) connection.reset();
    }
  }

  /** Half-open from now on: what a machine sends is lost, and it hears nothing more. */
  silence(host: string): void {
    this.silent.add(host);
    for (const connection of this.connections) {
      if (connection.localHost === host || connection.remoteHost === host) connection.silence();
    }
  }

  /** Connections that are made from now on work again; those that fell silent stay so. */
  unsilence(host: string): void {
    this.silent.delete(host);
  }

  /** Nothing passes between the two, and nobody is told; what is sent meanwhile arrives when it is over. */
  partition(one: string, other: string): void {
    this.#partitioned.add(pairOf(one, other));
  }

  endPartitions(): void {
    this.#partitioned.clear();
    for (const connection of this.connections) connection.goOn();
  }

  isPartitioned(one: string, other: string): boolean {
    return this.#partitioned.size > 0 && this.#partitioned.has(pairOf(one, other));
  }

  takePort(): number {
    return this.#nextPort++;
  }

  takeDelay(): number {
    return this.random.fraction() * this.delayMaxMs;
  }
}

function pairOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}
