/** Opens the datastore that was chosen. With `forward`, another process has it open and commits. */
import type { Datastore } from "../datastore/datastore.ts";
import { openEmbedded, openEmbeddedReader } from "../datastore/embedded.ts";
import { type Forward, forwardCommits } from "../datastore/forwarded.ts";
import type { Host } from "../env/host.ts";
import type { Durability } from "../volume/volume-store.ts";

export type DatastoreChoice = { readonly kind: "embedded" } | { readonly kind: "redis"; readonly url: string };

export async function openDatastore(
  host: Host,
  choice: DatastoreChoice,
  root: string,
  durability: Durability,
  forward?: Forward,
): Promise<Datastore> {
  const { clock, disk, log } = host;
  if (choice.kind === "embedded" && forward !== undefined) {
    const local = openEmbeddedReader({ directory: `${root}/datastore`, clock, durability, log });
    return forwardCommits(local, clock, forward);
  }
  if (choice.kind === "embedded") return openEmbedded({ directory: `${root}/datastore`, clock, durability, log, disk });
  // Only who uses Redis pays for its client.
  const { openRedis } = await import("../datastore/redis.ts");
  return openRedis({ url: choice.url, clock, durability, log });
}
