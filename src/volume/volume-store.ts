/**
 * The storage engine: tickets in volumes below a root, at any depth (docs/formats/disk.md). There is no index: where a
 * ticket lies follows from its id, so opening costs the same whatever is stored.
 *
 * Volumes are opened when needed; a bounded number is open at a time, and who needs another one waits until one is idle.
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
import type { Disk, DiskFile, Host } from "../env/host.ts";
import type { DataDirectory } from "./data-directory.ts";
import { Gate } from "./gate.ts";
import { rewriteVolume, unlinkVolume } from "./reclaim.ts";
import { VolumeDirectories } from "./volume-directories.ts";
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

interface OpenVolume {
  readonly volume: Volume;
  /** Who reads or writes. */
  users: number;
  writers: number;
  /** Called when the last writer is done. */
  onNoWriters: (() => void) | undefined;
  /** Its files were replaced or removed; to be closed by its last user. */
  stale: boolean;
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
  /** Least recently used first. */
  readonly #open = new Map<number, OpenVolume>();
  readonly #opening = new Map<number, Promise<OpenVolume | undefined>>();
  readonly #openVolumesMax: number;
  readonly #slots: Gate;
  /** Volumes that are being reclaimed. Writers wait. */
  readonly #closed = new Map<number, Promise<void>>();
  readonly #directories: VolumeDirectories;
  /** Volumes that a sync failed for, and why. They take no writes in this process's life. */
  readonly #poisons = new Map<number, string>();
  /** For looking at one stored ticket. */
  readonly #probe: TicketBuffer;
  #space = Number.POSITIVE_INFINITY;
  #spaceAskedAt = Number.NEGATIVE_INFINITY;
  #spaceError: string | undefined;

  constructor(options: VolumeStoreOptions) {
    this.#host = options.host;
    this.#disk = options.host.disk;
    this.#options = options;
    this.id = options.directory.id;
    this.place = options.directory.root;
    this.layout = layoutOf(options.directory.depth);
    this.#openVolumesMax = options.openVolumesMax ?? limits.openVolumesMax;
    this.#directories = new VolumeDirectories(options.host, this.place, this.layout);
    this.#slots = new Gate(this.#openVolumesMax);
    this.#probe = options.kernel.take("tiny")!;
  }

  get available(): boolean {
    return true;
  }

  /** For metrics: volumes that are open, and those that take no writes because a sync failed. */
  get volumeCounts(): { readonly open: number; readonly poisoned: number } {
    return { open: this.#open.size, poisoned: this.#poisons.size };
  }

  /** Whether this volume takes no writes any more, and why. */
  poisonOf(ticket: TicketId): string | undefined {
    return this.#poisonOf(volumeOf(this.layout, ticket));
  }

  write(batch: TicketBatch): PendingWrite {
    this.#checkSpace();
    const reserve = this.#options.spaceReserveSize ?? limits.spaceReserveSize;
    if (this.#space < reserve) {
      this.counts.ticketsRefused += batch.count;
      const free = `${this.#space} bytes are free below ${this.place}, and ${reserve} are kept free`;
      return refusedWrite(TicketStatus.noSpace, free);
    }
    const volume = volumeOf(this.layout, batch.first);
    const open = this.#open.get(volume);
    // A volume that is being reclaimed may be open: for readers, who still have the files that go.
    const usable = open !== undefined && !this.#closed.has(volume);
    if (usable && batch.first + batch.count <= volumeEnd(this.layout, volume)) {
      return this.#writeOpen(volume, open, batch);
    }
    const pieces = this.#split(batch).map((piece) => this.#writePiece(piece));
    const released = Promise.all(pieces.map((piece) => piece.released)).then(() => undefined);
    const saved = Promise.all(pieces.map((piece) => piece.saved)).then(joinOutcomes);
    return { released, saved };
  }

  /** The common case of a small read from the page cache: no thread, no promise. */
  readNow(first: TicketId, count: number, data: Uint8Array, sums: Uint8Array): boolean {
    if (count * ticketDataSize > readNowMax) return false;
    const volume = volumeOf(this.layout, first);
    const open = this.#open.get(volume);
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
    const context = { disk: this.#disk, syncDirectory: (directory: string) => this.#directories.sync(directory) };
    for await (const volume of findVolumes(this.#disk, this.place, this.layout, first, end)) {
      const start = volumeStart(this.layout, volume);
      const stop = volumeEnd(this.layout, volume);
      const kept = live.filter((run) => run.first < stop && run.first + run.count > start);
      // One slot to a file: all of it is live.
      if (kept.length > 0 && this.layout.depth === 4) continue;
      await this.#exclusively(volume, async () => {
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
          if (await rewriteVolume(context, directory, slots, firstSlot, pace)) {
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
    for (const volume of new Set([...this.#open.keys(), ...this.#opening.keys()])) {
      if (volumeStart(this.layout, volume) < end && volumeEnd(this.layout, volume) > first) await this.#retire(volume);
    }
  }

  /** Waits for nothing: whoever writes still has to be done before. The directory stays locked. */
  async close(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(open.map(({ volume }) => volume.close()));
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
    this.#use(number, open, true);
    const pending = open.volume.write(slotOf(this.layout, batch.first), batch);
    const saved = pending.saved.then((outcome) => {
      this.#leave(number, open, true);
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
    const begun = this.#acquire(number, true).then(
      (open) => {
        const pending = this.#writeOpen(number, open!, piece);
        this.#leave(number, open!, true);
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
    const open = await this.#acquire(number, false);
    if (open === undefined) {
      piece.data.fill(0);
      piece.sums.fill(0);
      return;
    }
    try {
      await open.volume.readLater(slotOf(this.layout, piece.first), piece.data, piece.sums);
    } finally {
      this.#leave(number, open, false);
    }
  }

  /** The volume, opened if need be, for the caller to use until `#leave`. Undefined: not there and not to be made. */
  async #acquire(number: number, create: boolean): Promise<OpenVolume | undefined> {
    for (;;) {
      const closed = this.#closed.get(number);
      if (closed !== undefined && create) {
        await closed;
        continue;
      }
      const open = this.#open.get(number);
      if (open !== undefined) {
        this.#use(number, open, create);
        return open;
      }
      const opening = this.#opening.get(number);
      if (opening === undefined) return this.#openShared(number, create);
      // Opening it failed for another one, which says nothing about what is there: this one makes its own attempt.
      const shared = await opening.catch(() => "failed" as const);
      if (shared === undefined && !create) return undefined;
    }
  }

  async #openShared(number: number, create: boolean): Promise<OpenVolume | undefined> {
    const opening = this.#openFiles(number, create);
    this.#opening.set(number, opening);
    try {
      const open = await opening;
      if (open !== undefined) {
        this.#open.set(number, open);
        this.#use(number, open, create);
      }
      return open;
    } finally {
      this.#opening.delete(number);
    }
  }

  async #openFiles(number: number, create: boolean): Promise<OpenVolume | undefined> {
    await this.#slots.enter(() => this.#evict());
    try {
      const volume = create ? await this.#createVolume(number) : await this.#openVolume(number);
      if (volume === undefined) this.#slots.leave();
      if (volume === undefined) return undefined;
      return { volume, users: 0, writers: 0, onNoWriters: undefined, stale: false };
    } catch (error) {
      this.#slots.leave();
      throw error;
    }
  }

  async #openVolume(number: number): Promise<Volume | undefined> {
    const directory = this.#directories.of(number);
    const opened: DiskFile[] = [];
    return this.#closingOnFailure(opened, async () => {
      let poison: string | undefined;
      for (const name of ["obj", "sum"]) {
        let file: DiskFile | undefined;
        try {
          file = await this.#disk.open(`${directory}/${name}`, "write");
        } catch (error) {
          if (!isReadOnly(error)) throw error;
          // A disk that turned read-only still gives what it has.
          poison = `volume ${describeVolume(this.layout, number)} cannot be written: ${messageOf(error)}`;
          file = await this.#disk.open(`${directory}/${name}`, "read");
        }
        if (file !== undefined) opened.push(file);
      }
      const [obj, sum] = opened;
      if (obj === undefined || sum === undefined) {
        await obj?.close();
        return undefined;
      }
      return this.#makeVolume(number, directory, opened, poison);
    });
  }

  async #createVolume(number: number): Promise<Volume> {
    const directory = this.#directories.of(number);
    const opened: DiskFile[] = [];
    return this.#closingOnFailure(opened, async () => {
      for (const name of ["obj", "sum"]) opened.push(await this.#createFile(number, `${directory}/${name}`));
      return this.#makeVolume(number, directory, opened, undefined);
    });
  }

  /** Creates a file and the directories above it. */
  async #createFile(number: number, path: string): Promise<DiskFile> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#directories.make(number);
        return (await this.#disk.create(path)).file;
      } catch (error) {
        // Reclaiming a neighbour removes directories that are empty just then.
        if ((error as { code?: string }).code !== "ENOENT" || attempt === createAttemptsMax) throw error;
      }
    }
  }

  async #closingOnFailure<Value>(opened: readonly DiskFile[], work: () => Promise<Value>): Promise<Value> {
    try {
      return await work();
    } catch (error) {
      await Promise.allSettled(opened.map((file) => file.close()));
      throw error;
    }
  }

  /** `opened`: obj and sum; takes `direct` beside them. */
  async #makeVolume(
    number: number,
    directory: string,
    opened: DiskFile[],
    readOnly: string | undefined,
  ): Promise<Volume> {
    const [obj, sum] = opened as [DiskFile, DiskFile];
    // At greater depths a volume is smaller than a group.
    const large = this.layout.depth === 2 && readOnly === undefined;
    const direct = large ? await this.#disk.open(`${directory}/obj`, "direct") : undefined;
    if (direct !== undefined) opened.push(direct);
    const firstTicket = volumeStart(this.layout, number) - (number === 0 ? 0 : this.layout.firstSlot);
    return new Volume({
      name: describeVolume(this.layout, number),
      files: { obj, sum, direct, slotCount: Math.ceil((await sum.size()) / checksumSize) },
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

  #use(number: number, open: OpenVolume, writing: boolean): void {
    open.users++;
    if (writing) open.writers++;
    // To the end of the map: most recently used. With few open volumes the order does not matter.
    if (this.#open.size < this.#openVolumesMax / 2 || this.#open.get(number) !== open) return;
    this.#open.delete(number);
    this.#open.set(number, open);
  }

  #leave(number: number, open: OpenVolume, writing: boolean): void {
    open.users--;
    if (writing && --open.writers === 0) open.onNoWriters?.();
    if (open.users > 0) return;
    if (open.stale) void this.#closeVolume(open);
    else if (this.#slots.waitingCount > 0 && this.#open.get(number) === open) {
      this.#open.delete(number);
      void this.#closeVolume(open);
    }
  }

  /** Closes the volume that was not used for the longest time, if one is idle. */
  #evict(): void {
    for (const [number, open] of this.#open) {
      if (open.users > 0) continue;
      this.#open.delete(number);
      void this.#closeVolume(open);
      return;
    }
  }

  async #closeVolume(open: OpenVolume): Promise<void> {
    try {
      await open.volume.close();
    } catch (error) {
      this.#host.log.warn("closing a volume failed", {
        volume: this.place,
        error: messageOf(error),
      });
    } finally {
      this.#slots.leave();
    }
  }

  /** Runs with nobody writing to the volume. Who reads goes on with the files as they were. */
  async #exclusively(number: number, work: () => Promise<void>): Promise<void> {
    for (let other = this.#closed.get(number); other !== undefined; other = this.#closed.get(number)) await other;
    let reopen!: () => void;
    this.#closed.set(number, new Promise((resolve) => (reopen = resolve)));
    try {
      await this.#retire(number);
      await work();
    } finally {
      // Readers may have opened the old files meanwhile.
      await this.#retire(number);
      this.#closed.delete(number);
      reopen();
    }
  }

  /** Lets nobody new use the volume's files as they are open or being opened now; resolves when nobody writes to them. */
  async #retire(number: number): Promise<void> {
    await this.#opening.get(number)?.catch(() => undefined);
    const open = this.#open.get(number);
    if (open === undefined) return;
    this.#open.delete(number);
    open.stale = true;
    if (open.users === 0) void this.#closeVolume(open);
    else if (open.writers > 0) await new Promise<void>((resolve) => (open.onNoWriters = resolve));
  }

  #checkSpace(): void {
    const now = this.#host.clock.monotonic();
    if (now - this.#spaceAskedAt < limits.spaceCheckMs) return;
    this.#spaceAskedAt = now;
    this.freeSpace().then(
      (free) => {
        this.#space = free;
        this.#spaceError = undefined;
      },
      (error: unknown) => {
        if (this.#spaceError === undefined) this.#host.log.warn("free space is unknown", { error: messageOf(error) });
        this.#spaceError = messageOf(error);
        this.#space = Number.POSITIVE_INFINITY;
      },
    );
  }
}

/** Larger reads go to a thread. */
const readNowMax = 16 * ticketDataSize;

/** Failed syncs after which nothing is written at all: the disk is broken, and remembering each would have no end. */
const failuresMax = 4_096;
const createAttemptsMax = 5;

function isReadOnly(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "EROFS" || code === "EACCES" || code === "EPERM";
}

function statusOf(error: unknown): TicketStatus {
  const code = (error as { code?: string }).code;
  return code === "ENOSPC" || code === "EDQUOT" ? TicketStatus.noSpace : TicketStatus.notWritten;
}
