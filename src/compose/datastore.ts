/** Opens the datastore that was chosen. With `forward`, another process has it open and commits. */
import * as limits from "../core/limits.ts";
import type { Datastore } from "../datastore/datastore.ts";
import { openEmbedded, openEmbeddedReader } from "../datastore/embedded.ts";
import { type Forward, forwardCommits } from "../datastore/forwarded.ts";
import type { Host } from "../env/host.ts";
import { openAppendFile } from "../env/node-append-file.ts";
import type { Durability } from "../volume/volume-store.ts";

export type DatastoreChoice = { readonly kind: "embedded" } | { readonly kind: "redis"; readonly url: string };

export interface SnapshotChoice {
  /** 0: none are taken, and no journal is written. */
  readonly intervalMs?: number;
  readonly keptMax?: number;
}

export async function openDatastore(
  host: Host,
  choice: DatastoreChoice,
  root: string,
  durability: Durability,
  forward?: Forward,
  snapshots: SnapshotChoice = {},
): Promise<Datastore> {
  const { clock, disk, log } = host;
  if (choice.kind === "embedded" && forward !== undefined) {
    const local = openEmbeddedReader({ directory: `${root}/datastore`, clock, durability, log });
    return forwardCommits(local, clock, forward);
  }
  if (choice.kind === "embedded") {
    const embedded = { directory: `${root}/datastore`, clock, durability, log, disk, openFile: openAppendFile };
    const { intervalMs = limits.snapshotIntervalMs, keptMax = limits.snapshotsKept } = snapshots;
    if (intervalMs === 0) return openEmbedded(embedded);
    const settings = { directory: `${root}/snapshots`, intervalMs, keptMax, openFile: openAppendFile };
    return openEmbedded({ ...embedded, snapshots: settings });
  }
  // Only who uses Redis pays for its client.
  const { openRedis } = await import("../datastore/redis.ts");
  return openRedis({ url: choice.url, clock, durability, log });
}
