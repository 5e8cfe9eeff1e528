/**
 * One port, two kinds of connections: the first bytes tell whether it carries requests (`hello`) or bare frames. Also
 * closes connections on which nothing happens.
 */
import type { Kernel } from "../core/kernel.ts";
import * as limits from "../core/limits.ts";
import { type Connection, delay, type Host, type Listener, type Receiver } from "../env/host.ts";
import { refusalLog } from "../env/peer-host.ts";
import { beginsRequests, beginsTls } from "./message.ts";
import { RequestConnection, type RequestServerOptions } from "./request-server.ts";

/** A receiver that knows whether something is under way, so that it is not taken for idle. */
export interface WorkingReceiver extends Receiver {
  readonly working: boolean;
  /** Whether a port that closes should wait for it; where it is not said, `working` tells. */
  readonly drains?: boolean;
}

export interface SortedPortOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly bind: string;
  readonly port: number;
  readonly requests: RequestServerOptions;
  /** Makes the receiver of a connection that carries bare frames. */
  readonly frames: (connection: Connection) => WorkingReceiver;
  readonly idleTimeoutMs?: number;
}

export interface Port {
  readonly listener: Listener;
  /** Takes no new connections and no more bytes, lets what is under way end, for a while, and cuts the rest. */
  close(): Promise<void>;
}

export async function openSortedPort(options: SortedPortOptions): Promise<Port> {
  const { host, kernel, bind, port, requests, frames } = options;
  const onTls = refusalLog(host, "connection refused", port);
  return openPort({ host, kernel, bind, port, ...pickIdle(options) }, (connection) => {
    return new SortedConnection(
      () => {
        onTls(connection.remoteHost, "it speaks TLS: --peer-tls is not set here");
        connection.destroy();
      },
      () => new RequestConnection(requests, connection),
      () => frames(connection),
    );
  });
}

function pickIdle(options: { readonly idleTimeoutMs?: number }): { idleTimeoutMs?: number } {
  return options.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: options.idleTimeoutMs };
}

export interface PortOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly bind: string;
  readonly port: number;
  readonly idleTimeoutMs?: number;
  /** What to do with a connection that was idle too long; by default it is cut. */
  readonly onIdle?: (receiver: WorkingReceiver, connection: Connection) => void;
  /** What to do first with the connections that are open when the port closes. */
  readonly onClosing?: (receiver: WorkingReceiver) => void;
  /** Called for each open connection several times a second. */
  readonly onTick?: (receiver: WorkingReceiver, idleMs: number) => void;
}

interface Open {
  readonly connection: Connection;
  readonly receiver: WorkingReceiver;
  activeAt: number;
}

/** Listens, and watches over the connections. One timer serves all of them. */
export async function openPort(
  options: PortOptions,
  receive: (connection: Connection) => WorkingReceiver,
): Promise<Port> {
  const { host, kernel, bind, port } = options;
  const open = new Set<Open>();
  let closing = false;
  const idleTimeoutMs = options.idleTimeoutMs ?? limits.idleTimeoutMs;
  const listener = await host.network.listen(
    {
      host: bind,
      port,
      receiveBuffer: kernel.receiveBuffer,
      connectionsMax: limits.connectionsMax,
      waitingSizeMax: limits.waitingSizeMax,
    },
    (connection) => {
      const receiver = receive(connection);
      const entry: Open = { connection, receiver, activeAt: host.clock.monotonic() };
      open.add(entry);
      connection.start({
        bytes: (chunk) => {
          if (closing) return 0;
          entry.activeAt = host.clock.monotonic();
          return receiver.bytes(chunk);
        },
        end: () => receiver.end(),
        closed: (error) => {
          open.delete(entry);
          receiver.closed(error);
        },
      });
    },
  );
  const tick = (): void => {
    const now = host.clock.monotonic();
    for (const entry of open) {
      if (entry.receiver.working) entry.activeAt = now;
      const idleMs = now - entry.activeAt;
      if (idleMs > idleTimeoutMs) (options.onIdle ?? cut)(entry.receiver, entry.connection);
      else options.onTick?.(entry.receiver, idleMs);
    }
    timer = host.clock.after(limits.idleCheckMs, tick);
  };
  let timer = host.clock.after(limits.idleCheckMs, tick);
  return {
    listener,
    close: async () => {
      timer.cancel();
      closing = true;
      await listener.close();
      for (const { receiver } of open) options.onClosing?.(receiver);
      const until = host.clock.monotonic() + limits.drainTimeoutMs;
      const isWorking = (): boolean => [...open].some(({ receiver }) => receiver.drains ?? receiver.working);
      while (isWorking() && host.clock.monotonic() < until) await delay(host.clock, limits.drainCheckMs);
      for (const { connection } of open) connection.destroy();
    },
  };
}

function cut(_receiver: WorkingReceiver, connection: Connection): void {
  connection.destroy();
}

/** A connection whose kind is not known until enough of it has arrived. */
class SortedConnection implements WorkingReceiver {
  readonly #refuseTls: () => void;
  readonly #requests: () => WorkingReceiver;
  readonly #frames: () => WorkingReceiver;
  #first: Uint8Array = new Uint8Array(0);
  #receiver: WorkingReceiver | undefined;

  constructor(refuseTls: () => void, requests: () => WorkingReceiver, frames: () => WorkingReceiver) {
    this.#refuseTls = refuseTls;
    this.#requests = requests;
    this.#frames = frames;
  }

  get working(): boolean {
    return this.#receiver?.working ?? false;
  }

  get drains(): boolean {
    return this.#receiver?.drains ?? this.working;
  }

  bytes(chunk: Uint8Array): number {
    if (this.#receiver !== undefined && this.#first.length === 0) return this.#receiver.bytes(chunk);
    // Trickled: kept until they tell, or until the receiver has taken them.
    const kept = this.#first.length;
    const all = kept === 0 ? chunk : joined(this.#first, chunk.subarray(0, limits.receiveSize - kept));
    const requests = beginsRequests(all);
    if (requests === undefined) {
      this.#first = all.slice();
      return chunk.length;
    }
    if (this.#receiver === undefined && beginsTls(all)) {
      this.#refuseTls();
      return chunk.length;
    }
    this.#receiver ??= requests ? this.#requests() : this.#frames();
    const taken = this.#receiver.bytes(all);
    if (taken >= kept) {
      this.#first = new Uint8Array(0);
      return taken - kept;
    }
    this.#first = all.slice(taken, kept);
    return 0;
  }

  end(): void {
    this.#receiver ??= this.#frames();
    // Fewer than eight bytes, offered for as long as it takes some: they are not in the connection's keeping any more.
    for (let rest = this.#first; rest.length > 0;) {
      const taken = this.#receiver.bytes(rest);
      if (taken === 0) break;
      rest = rest.subarray(taken);
    }
    this.#receiver.end();
  }

  closed(error: Error | undefined): void {
    this.#receiver?.closed(error);
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
