/**
 * The DataReceiver of one object: bytes in, tickets out, a commit at the end.
 *
 * Bytes are gathered in one buffer of the arena. When it is full its checksums are made in one call and it goes to the
 * putter, while the next one fills; at most `batchesInFlightMax` are under way, and when there is no buffer the source
 * has to wait: so the disk's pace reaches the client's socket. TicketIDs are taken when a buffer is sent or, for what
 * turns out to be long, reserved ahead, so that whole groups can be written unbuffered.
 *
 * A writer that has heard nothing for a while can be parked: it sends the whole tickets that it has and keeps less than
 * one ticket's bytes outside the arena. So ten thousand slow clients do not hold ten thousand buffers.
 */
import { assert, messageOf, StoreError } from "../core/errors.ts";
import { checksumSize, groupTicketCount, ticketCountOf, ticketDataSize, TicketStatus } from "../core/frame.ts";
import { type ObjectId, type TicketId } from "../core/ids.ts";
import { type BufferKind, bufferTicketCount, type Kernel, type TicketBuffer } from "../core/kernel.ts";
import { slotOf } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import { appendRun, type Run, ticketsIn } from "../core/run.ts";
import type { BatchOutcome } from "../core/ticket-store.ts";
import type { Attributes, Datastore, Target, VersionRecord } from "../datastore/datastore.ts";
import type { Host } from "../env/host.ts";
import { placement, type Reservation, type TicketAllocator, type TicketLease } from "./ticket-allocator.ts";
import { noteFailure, throwIfUnsaved } from "./write-failure.ts";

export interface WriterOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly datastore: Datastore;
  readonly router: string;
  readonly allocator: TicketAllocator;
  readonly id: ObjectId;
  /** Bytes that are expected, where that is known. */
  readonly sizeHint: number | undefined;
  /** Called when `offer` took less than it was given, and can take more now. */
  readonly onRoom: () => void;
  /** Called when the write has failed; `finish` will reject with the same. */
  readonly onFailure: (error: StoreError) => void;
  readonly onClosed: () => void;
}

export interface WrittenObject {
  readonly id: ObjectId;
  readonly size: number;
  readonly version: VersionRecord | undefined;
}

