/** What follows from a ticket that was not saved. */
import { messageOf, StoreError } from "../core/errors.ts";
import { TicketStatus } from "../core/frame.ts";
import { formatId, type ObjectId } from "../core/ids.ts";
import type { BatchOutcome } from "../core/ticket-store.ts";
import type { Datastore } from "../datastore/datastore.ts";
import type { Host, Log } from "../env/host.ts";
import type { TicketAllocator, TicketLease } from "./ticket-allocator.ts";

/** Unless all were saved. A volume that a write failed in, for another reason than space, is not written to again. */
export function throwIfUnsaved(
  outcome: BatchOutcome,
  allocator: TicketAllocator,
  leases: Iterable<TicketLease>,
  log: Log,
): void {
  if (outcome.status === TicketStatus.saved) return;
  const message = `${allocator.store.place}: ${outcome.reason ?? `status ${outcome.status}`}`;
  if (outcome.status === TicketStatus.noSpace) throw new StoreError("NO_SPACE", message);
  if (outcome.status === TicketStatus.busy) throw new StoreError("BUSY", message);
  for (const { volume } of leases) {
    allocator.retire(volume).catch((error: unknown) => {
      log.warn("a volume could not be sealed", { volume, error: messageOf(error) });
    });
  }
  throw new StoreError("UNAVAILABLE", message);
}

/** So that it can be asked what became of the object. Never rejects. */
export async function noteFailure(datastore: Datastore, host: Host, id: ObjectId, reason: string): Promise<void> {
  try {
    await datastore.failObject(id, reason, host.clock.now());
  } catch (error) {
    host.log.warn("a failed write could not be noted", { object: formatId(id), error: messageOf(error) });
  }
}
