/**
 * The Router: objects over tickets. Gateways and ports use this interface and nothing below it.
 *
 *   write:  openWriter → ObjectWriter.offer … finish   tickets durable on a putter, then the commit, then it resolves
 *   read:   read → pieces, each verified
 */
import { messageOf, StoreError } from "../core/errors.ts";
import { formatId, type ObjectId } from "../core/ids.ts";
import type { Kernel } from "../core/kernel.ts";
import { volumeOf } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import type { TicketStore } from "../core/ticket-store.ts";
import type {
  Attributes,
  Datastore,
  ObjectRecord,
  SavedObject,
  Target,
  WritingObject,
} from "../datastore/datastore.ts";
import type { Host } from "../env/host.ts";
import { ObjectIds } from "./object-ids.ts";
import { type Damage, ObjectReader, type Piece } from "./object-reader.ts";
import { ObjectWriter, type WriterOptions, type WrittenObject } from "./object-writer.ts";
import { type ReclaimPeers, Reclaimer, type ReclaimerOptions } from "./reclaimer.ts";
import { type SmallWrite, smallSizeMax, writeSmall } from "./small-write.ts";
import { placement, TicketAllocator } from "./ticket-allocator.ts";
import { noteFailure, throwIfUnsaved } from "./write-failure.ts";

export interface RouterOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly datastore: Datastore;
  /** Names this router in the datastore, across restarts. */
  readonly name: string;
  /** Known from the start; others can be added. */
  readonly stores: readonly TicketStore[];
  readonly reclaim?: Partial<ReclaimerOptions["settings"]>;
  readonly siblings?: Siblings;
}

/** Routers of other names over the same data directory: other processes, now or earlier (compose/worker-role.ts). */
export interface Siblings {
  /** Names of earlier ones that do not run now: this router ends what they left, and reclaims their volumes. */
  readonly former: ReadonlySet<string>;
  /** Where the volumes of a sibling, by the name of its putter, are read. */
  readonly storeOf: (putter: string) => TicketStore | undefined;
  readonly peers?: ReclaimPeers | undefined;
}

export interface OpenWriterOptions {
  readonly sizeHint?: number;
  readonly onRoom?: () => void;
  readonly onFailure?: (error: StoreError) => void;
}

export class Router {
  readonly #options: RouterOptions;
  readonly #ids: ObjectIds;
  readonly #allocators: TicketAllocator[] = [];
  readonly #stores = new Map<string, TicketStore>();
  readonly #writers = new Map<ObjectId, { writer: ObjectWriter; startedAt: number }>();
  /** Which store has a volume: never changes. */
  readonly #located = new Map<number, TicketStore>();
  readonly #reader: ObjectReader;
  readonly #reclaimer: Reclaimer;
  #turn = 0;
  /** Writes of `put` that are under way. */
  #smallWrites = 0;
  #damagedReads = 0;
  #closing = false;
  /** Called when the last writer is done, while closing. */
  #drained: (() => void) | undefined;

