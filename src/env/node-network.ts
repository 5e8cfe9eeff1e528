/**
 * TCP through node:net, read into one buffer that all connections of a port share: 5 GB per core and second, against 2
 * for `data` events. Node offers that (`onread`) for sockets that one makes, not for those that a server accepts, so an
 * accepted socket's handle is moved into a new Socket. Where that private handle is not there, `data` events do.
 */
import net from "node:net";
import type tls from "node:tls";
import { messageOf, StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { Connection, ConnectOptions, Listener, ListenOptions, Network, PeerSecret } from "./host.ts";
import { NodeConnection, type Waiting } from "./node-network-connection.ts";
import { secureAccepted, secureConnected } from "./node-network-tls.ts";

export const nodeNetwork: Network = makeNodeNetwork({ movesHandles: true });

export interface NodeNetworkOptions {
  /** False is how it works where Node has no such private handle. */
  readonly movesHandles: boolean;
  readonly handshakeTimeoutMs?: number;
}

export function makeNodeNetwork(options: NodeNetworkOptions): Network {
  const how = { handshakeTimeoutMs: limits.tlsHandshakeMs, ...options };
  return {
    connect: (options) => connect(options, how),
    listen: (options, accept) => listen(options, accept, how),
  };
}

async function listen(
  options: ListenOptions,
  accept: (connection: Connection) => void,
  { movesHandles, handshakeTimeoutMs }: Required<NodeNetworkOptions>,
): Promise<Listener> {
  const { secret } = options;
  /** Those that shake hands among them. */
  const connections = new Set<NodeConnection>();
  const waiting: Waiting = { size: 0, sizeMax: options.waitingSizeMax, spaces: [] };
  const shaking = new Set<net.Socket>();
  const acceptSecure = (accepted: net.Socket, connection: NodeConnection, secret: PeerSecret): void => {
    const from = accepted.remoteAddress ?? "";
    shaking.add(accepted);
    secureAccepted(accepted, secret, handshakeTimeoutMs, (result) => {
      shaking.delete(accepted);
      if (result instanceof Error) {
        connections.delete(connection);
        options.onRefused?.(from, messageOf(result));
        return;
      }
      const hasOnRead = movesHandles && readInPlace(result.socket, options.receiveBuffer, connection);
      connection.adopt(result.socket, { hasOnRead, ...result });
      accept(connection);
    });
  };
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (accepted) => {
    if (connections.size >= options.connectionsMax) {
      accepted.destroy();
      return;
    }
    const connection = new NodeConnection(waiting, () => connections.delete(connection));
    connections.add(connection);
    if (secret !== undefined) return acceptSecure(accepted, connection, secret);
    const moved = movesHandles ? moveHandle(server, accepted, options.receiveBuffer, connection) : undefined;
    connection.adopt(moved ?? accepted, { hasOnRead: moved !== undefined });
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
    close: async () => {
      server.close();
      for (const accepted of shaking) accepted.destroy();
    },
  };
}

function connect(options: ConnectOptions, { movesHandles }: NodeNetworkOptions): Promise<Connection> {
  const { secret, timeoutMs } = options;
  const connection = new NodeConnection({ size: 0, sizeMax: limits.waitingSizeMax, spaces: [] }, () => undefined);
  return new Promise((resolve, reject) => {
    const reading = secret === undefined ? { onread: connection.onRead(options.receiveBuffer) } : {};
    const socket = new net.Socket({ allowHalfOpen: true, ...reading });
    const where = `${options.host}:${options.port}`;
    const startedAt = performance.now();
    const timer = setTimeout(() => {
      socket.destroy(new StoreError("UNAVAILABLE", `${where} did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
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
      if (secret === undefined) {
        connection.adopt(socket, { hasOnRead: true });
        return resolve(connection);
      }
      const leftMs = Math.max(1, Math.round(timeoutMs - (performance.now() - startedAt)));
      secureConnected(socket, { secret, where, timeoutMs: leftMs }, (result) => {
        if (result instanceof Error) return failed(result);
        const hasOnRead = movesHandles && readInPlace(result.socket, options.receiveBuffer, connection);
        connection.adopt(result.socket, { hasOnRead, ...result });
        resolve(connection);
      });
    });
  });
}

/** Where a name has several addresses, Node joins their errors under an empty message. */
function reasonOf(error: Error): string {
  return error instanceof AggregateError ? error.errors.map(messageOf).join(", ") : messageOf(error);
}

/** The private parts of a socket that moving its handle needs. */
interface PrivateSocket {
  _handle?: object | null;
  _server?: unknown;
  server?: unknown;
}

interface PrivateStream {
  useUserBuffer?: (buffer: Uint8Array) => void;
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

/**
 * What `onread` does for sockets that one makes, for one that TLS made: it ignores that option where it is given a socket.
 * False where Node has other private parts than these, or has read something already.
 */
function readInPlace(socket: tls.TLSSocket, receiveBuffer: Uint8Array, connection: NodeConnection): boolean {
  const parts = socket as unknown as Record<symbol, unknown> & { _handle?: PrivateStream | null };
  const own = Object.getOwnPropertySymbols(socket);
  const [kBuffer, kBufferCb] = ["kBuffer", "kBufferCb"].map((name) => own.find((each) => each.description === name));
  const handle = parts._handle;
  if (kBuffer === undefined || kBufferCb === undefined || typeof handle?.useUserBuffer !== "function") return false;
  if (socket.readableLength > 0) return false;
  const { buffer, callback } = connection.onRead(receiveBuffer);
  handle.useUserBuffer(buffer);
  parts[kBuffer] = buffer;
  parts[kBufferCb] = callback;
  return true;
}
