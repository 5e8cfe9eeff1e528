/** One end of a connection of a simulated network: what was sent to it, and what its Receiver has taken. */
import { StoreError } from "../src/core/errors.ts";
import type { Connection, Receiver } from "../src/env/host.ts";
import type { SimulatedNetwork } from "./simulated-network.ts";

/** What a connection's system holds for one direction before `write` waits. */
const systemBufferSize = 262_144;

/** Bytes that arrived and that no Receiver has taken, over all connections of a listener. */
export interface Waiting {
  size: number;
  readonly sizeMax: number;
}

export class SimulatedConnection implements Connection {
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

function resetError(): Error {
  return Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
}
