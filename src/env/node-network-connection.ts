/** A connection over a socket of Node's, whatever lies beneath: offers bytes, keeps what is not taken, tells the end once. */
import type net from "node:net";
import { StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { Connection, Receiver } from "./host.ts";

/** Bytes read that no Receiver has taken, over all connections of a listener. */
export interface Waiting {
  size: number;
  readonly sizeMax: number;
  /** Memory for what waits, used again: as garbage it would pile up while many clients are held back. */
  readonly spaces: Uint8Array[];
}

/** What a connection must know of the socket that it adopts. */
interface Beneath {
  /** It reads by `onRead`. */
  readonly hasOnRead?: boolean;
  /** The system's socket, where there is another one around it. */
  readonly system?: net.Socket;
}

interface OnRead {
  readonly buffer: Uint8Array;
  readonly callback: (count: number, buffer: Uint8Array) => boolean;
}

export class NodeConnection implements Connection {
  remoteHost = "";
  remotePort = 0;
  readonly #waiting: Waiting;
  readonly #gone: () => void;
  #socket: net.Socket | undefined;
  #receiver: Receiver | undefined;
  /** What the receiver has not taken yet. */
  #rest: Uint8Array | undefined;
  /** Where it lies, if that is memory to be given back. */
  #space: Uint8Array | undefined;
  #ended = false;
  #endTold = false;
  #socketClosed = false;
  #destroyed = false;
  #closed = false;
  #error: Error | undefined;

  constructor(waiting: Waiting, gone: () => void) {
    this.#waiting = waiting;
    this.#gone = gone;
  }

  onRead(buffer: Uint8Array): OnRead {
    return { buffer, callback: (count) => this.#offer(buffer.subarray(0, count), true) };
  }

  adopt(socket: net.Socket, { hasOnRead = false, system = socket }: Beneath): void {
    this.#socket = socket;
    this.remoteHost = system.remoteAddress ?? "";
    this.remotePort = system.remotePort ?? 0;
    if (!hasOnRead) {
      socket.on("data", (chunk) => {
        if (!this.#offer(chunk, false)) socket.pause();
      });
    }
    socket.pause();
    socket.on("end", () => {
      if (wasReset(socket)) {
        socket.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
        return;
      }
      this.#ended = true;
      this.#tellEnd();
    });
    socket.on("error", (error) => (this.#error = error));
    socket.on("close", () => {
      this.#socketClosed = true;
      this.#close();
    });
    // One listener for all writes: each would add its own otherwise.
    socket.setMaxListeners(0);
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    if (this.#closed) process.nextTick(() => receiver.closed(this.#error));
    else this.#socket!.resume();
  }

  resume(): void {
    const rest = this.#rest;
    if (rest !== undefined) {
      this.#keep(undefined);
      if (!this.#offer(rest, false)) return;
      this.#giveBackSpace();
    }
    this.#tellEnd();
    if (this.#socket!.destroyed) return;
    this.#socket!.resume();
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket!.write(bytes, (error) => (error ? reject(this.#error ?? error) : resolve()));
    });
  }

  writeNow(bytes: Uint8Array): Promise<void> | undefined {
    const socket = this.#socket!;
    let settle: ((error: Error | null | undefined) => void) | undefined;
    // It is called in another turn, even where all was taken in this one.
    socket.write(bytes, (error) => settle?.(error));
    if (socket.writableLength === 0 && socket.writable) return undefined;
    return new Promise((resolve, reject) => {
      settle = (error) => (error ? reject(this.#error ?? error) : resolve());
    });
  }

  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket!.destroyed) resolve();
      else this.#socket!.end(() => resolve());
    });
  }

  destroy(): void {
    this.#destroyed = true;
    this.#socket!.destroy();
    if (this.#socketClosed) process.nextTick(() => this.#close());
  }

  /** What came whole is still there to be taken, and its end to be told, when both sides have closed the socket. */
  #close(): void {
    const isRead = this.#rest === undefined || !this.#ended || this.#error !== undefined || this.#destroyed;
    if (!this.#socketClosed || !isRead || this.#closed) return;
    this.#keep(undefined);
    this.#giveBackSpace();
    this.#gone();
    this.#closed = true;
    this.#receiver?.closed(this.#error);
  }

  /** Whether all was taken. `shared` memory is overwritten by the next read, so what is left is copied. */
  #offer(chunk: Uint8Array, shared: boolean): boolean {
    if (this.#rest !== undefined) {
      // The system had read ahead before the pause took effect.
      this.#keep(Buffer.concat([this.#rest, chunk]));
      return false;
    }
    const taken = this.#receiver === undefined ? 0 : this.#receiver.bytes(chunk);
    if (taken === chunk.length) return true;
    const rest = chunk.subarray(taken);
    this.#keep(shared ? this.#copy(rest) : rest);
    return false;
  }

  #copy(rest: Uint8Array): Uint8Array {
    this.#space = this.#waiting.spaces.pop() ?? Buffer.allocUnsafeSlow(limits.receiveSize);
    this.#space.set(rest);
    return this.#space.subarray(0, rest.length);
  }

  #giveBackSpace(): void {
    if (this.#space !== undefined && this.#waiting.spaces.length < limits.waitingSpacesMax) {
      this.#waiting.spaces.push(this.#space);
    }
    this.#space = undefined;
  }

  #keep(rest: Uint8Array | undefined): void {
    this.#waiting.size += (rest?.length ?? 0) - (this.#rest?.length ?? 0);
    this.#rest = rest;
    if (rest === undefined) return;
    this.#socket!.pause();
    if (this.#waiting.size > this.#waiting.sizeMax) {
      this.#socket!.destroy(new StoreError("BUSY", `more than ${this.#waiting.sizeMax} bytes wait for a buffer`));
    }
  }

  #tellEnd(): void {
    if (!this.#ended || this.#endTold || this.#rest !== undefined || this.#receiver === undefined) return;
    this.#endTold = true;
    this.#receiver.end();
    process.nextTick(() => this.#close());
  }
}

/**
 * A reset that comes while bytes wait to be read is told as an ordinary end (libuv takes POLLHUP for one). To a stream
 * whose end means "this is the whole object" the difference is everything, so the system is asked: a connection that the
 * peer only half-closed still has a peer. Where this side has ended too, an orderly close leaves none either: not asked.
 */
function wasReset(socket: net.Socket): boolean {
  if (socket.writableEnded) return false;
  const handle = (socket as unknown as { _handle?: { getpeername?: (into: object) => number } | null })._handle;
  return handle?.getpeername !== undefined && handle.getpeername({}) !== 0;
}
