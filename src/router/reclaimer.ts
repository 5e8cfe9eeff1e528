/**
 * Frees what nothing refers to, in the background: deleted objects and writes that never finished.
 *
 * Now and then it looks at the volumes. One without an open lease whose dead share is large is reclaimed: its putter
 * keeps what saved objects refer to and drops the rest. One that this router is writing to and that has much dead is
 * retired first, so that it can be reclaimed the next time, which is soon then. Reads that began before are let finish.
 */
import { messageOf } from "../core/errors.ts";
import { ticketDataSize } from "../core/frame.ts";
import type { TicketId } from "../core/ids.ts";
import { volumeEnd, volumeStart } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import { appendRun, type Run } from "../core/run.ts";
import type { TicketStore } from "../core/ticket-store.ts";
import type { Datastore, VolumeRecord } from "../datastore/datastore.ts";
import type { Host, Timer } from "../env/host.ts";
import { pacer } from "../env/pace.ts";
import { placement, type TicketAllocator } from "./ticket-allocator.ts";

export interface ReclaimSettings {
  readonly intervalMs: number;
  /** Bytes copied per second. */
  readonly rate: number;
  /** 0 to 1: from which share of dead tickets on a volume is rewritten. */
  readonly deadShareMin: number;
  /** Dead bytes from which on a volume that is still written to is retired. */
  readonly openDeadMin: number;
}

/** Other processes that read the same volumes (cli/workers.ts). */
export interface ReclaimPeers {
  /** Resolves when all that was being read in them, when it was called, has been read to its end. */
  readersEnd(): Promise<unknown>;
  /** Lets them close files of this volume that they have open. */
  reclaimed(volume: number): void;
}

export interface ReclaimerOptions {
  readonly host: Host;
  readonly datastore: Datastore;
  /** Where a putter's volumes are; undefined also where another process reclaims them. */
  readonly store: (putter: string) => TicketStore | undefined;
  /** Whether nobody writes under this putter's id any more. */
  readonly isFormer?: (putter: string) => boolean;
  readonly peers?: ReclaimPeers | undefined;
  readonly allocators: readonly TicketAllocator[];
  readonly settings: Partial<ReclaimSettings>;
}

export interface ReclaimStatus {
  readonly running: boolean;
  readonly paused: boolean;
  readonly volumesUnlinked: number;
  readonly volumesRewritten: number;
  readonly failedObjectsForgotten: number;
  readonly lastRunAt: number | undefined;
  readonly lastError: string | undefined;
}

const volumePageSize = 256;
const runPageSize = 1000;

export class Reclaimer {
  readonly #options: ReclaimerOptions;
  readonly #settings: ReclaimSettings;
  readonly #pace: (bytes: number) => Promise<void>;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  readonly #stopSignal: Promise<void>;
  #signalStop!: () => void;
  #paused = false;
  /** A volume was sealed: it can be reclaimed as soon as nobody writes to it any more. */
  #isSoon = false;
  /** Reads under way, by when they began: 0 is before anything was counted. */
  readonly #readers = new Map<number, number>();
  #readerEpoch = 0;
  #epochEnded: (() => void)[] = [];
  #volumesUnlinked = 0;
  #volumesRewritten = 0;
  #failedObjectsForgotten = 0;
  #lastRunAt: number | undefined;
  #lastError: string | undefined;

