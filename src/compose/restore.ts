/** Restores the embedded datastore of a data directory that nobody uses, and looks at its disk for what was handed out. */
import { StoreError } from "../core/errors.ts";
import { idCount, type TicketId } from "../core/ids.ts";
import { layoutOf, placementDepth, volumeEnd, volumeOf } from "../core/layout.ts";
import { restoreDatastore, type RestoreReport } from "../datastore/restore.ts";
import type { Host } from "../env/host.ts";
import { openDataDirectory } from "../volume/data-directory.ts";
import { findVolumes } from "../volume/volume-tree.ts";

export interface RestoreRequest {
  readonly root: string;
  readonly from: string | undefined;
  readonly isDryRun: boolean;
}

/** INCOMPATIBLE while a router runs there. */
export async function restoreRoot(host: Host, { root, from, isDryRun }: RestoreRequest): Promise<RestoreReport> {
  const { disk, clock, random } = host;
  if (from === undefined && (await disk.list(`${root}/snapshots`)) === undefined) {
    throw new StoreError("NOT_FOUND", `${root}/snapshots is not there: nothing to restore a datastore from`);
  }
  const { depth, lock } = await openDataDirectory(disk, random, { root, depth: undefined, depthDefault: 2 });
  try {
    const layout = layoutOf(depth);
    let highestVolume: number | undefined;
    for await (const volume of findVolumes(disk, root, layout, 0 as TicketId, idCount as TicketId)) {
      const placed = volumeOf(layoutOf(placementDepth), volumeEnd(layout, volume) - 1);
      highestVolume = Math.max(highestVolume ?? 0, placed);
    }
    const [datastore, snapshots] = [`${root}/datastore`, `${root}/snapshots`];
    return await restoreDatastore({ disk, clock, datastore, snapshots, from, isDryRun, highestVolume });
  } finally {
    await lock.release();
  }
}
