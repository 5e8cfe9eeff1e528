/**
 * An HTTP/1.1 server over the Host's network: what node:http costs for each request and each piece of a body (measured:
 * docs/decisions) is most of what a small object costs otherwise. TLS stays with Node's (env/node-http.ts).
 */
import * as limits from "../../core/limits.ts";
import type { Clock, Network, Timer } from "../../env/host.ts";
import { httpDefaults } from "../../env/http-defaults.ts";
import type {
  HttpAnswer,
  HttpHandler,
  HttpLimits,
  HttpListener,
  HttpRefusal,
  HttpServerOptions,
} from "../../env/http.ts";
import { DateLine } from "./answer-bytes.ts";
import { HttpConnection, type Shared } from "./http-connection.ts";
import { HeadReader } from "./request-head.ts";

export interface HttpServerHost {
  readonly network: Network;
  readonly clock: Clock;
}

/** Rejects with the system's error where the port cannot be had. */
export async function openHttpServer(
  { network, clock }: HttpServerHost,
  options: HttpServerOptions,
  handler: HttpHandler,
): Promise<HttpListener> {
  const bounds: HttpLimits = { ...httpDefaults, ...options.limits };
  const shared: Shared = {
    handler,
    refuse: options.refuse ?? plainRefusal,
    limits: bounds,
    log: options.log,
    heads: new HeadReader(),
    date: new DateLine(),
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    activeCount: 0,
    peers: new Map(),
    isClosing: false,
  };
  const connections = new Set<HttpConnection>();
  const listener = await network.listen(
    {
      host: options.host,
      port: options.port,
      receiveBuffer: Buffer.allocUnsafeSlow(limits.receiveSize),
      connectionsMax: bounds.connectionsMax,
      waitingSizeMax: limits.httpWaitingSizeMax,
      shared: true,
    },
    (connection) => {
      const address = connection.remoteHost;
      const peer = shared.peers.get(address) ?? { connectionCount: 0, activeCount: 0 };
      const isTooMany = bounds.connectionsPerPeerMax > 0 && peer.connectionCount >= bounds.connectionsPerPeerMax;
      if (isTooMany || shared.isClosing) {
        connection.destroy();
        return;
      }
      shared.peers.set(address, peer);
      peer.connectionCount++;
      const made = new HttpConnection(connection, peer, shared, (closed) => {
        connections.delete(closed);
        if (--peer.connectionCount === 0) shared.peers.delete(address);
      });
      connections.add(made);
      connection.start(made);
    },
  );
  const sweeper = startSweeping(clock, bounds, connections);
  return {
    port: listener.port,
    get connectionCount() {
      return connections.size;
    },
    close: async () => {
      shared.isClosing = true;
      await listener.close();
      for (const connection of connections) if (connection.isIdle) connection.destroy();
      await drained(clock, bounds.drainTimeoutMs, connections);
      sweeper.cancel();
    },
  };
}

/** As often as the shortest of its times asks for. */
function startSweeping(clock: Clock, bounds: HttpLimits, connections: ReadonlySet<HttpConnection>): Timer {
  const { headerTimeoutMs, bodyIdleTimeoutMs, keepAliveTimeoutMs, writeStallMs, unreadTimeoutMs } = bounds;
  const shortest = Math.min(headerTimeoutMs, bodyIdleTimeoutMs, keepAliveTimeoutMs, writeStallMs, unreadTimeoutMs);
  const everyMs = Math.max(5, Math.min(1_000, shortest / 4));
  let timer: Timer;
  const sweep = (): void => {
    const now = clock.monotonic();
    for (const connection of connections) connection.sweep(now);
    timer = clock.after(everyMs, sweep);
  };
  timer = clock.after(everyMs, sweep);
  return { cancel: () => timer.cancel() };
}

/** Until all are gone; those that are left after a while are cut. */
async function drained(clock: Clock, timeoutMs: number, connections: ReadonlySet<HttpConnection>): Promise<void> {
  const until = clock.monotonic() + timeoutMs;
  while (connections.size > 0) {
    if (clock.monotonic() >= until) for (const connection of connections) connection.destroy();
    for (const connection of connections) if (connection.isIdle) connection.destroy();
    await new Promise<void>((resolve) => void clock.after(limits.drainCheckMs, resolve));
  }
}

function plainRefusal({ status, message }: HttpRefusal): HttpAnswer {
  return { status, headers: { "Content-Type": "text/plain; charset=utf-8" }, body: `${message}\n` };
}
