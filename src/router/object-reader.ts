/**
 * From an object to its bytes: which tickets, from which store, verified, in order, with the next piece already under
 * way while one is being used. Nothing is handed out that did not verify.
 */
import { StoreError } from "../core/errors.ts";
import { checksumSize, ticketDataSize } from "../core/frame.ts";
import { formatId, type ObjectId, type TicketId } from "../core/ids.ts";
import { type BufferKind, bufferTicketCount, type Kernel, type TicketBuffer } from "../core/kernel.ts";
import { describeVolume, volumeEnd, volumeOf } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import { sliceRuns } from "../core/run.ts";
import type { TicketStore } from "../core/ticket-store.ts";
import type { SavedObject } from "../datastore/datastore.ts";
import { placement } from "./ticket-allocator.ts";

/** A range of stored tickets, and which of their bytes are wanted: `take` from `skip` on. */
export interface PiecePlan {
  readonly object: ObjectId;
  /** Where in that object the first ticket begins. */
  readonly offset: number;
  /** The same in the object that is being read, of which that one may be a part. */
  readonly position: number;
  readonly first: TicketId;
  readonly count: number;
  readonly skip: number;
  readonly take: number;
}

/** Verified tickets in a buffer that the taker releases. */
export interface Piece extends PiecePlan {
  readonly buffer: TicketBuffer;
}

/** What did not verify: found by reading, told to people. */
export interface Damage {
  readonly object: ObjectId;
  /** Of the ticket's first byte, in the object that owns its run. */
  readonly offset: number;
  /** The same in the object that was being read. */
  readonly position: number;
  readonly ticket: TicketId;
  readonly volume: string;
  readonly place: string;
  /** Nothing there, other bytes, or a disk that does not give them. */
  readonly kind: "absent" | "corrupt" | "unreadable";
}

export interface ReaderOptions {
  readonly kernel: Kernel;
  readonly locate: (volume: number) => Promise<TicketStore> | TicketStore;
  readonly getObject: (id: ObjectId) => Promise<SavedObject>;
  /** Called for each read that ends with damage. */
  readonly onDamage?: (damage: Damage) => void;
}

/** Pieces that are read ahead of the one in use. */
const readAheadCount = 2;