  private constructor(options: RouterOptions) {
    const { host, kernel, datastore, name, stores } = options;
    this.#options = options;
    this.#ids = new ObjectIds(datastore, name);
    for (const store of stores) this.addStore(store);
    this.#reader = new ObjectReader({
      kernel,
      locate: (volume) => this.#located.get(volume) ?? this.#locate(volume),
      getObject: (id) => this.#savedObject(id),
      onDamage: () => this.#damagedReads++,
    });
    this.#reclaimer = new Reclaimer({
      host,
      datastore,
      store: (putter) => this.#stores.get(putter) ?? (this.#isFormer(putter) ? this.#storeOf(putter) : undefined),
      isFormer: (putter) => this.#isFormer(putter),
      peers: options.siblings?.peers,
      allocators: this.#allocators,
      settings: options.reclaim ?? {},
    });
  }

  /** Ends what an earlier process of this router left open, and begins. */
  static async start(options: RouterOptions): Promise<Router> {
    const names = [options.name, ...(options.siblings?.former ?? [])];
    const counts = await Promise.all(names.map((name) => options.datastore.closeRouter(name)));
    const unfinished = counts.reduce((sum, count) => sum + count, 0);
    if (unfinished > 0) options.host.log.info("unfinished writes of an earlier run are given up", { unfinished });
    const router = new Router(options);
    router.#reclaimer.start();
    return router;
  }

  /** A putter that is there from now on. */
  addStore(store: TicketStore): void {
    if (this.#stores.has(store.id)) throw new StoreError("INCOMPATIBLE", `putter ${store.id} is configured twice`);
    const { datastore, host, name } = this.#options;
    const onError = (what: string, error: unknown): void => host.log.warn(what, { error: messageOf(error) });
    this.#stores.set(store.id, store);
    this.#allocators.push(new TicketAllocator({ datastore, router: name, store, onError }));
  }

  get stores(): readonly TicketStore[] {
    return [...this.#stores.values()];
  }

  get datastore(): Datastore {
    return this.#options.datastore;
  }

  get reclaimer(): Reclaimer {
    return this.#reclaimer;
  }

  /** BUSY while closing, UNAVAILABLE where no putter is there. */
  async openWriter(options: OpenWriterOptions = {}): Promise<ObjectWriter> {
    if (this.#closing) throw new StoreError("BUSY", "the router is closing");
    const allocator = this.#chooseAllocator();
    const id = await this.#ids.take();
    const { host, kernel, datastore, name } = this.#options;
    const writerOptions: WriterOptions = {
      host,
      kernel,
      datastore,
      router: name,
      allocator,
      id,
      sizeHint: options.sizeHint,
      onRoom: options.onRoom ?? ignore,
      onFailure: options.onFailure ?? ignore,
      onClosed: () => {
        this.#writers.delete(id);
        this.#noteDrained();
      },
    };
    const writer = new ObjectWriter(writerOptions);
    this.#writers.set(id, { writer, startedAt: host.clock.now() });
    return writer;
  }

  /** An id for an object that is made of others: an upload that is complete. */
  async newObjectId(): Promise<ObjectId> {
    return this.#ids.takeNow() ?? (await this.#ids.take());
  }

  /** Stores bytes that are at hand. They must not change before it resolves. */
  put(bytes: Uint8Array, target: Target, attributes: Attributes): Promise<WrittenObject> {
    return bytes.length <= smallSizeMax
      ? this.#putSmall(bytes, target, attributes)
      : this.#putLarge(bytes, target, attributes);
  }

  async #putLarge(bytes: Uint8Array, target: Target, attributes: Attributes): Promise<WrittenObject> {
    let wake: () => void = ignore;
    const writer = await this.openWriter({
      sizeHint: bytes.length,
      onRoom: () => wake(),
      onFailure: () => wake(),
    });
    for (let done = writer.offer(bytes); done < bytes.length; done += writer.offer(bytes.subarray(done))) {
      await new Promise<void>((resolve) => (wake = resolve));
    }
    return writer.finish(target, attributes);
  }

  async #putSmall(bytes: Uint8Array, target: Target, attributes: Attributes): Promise<WrittenObject> {
    if (this.#closing) throw new StoreError("BUSY", "the router is closing");
    const { host, kernel, datastore } = this.#options;
    const allocator = this.#chooseAllocator();
    const id = this.#ids.takeNow() ?? (await this.#ids.take());
    const size = bytes.length;
    this.#smallWrites++;
    let leases: SmallWrite["leases"] = [];
    try {
      const written = await writeSmall(kernel, allocator, bytes);
      leases = written.leases;
      for (const outcome of written.outcomes) throwIfUnsaved(outcome, allocator, leases, host.log);
      const version = await datastore.saveObject(
        { id, size, runs: written.runs, attributes },
        target,
        host.clock.now(),
      );
      return { id, size, version };
    } catch (error) {
      await noteFailure(datastore, host, id, messageOf(error));
      throw error;
    } finally {
      for (const lease of leases) allocator.done(lease);
      this.#smallWrites--;
      this.#noteDrained();
    }
  }

  #noteDrained(): void {
    if (this.#writers.size === 0 && this.#smallWrites === 0) this.#drained?.();
  }

  /** Bytes `offset` to `offset` + `length`, in verified pieces that the taker releases. */
  async *read(object: SavedObject, offset: number, length: number): AsyncGenerator<Piece> {
    const end = this.#reclaimer.readerEnters();
    try {
      yield* this.#reader.read(object, offset, length);
    } finally {
      end();
    }
  }

  /** Reads that ended with damage, since the start. */
  get damagedReadCount(): number {
    return this.#damagedReads;
  }

  /** Buffers are scarce: of pieces that wait for a client a copy should be kept instead. */
  get isCrowded(): boolean {
    return this.#options.kernel.isCrowded;
  }

  /** What `get` would give, where nothing has to be waited for; undefined also where something is wrong, which `get` tells. */
  getNow(object: SavedObject): Uint8Array | undefined {
    const single = this.#reader.planSingle(object);
    try {
      return single === undefined ? undefined : this.#reader.readSingleNow(single);
    } catch {
      return undefined;
    }
  }

  /** All bytes of an object that is small enough to be had at once. */
  async get(object: SavedObject): Promise<Uint8Array> {
    const now = this.getNow(object);
    if (now !== undefined) return now;
    const bytes = new Uint8Array(object.size);
    let at = 0;
    for await (const { buffer, skip, take } of this.read(object, 0, object.size)) {
      bytes.set(buffer.data.subarray(skip, skip + take), at);
      at += take;
      buffer.release();
    }
    return bytes;
  }

  /** An object as the datastore has it; one that is being written here, as it is this moment. */
  async stat(id: ObjectId): Promise<ObjectRecord | undefined> {
    const active = this.#writers.get(id);
    const record = await this.datastore.getObject(id);
    if (active === undefined || record?.status === "saved") return record;
    const { ticketCount, writeCount } = active.writer;
    const writing: WritingObject = {
      id,
      status: "writing",
      router: this.#options.name,
      createdAt: active.startedAt,
      ticketCount,
      writeCount,
    };
    return writing;
  }

  /** Objects in order of id, those included that are being written here. */
  async list(after: ObjectId | undefined, limit: number): Promise<ObjectRecord[]> {
    const records = await this.datastore.listObjects(after, limit);
    const known = new Set(records.map(({ id }) => id));
    const last = records.length < limit ? Number.POSITIVE_INFINITY : records.at(-1)!.id;
    for (const id of this.#writers.keys()) {
      if (known.has(id) || id > last || (after !== undefined && id <= after)) continue;
      const record = await this.stat(id);
      if (record !== undefined) records.push(record);
    }
    return records.sort((one, other) => one.id - other.id).slice(0, limit);
  }

  async remove(id: ObjectId): Promise<boolean> {
    if (this.#writers.has(id)) throw new StoreError("CONFLICT", `object ${formatId(id)} is being written`);
    const removed = await this.datastore.removeObject(id);
    if (removed) this.#reclaimer.noteFreed();
    return removed;
  }

  /** Reads and verifies everything of an object, or the tickets of a range of it; yields as it goes on. */
  async *verify(
    object: SavedObject,
    offset = 0,
    length = object.size,
  ): AsyncGenerator<{ tickets: number; damages: Damage[] }> {
    const end = this.#reclaimer.readerEnters();
    try {
      yield* this.#reader.check(object, offset, length);
    } finally {
      end();
    }
  }

  /** Which volumes, of which putters, an object lies in. */
  async places(object: SavedObject): Promise<{ volume: number; putter: string }[]> {
    const volumes = new Map<number, string>();
    const children = object.content.kind === "parts" ? object.content.parts.map((part) => part.object) : [];
    for (const child of children) {
      for (const { volume, putter } of await this.places(await this.#savedObject(child))) volumes.set(volume, putter);
    }
    for (const run of object.content.kind === "runs" ? object.content.runs : []) {
      const last = volumeOf(placement, run.first + run.count - 1);
      for (let volume = volumeOf(placement, run.first); volume <= last; volume++) {
        volumes.set(volume, (await this.datastore.getVolume(volume))?.putter ?? "unknown");
      }
    }
    return [...volumes].map(([volume, putter]) => ({ volume, putter }));
  }

  /** Lets what is being written come to its end, for a while, then returns what was leased and not used. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#reclaimer.stop();
    if (this.#writers.size > 0 || this.#smallWrites > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
        this.#options.host.clock.after(limits.drainTimeoutMs, resolve);
      });
    }
    const late = [...this.#writers.values()];
    await Promise.all(late.map(({ writer }) => writer.abort(new StoreError("ABORTED", "the router is closing"))));
    for (const allocator of this.#allocators) await allocator.close();
    await this.#ids.close();
  }

  async #savedObject(id: ObjectId): Promise<SavedObject> {
    const record = await this.datastore.getObject(id);
    if (record?.status === "saved") return record;
    throw new StoreError("DAMAGED", `object ${formatId(id)} is part of another one and is not there`);
  }

  async #locate(volume: number): Promise<TicketStore> {
    const record = await this.datastore.getVolume(volume);
    if (record === undefined) throw new StoreError("DAMAGED", `volume ${volume} is not known to the datastore`);
    const store = this.#storeOf(record.putter);
    if (store === undefined) {
      throw new StoreError(
        "UNAVAILABLE",
        `putter ${record.putter}, which has volume ${volume}, is not configured here`,
      );
    }
    this.#located.set(volume, store);
    return store;
  }

  #storeOf(putter: string): TicketStore | undefined {
    return this.#stores.get(putter) ?? this.#options.siblings?.storeOf(putter);
  }

  #isFormer(putter: string): boolean {
    return this.#options.siblings?.former.has(putter) === true;
  }

  /** The putters take turns; those that do not answer are passed over. */
  #chooseAllocator(): TicketAllocator {
    for (let tried = 0; tried < this.#allocators.length; tried++) {
      const allocator = this.#allocators[this.#turn++ % this.#allocators.length]!;
      if (allocator.store.available) return allocator;
    }
    const places = this.#allocators.map(({ store }) => store.place).join(", ");
    throw new StoreError("UNAVAILABLE", `no putter answers${places === "" ? "" : ` (${places})`}`);
  }
}

function ignore(): void {
  // Nobody waits.
}