  constructor(options: ReclaimerOptions) {
    this.#options = options;
    this.#settings = {
      intervalMs: limits.reclaimIntervalMs,
      rate: limits.reclaimRate,
      deadShareMin: limits.reclaimDeadShareMin,
      openDeadMin: limits.reclaimOpenDeadMin,
      ...options.settings,
    };
    this.#stopSignal = new Promise((resolve) => (this.#signalStop = resolve));
    this.#pace = pacer(options.host.clock, this.#settings.rate);
  }

  get status(): ReclaimStatus {
    return {
      running: this.#running !== undefined,
      paused: this.#paused,
      volumesUnlinked: this.#volumesUnlinked,
      volumesRewritten: this.#volumesRewritten,
      failedObjectsForgotten: this.#failedObjectsForgotten,
      lastRunAt: this.#lastRunAt,
      lastError: this.#lastError,
    };
  }

  start(): void {
    this.#plan();
  }

  pause(paused: boolean): void {
    this.#paused = paused;
  }

  /** Something was freed. Nothing hurries: the next look will see it. */
  noteFreed(): void {
    if (this.#timer === undefined && this.#running === undefined) this.#plan();
  }

  /** A read begins; returns what to call at its end. */
  readerEnters(): () => void {
    const epoch = this.#readerEpoch;
    this.#readers.set(epoch, (this.#readers.get(epoch) ?? 0) + 1);
    return () => {
      const left = this.#readers.get(epoch)! - 1;
      if (left > 0) this.#readers.set(epoch, left);
      else this.#readers.delete(epoch);
      if (left > 0 || epoch === this.#readerEpoch) return;
      const ended = this.#epochEnded;
      this.#epochEnded = [];
      for (const resolve of ended) resolve();
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#signalStop();
    this.#timer?.cancel();
    for (const resolve of this.#epochEnded.splice(0)) resolve();
    await this.#running;
  }

  /** One look at all volumes, now. */
  async runOnce(): Promise<void> {
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
    await this.#running;
  }

  #plan(): void {
    if (this.#stopped) return;
    const { intervalMs } = this.#settings;
    const delayMs = this.#isSoon ? Math.min(intervalMs, limits.reclaimSoonMs) : intervalMs;
    this.#isSoon = false;
    this.#timer = this.#options.host.clock.after(delayMs, () => {
      this.#timer = undefined;
      if (this.#paused) this.#plan();
      else void this.runOnce().then(() => this.#plan());
    });
  }

  /** Never rejects: what goes wrong is in the status and tried again. */
  async #run(): Promise<void> {
    const { datastore, host } = this.#options;
    let failure: string | undefined;
    try {
      for (let after: number | undefined; !this.#stopped;) {
        const volumes = await datastore.listVolumes(after, volumePageSize);
        // What has the least that stays needs the least room, and makes room for the others.
        const inOrder = volumes.toSorted((one, other) => one.liveCount - other.liveCount);
        for (const volume of inOrder) failure = (await this.#tryVolume(volume)) ?? failure;
        if (volumes.length < volumePageSize) break;
        after = volumes.at(-1)!.volume;
      }
      const before = host.clock.now() - limits.failedObjectKeepMs;
      this.#failedObjectsForgotten += await datastore.forgetFailed(before, runPageSize);
      this.#lastError = failure;
    } catch (error) {
      this.#lastError = messageOf(error);
      host.log.warn("reclaiming failed, and will be tried again", { error: this.#lastError });
    }
    this.#lastRunAt = host.clock.now();
  }

  /** What went wrong with one volume; the others have their turn all the same. */
  async #tryVolume(volume: VolumeRecord): Promise<string | undefined> {
    if (this.#stopped) return undefined;
    try {
      await this.#consider(volume);
      return undefined;
    } catch (error) {
      const liveSize = volume.liveCount * ticketDataSize;
      const failure = `volume ${volume.volume}, of which ${liveSize} bytes stay: ${messageOf(error)}`;
      if (failure !== this.#lastError) this.#options.host.log.warn("reclaiming failed", { error: failure });
      return failure;
    }
  }

  async #consider(volume: VolumeRecord): Promise<void> {
    const deadCount = volume.leasedCount - volume.liveCount;
    const freshDead = deadCount - volume.reclaimedCount;
    if (freshDead <= 0) return;
    if (volume.leases > 0 || !volume.sealed) {
      await this.#considerOpen(volume);
      return;
    }
    const share = freshDead / (freshDead + volume.liveCount);
    if (share >= this.#settings.deadShareMin) await this.#reclaim(volume, deadCount);
  }

  /** Retires a volume that is still written to, or would be, when much of what was handed out in it is dead. */
  async #considerOpen(volume: VolumeRecord): Promise<void> {
    if (volume.leases === 0 && this.#options.isFormer?.(volume.putter) === true) {
      if (!this.#isMostlyDead(volume.leasedCount, volume)) return;
      await this.#options.datastore.sealVolume(volume.volume);
      this.#isSoon = true;
      return;
    }
    const allocator = this.#options.allocators.find((candidate) => candidate.store.id === volume.putter);
    const open = allocator?.openIn(volume.volume);
    // Others write there too: what of theirs is dead cannot be told from what is under way.
    if (allocator === undefined || open === undefined || open.leases !== volume.leases) return;
    const settled = volume.leasedCount - open.unsettledCount;
    if (!this.#isMostlyDead(settled, volume)) return;
    await allocator.retire(volume.volume);
    this.#isSoon = true;
  }

  #isMostlyDead(settledCount: number, { liveCount, reclaimedCount }: VolumeRecord): boolean {
    const dead = settledCount - liveCount - reclaimedCount;
    const { openDeadMin, deadShareMin } = this.#settings;
    return dead * ticketDataSize >= openDeadMin && dead / settledCount >= deadShareMin;
  }

  async #reclaim(volume: VolumeRecord, deadCount: number): Promise<void> {
    const { datastore, host, peers } = this.#options;
    const store = this.#options.store(volume.putter);
    if (store === undefined || !store.available) return;
    const first = volumeStart(placement, volume.volume);
    const end = volumeEnd(placement, volume.volume);
    const live = await this.#liveRuns(first, end);
    await this.readersEnd();
    if (peers !== undefined) await Promise.race([peers.readersEnd(), this.#stopSignal]);
    if (this.#stopped) return;
    const outcome = await store.reclaim(first, end, live, this.#pace);
    this.#volumesUnlinked += outcome.volumesUnlinked;
    this.#volumesRewritten += outcome.volumesRewritten;
    peers?.reclaimed(volume.volume);
    await datastore.noteReclaimed(volume.volume, deadCount);
    host.log.info("volume reclaimed", { volume: volume.volume, ...outcome });
  }

  async #liveRuns(first: TicketId, end: TicketId): Promise<Run[]> {
    const live: Run[] = [];
    for (let from = first; ;) {
      const page = await this.#options.datastore.listRuns(from, end, runPageSize);
      for (const run of page) appendRun(live, { first: run.first, count: run.count });
      if (page.length < runPageSize) return live;
      const last = page.at(-1)!;
      from = (last.first + last.count) as TicketId;
    }
  }

  /** Who reads now may be reading what was deleted a moment ago: resolves when all of them have ended. */
  async readersEnd(): Promise<void> {
    const epoch = this.#readerEpoch++;
    while (!this.#stopped && [...this.#readers.keys()].some((began) => began <= epoch)) {
      await new Promise<void>((resolve) => this.#epochEnded.push(resolve));
    }
  }
}