export class ObjectReader {
  readonly #options: ReaderOptions;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  /** Bytes `offset` to `offset` + `length` of an object, in pieces of at most a block. DAMAGED where one does not verify. */
  async *read(object: SavedObject, offset: number, length: number): AsyncGenerator<Piece> {
    const kind = kindFor(length);
    const ahead: Promise<Piece>[] = [];
    const plans = this.#plan(object, offset, length, bufferTicketCount[kind]);
    try {
      for (let ended = false; ;) {
        // Nobody knows when the next one will be asked for.
        const aheadMax = this.#options.kernel.isCrowded ? 1 : readAheadCount;
        while (!ended && ahead.length < aheadMax) {
          const next = await plans.next();
          if (next.done === true) ended = true;
          else ahead.push(quiet(this.#load(next.value, kind)));
        }
        const piece = ahead.shift();
        if (piece === undefined) return;
        yield await piece;
      }
    } finally {
      // The reader left early: what was read ahead goes back.
      for (const piece of ahead) piece.then(({ buffer }) => buffer.release()).catch(() => undefined);
    }
  }

  /** The plan for a whole object of a few tickets that lie together; undefined for all others. */
  planSingle(object: SavedObject): PiecePlan | undefined {
    if (object.content.kind !== "runs" || object.content.runs.length !== 1) return undefined;
    const { first, count } = object.content.runs[0]!;
    if (count > limits.readNowTicketsMax || volumeOf(placement, first) !== volumeOf(placement, first + count - 1)) {
      return undefined;
    }
    return { object: object.id, offset: 0, position: 0, first, count, skip: 0, take: object.size };
  }

  /** The bytes of such an object, if its store can be read at once and they verify. Whoever gets none reads on. */
  readSingleNow(plan: PiecePlan): Uint8Array | undefined {
    const store = this.#options.locate(volumeOf(placement, plan.first));
    if (store instanceof Promise) {
      void quiet(store);
      return undefined;
    }
    const buffer = this.#options.kernel.take(plan.count > bufferTicketCount.tiny ? "block" : "tiny");
    if (buffer === undefined) return undefined;
    try {
      const data = buffer.data.subarray(0, plan.count * ticketDataSize);
      if (!store.readNow(plan.first, plan.count, data, buffer.sums.subarray(0, plan.count * checksumSize))) {
        return undefined;
      }
      if (this.#verified(plan, buffer, 0) < plan.count) return undefined;
      // From Node's pool: a buffer of its own costs more than the read.
      const bytes = Buffer.allocUnsafe(plan.take);
      bytes.set(plan.take === data.length ? data : data.subarray(0, plan.take));
      return bytes;
    } finally {
      buffer.release();
    }
  }

  /** Reads one ticket after the other where that is needed to find all damage; tells what was damaged. */
  async *check(
    object: SavedObject,
    offset: number,
    length: number,
  ): AsyncGenerator<{ tickets: number; damages: Damage[] }> {
    for await (const plan of this.#plan(object, offset, length, bufferTicketCount.block)) {
      const buffer = await this.#options.kernel.wait("block");
      try {
        const damages = await this.#fetchWhatCanBe(plan, buffer);
        const unreadable = new Set(damages.map(({ ticket }) => ticket - plan.first));
        for (let from = 0; from < plan.count;) {
          const good = this.#verified(plan, buffer, from);
          if (good === plan.count) break;
          if (!unreadable.has(good)) damages.push(await this.#damageOf(plan, buffer, good));
          from = good + 1;
        }
        yield { tickets: plan.count, damages };
      } finally {
        buffer.release();
      }
    }
  }

  async #load(plan: PiecePlan, kind: BufferKind): Promise<Piece> {
    const { kernel } = this.#options;
    const buffer = kernel.take(kind) ?? (await kernel.wait(kind));
    try {
      await this.#fetch(plan, buffer);
      const good = this.#verified(plan, buffer, 0);
      if (good < plan.count) {
        const damage = await this.#damageOf(plan, buffer, good);
        this.#options.onDamage?.(damage);
        throw damagedError(damage);
      }
      return { ...plan, buffer };
    } catch (error) {
      buffer.release();
      throw error;
    }
  }

  async #fetch({ first, count }: PiecePlan, buffer: TicketBuffer): Promise<void> {
    const located = this.#options.locate(volumeOf(placement, first));
    const store = located instanceof Promise ? await located : located;
    const data = buffer.data.subarray(0, count * ticketDataSize);
    await store.read(first, count, data, buffer.sums.subarray(0, count * checksumSize));
  }

  /** As `#fetch`; where the disk gives no more than a part, one ticket after the other, and those that it does not give. */
  async #fetchWhatCanBe(plan: PiecePlan, buffer: TicketBuffer): Promise<Damage[]> {
    let store: TicketStore;
    try {
      store = await this.#options.locate(volumeOf(placement, plan.first));
    } catch (error) {
      if (!isUnknownVolume(error)) throw error;
      buffer.data.fill(0);
      buffer.sums.fill(0);
      return [];
    }
    try {
      await this.#fetch(plan, buffer);
      return [];
    } catch (error) {
      if (isSilent(error)) throw error;
    }
    const damages: Damage[] = [];
    for (let index = 0; index < plan.count; index++) {
      const data = buffer.data.subarray(index * ticketDataSize, (index + 1) * ticketDataSize);
      const sum = buffer.sums.subarray(index * checksumSize, (index + 1) * checksumSize);
      try {
        await store.read((plan.first + index) as TicketId, 1, data, sum);
      } catch (error) {
        if (isSilent(error)) throw error;
        // What was in this memory before might verify.
        data.fill(0);
        sum.fill(0);
        damages.push({ ...(await this.#damageOf(plan, buffer, index)), kind: "unreadable" });
      }
    }
    return damages;
  }

  /** The index of the first ticket from `from` on that does not verify. */
  #verified({ first, count }: PiecePlan, buffer: TicketBuffer, from: number): number {
    const data = from === 0 ? buffer.data : buffer.data.subarray(from * ticketDataSize);
    const sums = from === 0 ? buffer.sums : buffer.sums.subarray(from * checksumSize);
    return from + this.#options.kernel.checkSums(first + from, count - from, data, sums);
  }

  async #damageOf(plan: PiecePlan, buffer: TicketBuffer, index: number): Promise<Damage> {
    const ticket = (plan.first + index) as TicketId;
    const volume = volumeOf(placement, ticket);
    const sum = buffer.sums.subarray(index * checksumSize, (index + 1) * checksumSize);
    return {
      object: plan.object,
      offset: plan.offset + index * ticketDataSize,
      position: plan.position + index * ticketDataSize,
      ticket,
      volume: describeVolume(placement, volume),
      place: await this.#placeOf(volume),
      kind: sum.every((byte) => byte === 0) ? "absent" : "corrupt",
    };
  }

  async #placeOf(volume: number): Promise<string> {
    try {
      return (await this.#options.locate(volume)).place;
    } catch (error) {
      if (!isUnknownVolume(error)) throw error;
      return "nobody knows where";
    }
  }

  /** `base`: where in the object that is being read this one begins. */
  async *#plan(
    object: SavedObject,
    offset: number,
    length: number,
    countMax: number,
    base = 0,
  ): AsyncGenerator<PiecePlan> {
    if (object.content.kind === "runs") {
      yield* planRuns(object, offset, length, countMax, base);
      return;
    }
    const wanted: { id: ObjectId; from: number; size: number; base: number }[] = [];
    let start = 0;
    for (const part of object.content.parts) {
      const low = Math.max(offset, start);
      const high = Math.min(offset + length, start + part.size);
      if (low < high) wanted.push({ id: part.object, from: low - start, size: high - low, base: base + start });
      start += part.size;
    }
    // Looked up ahead of their bytes: when the object is deleted meanwhile, their records go at once, their bytes later.
    for (let first = 0; first < wanted.length; first += limits.partsAheadMax) {
      const some = wanted.slice(first, first + limits.partsAheadMax);
      const children = await this.#children(object, some);
      for (const [index, part] of some.entries()) {
        yield* this.#plan(children[index]!, part.from, part.size, countMax, part.base);
      }
    }
  }

  async #children(object: SavedObject, wanted: readonly { readonly id: ObjectId }[]): Promise<SavedObject[]> {
    const { getObject } = this.#options;
    try {
      return await Promise.all(wanted.map(({ id }) => getObject(id)));
    } catch (error) {
      if ((error as { code?: unknown }).code !== "DAMAGED") throw error;
      // Damage only if the object that they are parts of is still there.
      await getObject(object.id).catch((cause: unknown) => {
        if ((cause as { code?: unknown }).code !== "DAMAGED") throw cause;
        const message = `object ${formatId(object.id)} was deleted while it was being read`;
        throw new StoreError("NOT_FOUND", message, { cause: error });
      });
      throw error;
    }
  }
}

