/**
 * Connections between the machines of one simulation. Bytes arrive in order, late, and cut at any place; a connection
 * may be cut, or fall silent: then what is sent goes nowhere and nobody is told.
 *
 * Assumed, as of TCP: no byte is lost, repeated or changed on a connection that is not cut.
 */
import { StoreError } from "../src/core/errors.ts";
import * as limits from "../src/core/limits.ts";
import type { Connection, ConnectOptions, Listener, ListenOptions, Network, Receiver } from "../src/env/host.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import type { SimulatedRandom } from "./simulated-random.ts";

/** What a connection's system holds for one direction before `write` waits. */
const systemBufferSize = 262_144;
const firstFreePort = 49_152;

interface Bound {
  readonly machine: AttachedNetwork;
  readonly options: ListenOptions;
  readonly accept: (connection: Connection) => void;
  readonly waiting: Waiting;
  readonly connections: Set<SimulatedConnection>;
}

/** What the network did to somebody. */
export type NetworkEffect =
  | "cut with bytes under way"
  | "cut in the middle of a frame"
  | "silence with bytes under way"
  | "bytes held up by a partition"
  | "bytes that overtook others of another connection";

/** Bytes that arrived and that no Receiver has taken, over all connections of a listener. */
interface Waiting {
  size: number;
  readonly sizeMax: number;
}

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

/** One end of a connection. */
class SimulatedConnection implements Connection {
  readonly localHost: string;
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly onGone: (() => void)[] = [];
  peer!: SimulatedConnection;
  readonly #network: SimulatedNetwork;
  readonly #receiveBuffer: Uint8Array;
  readonly #waiting: Waiting;
  #receiver: Receiver | undefined;
  /** Arrived, and not taken. */
  #rest: Uint8Array | undefined;
  #paused = true;
  /** Sent to this end and still under way, in order. */
  readonly #incoming: Uint8Array[] = [];
  /** Of what is incoming, when it was sent. */
  readonly #incomingOrder: number[] = [];
  /** Some of the first incoming piece has been delivered. */
  #isWithinPiece = false;
  #incomingSize = 0;
  #incomingEnd = false;
  #delivering = false;
  #endTold = false;
  /** Bytes sent from this end, and how many of them the other one has been given. */
  #sentCount = 0;
  #arrivedCount = 0;
  /** `end`: what `#sentCount` was after that write. */
  readonly #writers: { end: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #sentEnd = false;
  #gone = false;
  #closedTold = false;
  #error: Error | undefined;
  #silenced = false;

