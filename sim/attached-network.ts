/** A simulated network as one process has it: its ports, the connections that it makes, and those that it is asked for. */
import { StoreError } from "../src/core/errors.ts";
import * as limits from "../src/core/limits.ts";
import type { Connection, ConnectOptions, Listener, ListenOptions, Network } from "../src/env/host.ts";
import { SimulatedConnection, type Waiting } from "./simulated-connection.ts";
import type { SimulatedNetwork } from "./simulated-network.ts";

/** A port that somebody listens on. */
export interface Bound {
  readonly machine: AttachedNetwork;
  readonly options: ListenOptions;
  readonly accept: (connection: Connection) => void;
  readonly waiting: Waiting;
  readonly connections: Set<SimulatedConnection>;
}

export class AttachedNetwork implements Network {
  readonly host: string;
  readonly #network: SimulatedNetwork;
  readonly #own = new Set<SimulatedConnection>();
  alive = true;

  constructor(network: SimulatedNetwork, host: string) {
    this.#network = network;
    this.host = host;
  }

  /** The process ends: its ports are free, and its peers hear that its connections are reset. */
  kill(): void {
    this.alive = false;
    for (const [place, bound] of this.#network.bound) if (bound.machine === this) this.#network.bound.delete(place);
    for (const connection of this.#own) connection.abandon();
  }

  async listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener> {
    const port = options.port === 0 ? this.#network.takePort() : options.port;
    const place = `${this.host}:${port}`;
    if (this.#network.bound.has(place)) {
      throw Object.assign(new Error(`listen EADDRINUSE: address already in use ${place}`), { code: "EADDRINUSE" });
    }
    const waiting = { size: 0, sizeMax: options.waitingSizeMax };
    const bound: Bound = { machine: this, options, accept, waiting, connections: new Set() };
    this.#network.bound.set(place, bound);
    return {
      host: this.host,
      port,
      get connectionCount() {
        return bound.connections.size;
      },
      close: async () => void this.#network.bound.delete(place),
    };
  }

  /** As a client does that is ended while it sends: the other end reads no plain end, but hears of a reset. */
  reset(connection: Connection): void {
    for (const own of this.#own) if (own === connection) own.reset();
  }

  connect(options: ConnectOptions): Promise<Connection> {
    const network = this.#network;
    const isLocal = ["127.0.0.1", "localhost", "::1"].includes(options.host);
    const host = isLocal ? this.host : options.host;
    const where = `${options.host}:${options.port}`;
    return new Promise((resolve, reject) => {
      const timer = network.clock.after(options.timeoutMs, () => {
        if (!this.alive) return;
        reject(new StoreError("UNAVAILABLE", `${where} did not answer within ${options.timeoutMs} ms`));
      });
      network.clock.after(network.takeDelay(), () => {
        // Who is not there does not answer, and the timer decides.
        if (!this.alive || network.silent.has(host) || network.silent.has(this.host)) return;
        if (network.isPartitioned(host, this.host)) return;
        network.onEvent?.("connect", this.host, host, options.port);
        timer.cancel();
        const bound = network.bound.get(`${host}:${options.port}`);
        if (bound === undefined) {
          reject(new StoreError("UNAVAILABLE", `${where} cannot be reached: connect ECONNREFUSED ${where}`));
          return;
        }
        const refusal = refusalOf(bound.options, options, where);
        if (refusal === undefined) resolve(this.#join(bound, host, options));
        else {
          bound.options.onRefused?.(this.host, refusal.message);
          reject(refusal);
        }
      });
    });
  }

  #join(bound: Bound, host: string, options: ConnectOptions): SimulatedConnection {
    const network = this.#network;
    const waiting = { size: 0, sizeMax: limits.waitingSizeMax };
    const localPort = network.takePort();
    const near = new SimulatedConnection(network, this.host, host, options.port, options.receiveBuffer, waiting);
    const { receiveBuffer } = bound.options;
    const far = new SimulatedConnection(network, host, this.host, localPort, receiveBuffer, bound.waiting);
    near.peer = far;
    far.peer = near;
    this.#adopt(near);
    bound.machine.#adopt(far);
    if (bound.connections.size >= bound.options.connectionsMax) {
      far.destroy();
    } else {
      bound.connections.add(far);
      far.onGone.push(() => bound.connections.delete(far));
      bound.accept(far);
    }
    return near;
  }

  #adopt(connection: SimulatedConnection): void {
    this.#own.add(connection);
    this.#network.connections.add(connection);
    connection.onGone.push(() => {
      this.#own.delete(connection);
      this.#network.connections.delete(connection);
    });
  }
}

/** As TLS with a key has it: one side alone, or another key, makes no connection. */
function refusalOf({ secret }: ListenOptions, { secret: own }: ConnectOptions, where: string): StoreError | undefined {
  if (secret?.identity === own?.identity && sameBytes(secret?.key, own?.key)) return undefined;
  if (secret === undefined || own === undefined) return new StoreError("UNAVAILABLE", `${where}: one side speaks TLS`);
  return new StoreError("WRONG_KEY", `${where} has another key: here ${own.identity}, there ${secret.identity}`);
}

function sameBytes(one: Uint8Array = new Uint8Array(0), other: Uint8Array = new Uint8Array(0)): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
