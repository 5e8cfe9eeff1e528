/**
 * HTTP through node:http and node:https. What is done here beyond them: limits on what one connection, one client and all
 * together may cost; every request gets an answer or a closed connection, whatever comes in; bytes of headers as they are.
 *
 * Timeouts cost nothing per request: a sweep over the connections looks at what has not moved since the last one.
 */
import http, { type ServerResponse } from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { messageOf } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { Clock, Timer } from "./host.ts";
import { httpDefaults } from "./http-defaults.ts";
import type { HttpAnswer, HttpHandler, HttpLimits, HttpListener, HttpRefusal, HttpServerOptions } from "./http.ts";
import { nodeClock } from "./node-clock.ts";
import { HttpConnection, type Peer, type Shared } from "./node-http-connection.ts";
import { JoinedMessage } from "./node-http-request.ts";
import { openCertificate } from "./node-http-tls.ts";

export async function listenHttp(options: HttpServerOptions, handler: HttpHandler): Promise<HttpListener> {
  const clock = options.clock ?? nodeClock;
  const bounds: HttpLimits = { ...httpDefaults, ...options.limits };
  const certificate = options.tls === undefined ? undefined : await openCertificate(options.tls, clock, options.log);
  const server = new NodeHttpServer(options, bounds, clock, handler);
  try {
    await server.listen(certificate?.context);
  } catch (error) {
    certificate?.close();
    throw error;
  }
  certificate?.follow((context) => (server.node as https.Server).setSecureContext(context));
  return {
    get port() {
      return server.port;
    },
    get connectionCount() {
      return server.connectionCount;
    },
    close: async () => {
      certificate?.close();
      await server.close();
    },
  };
}

/** Where a socket has its connection: found without a look-up in a table. */
const connectionOf = Symbol("connection");
type Tracked = Socket & { [connectionOf]?: HttpConnection };

class NodeHttpServer {
  node!: http.Server;
  port = 0;
  readonly #options: HttpServerOptions;
  readonly #limits: HttpLimits;
  readonly #clock: Clock;
  readonly #shared: Shared;
  /** Sockets as accepted; over TLS there is none of the other kind before the handshake. */
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Set<HttpConnection>();
  readonly #peers = new Map<string, Peer>();
  #sweepTimer: Timer | undefined;

