/**
 * The storage engine: tickets in volumes below a root, at any depth (docs/formats/disk.md). There is no index: where a
 * ticket lies follows from its id, so opening costs the same whatever is stored.
 *
 * Opening volumes is open-volumes.ts, their files volume-files.ts, giving space back reclaim.ts.
 */
import { assert, messageOf } from "../core/errors.ts";
import { checksumSize, ticketDataSize, TicketStatus } from "../core/frame.ts";
import { idCount, type TicketId } from "../core/ids.ts";
import type { Kernel, TicketBuffer } from "../core/kernel.ts";
import { describeVolume, layoutOf, type Layout, slotOf, volumeEnd, volumeOf, volumeStart } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import type { Run } from "../core/run.ts";
import {
  type BatchOutcome,
  joinOutcomes,
  type PendingWrite,
  type ReclaimOutcome,
  refusedWrite,
  type TicketBatch,
  type TicketStore,
} from "../core/ticket-store.ts";
import type { Disk, Host } from "../env/host.ts";
import type { DataDirectory } from "./data-directory.ts";
import { FreeSpace } from "./free-space.ts";
import { type OpenVolume, OpenVolumes } from "./open-volumes.ts";
import { rewriteVolume, unlinkVolume } from "./reclaim.ts";
import { VolumeDirectories } from "./volume-directories.ts";
import { VolumeFilesOpener } from "./volume-files.ts";
import { findVolumes } from "./volume-tree.ts";
import { all, Volume } from "./volume.ts";

export type Durability = "disk" | "os";

export interface VolumeStoreOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly directory: Pick<DataDirectory, "root" | "depth" | "id">;
  readonly durability: Durability;
  readonly openVolumesMax?: number;
  readonly spaceReserveSize?: number;
}

/** What has happened since the start, for status pages and metrics. */
export interface VolumeStoreCounts {
  syncs: number;
  /** Writes that shared those syncs. */
  syncedWrites: number;
  ticketsWritten: number;
  ticketsRefused: number;
}

export class VolumeStore implements TicketStore {
  readonly id: string;
  readonly place: string;
  readonly layout: Layout;
  readonly counts: VolumeStoreCounts = {
    syncs: 0,
    syncedWrites: 0,
    ticketsWritten: 0,
    ticketsRefused: 0,
  };
  readonly #host: Host;
  readonly #disk: Disk;
  readonly #options: VolumeStoreOptions;
  readonly #directories: VolumeDirectories;
  readonly #files: VolumeFilesOpener;
  readonly #volumes: OpenVolumes;
  readonly #space: FreeSpace;
  /** Volumes that a sync failed for, and why. They take no writes in this process's life. */
  readonly #poisons = new Map<number, string>();
  /** For looking at one stored ticket. */
  readonly #probe: TicketBuffer;

