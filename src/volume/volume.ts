/**
 * One volume: the files `obj` (Data, slot after slot) and `sum` (Checksums, slot after slot).
 *
 * Writing: a whole group goes to the disk directly, unbuffered. Everything else is staged: while one write is under way
 * the next ones gather, neighbours are joined into one system call, and all share a sync (group commit). Before a slot
 * is written it is looked at: a ticket that is there already with other bytes stays (status 5), and one with the same
 * bytes is written again in place, because it may lie in a page that an earlier process never synced.
 *
 * A failed sync leaves the system's cache and the disk apart for good. The volume is poisoned then: it can be read, and
 * every further write is answered 1, until the process starts again.
 */
import { messageOf } from "../core/errors.ts";
import { checksumSize, groupTicketCount, ticketDataSize, TicketStatus } from "../core/frame.ts";
import * as limits from "../core/limits.ts";
import {
  allFailed,
  allSaved,
  type BatchOutcome,
  type PendingWrite,
  refusedWrite,
  type TicketBatch,
} from "../core/ticket-store.ts";
import type { Clock, DiskFile } from "../env/host.ts";
import { Company } from "./company.ts";
import { GroupSync } from "./group-sync.ts";

export interface VolumeFiles {
  readonly obj: DiskFile;
  readonly sum: DiskFile;
  /** `obj` without the page cache; undefined where the disk or system refuses that. */
  readonly direct: DiskFile | undefined;
  /** Slots that `sum` may hold something for: its size at opening, and what was written since. */
  slotCount: number;
}

export interface VolumeOptions {
  readonly name: string;
  readonly files: VolumeFiles;
  readonly clock: Clock;
  /** Makes the files' directory entries durable; done with the first sync. */
  readonly syncEntries: () => Promise<void>;
  readonly durable: boolean;
  /** Whether these bytes, read from a slot, verify as that ticket. */
  readonly verify: (slot: number, data: Uint8Array, sum: Uint8Array) => boolean;
  readonly onSync: (groupSize: number) => void;
  /** Why it takes no writes from the start. */
  readonly poison: string | undefined;
  readonly onPoison: (reason: string) => void;
}

interface Staged {
  readonly slot: number;
  readonly batch: TicketBatch;
  released: () => void;
  saved: (outcome: BatchOutcome) => void;
}

export class Volume {
  readonly files: VolumeFiles;
  readonly #options: VolumeOptions;
  readonly #sync: GroupSync;
  readonly #company: Company;
  #entriesSynced = false;
  #poison: string | undefined;
  /** The file system took the flag when opening, but not the write. */
  #directRefused = false;
  /** Asked for the next sync so far. */
  #groupSize = 0;
  #staged: Staged[] = [];
  /** Staged or deferred. */
  #waitingTickets = 0;
  #flushing = false;
  /** Being written now. Nothing that overlaps one of them may start. */
  readonly #busy = new Set<Staged>();
  #deferred: Staged[] = [];

  constructor(options: VolumeOptions) {
    this.files = options.files;
    this.#options = options;
    this.#poison = options.poison;
    this.#sync = new GroupSync(options.clock, () => this.#syncNow());
    this.#company = new Company(options.clock);
  }

  get poison(): string | undefined {
    return this.#poison;
  }

  /** Writes a batch whose first ticket has this slot; all of it lies in this volume. */
  write(slot: number, batch: TicketBatch): PendingWrite {
    if (this.#poison !== undefined) return refusedWrite(TicketStatus.notWritten, this.#poison);
    if (this.#waitingTickets + batch.count > limits.volumeQueueMax) {
      return refusedWrite(TicketStatus.busy, `${this.#waitingTickets} tickets wait for volume ${this.#options.name}`);
    }
    let staged!: Staged;
    const saved = new Promise<BatchOutcome>((settleSaved) => {
      staged = { slot, batch, released: () => undefined, saved: settleSaved };
    });
    const released = new Promise<void>((settle) => (staged.released = settle));
    this.#begin(staged);
    return { released, saved };
  }

  /** Stored bytes; false where they cannot be had at once, or not all are there, and `readLater` must be used. */
  readNow(slot: number, data: Uint8Array, sums: Uint8Array): boolean {
    if (this.files.sum.readNow(sums, slot * checksumSize) !== sums.length) return false;
    return this.files.obj.readNow(data, slot * ticketDataSize) === data.length;
  }

  /** Zeros where nothing is stored; false where that is so because a file ends before. */
  async readLater(slot: number, data: Uint8Array, sums: Uint8Array): Promise<boolean> {
    // Checksums are few bytes, mostly cached: not worth a trip to a thread.
    const sumsSizeNow = this.files.sum.readNow(sums, slot * checksumSize);
    const [dataSize, sumsSize] = await all([
      this.files.obj.read(data, slot * ticketDataSize),
      sumsSizeNow === undefined ? this.files.sum.read(sums, slot * checksumSize) : Promise.resolve(sumsSizeNow),
    ]);
    data.fill(0, dataSize);
    sums.fill(0, sumsSize);
    return dataSize === data.length && sumsSize === sums.length;
  }

  async close(): Promise<void> {
    await Promise.all([this.files.obj.close(), this.files.sum.close(), this.files.direct?.close()]);
  }

  #begin(staged: Staged): void {
    if (this.#overlaps(staged)) {
      this.#deferred.push(staged);
      this.#waitingTickets += staged.batch.count;
      return;
    }
    this.#busy.add(staged);
    const wholeGroup = staged.batch.count === groupTicketCount && staged.slot % groupTicketCount === 0;
    if (wholeGroup && this.files.direct !== undefined && !this.#directRefused) {
      void this.#writeDirect(staged, this.files.direct);
    } else {
      this.#stage(staged);
    }
  }