  constructor(
    network: SimulatedNetwork,
    localHost: string,
    remoteHost: string,
    remotePort: number,
    receiveBuffer: Uint8Array,
    waiting: Waiting,
  ) {
    this.#network = network;
    this.localHost = localHost;
    this.remoteHost = remoteHost;
    this.remotePort = remotePort;
    this.#receiveBuffer = receiveBuffer;
    this.#waiting = waiting;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#paused = false;
    if (this.#gone) this.#network.clock.soon(() => this.#tellClosed());
    else this.#deliverSoon();
  }

  resume(): void {
    if (this.#gone) return;
    this.#paused = false;
    const rest = this.#rest;
    if (rest !== undefined) {
      this.#keep(undefined);
      if (!this.#offer(rest)) return;
    }
    this.#deliverSoon();
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#gone || this.#sentEnd) {
      return Promise.reject(this.#error ?? new Error("write after the end of the connection"));
    }
    this.#sentCount += bytes.length;
    return new Promise((resolve, reject) => {
      this.#writers.push({ end: this.#sentCount, resolve, reject });
      if (!this.#silenced) this.peer.#arrive(bytes.slice());
      this.#settleWriters();
    });
  }

  end(): Promise<void> {
    if (this.#gone || this.#sentEnd) return Promise.resolve();
    this.#sentEnd = true;
    if (!this.#silenced) this.peer.#arriveEnd();
    this.#closeIfDone();
    return Promise.resolve();
  }

  destroy(): void {
    this.#destroy(undefined);
  }

  /** Bytes that its process has given to the system, and that the other end has not been given. */
  get queuedSize(): number {
    return this.#gone || this.#silenced ? 0 : this.#sentCount - this.#arrivedCount;
  }

  get underWaySize(): number {
    return this.#incomingSize;
  }

  /** Both ends hear that the connection is cut. */
  reset(): void {
    for (const end of [this, this.peer]) {
      if (end.#incomingSize === 0) continue;
      this.#network.onEffect("cut with bytes under way");
      // Pieces are what was written at once: whole frames.
      if (end.#isWithinPiece) this.#network.onEffect("cut in the middle of a frame");
    }
    this.#goSoon(resetError());
    this.peer.#goSoon(resetError());
  }

  /** The process at this end is no more: it is told nothing, and the other end of a reset. */
  abandon(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#closedTold = true;
    this.#keepNothing();
    this.#writers.length = 0;
    for (const call of this.onGone) call();
    this.peer.#resetSoon();
  }

  /** A partition is over. */
  goOn(): void {
    if (this.#receiver !== undefined) this.#deliverSoon();
  }

  silence(): void {
    if (this.#incomingSize + this.peer.#incomingSize > 0) this.#network.onEffect("silence with bytes under way");
    this.#silenced = true;
    this.peer.#silenced = true;
  }

  /** The peer reads what was sent before and then the end, as if all had been well, or it hears of a reset. */
  #destroy(error: Error | undefined): void {
    if (this.#gone) return;
    this.#goSoon(error);
    if (this.#silenced) return;
    if (this.#sentEnd || this.#network.random.chance(0.5)) this.peer.#arriveEnd();
    else this.peer.#resetSoon();
  }

  #resetSoon(): void {
    this.#network.clock.after(this.#network.takeDelay(), () => this.#goSoon(resetError()));
  }

  #arrive(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#gone) {
      // Nobody is there to read it: the sender learns that by a reset.
      this.peer.#resetSoon();
      return;
    }
    this.#incoming.push(bytes);
    this.#incomingOrder.push(++this.#network.sentCount);
    this.#incomingSize += bytes.length;
    this.#deliverSoon();
  }

  #arriveEnd(): void {
    this.#incomingEnd = true;
    this.#deliverSoon();
  }

  #deliverSoon(): void {
    if (this.#delivering || this.#paused || this.#gone || this.#silenced) return;
    if (this.#incoming.length === 0 && (!this.#incomingEnd || this.#endTold)) return;
    if (this.#network.isPartitioned(this.localHost, this.remoteHost)) {
      this.#network.onEffect("bytes held up by a partition");
      return;
    }
    this.#delivering = true;
    this.#network.clock.after(this.#network.takeDelay(), () => {
      this.#delivering = false;
      if (this.#paused || this.#gone || this.#silenced) return;
      if (this.#network.isPartitioned(this.localHost, this.remoteHost)) {
        this.#network.onEffect("bytes held up by a partition");
        return;
      }
      if (this.#incoming.length > 0) this.#deliver();
      else this.#tellEnd();
      this.#deliverSoon();
    });
  }

  /** One piece, cut anywhere: into the buffer that all connections share, which is overwritten after. */
  #deliver(): void {
    const sizeMax = Math.min(this.#incomingSize, this.#network.pieceSizeMax, this.#receiveBuffer.length);
    const chunk = this.#receiveBuffer.subarray(0, this.#network.random.between(1, sizeMax));
    let filled = 0;
    while (filled < chunk.length) {
      const next = this.#incoming[0]!;
      const part = next.subarray(0, chunk.length - filled);
      chunk.set(part, filled);
      filled += part.length;
      this.#noteOrder(this.#incomingOrder[0]!);
      this.#isWithinPiece = part.length < next.length;
      if (this.#isWithinPiece) this.#incoming[0] = next.subarray(part.length);
      else {
        this.#incoming.shift();
        this.#incomingOrder.shift();
      }
    }
    this.#incomingSize -= chunk.length;
    this.#network.onEvent?.("bytes", this.remoteHost, this.localHost, chunk.length);
    this.#offer(chunk);
    chunk.fill(0xdb);
    this.peer.#arrivedCount += chunk.length;
    this.peer.#settleWriters();
  }

  #noteOrder(order: number): void {
    const { arrived } = this.#network;
    const last = arrived.get(this.localHost) ?? 0;
    if (order < last) this.#network.onEffect("bytes that overtook others of another connection");
    else arrived.set(this.localHost, order);
  }

  /** Whether all was taken. */
  #offer(chunk: Uint8Array): boolean {
    const taken = this.#receiver!.bytes(chunk);
    if (taken === chunk.length) return true;
    this.#paused = true;
    this.#keep(chunk.slice(taken));
    return false;
  }

  #keep(rest: Uint8Array | undefined): void {
    this.#waiting.size += (rest?.length ?? 0) - (this.#rest?.length ?? 0);
    this.#rest = rest;
    if (this.#waiting.size > this.#waiting.sizeMax) {
      this.#destroy(new StoreError("BUSY", `more than ${this.#waiting.sizeMax} bytes wait for a buffer`));
    }
  }

  #tellEnd(): void {
    this.#endTold = true;
    this.#network.onEvent?.("end", this.remoteHost, this.localHost, 0);
    this.#receiver!.end();
    this.#closeIfDone();
    this.peer.#closeIfDone();
  }

  /** Both directions have ended, and both sides know. */
  #closeIfDone(): void {
    const peerKnows = this.peer.#endTold || this.peer.#gone;
    if (this.#sentEnd && this.#endTold && peerKnows) this.#goSoon(undefined);
  }

  /** A write resolves when no more than a system's buffer of what was sent is still under way. */
  #settleWriters(): void {
    const room = this.#arrivedCount + systemBufferSize;
    while (this.#writers.length > 0 && this.#writers[0]!.end <= room) {
      this.#network.clock.soon(this.#writers.shift()!.resolve);
    }
  }

  #goSoon(error: Error | undefined): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#error = error;
    this.#keepNothing();
    for (const writer of this.#writers.splice(0)) writer.reject(error ?? new Error("the connection was closed"));
    for (const call of this.onGone) call();
    this.#network.clock.soon(() => this.#tellClosed());
  }

  #keepNothing(): void {
    this.#waiting.size -= this.#rest?.length ?? 0;
    this.#rest = undefined;
    this.#incoming.length = 0;
    this.#incomingOrder.length = 0;
    this.#incomingSize = 0;
  }

  #tellClosed(): void {
    if (this.#receiver === undefined || this.#closedTold) return;
    this.#closedTold = true;
    this.#network.onEvent?.("closed", this.remoteHost, this.localHost, 0);
    this.#receiver.closed(this.#error);
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

function pairOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}

function resetError(): Error {
  return Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
}