  constructor(options: HttpServerOptions, bounds: HttpLimits, clock: Clock, handler: HttpHandler) {
    this.#options = options;
    this.#limits = bounds;
    this.#clock = clock;
    this.#shared = {
      handler,
      refuse: options.refuse ?? plainRefusal,
      limits: bounds,
      log: options.log,
      isSecure: options.tls !== undefined,
      keepAlive: ["Keep-Alive", `timeout=${Math.max(1, Math.floor(bounds.keepAliveTimeoutMs / 1000))}`],
      now: () => clock.monotonic(),
      activeCount: 0,
      peerCount: 0,
      isClosing: false,
      onDone: () => undefined,
    };
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  async listen(context: https.ServerOptions | undefined): Promise<void> {
    const { host, port } = this.#options;
    const node = this.#makeServer(context);
    this.node = node;
    node.maxConnections = this.#limits.connectionsMax;
    // All headers are wanted; their size is bounded.
    node.maxHeadersCount = 0;
    // Who sends a request and half-closes gets its answer.
    (node as unknown as { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
    this.#watch(node);
    await new Promise<void>((resolve, reject) => {
      node.once("error", reject);
      node.listen({ host, port, backlog: 1024 }, () => {
        node.off("error", reject);
        resolve();
      });
    });
    // A connection that could not be accepted (no descriptors left) is its client's to notice; the port goes on.
    node.on("error", (error) => this.#options.log.debug("accepting failed", { error: messageOf(error) }));
    this.port = (node.address() as { port: number }).port;
    this.#sweepLater();
  }

  async close(): Promise<void> {
    const shared = this.#shared;
    shared.isClosing = true;
    const closed = new Promise<void>((resolve) => this.node.close(() => resolve()));
    shared.onDone = (connection) => this.#clock.soon(() => this.#closeIfIdle(connection));
    for (const connection of this.#connections) this.#closeIfIdle(connection);
    // What is still in its handshake asks for nothing yet.
    if (shared.isSecure && this.#connections.size === 0) this.#destroyAll();
    const timer = this.#clock.after(this.#limits.drainTimeoutMs, () => this.#destroyAll());
    await closed;
    timer.cancel();
    this.#sweepTimer?.cancel();
  }

  #makeServer(context: https.ServerOptions | undefined): http.Server {
    const { headerTimeoutMs, headerSizeMax } = this.#limits;
    const common = {
      IncomingMessage: JoinedMessage,
      maxHeaderSize: headerSizeMax,
      headersTimeout: headerTimeoutMs,
      // A large body takes its time; what stands still is seen by the sweep.
      requestTimeout: 0,
      keepAliveTimeout: 0,
      connectionsCheckingInterval: Math.max(10, Math.min(1000, headerTimeoutMs / 2)),
      // Answered in the gateway's words, by problemOf.
      requireHostHeader: false,
      noDelay: true,
      allowHalfOpen: true,
    };
    if (context === undefined) return http.createServer(common);
    return https.createServer({ ...common, ...context, handshakeTimeout: headerTimeoutMs });
  }

  #watch(node: http.Server): void {
    node.on("connection", (socket: Socket) => this.#accept(socket));
    if (this.#shared.isSecure) node.on("secureConnection", (socket: Socket) => this.#open(socket));
    const take = (waits: boolean, refusal?: HttpRefusal) => (message: http.IncomingMessage, response: ServerResponse) =>
      (message.socket as Tracked)[connectionOf]?.request(message as JoinedMessage, response, waits, refusal);
    node.on("request", take(false));
    node.on("checkContinue", take(true));
    // RFC 9110 lets a server answer 417 to what it does not know; S3 takes no notice of it, and clients rely on that.
    node.on("checkExpectation", take(false));
    node.on("connect", (_message: http.IncomingMessage, socket: Tracked) =>
      socket[connectionOf]?.refuseMethod({ reason: "method", status: 405, message: "this is no proxy" }),
    );
    node.on("clientError", (error: NodeJS.ErrnoException, socket: Tracked) => this.#clientError(error, socket));
    node.on("tlsClientError", (_error: Error, socket: Socket) => socket.destroy());
  }

  #accept(socket: Socket): void {
    const address = socket.remoteAddress;
    const peer = address === undefined ? undefined : this.#peerOf(address);
    const { connectionsPerPeerMax } = this.#limits;
    if (peer === undefined || (connectionsPerPeerMax > 0 && peer.connectionCount >= connectionsPerPeerMax)) {
      socket.destroy();
      return;
    }
    peer.connectionCount++;
    this.#sockets.add(socket);
    this.#shared.peerCount = this.#peers.size;
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#sockets.delete(socket);
      if (--peer.connectionCount === 0) this.#peers.delete(address!);
      this.#shared.peerCount = this.#peers.size;
    });
    if (!this.#shared.isSecure) this.#open(socket);
  }

  #peerOf(address: string): Peer {
    let peer = this.#peers.get(address);
    if (peer === undefined) {
      peer = { connectionCount: 0, activeCount: 0 };
      this.#peers.set(address, peer);
    }
    return peer;
  }

  #open(socket: Tracked): void {
    const peer = this.#peers.get(socket.remoteAddress ?? "");
    if (peer === undefined || this.#shared.isClosing) {
      socket.destroy();
      return;
    }
    const connection = new HttpConnection(socket, peer, this.#shared);
    socket[connectionOf] = connection;
    this.#connections.add(connection);
    socket.on("close", () => this.#connections.delete(connection));
  }

  #clientError(error: NodeJS.ErrnoException, socket: Tracked): void {
    const connection = socket[connectionOf];
    const code = error.code ?? "";
    const isSilent = code === "ERR_HTTP_REQUEST_TIMEOUT" && socket.bytesRead === 0;
    if (connection === undefined || isSilent || !socket.writable || !/^(HPE_|ERR_HTTP)/.test(code)) socket.destroy();
    else connection.parserFailed(refusalOf(code, error), code === "HPE_INVALID_EOF_STATE");
  }

  #sweepLater(): void {
    const { bodyIdleTimeoutMs, keepAliveTimeoutMs, writeStallMs, unreadTimeoutMs } = this.#limits;
    const shortest = Math.min(bodyIdleTimeoutMs, keepAliveTimeoutMs, writeStallMs, unreadTimeoutMs);
    const delayMs = Math.max(limits.drainCheckMs, Math.min(1000, shortest / 4));
    this.#sweepTimer = this.#clock.after(delayMs, () => {
      const now = this.#clock.monotonic();
      for (const connection of this.#connections) connection.sweep(now);
      this.#sweepLater();
    });
  }

  #closeIfIdle(connection: HttpConnection): void {
    if (connection.isIdle) connection.socket.destroySoon();
  }

  #destroyAll(): void {
    for (const connection of this.#connections) connection.socket.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function refusalOf(code: string, error: Error): HttpRefusal {
  if (code === "HPE_HEADER_OVERFLOW") {
    return { reason: "header too large", status: 431, message: "the request line and headers are too large" };
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return { reason: "header too slow", status: 408, message: "the request's headers took too long" };
  }
  return { reason: "malformed", status: 400, message: `this is no HTTP: ${error.message}` };
}

function plainRefusal({ status, message }: HttpRefusal): HttpAnswer {
  const headers = { "Content-Type": "text/plain; charset=utf-8", ...(status === 503 ? { "Retry-After": 1 } : {}) };
  return { status, headers, body: `${message}\n` };
}