function* planRuns(
  object: SavedObject,
  offset: number,
  length: number,
  countMax: number,
  base: number,
): Generator<PiecePlan> {
  if (length === 0 || object.content.kind !== "runs") return;
  const from = Math.floor(offset / ticketDataSize);
  const to = Math.ceil((offset + length) / ticketDataSize);
  let at = from;
  for (const run of sliceRuns(object.content.runs, from, to)) {
    for (let done = 0; done < run.count;) {
      const first = (run.first + done) as TicketId;
      // A piece lies in one volume, so that one store has all of it.
      const inVolume = volumeEnd(placement, volumeOf(placement, first)) - first;
      const count = Math.min(countMax, run.count - done, inVolume);
      const start = at * ticketDataSize;
      const skip = Math.max(0, offset - start);
      const end = Math.min(offset + length, start + count * ticketDataSize);
      const take = end - start - skip;
      yield { object: object.id, offset: start, position: base + start, first, count, skip, take };
      done += count;
      at += count;
    }
  }
}

function kindFor(length: number): BufferKind {
  // A range of so many bytes can touch two tickets.
  return length <= ticketDataSize ? "tiny" : "block";
}

/** The datastore has a run, but not the volume that it lies in. */
function isUnknownVolume(error: unknown): boolean {
  return error instanceof StoreError && error.code === "DAMAGED";
}

/** That a store does not answer says nothing about what it holds; that something else is in a file's place does. */
function isSilent(error: unknown): boolean {
  return error instanceof StoreError && error.code !== "DAMAGED";
}

/** DAMAGED, with the damage as its cause: `damageIn`. */
function damagedError(damage: Damage): StoreError {
  const { object, offset, ticket, volume, place, kind } = damage;
  const what = `object ${formatId(object)} is damaged at byte ${offset}`;
  const why = kind === "absent" ? "is not there" : "does not verify";
  const where = `volume ${volume} of ${place}`;
  return new StoreError("DAMAGED", `${what}: ticket ${formatId(ticket)} ${why} (${where})`, { cause: damage });
}

/** What exactly was found to be damaged, where a read ended with that. */
export function damageIn(error: unknown): Damage | undefined {
  if (!(error instanceof StoreError) || error.code !== "DAMAGED") return undefined;
  const { cause } = error;
  return typeof cause === "object" && cause !== null && "ticket" in cause ? (cause as Damage) : undefined;
}

/** A rejection that is looked at later must not count as unhandled until then. */
function quiet<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => undefined);
  return promise;
}
