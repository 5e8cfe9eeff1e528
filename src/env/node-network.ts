/**
 * TCP through node:net, read into one buffer that all connections of a port share: 5 GB per core and second, against 2
 * for `data` events. Node offers that (`onread`) for sockets that one makes, not for those that a server accepts, so an
 * accepted socket's handle is moved into a new Socket. Where that private handle is not there, `data` events do.
 */
import net from "node:net";
import { messageOf, StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { Connection, ConnectOptions, Listener, ListenOptions, Network, Receiver } from "./host.ts";

export const nodeNetwork: Network = makeNodeNetwork({ movesHandles: true });

/** `movesHandles: false` is how it works where Node has no such private handle. */
export function makeNodeNetwork({ movesHandles }: { movesHandles: boolean }): Network {
  return { connect, listen: (options, accept) => listen(options, accept, movesHandles) };
}

async function listen(
  options: ListenOptions,
  accept: (connection: Connection) => void,
  movesHandles: boolean,
): Promise<Listener> {
  const connections = new Set<NodeConnection>();
  const waiting: Waiting = { size: 0, sizeMax: options.waitingSizeMax, spaces: [] };
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (accepted) => {
    if (connections.size >= options.connectionsMax) {
      accepted.destroy();
      return;
    }
    const connection = new NodeConnection(waiting, () => connections.delete(connection));
    connections.add(connection);
    const moved = movesHandles ? moveHandle(server, accepted, options.receiveBuffer, connection) : undefined;
    connection.adopt(moved ?? accepted, moved !== undefined);
    accept(connection);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    // In a worker of node:cluster too, the port is this process's alone, where it is not to be shared.
    const exclusive = options.shared !== true;
    server.listen({ host: options.host, port: options.port, backlog: 1024, exclusive }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // A connection that could not be accepted (no descriptors left) is its client's to notice; the port goes on.
  server.on("error", () => undefined);
  const address = server.address() as net.AddressInfo;
  return {
    host: address.address,
    port: address.port,
    get connectionCount() {
      return connections.size;
    },
    close: async () => void server.close(),
  };
}

function connect(options: ConnectOptions): Promise<Connection> {
  const connection = new NodeConnection({ size: 0, sizeMax: limits.waitingSizeMax, spaces: [] }, () => undefined);
  return new Promise((resolve, reject) => {
    const socket = new net.Socket({
      allowHalfOpen: true,
      onread: connection.onRead(options.receiveBuffer),
    } as never);
    const where = `${options.host}:${options.port}`;
    const timer = setTimeout(() => {
      socket.destroy(new StoreError("UNAVAILABLE", `${where} did not answer within ${options.timeoutMs} ms`));
    }, options.timeoutMs);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      const why = `${where} cannot be reached: ${reasonOf(error)}`;
      reject(error instanceof StoreError ? error : new StoreError("UNAVAILABLE", why, { cause: error }));
    };
    socket.once("error", failed);
    socket.connect({ host: options.host, port: options.port, noDelay: true }, () => {
      clearTimeout(timer);
      socket.off("error", failed);
      socket.pause();
      connection.adopt(socket, true);
      resolve(connection);
    });
  });
}

/** Where a name has several addresses, Node joins their errors under an empty message. */
function reasonOf(error: Error): string {
  return error instanceof AggregateError ? error.errors.map(messageOf).join(", ") : messageOf(error);
}

/** Bytes read that no Receiver has taken, over all connections of a listener. */
interface Waiting {
  size: number;
  readonly sizeMax: number;
  /** Memory for what waits, used again: as garbage it would pile up while many clients are held back. */
  readonly spaces: Uint8Array[];
}

interface OnRead {
  readonly buffer: Uint8Array;
  readonly callback: (count: number, buffer: Uint8Array) => boolean;
}

class NodeConnection implements Connection {
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
  #closed = false;
  #error: Error | undefined;

  constructor(waiting: Waiting, gone: () => void) {
    this.#waiting = waiting;
    this.#gone = gone;
  }

  onRead(buffer: Uint8Array): OnRead {
    return { buffer, callback: (count) => this.#offer(buffer.subarray(0, count), true) };
  }

  adopt(socket: net.Socket, hasOnRead: boolean): void {
    this.#socket = socket;
    this.remoteHost = socket.remoteAddress ?? "";
    this.remotePort = socket.remotePort ?? 0;
    if (!hasOnRead) {
      socket.on("data", (chunk) => {
        if (!this.#offer(chunk, false)) socket.pause();
      });
      socket.pause();
    }
    socket.on("end", () => {
      if (!socket.writableEnded && wasReset(socket)) {
        socket.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
        return;
      }
      this.#ended = true;
      this.#tellEnd();
    });
    socket.on("error", (error) => (this.#error = error));
    socket.on("close", () => {
      this.#keep(undefined);
      this.#giveBackSpace();
      this.#gone();
      this.#closed = true;
      this.#receiver?.closed(this.#error);
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

  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket!.destroyed) resolve();
      else this.#socket!.end(() => resolve());
    });
  }

  destroy(): void {
    this.#socket!.destroy();
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
  }
}

/**
 * A reset that comes while bytes wait to be read is told as an ordinary end (libuv takes POLLHUP for one). To a stream
 * whose end means "this is the whole object" the difference is everything, so the system is asked: a connection that the
 * peer only half-closed still has a peer. Where this side has ended too, an orderly close leaves none either: not asked.
 */
function wasReset(socket: net.Socket): boolean {
  const handle = (socket as unknown as PrivateSocket)._handle;
  return handle?.getpeername !== undefined && handle.getpeername({}) !== 0;
}

/** The private parts of a socket that moving its handle, and telling a reset from an end, need. */
interface PrivateSocket {
  _handle?: { reading?: boolean; getpeername?: (into: object) => number } | null;
  _server?: unknown;
  server?: unknown;
}

function moveHandle(
  server: net.Server,
  accepted: net.Socket,
  receiveBuffer: Uint8Array,
  connection: NodeConnection,
): net.Socket | undefined {
  const from = accepted as unknown as PrivateSocket;
  if (from._handle === undefined || from._handle === null) return undefined;
  const handle = from._handle;
  const options = {
    handle,
    allowHalfOpen: true,
    pauseOnCreate: true,
    onread: connection.onRead(receiveBuffer),
  };
  const moved = new net.Socket(options);
  const to = moved as unknown as PrivateSocket;
  from._handle = null;
  // The server counts its connections by this field.
  from._server = null;
  to._server = server;
  return moved;
}