  #overlaps(staged: Staged): boolean {
    for (const other of this.#busy) {
      if (staged.slot < other.slot + other.batch.count && other.slot < staged.slot + staged.batch.count) return true;
    }
    return false;
  }

  #stage(staged: Staged): void {
    this.#staged.push(staged);
    this.#waitingTickets += staged.batch.count;
    this.#company.arrived();
    if (staged.batch.count > limits.companyTicketMax) this.#company.hurry();
    if (this.#flushing) return;
    this.#flushing = true;
    // Not at once: what arrives in the same turn of the event loop goes into the same system call.
    this.#options.clock.soon(() => void this.#flush());
  }

  async #writeDirect(staged: Staged, direct: DiskFile): Promise<void> {
    const { slot, batch } = staged;
    try {
      if (slot < this.files.slotCount && (await this.#hasAny(slot, batch.count))) {
        this.#stage(staged);
        return;
      }
      this.files.slotCount = Math.max(this.files.slotCount, slot + batch.count);
      await all([
        direct.write([batch.data], slot * ticketDataSize),
        this.files.sum.write([batch.sums], slot * checksumSize),
      ]);
    } catch (error) {
      if (isRefusal(error)) {
        this.#directRefused = true;
        this.#stage(staged);
      } else {
        this.#written([staged], failureOf(error, this.#options.name));
      }
      return;
    }
    this.#written([staged], undefined, undefined, limits.bulkSyncDelayMs);
  }

  async #hasAny(slot: number, count: number): Promise<boolean> {
    const sums = new Uint8Array(count * checksumSize);
    await this.files.sum.read(sums, slot * checksumSize);
    return sums.some((byte) => byte !== 0);
  }

  async #flush(): Promise<void> {
    while (this.#staged.length > 0) {
      const gathered = this.#staged.every(isSmall) ? this.#company.gather() : undefined;
      if (gathered !== undefined) await gathered;
      this.#company.left();
      const round = this.#staged.sort((a, b) => a.slot - b.slot);
      this.#staged = [];
      for (const staged of round) this.#waitingTickets -= staged.batch.count;
      await Promise.all(spansOf(round).map((span) => this.#flushSpan(span)));
    }
    this.#flushing = false;
  }

  /** Writes neighbours: batches whose slots follow one another without a gap. */
  async #flushSpan(span: Staged[]): Promise<void> {
    const slot = span[0]!.slot;
    const last = span.at(-1)!;
    const end = last.slot + last.batch.count;
    try {
      const mayHold = slot < this.files.slotCount;
      // Already now: a write that fails may leave something behind too.
      this.files.slotCount = Math.max(this.files.slotCount, end);
      const conflicts = mayHold ? await this.#conflicts(span, slot, end) : [];
      for (const part of partsBetween(span, conflicts)) {
        await all([
          this.files.obj.write(part.data, part.slot * ticketDataSize),
          this.files.sum.write(part.sums, part.slot * checksumSize),
        ]);
      }
      this.#written(span, undefined, new Set(conflicts));
    } catch (error) {
      this.#written(span, failureOf(error, this.#options.name));
    }
  }

  /** Slots of the span that hold another ticket already. */
  async #conflicts(span: readonly Staged[], slot: number, end: number): Promise<number[]> {
    const stored = new Uint8Array((end - slot) * checksumSize);
    const size =
      this.files.sum.readNow(stored, slot * checksumSize) ?? (await this.files.sum.read(stored, slot * checksumSize));
    if (size === 0 || stored.every((byte) => byte === 0)) return [];
    const conflicts: number[] = [];
    const data = new Uint8Array(ticketDataSize);
    for (const staged of span) {
      for (let index = 0; index < staged.batch.count; index++) {
        const at = staged.slot + index;
        const sum = stored.subarray((at - slot) * checksumSize, (at - slot + 1) * checksumSize);
        const wanted = staged.batch.sums.subarray(index * checksumSize, (index + 1) * checksumSize);
        if (sum.every((byte) => byte === 0) || Buffer.compare(sum, wanted) === 0) continue;
        await this.files.obj.read(data.fill(0), at * ticketDataSize);
        // What does not verify is no ticket: it is damage or a write that never finished, and may be replaced.
        if (this.#options.verify(at, data, sum)) conflicts.push(at);
      }
    }
    return conflicts;
  }

  /** The memory is free; the outcome waits for the sync. */
  #written(
    group: readonly Staged[],
    failure: BatchOutcome | undefined,
    conflicts?: ReadonlySet<number>,
    patienceMs?: number,
  ): void {
    for (const staged of group) {
      this.#busy.delete(staged);
      staged.released();
      if (failure !== undefined) staged.saved(failure);
    }
    if (this.#deferred.length > 0) {
      const retry = this.#deferred;
      this.#deferred = [];
      for (const staged of retry) this.#waitingTickets -= staged.batch.count;
      for (const staged of retry) this.#begin(staged);
    }
    if (failure === undefined) void this.#confirm(group, conflicts, patienceMs);
  }

  async #confirm(
    group: readonly Staged[],
    conflicts: ReadonlySet<number> | undefined,
    patienceMs: number | undefined,
  ): Promise<void> {
    this.#groupSize += group.length;
    if (patienceMs === undefined) this.#company.written(group.length);
    let failure: BatchOutcome | undefined;
    try {
      await this.#sync.request(patienceMs);
    } catch (error) {
      failure = failureOf(error, this.#options.name);
    }
    if (patienceMs === undefined) this.#company.confirmed(group.length);
    for (const staged of group) staged.saved(failure ?? outcomeOf(staged, conflicts));
  }

  async #syncNow(): Promise<void> {
    const groupSize = this.#groupSize;
    this.#groupSize = 0;
    if (this.#poison !== undefined) throw new Error(this.#poison);
    if (!this.#options.durable) return;
    try {
      await all([this.files.obj.sync(), this.files.sum.sync()]);
      if (!this.#entriesSynced) await this.#options.syncEntries();
      this.#entriesSynced = true;
    } catch (error) {
      if (!isShortage(error)) {
        this.#poison = `volume ${this.#options.name} takes no writes since a sync failed: ${messageOf(error)}`;
        this.#options.onPoison(this.#poison);
      }
      throw error;
    }
    this.#options.onSync(groupSize);
  }
}

/** Waits for all even where one fails: the others still use the caller's memory, to read into it too, and the slots. */
export async function all<Value>(work: readonly Promise<Value>[]): Promise<Value[]> {
  const values: Value[] = [];
  for (const result of await Promise.allSettled(work)) {
    if (result.status === "rejected") throw result.reason;
    values.push(result.value);
  }
  return values;
}

function isSmall({ batch }: Staged): boolean {
  return batch.count <= limits.companyTicketMax;
}

/** No descriptor was left to sync a directory with: nothing is lost, and the next attempt may succeed. */
export function isShortage(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "EMFILE" || code === "ENFILE";
}

/** Sorted batches, cut where the next one does not follow the one before. */
function spansOf(sorted: readonly Staged[]): Staged[][] {
  const spans: Staged[][] = [];
  for (const staged of sorted) {
    const last = spans.at(-1)?.at(-1);
    if (last !== undefined && last.slot + last.batch.count === staged.slot) spans.at(-1)!.push(staged);
    else spans.push([staged]);
  }
  return spans;
}

interface Part {
  slot: number;
  end: number;
  readonly data: Uint8Array[];
  readonly sums: Uint8Array[];
}

/** What of a span is to be written: all of it, or the pieces between slots that are taken. */
function partsBetween(span: readonly Staged[], taken: readonly number[]): Part[] {
  const parts: Part[] = [];
  for (const { slot, batch } of span) {
    const inside = taken.filter((at) => at >= slot && at < slot + batch.count);
    let from = slot;
    for (const to of [...inside, slot + batch.count]) {
      if (from < to) {
        const low = from - slot;
        const high = to - slot;
        let part = parts.at(-1);
        if (part === undefined || part.end !== from) {
          part = { slot: from, end: from, data: [], sums: [] };
          parts.push(part);
        }
        part.data.push(batch.data.subarray(low * ticketDataSize, high * ticketDataSize));
        part.sums.push(batch.sums.subarray(low * checksumSize, high * checksumSize));
        part.end = to;
      }
      from = to + 1;
    }
  }
  return parts;
}

function outcomeOf(staged: Staged, conflicts: ReadonlySet<number> | undefined): BatchOutcome {
  if (conflicts === undefined || conflicts.size === 0) return allSaved();
  const each = new Uint8Array(staged.batch.count);
  let found = false;
  for (let index = 0; index < staged.batch.count; index++) {
    if (!conflicts.has(staged.slot + index)) continue;
    each[index] = TicketStatus.otherTicketStored;
    found = true;
  }
  if (!found) return allSaved();
  return {
    status: TicketStatus.otherTicketStored,
    each,
    reason: "another ticket is already stored under this id",
  };
}

/** Unbuffered writing refused by the file system only when it is tried. */
function isRefusal(error: unknown): boolean {
  return (error as { code?: string }).code === "EINVAL";
}

function failureOf(error: unknown, volume: string): BatchOutcome {
  const code = (error as { code?: string }).code;
  const full = code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG";
  const status = full ? TicketStatus.noSpace : TicketStatus.notWritten;
  return allFailed(status, `volume ${volume}: ${messageOf(error)}`);
}
