/**
 * The short way for an object whose bytes are all at hand and fit into one block: no stream, no reservation, no
 * progress to watch; the same steps in the same order. Three times as fast as ObjectWriter for a single ticket.
 */
import { checksumSize, ticketCountOf, ticketDataSize } from "../core/frame.ts";
import { type BufferKind, bufferTicketCount, type Kernel, type TicketBuffer } from "../core/kernel.ts";
import type { TicketId } from "../core/ids.ts";
import { appendRun, type Run } from "../core/run.ts";
import type { BatchOutcome } from "../core/ticket-store.ts";
import type { Reservation, TicketAllocator, TicketLease } from "./ticket-allocator.ts";

export const smallSizeMax = bufferTicketCount.block * ticketDataSize;

export interface SmallWrite {
  readonly runs: readonly Run[];
  /** In use until the object is committed or given up. */
  readonly leases: readonly TicketLease[];
  /** One for each run. */
  readonly outcomes: readonly BatchOutcome[];
}

/** Writes the tickets; resolves when they are on disk, or are not. */
export async function writeSmall(kernel: Kernel, allocator: TicketAllocator, bytes: Uint8Array): Promise<SmallWrite> {
  const count = ticketCountOf(bytes.length);
  if (count === 0) return { runs: [], leases: [], outcomes: [] };
  const kind: BufferKind = count <= bufferTicketCount.tiny ? "tiny" : "block";
  const buffer = kernel.take(kind) ?? (await kernel.wait(kind));
  const leases: TicketLease[] = [];
  const runs: Run[] = [];
  const released: Promise<void>[] = [];
  const saved: Promise<BatchOutcome>[] = [];
  try {
    buffer.data.set(bytes);
    buffer.data.fill(0, bytes.length, count * ticketDataSize);
    for (let done = 0; done < count;) {
      const { next, end, lease } = allocator.take(count - done) ?? (await takeLater(allocator, count - done));
      leases.push(lease);
      appendRun(runs, { first: next as TicketId, count: end - next });
      const pending = allocator.store.write(batchOf(kernel, buffer, done, next as TicketId, end - next));
      released.push(pending.released);
      saved.push(pending.saved);
      done += end - next;
    }
    return { runs, leases, outcomes: saved.length === 1 ? [await saved[0]!] : await Promise.all(saved) };
  } catch (error) {
    for (const lease of leases) allocator.done(lease);
    throw error;
  } finally {
    for (const each of released) await each;
    buffer.release();
  }
}

async function takeLater(allocator: TicketAllocator, count: number): Promise<Reservation> {
  for (;;) {
    await allocator.ready();
    const taken = allocator.take(count);
    if (taken !== undefined) return taken;
  }
}

function batchOf(kernel: Kernel, buffer: TicketBuffer, from: number, first: TicketId, count: number) {
  const data = buffer.data.subarray(from * ticketDataSize, (from + count) * ticketDataSize);
  const sums = buffer.sums.subarray(from * checksumSize, (from + count) * checksumSize);
  kernel.makeSums(first, count, data, sums);
  return { first, count, data, sums };
}
