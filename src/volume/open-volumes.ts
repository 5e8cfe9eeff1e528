/**
 * The volumes that are open: each is opened when it is needed, a bounded number at a time, and who needs another one
 * waits until one is idle. A volume that is being reclaimed is closed to writers.
 */
import { messageOf } from "../core/errors.ts";
import type { Log } from "../env/host.ts";
import { Gate } from "./gate.ts";
import type { Volume } from "./volume.ts";

export interface OpenVolume {
  readonly volume: Volume;
  /** Who reads or writes. */
  users: number;
  writers: number;
  /** Called when the last writer is done. */
  onNoWriters: (() => void) | undefined;
  /** Called when the last user is done. */
  onNoUsers: (() => void) | undefined;
  /** Its files were replaced or removed; to be closed by its last user. */
  stale: boolean;
}

export interface OpenVolumesOptions {
  readonly countMax: number;
  readonly log: Log;
  /** Where they are, for messages. */
  readonly place: string;
  /** Undefined: not there and not to be made. */
  readonly open: (number: number, create: boolean) => Promise<Volume | undefined>;
}

export class OpenVolumes {
  readonly #options: OpenVolumesOptions;
  /** Least recently used first. */
  readonly #open = new Map<number, OpenVolume>();
  readonly #opening = new Map<number, Promise<OpenVolume | undefined>>();
  readonly #slots: Gate;
  /** Volumes that are being reclaimed. Writers wait. */
  readonly #closed = new Map<number, Promise<void>>();

  constructor(options: OpenVolumesOptions) {
    this.#options = options;
    this.#slots = new Gate(options.countMax);
  }

  get count(): number {
    return this.#open.size;
  }

  /** Open or being opened. */
  numbers(): Set<number> {
    return new Set([...this.#open.keys(), ...this.#opening.keys()]);
  }

  /** For reading at once. */
  get(number: number): OpenVolume | undefined {
    return this.#open.get(number);
  }

  /** For writing at once. A volume that is being reclaimed may be open: for readers, who still have the files that go. */
  writable(number: number): OpenVolume | undefined {
    return this.#closed.has(number) ? undefined : this.#open.get(number);
  }

  /** The volume, opened if need be, for the caller to use until `leave`. Undefined: not there and not to be made. */
  async acquire(number: number, create: boolean): Promise<OpenVolume | undefined> {
    for (;;) {
      const closed = this.#closed.get(number);
      if (closed !== undefined && create) {
        await closed;
        continue;
      }
      const open = this.#open.get(number);
      if (open !== undefined) {
        this.use(number, open, create);
        return open;
      }
      const opening = this.#opening.get(number);
      if (opening === undefined) return this.#openShared(number, create);
      // Opening it failed for another one, which says nothing about what is there: this one makes its own attempt.
      const shared = await opening.catch(() => "failed" as const);
      if (shared === undefined && !create) return undefined;
    }
  }

  use(number: number, open: OpenVolume, writing: boolean): void {
    open.users++;
    if (writing) open.writers++;
    // To the end of the map: most recently used. With few open volumes the order does not matter.
    if (this.#open.size < this.#options.countMax / 2 || this.#open.get(number) !== open) return;
    this.#open.delete(number);
    this.#open.set(number, open);
  }

  leave(number: number, open: OpenVolume, writing: boolean): void {
    open.users--;
    if (writing && --open.writers === 0) open.onNoWriters?.();
    if (open.users > 0) return;
    open.onNoUsers?.();
    if (open.stale) void this.#close(open);
    else if (this.#slots.waitingCount > 0 && this.#open.get(number) === open) {
      this.#open.delete(number);
      void this.#close(open);
    }
  }

  /**
   * Runs with nobody writing to the volume. Who reads goes on with the files as they were, until `work` asks to wait for
   * their end; who reads from then on has opened the files as they are then.
   */
  async exclusively(number: number, work: (readersEnd: () => Promise<void>) => Promise<void>): Promise<void> {
    for (let other = this.#closed.get(number); other !== undefined; other = this.#closed.get(number)) await other;
    let reopen!: () => void;
    this.#closed.set(number, new Promise((resolve) => (reopen = resolve)));
    const readers: Promise<void>[] = [];
    const retire = async (): Promise<void> => {
      const open = await this.retire(number);
      if (open !== undefined && open.users > 0) {
        readers.push(new Promise<void>((resolve) => (open.onNoUsers = resolve)));
      }
    };
    try {
      await retire();
      await work(async () => {
        await retire();
        await Promise.all(readers);
      });
    } finally {
      // Readers may have opened the old files meanwhile.
      await this.retire(number);
      this.#closed.delete(number);
      reopen();
    }
  }

  /** Lets nobody new use the volume's files as they are open or being opened now; resolves when nobody writes to them. */
  async retire(number: number): Promise<OpenVolume | undefined> {
    await this.#opening.get(number)?.catch(() => undefined);
    const open = this.#open.get(number);
    if (open === undefined) return undefined;
    this.#open.delete(number);
    open.stale = true;
    if (open.users === 0) void this.#close(open);
    else if (open.writers > 0) await new Promise<void>((resolve) => (open.onNoWriters = resolve));
    return open;
  }

  /** Runs while one volume fewer than may be is open. */
  async withSlot<Value>(work: () => Promise<Value>): Promise<Value> {
    await this.#slots.enter(() => this.#evict());
    try {
      return await work();
    } finally {
      this.#slots.leave();
    }
  }

  async closeAll(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(open.map(({ volume }) => volume.close()));
  }

  async #openShared(number: number, create: boolean): Promise<OpenVolume | undefined> {
    const opening = this.#openNow(number, create);
    this.#opening.set(number, opening);
    try {
      const open = await opening;
      if (open !== undefined) {
        this.#open.set(number, open);
        this.use(number, open, create);
      }
      return open;
    } finally {
      this.#opening.delete(number);
    }
  }

  async #openNow(number: number, create: boolean): Promise<OpenVolume | undefined> {
    await this.#slots.enter(() => this.#evict());
    try {
      const volume = await this.#options.open(number, create);
      if (volume === undefined) this.#slots.leave();
      if (volume === undefined) return undefined;
      return { volume, users: 0, writers: 0, onNoWriters: undefined, onNoUsers: undefined, stale: false };
    } catch (error) {
      this.#slots.leave();
      throw error;
    }
  }

  /** Closes the volume that was not used for the longest time, if one is idle. */
  #evict(): void {
    for (const [number, open] of this.#open) {
      if (open.users > 0) continue;
      this.#open.delete(number);
      void this.#close(open);
      return;
    }
  }

  async #close(open: OpenVolume): Promise<void> {
    try {
      await open.volume.close();
    } catch (error) {
      this.#options.log.warn("closing a volume failed", { volume: this.#options.place, error: messageOf(error) });
    } finally {
      this.#slots.leave();
    }
  }
}