  constructor(options: VolumeStoreOptions) {
    const { host, directory, kernel } = options;
    this.#host = host;
    this.#disk = host.disk;
    this.#options = options;
    this.id = directory.id;
    this.place = directory.root;
    this.layout = layoutOf(directory.depth);
    this.#directories = new VolumeDirectories(host, this.place, this.layout);
    this.#files = new VolumeFilesOpener({
      disk: host.disk,
      directories: this.#directories,
      // At greater depths a volume is smaller than a group.
      direct: this.layout.depth === 2,
      describe: (number) => describeVolume(this.layout, number),
    });
    this.#volumes = new OpenVolumes({
      countMax: options.openVolumesMax ?? limits.openVolumesMax,
      log: host.log,
      place: this.place,
      open: (number, create) => this.#openVolume(number, create),
    });
    this.#space = new FreeSpace(host, this.place, options.spaceReserveSize ?? limits.spaceReserveSize);
    this.#probe = kernel.take("tiny")!;
  }

  get available(): boolean {
    return true;
  }

  /** For metrics: volumes that are open, and those that take no writes because a sync failed. */
  get volumeCounts(): { readonly open: number; readonly poisoned: number } {
    return { open: this.#volumes.count, poisoned: this.#poisons.size };
  }

  /** Whether this volume takes no writes any more, and why. */
  poisonOf(ticket: TicketId): string | undefined {
    return this.#poisonOf(volumeOf(this.layout, ticket));
  }

  write(batch: TicketBatch): PendingWrite {
    const noSpace = this.#space.take(batch.data.length + batch.sums.length);
    if (noSpace !== undefined) {
      this.counts.ticketsRefused += batch.count;
      return refusedWrite(TicketStatus.noSpace, noSpace);
    }
    const volume = volumeOf(this.layout, batch.first);
    const open = this.#volumes.writable(volume);
    if (open !== undefined && batch.first + batch.count <= volumeEnd(this.layout, volume)) {
      return this.#writeOpen(volume, open, batch);
    }
    const pieces = this.#split(batch).map((piece) => this.#writePiece(piece));
    const released = Promise.all(pieces.map((piece) => piece.released)).then(() => undefined);
    const saved = Promise.all(pieces.map((piece) => piece.saved)).then(joinOutcomes);
    return { released, saved };
  }

  /** The common case of a small read from the page cache: no thread, no promise. */
  readNow(first: TicketId, count: number, data: Uint8Array, sums: Uint8Array): boolean {
    if (count > limits.readNowTicketsMax) return false;
    const volume = volumeOf(this.layout, first);
    const open = this.#volumes.get(volume);
    if (open === undefined || first + count > volumeEnd(this.layout, volume)) return false;
    return open.volume.readNow(slotOf(this.layout, first), data, sums);
  }

  async read(first: TicketId, count: number, data: Uint8Array, sums: Uint8Array): Promise<void> {
    if (this.readNow(first, count, data, sums)) return;
    const pieces = this.#split({ first, count, data, sums });
    await all(pieces.map((piece) => this.#readPiece(piece)));
  }

  async freeSpace(): Promise<number> {
    return this.#disk.freeSpace(this.place);
  }

  async reclaim(
    first: TicketId,
    end: TicketId,
    live: readonly Run[],
    pace: (bytes: number) => Promise<void>,
  ): Promise<ReclaimOutcome> {
    let volumesUnlinked = 0;
    let volumesRewritten = 0;
    const context = {
      disk: this.#disk,
      freeSpace: () => this.freeSpace(),
      syncDirectory: (directory: string) => this.#directories.sync(directory),
      pace,
    };
    for await (const volume of findVolumes(this.#disk, this.place, this.layout, first, end)) {
      const start = volumeStart(this.layout, volume);
      const stop = volumeEnd(this.layout, volume);
      const kept = live.filter((run) => run.first < stop && run.first + run.count > start);
      // One slot to a file: all of it is live.
      if (kept.length > 0 && this.layout.depth === 4) continue;
      await this.#volumes.exclusively(volume, async (readersEnd) => {
        const directory = this.#directories.of(volume);
        if (kept.length === 0) {
          this.#directories.forget(volume);
          await unlinkVolume(context, this.place, directory);
          this.#poisons.delete(volume);
          volumesUnlinked++;
        } else {
          const slots = kept.map((run) => {
            const from = Math.max(run.first, start);
            const to = Math.min(run.first + run.count, stop);
            return { slot: slotOf(this.layout, from), count: to - from };
          });
          const firstSlot = volume === 0 ? 0 : this.layout.firstSlot;
          if (await rewriteVolume(context, directory, slots, firstSlot, readersEnd)) {
            // New files: what a failed sync did to the old ones does not concern them.
            this.#poisons.delete(volume);
            volumesRewritten++;
          }
        }
      });
    }
    return { volumesUnlinked, volumesRewritten };
  }

  /**
   * Another process has reclaimed volumes of these ids: their old files still give what is live, but what is dead in
   * them takes space for as long as they are open.
   */
  async letGo(first: TicketId, end: TicketId): Promise<void> {
    for (const volume of this.#volumes.numbers()) {
      if (volumeStart(this.layout, volume) >= end || volumeEnd(this.layout, volume) <= first) continue;
      await this.#volumes.retire(volume);
    }
  }

  /** Waits for nothing: whoever writes still has to be done before. The directory stays locked. */
  async close(): Promise<void> {
    await this.#volumes.closeAll();
    this.#probe.release();
  }

  #split(batch: TicketBatch): TicketBatch[] {
    assert(batch.first + batch.count <= idCount, "tickets after the last id");
    const pieces: TicketBatch[] = [];
    for (let done = 0; done < batch.count;) {
      const first = (batch.first + done) as TicketId;
      const count = Math.min(batch.count - done, volumeEnd(this.layout, volumeOf(this.layout, first)) - first);
      pieces.push({
        first,
        count,
        data: batch.data.subarray(done * ticketDataSize, (done + count) * ticketDataSize),
        sums: batch.sums.subarray(done * checksumSize, (done + count) * checksumSize),
      });
      done += count;
    }
    return pieces;
  }

  #writeOpen(number: number, open: OpenVolume, batch: TicketBatch): PendingWrite {
    this.#volumes.use(number, open, true);
    const pending = open.volume.write(slotOf(this.layout, batch.first), batch);
    const saved = pending.saved.then((outcome) => {
      this.#volumes.leave(number, open, true);
      if (outcome.status === TicketStatus.saved) this.counts.ticketsWritten += batch.count;
      else this.counts.ticketsRefused += batch.count;
      return outcome;
    });
    return { released: pending.released, saved };
  }

  #writePiece(piece: TicketBatch): {
    released: Promise<void>;
    saved: Promise<{ count: number; outcome: BatchOutcome }>;
  } {
    const number = volumeOf(this.layout, piece.first);
    const begun = this.#volumes.acquire(number, true).then(
      (open) => {
        const pending = this.#writeOpen(number, open!, piece);
        this.#volumes.leave(number, open!, true);
        return pending;
      },
      (error: unknown) => refusedWrite(statusOf(error), messageOf(error)),
    );
    return {
      released: begun.then((pending) => pending.released),
      saved: begun.then(async (pending) => ({ count: piece.count, outcome: await pending.saved })),
    };
  }

  async #readPiece(piece: TicketBatch): Promise<void> {
    const number = volumeOf(this.layout, piece.first);
    const open = await this.#volumes.acquire(number, false);
    if (open === undefined) {
      piece.data.fill(0);
      piece.sums.fill(0);
      return;
    }
    let isComplete = false;
    try {
      isComplete = await open.volume.readLater(slotOf(this.layout, piece.first), piece.data, piece.sums);
    } finally {
      this.#volumes.leave(number, open, false);
    }
    if (!isComplete) await this.#readAfresh(number, piece);
  }

  /**
   * What the files that are open are too short for: nothing was ever stored there, or another process is rewriting the
   * volume and has cut them off.
   */
  #readAfresh(number: number, piece: TicketBatch): Promise<void> {
    return this.#volumes.withSlot(async () => {
      const volume = await this.#openVolume(number, false);
      if (volume === undefined) return;
      try {
        await volume.readLater(slotOf(this.layout, piece.first), piece.data, piece.sums);
      } finally {
        await volume.close();
      }
    });
  }

  async #openVolume(number: number, create: boolean): Promise<Volume | undefined> {
    const files = create ? await this.#files.create(number) : await this.#files.open(number);
    if (files === undefined) return undefined;
    const { obj, sum, sumSize, direct, readOnly } = files;
    const firstTicket = volumeStart(this.layout, number) - (number === 0 ? 0 : this.layout.firstSlot);
    return new Volume({
      name: describeVolume(this.layout, number),
      files: { obj, sum, direct, slotCount: Math.ceil(sumSize / checksumSize) },
      clock: this.#host.clock,
      syncEntries: () => this.#directories.syncEntries(number),
      durable: this.#options.durability === "disk",
      verify: (slot, data, stored) => {
        this.#probe.data.set(data);
        this.#probe.sums.set(stored);
        return this.#options.kernel.checkSums(firstTicket + slot, 1, this.#probe.data, this.#probe.sums) === 1;
      },
      onSync: (groupSize) => {
        this.counts.syncs++;
        this.counts.syncedWrites += groupSize;
      },
      poison: this.#poisonOf(number) ?? readOnly,
      onPoison: (reason) => {
        this.#poisons.set(number, reason);
        this.#host.log.error("a sync failed", { place: this.place, reason });
      },
    });
  }

  #poisonOf(number: number): string | undefined {
    if (this.#poisons.size + this.#directories.failedCount > failuresMax) {
      return `${this.place} takes no writes: syncs failed for more than ${failuresMax} volumes`;
    }
    return this.#poisons.get(number);
  }
}

/** Failed syncs after which nothing is written at all: the disk is broken, and remembering each would have no end. */
const failuresMax = 4_096;

function statusOf(error: unknown): TicketStatus {
  const code = (error as { code?: string }).code;
  return code === "ENOSPC" || code === "EDQUOT" ? TicketStatus.noSpace : TicketStatus.notWritten;
}
