/**
 * What a router needs of whatever keeps tickets: a volume store in the same process, or a putter over the network.
 *
 * Memory belongs to the caller. A write has two ends: `released` when the memory may be used again, `saved` when the
 * outcome is known, and "saved" means on disk. Neither promise rejects: what goes wrong is a status, as on the wire.
 */
import { TicketStatus } from "./frame.ts";
import type { TicketId } from "./ids.ts";
import type { Run } from "./run.ts";

/** Tickets with consecutive ids: `count` × 1458 bytes of Data and `count` × 8 of Checksums, in the kernel's memory. */
export interface TicketBatch {
  readonly first: TicketId;
  readonly count: number;
  readonly data: Uint8Array;
  readonly sums: Uint8Array;
}

export interface BatchOutcome {
  /** The status of all tickets, where `each` is undefined; otherwise the worst of them. */
  readonly status: TicketStatus;
  readonly each: Uint8Array | undefined;
  /** For people: what lies behind a status other than saved. */
  readonly reason: string | undefined;
}

export interface PendingWrite {
  readonly released: Promise<void>;
  readonly saved: Promise<BatchOutcome>;
}

export interface ReclaimOutcome {
  readonly volumesUnlinked: number;
  readonly volumesRewritten: number;
}

export interface TicketStore {
  /** Names the data directory, wherever it is reached. */
  readonly id: string;
  /** For messages: where it is. */
  readonly place: string;
  /** Whether writes can be expected to arrive. */
  readonly available: boolean;
  write(batch: TicketBatch): PendingWrite;
  /**
   * Fills `data` and `sums` with what is stored under `count` ids from `first`; zeros where nothing is. Unverified:
   * the reader verifies, end to end.
   */
  read(first: TicketId, count: number, data: Uint8Array, sums: Uint8Array): Promise<void>;
  /** As `read`, at once; false where that cannot be, and nothing is to be made of the memory then. */
  readNow(first: TicketId, count: number, data: Uint8Array, sums: Uint8Array): boolean;
  /**
   * Frees the space of all tickets from `first` to `end` (exclusive) but those in `live`, which are in order. Nobody
   * may be writing in that range. `pace` is awaited before so many bytes are copied.
   */
  reclaim(
    first: TicketId,
    end: TicketId,
    live: readonly Run[],
    pace: (bytes: number) => Promise<void>,
  ): Promise<ReclaimOutcome>;
  /** Free bytes where it writes. */
  freeSpace(): Promise<number>;
}

const savedOutcome: BatchOutcome = {
  status: TicketStatus.saved,
  each: undefined,
  reason: undefined,
};

export function allSaved(): BatchOutcome {
  return savedOutcome;
}

export function allFailed(status: TicketStatus, reason: string): BatchOutcome {
  return { status, each: undefined, reason };
}

/** A write that ended before it began. */
export function refusedWrite(status: TicketStatus, reason: string): PendingWrite {
  return { released: Promise.resolve(), saved: Promise.resolve(allFailed(status, reason)) };
}

/** One outcome for consecutive parts of a batch. */
export function joinOutcomes(parts: readonly { count: number; outcome: BatchOutcome }[]): BatchOutcome {
  const failed = parts.find(({ outcome }) => outcome.status !== TicketStatus.saved);
  if (failed === undefined) return savedOutcome;
  const each = new Uint8Array(parts.reduce((sum, part) => sum + part.count, 0));
  let at = 0;
  for (const { count, outcome } of parts) {
    if (outcome.each === undefined) each.fill(outcome.status, at, at + count);
    else each.set(outcome.each, at);
    at += count;
  }
  return { ...failed.outcome, each };
}