export class ObjectWriter {
  readonly id: ObjectId;
  /** Bytes taken so far, tickets cut, tickets durable. */
  size = 0;
  ticketCount = 0;
  writeCount = 0;
  readonly #options: WriterOptions;
  readonly #runs: Run[] = [];
  readonly #leases = new Set<TicketLease>();
  readonly #startedAt: number;
  #buffer: TicketBuffer | undefined;
  /** Tickets that this buffer may hold: less than it could where a group's end comes first. */
  #capacity = 0;
  #filled = 0;
  /** Since when, as the clock's `monotonic` says. */
  #bufferAt = 0;
  /** Less than one ticket's bytes, kept while parked. */
  #rest: Uint8Array | undefined;
  #reservation: Reservation | undefined;
  #groups = 1;
  /** More than one buffer: worth reserving for. */
  #long = false;
  /** Buffers on their way to the disk. */
  #inFlight = 0;
  /** Batches whose outcome is not known yet. */
  #unsaved = 0;
  /** For a buffer, or for a lease. */
  #waiting = false;
  #starved = false;
  #failure: StoreError | undefined;
  #closing: Promise<void> | undefined;
  #idle: (() => void)[] = [];
  #notedAt: number;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.id = options.id;
    this.#startedAt = options.host.clock.now();
    this.#notedAt = options.host.clock.monotonic();
  }

  get failure(): StoreError | undefined {
    return this.#failure;
  }

  /** Whether bytes are under way to the disk. */
  get working(): boolean {
    return this.#unsaved > 0 || this.#waiting;
  }

  /** For how long it has had the buffer that it fills now. */
  get heldMs(): number {
    return this.#buffer === undefined ? 0 : this.#options.host.clock.monotonic() - this.#bufferAt;
  }

  /** Takes as many bytes as there is room for now. After fewer than all, `onRoom` is called when there is more. */
  offer(chunk: Uint8Array): number {
    if (this.#failure !== undefined) return chunk.length;
    if (this.#putAside(chunk)) return chunk.length;
    let at = 0;
    while (at < chunk.length) {
      if (this.#buffer === undefined && !this.#takeBuffer()) {
        this.#starved = true;
        return at;
      }
      const room = this.#capacity * ticketDataSize - this.#filled;
      const part = chunk.subarray(at, at + room);
      this.#buffer!.data.set(part, this.#filled);
      this.#filled += part.length;
      this.size += part.length;
      at += part.length;
      if (part.length === room) this.#send();
    }
    if (this.size > limits.objectSizeMax) {
      this.fail(new StoreError("INVALID", `object size: at most ${limits.objectSizeMax} bytes`));
    }
    return chunk.length;
  }

  /** What trickles in while parked is kept outside the arena too, until it makes a ticket. */
  #putAside(chunk: Uint8Array): boolean {
    const rest = this.#rest;
    if (rest === undefined || this.#buffer !== undefined || this.#waiting) return false;
    if (rest.length + chunk.length >= ticketDataSize) return false;
    const both = new Uint8Array(rest.length + chunk.length);
    both.set(rest);
    both.set(chunk, rest.length);
    this.#rest = both;
    this.size += chunk.length;
    return true;
  }

  /** Gives the buffer back: whole tickets are sent, the rest is put aside. */
  park(): void {
    const buffer = this.#buffer;
    if (buffer === undefined || this.#failure !== undefined) return;
    const restAt = Math.floor(this.#filled / ticketDataSize) * ticketDataSize;
    if (restAt < this.#filled) this.#rest = buffer.data.slice(restAt, this.#filled);
    this.#filled = restAt;
    this.#send();
  }

  /**
   * The source has come to its end: writes what is left, waits until every ticket is on disk, and commits. Rejects, with
   * nothing visible, where anything went wrong.
   */
  async finish(target: Target, attributes: Attributes): Promise<WrittenObject> {
    const { datastore, host } = this.#options;
    try {
      while (this.#rest !== undefined && this.#failure === undefined) {
        // What was put aside needs a buffer again.
        if (!this.#takeBuffer()) await this.#room();
      }
      this.#send();
      await this.#settled();
      if (this.#failure !== undefined) throw this.#failure;
      assert(this.ticketCount === ticketCountOf(this.size), "as many tickets as bytes need");
      const object = { id: this.id, size: this.size, runs: this.#runs, attributes };
      const version = await datastore.saveObject(object, target, host.clock.now());
      return { id: this.id, size: this.size, version };
    } catch (error) {
      this.#failWith(error);
      throw this.#failure ?? error;
    } finally {
      await this.#close();
    }
  }

  /** Gives up; nothing of it becomes visible. */
  async abort(error: StoreError): Promise<void> {
    this.fail(error);
    await this.#close();
  }

  fail(error: StoreError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#options.onFailure(error);
    this.#wake();
  }

  #close(): Promise<void> {
    this.#closing ??= this.#letGo();
    return this.#closing;
  }

  async #letGo(): Promise<void> {
    await this.#settled();
    this.#buffer?.release();
    this.#buffer = undefined;
    const { allocator, datastore, host } = this.#options;
    if (this.#reservation !== undefined) allocator.giveBack(this.#reservation);
    for (const lease of this.#leases) allocator.done(lease);
    this.#options.onClosed();
    if (this.#failure === undefined) return;
    await noteFailure(datastore, host, this.id, this.#failure.message);
  }

  /** A buffer to fill, with what was put aside at its beginning; false where none is free now. */
  #takeBuffer(): boolean {
    if (this.#waiting || this.#inFlight >= limits.batchesInFlightMax) return false;
    if (this.#unsaved >= limits.unsavedBatchesMax) return false;
    const { kernel, allocator } = this.#options;
    if (this.#long && !this.#hasReserved()) {
      const reserved = allocator.reserve(this.#groups);
      if (reserved === undefined) {
        void this.#waitForLease();
        return false;
      }
      this.#groups = Math.min(this.#groups * 2, limits.reserveGroupsMax);
      this.#use(reserved);
    }
    const kind = this.#kindOfBuffer();
    const buffer = kernel.take(kind) ?? (kind === "block" ? undefined : kernel.take("block"));
    if (buffer === undefined) {
      this.#waitForBuffer();
      return false;
    }
    this.#fill(buffer);
    return true;
  }

  #kindOfBuffer(): BufferKind {
    const { sizeHint } = this.#options;
    if (sizeHint !== undefined && sizeHint <= bufferTicketCount.tiny * ticketDataSize) return "tiny";
    const next = this.#reservation?.next;
    // Whole groups only for what is long and where a group begins.
    if (next === undefined || slotOf(placement, next) % groupTicketCount !== 0) return "block";
    return this.#reservation!.end - next >= groupTicketCount ? "group" : "block";
  }

  #fill(buffer: TicketBuffer): void {
    this.#buffer = buffer;
    this.#bufferAt = this.#options.host.clock.monotonic();
    this.#filled = 0;
    this.#capacity = buffer.ticketCountMax;
    if (this.#hasReserved() && this.#reservation !== undefined) {
      const toGroup = groupTicketCount - (slotOf(placement, this.#reservation.next) % groupTicketCount);
      this.#capacity = Math.min(this.#capacity, toGroup, this.#reservation.end - this.#reservation.next);
    }
    const rest = this.#rest;
    if (rest === undefined) return;
    this.#rest = undefined;
    buffer.data.set(rest);
    this.#filled = rest.length;
  }

  #waitForBuffer(): void {
    this.#waiting = true;
    let waited: Promise<TicketBuffer>;
    try {
      waited = this.#options.kernel.wait("block", true);
    } catch (error) {
      this.#waiting = false;
      this.fail(error as StoreError);
      return;
    }
    // Who has begun is waited for; who could not even begin for so long is refused, and may come again.
    const timer = this.size > 0 ? undefined : this.#options.host.clock.after(limits.bufferWaitMs, () => this.#giveUp());
    void waited.then((buffer) => {
      timer?.cancel();
      this.#waiting = false;
      if (this.#closing !== undefined || this.#failure !== undefined || this.#buffer !== undefined) buffer.release();
      else this.#fill(buffer);
      this.#wake();
    });
  }

  #giveUp(): void {
    this.fail(new StoreError("BUSY", `no buffer was free within ${limits.bufferWaitMs} ms`));
  }

  async #waitForLease(): Promise<void> {
    this.#waiting = true;
    try {
      await this.#options.allocator.ready();
    } catch (error) {
      this.#failWith(error);
    }
    this.#waiting = false;
    this.#wake();
  }

  /** Sends the buffer as it is. */
  #send(): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    this.#buffer = undefined;
    const filled = this.#filled;
    this.#filled = 0;
    if (filled === 0 || this.#failure !== undefined) {
      buffer.release();
      return;
    }
    const count = ticketCountOf(filled);
    buffer.data.fill(0, filled, count * ticketDataSize);
    this.ticketCount += count;
    this.#inFlight++;
    this.#unsaved++;
    if (filled === this.#capacity * ticketDataSize) this.#long = true;
    const runs: Run[] = [];
    if (this.#allot(count, runs)) void this.#dispatch(buffer, runs);
    else void this.#allotLater(buffer, count, runs);
  }

  /** Adds ids for `count` tickets to `runs`, as far as they can be had now; whether they could. */
  #allot(count: number, runs: Run[]): boolean {
    const { allocator } = this.#options;
    for (let missing = count - ticketsIn(runs); missing > 0; missing = count - ticketsIn(runs)) {
      if (!this.#hasReserved()) {
        const reserved = this.#long ? allocator.reserve(this.#groups) : allocator.take(missing);
        if (reserved === undefined) return false;
        this.#use(reserved);
      }
      const reservation = this.#reservation!;
      const part = Math.min(missing, reservation.end - reservation.next);
      runs.push({ first: reservation.next as TicketId, count: part });
      reservation.next += part;
    }
    return true;
  }

  async #allotLater(buffer: TicketBuffer, count: number, runs: Run[]): Promise<void> {
    // No other buffer is taken meanwhile, so runs stay in the order of the bytes.
    this.#waiting = true;
    try {
      while (!this.#allot(count, runs)) await this.#options.allocator.ready();
      this.#waiting = false;
      await this.#dispatch(buffer, runs);
    } catch (error) {
      this.#waiting = false;
      this.#failWith(error);
      buffer.release();
      this.#inFlight--;
      this.#unsaved--;
      this.#wake();
    }
  }

  #hasReserved(): boolean {
    return this.#reservation !== undefined && this.#reservation.next < this.#reservation.end;
  }

  #use(reservation: Reservation): void {
    this.#reservation = reservation;
    if (this.#leases.has(reservation.lease)) this.#options.allocator.joined(reservation.lease);
    else this.#leases.add(reservation.lease);
  }

  /** Checksums, writes, and waits for the outcome. */
  async #dispatch(buffer: TicketBuffer, runs: readonly Run[]): Promise<void> {
    const { kernel, allocator } = this.#options;
    const released: Promise<void>[] = [];
    const saved: Promise<void>[] = [];
    let done = 0;
    for (const { first, count } of runs) {
      appendRun(this.#runs, { first, count });
      const data = buffer.data.subarray(done * ticketDataSize, (done + count) * ticketDataSize);
      const sums = buffer.sums.subarray(done * checksumSize, (done + count) * checksumSize);
      kernel.makeSums(first, count, data, sums);
      const pending = allocator.store.write({ first, count, data, sums });
      released.push(pending.released);
      saved.push(pending.saved.then((outcome) => this.#noteSaved(count, outcome)));
      done += count;
    }
    await Promise.all(released);
    buffer.release();
    this.#inFlight--;
    this.#wake();
    await Promise.all(saved);
    this.#unsaved--;
    this.#wake();
  }

  #failWith(error: unknown): void {
    this.fail(error instanceof StoreError ? error : new StoreError("UNAVAILABLE", messageOf(error), { cause: error }));
  }

  #noteSaved(count: number, outcome: BatchOutcome): void {
    if (outcome.status === TicketStatus.saved) {
      this.writeCount += count;
      this.#noteProgress();
      return;
    }
    try {
      throwIfUnsaved(outcome, this.#options.allocator, this.#leases, this.#options.host.log);
    } catch (error) {
      this.#failWith(error);
    }
  }

  #noteProgress(): void {
    const { clock, log } = this.#options.host;
    const now = clock.monotonic();
    if (now - this.#notedAt < limits.progressIntervalMs) return;
    this.#notedAt = now;
    const { id, ticketCount, writeCount } = this;
    const { datastore, router } = this.#options;
    datastore
      .noteProgress({ id, status: "writing", router, ticketCount, writeCount, createdAt: this.#startedAt })
      .catch((error: unknown) => log.warn("progress could not be noted", { error: messageOf(error) }));
  }

  /** Everything that was sent has come to its end. */
  async #settled(): Promise<void> {
    while (this.#unsaved > 0) await this.#room();
  }

  #room(): Promise<void> {
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #wake(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
    if (!this.#starved) return;
    this.#starved = false;
    this.#options.onRoom();
  }
}
