/** A worker of `router --workers N` (workers.ts): asks the primary what it is to be, serves, and ends when it is told. */
import cluster from "node:cluster";
import path from "node:path";
import type { WorkerRole } from "../compose/worker-role.ts";
import { messageOf, StoreError } from "../core/errors.ts";
import type { Key } from "../core/key.ts";
import type { CallOutcome } from "../datastore/forwarded.ts";
import type { Host, Log } from "../env/host.ts";
import { nodeHost } from "../env/node-host.ts";
import { nodeLog } from "../env/node-log.ts";
import type { ReclaimPeers } from "../router/reclaimer.ts";
import type { CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { serviceKey } from "./key-file.ts";
import { ProcessLink } from "./process-link.ts";
import type { Service } from "./service.ts";
import { stopSignals } from "./signals.ts";
import type { Assignment, Failure, Ready } from "./workers.ts";

export type StartWorker = (
  host: Host,
  root: string,
  key: Key,
  role: WorkerRole,
  ports: Service["ports"] | undefined,
) => Promise<Service>;

/** Whether this process was started by `startWorkers`. */
export function isWorker(): boolean {
  return cluster.isWorker;
}

export async function runWorker({ settings }: CommandContext, start: StartWorker): Promise<ExitCode> {
  // A terminal sends them to all processes; it is for the primary to say when a worker ends.
  for (const signal of stopSignals) process.on(signal, () => undefined);
  let own: ReclaimPeers | undefined;
  let told!: () => void;
  const closing = new Promise<void>((resolve) => (told = resolve));
  const link = new ProcessLink(process, {
    close: () => told(),
    readersEnd: async () => void (await own?.readersEnd()),
    reclaimed: (volume: number) => own?.reclaimed(volume),
  });
  const { index, count, directory, commits, ports } = await link.ask<Assignment>("join");
  const role: WorkerRole = {
    index,
    count,
    directory,
    forward: commits ? (calls) => link.ask<readonly CallOutcome[]>("commit", calls) : undefined,
    peers: {
      readersEnd: () => link.ask("readersEnd"),
      reclaimed: (volume) => void link.ask("reclaimed", volume).catch(() => undefined),
    },
    snapshots: () => link.ask("snapshots"),
    setUp: () => link.ask("setUp"),
    onAsked: (peer) => (own = peer),
  };
  const host = nodeHost(logOf(nodeLog(settings.get("logLevel")), index));
  try {
    const { key } = await serviceKey(settings, directory.root, host.random);
    const service = await start(host, path.resolve(directory.root), key, role, ports);
    const ready: Ready = { banner: service.banner, ports: service.ports };
    await link.ask("ready", ready);
    await closing;
    await service.close();
  } catch (error) {
    const code = error instanceof StoreError ? error.code : undefined;
    const failure: Failure = { code, message: messageOf(error) };
    await link.ask("failed", failure);
  }
  // With that, this process ends: nothing else keeps it.
  process.disconnect();
  return ExitCode.ok;
}

function logOf(log: Log, worker: number): Log {
  return {
    debug: (message, fields) => log.debug(message, { worker, ...fields }),
    info: (message, fields) => log.info(message, { worker, ...fields }),
    warn: (message, fields) => log.warn(message, { worker, ...fields }),
    error: (message, fields) => log.error(message, { worker, ...fields }),
  };
}
