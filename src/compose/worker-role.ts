/**
 * What a router is that shares its data directory with others: worker `index` of `count` processes, started and locked
 * for by a primary (cli/workers.ts). Each has a name of its own in the datastore, leases its own tickets and writes its
 * own volumes; each reads the volumes of all.
 */
import { volumeEnd, volumeStart } from "../core/layout.ts";
import { workersMax } from "../core/limits.ts";
import type { Forward } from "../datastore/forwarded.ts";
import type { SnapshotStatus } from "../datastore/history.ts";
import type { ReclaimPeers } from "../router/reclaimer.ts";
import type { Router, Siblings } from "../router/router.ts";
import { placement } from "../router/ticket-allocator.ts";
import type { DataDirectory } from "../volume/data-directory.ts";
import type { VolumeStore } from "../volume/volume-store.ts";

export interface WorkerRole {
  readonly index: number;
  readonly count: number;
  /** As the primary has opened and locked it. */
  readonly directory: Pick<DataDirectory, "root" | "depth" | "id">;
  /** The process that commits; undefined where the datastore is a server of its own. */
  readonly forward: Forward | undefined;
  readonly peers: ReclaimPeers;
  /** Of the process that commits. */
  readonly snapshots: () => Promise<SnapshotStatus | undefined>;
  /** Called when all is ready but the shared port; resolves when it is in every worker, so that they share clients. */
  readonly setUp: () => Promise<void>;
  /** Takes what this worker does when another one asks. */
  readonly onAsked: (own: ReclaimPeers) => void;
}

/** The first is called as the directory, so that what was written without workers is its own. */
export function nameOf(directory: string, index: number): string {
  return index === 0 ? directory : `${directory}.${index}`;
}

/** The other routers of the directory. Those that do not run are the first one's to care for. */
export function siblingsOf(directory: string, local: VolumeStore | undefined, role: WorkerRole | undefined): Siblings {
  const names = Array.from({ length: workersMax }, (_, index) => nameOf(directory, index));
  const all = new Set(names);
  return {
    former: new Set(role === undefined ? names.slice(1) : role.index === 0 ? names.slice(role.count) : []),
    storeOf: (putter) => (all.has(putter) ? local : undefined),
    peers: role?.peers,
  };
}

/** What the other workers of the directory ask of this one. */
export function ownPeer(router: Router, local: VolumeStore | undefined): ReclaimPeers {
  return {
    readersEnd: () => router.reclaimer.readersEnd(),
    reclaimed: (volume) => void local?.letGo(volumeStart(placement, volume), volumeEnd(placement, volume)),
  };
}
