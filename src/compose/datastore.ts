/** Opens the datastore that was chosen. */
import type { Datastore } from "../datastore/datastore.ts";
import { openEmbedded } from "../datastore/embedded.ts";
import type { Host } from "../env/host.ts";
import type { Durability } from "../volume/volume-store.ts";

export type DatastoreChoice = { readonly kind: "embedded" } | { readonly kind: "redis"; readonly url: string };

export async function openDatastore(
  host: Host,
  choice: DatastoreChoice,
  root: string,
  durability: Durability,
): Promise<Datastore> {
  const { clock, disk, log } = host;
  if (choice.kind === "embedded") return openEmbedded({ directory: `${root}/datastore`, clock, durability, log, disk });
  // Only who uses Redis pays for its client.
  const { openRedis } = await import("../datastore/redis.ts");
  return openRedis({ url: choice.url, clock, durability, log });
}
