/** A Putter Node as one process. */
import { type Address, formatAddress } from "../core/address.ts";
import { type ArenaSizes, defaultArena, Kernel } from "../core/kernel.ts";
import { fingerprintOf, type Key, peerSecretOf } from "../core/key.ts";
import type { Depth } from "../core/layout.ts";
import type { Host } from "../env/host.ts";
import { peerHost } from "../env/peer-host.ts";
import { Putter } from "../putter/putter.ts";
import { openDataDirectory } from "../volume/data-directory.ts";
import { type Durability, VolumeStore } from "../volume/volume-store.ts";
import { type Banner, describeDurability, listen, peersRow } from "./router-process.ts";

export interface ServerConfig {
  readonly root: string;
  readonly bind: string;
  readonly port: number;
  readonly key: Key;
  /** undefined: what the directory has, or 4. */
  readonly depth: Depth | undefined;
  readonly respondTo: Address | undefined;
  readonly durability: Durability;
  /** Routers and commands speak TLS with it, by the key. */
  readonly peerTls?: boolean;
  readonly idleTimeoutMs?: number;
  readonly spaceReserveSize?: number;
}

export interface RunningServer {
  readonly port: number;
  readonly putter: Putter;
  readonly store: VolumeStore;
  readonly banner: Banner;
  close(): Promise<void>;
}

/** A server gathers whole groups on many connections at once. */
const serverArena: ArenaSizes = { ...defaultArena, group: 24 };

export async function startServer(machine: Host, config: ServerConfig): Promise<RunningServer> {
  const host = peerHost(machine, config.peerTls === true ? peerSecretOf(config.key) : undefined);
  const { bind, durability, key, respondTo } = config;
  const fingerprint = fingerprintOf(key);
  const kernel = new Kernel(key, serverArena);
  const directory = await openDataDirectory(host.disk, host.random, {
    root: config.root,
    depth: config.depth,
    depthDefault: 4,
  });
  const idle = config.idleTimeoutMs === undefined ? {} : { idleTimeoutMs: config.idleTimeoutMs };
  const reserve = config.spaceReserveSize === undefined ? {} : { spaceReserveSize: config.spaceReserveSize };
  const store = new VolumeStore({ host, kernel, directory, durability, ...reserve });
  try {
    const putter = await listen("--port", bind, config.port, (port) =>
      Putter.start({ host, kernel, fingerprint, store, bind, port, respondTo, ...idle }),
    );
    const { port } = putter.listener;
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await putter.close();
      await store.close();
      await directory.lock.release();
    };
    return {
      port,
      putter,
      store,
      banner: [
        ["tickets", formatAddress({ host: bind, port })],
        ["responses", respondTo === undefined ? "on the same connection" : `to ${formatAddress(respondTo)}`],
        ["data", `${config.root} (depth ${directory.depth})`],
        peersRow(config),
        ["durability", describeDurability(durability, undefined)],
        ["key fingerprint", fingerprint],
        ["try it", `data-putter loopback --port ${port} --count 100000${config.peerTls === true ? " --peer-tls" : ""}`],
      ],
      close: () => (closing ??= close()),
    };
  } catch (error) {
    await store.close();
    await directory.lock.release();
    throw error;
  }
}
