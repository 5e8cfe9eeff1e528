/**
 * One connection that sends WriteTickets: from the socket's bytes to batches for the store, from outcomes to responses.
 *
 * Frames with consecutive ids are gathered in one buffer, taken apart by the kernel as they arrive; a whole group of
 * them goes to the disk unbuffered. When nothing more has arrived the batch is written as it is, so that a client with
 * one ticket in flight does not wait; only a group that has begun to fill is given a moment. The number of batches under way is bounded, each until its responses are with the
 * system: a client that does not read its answers is not read from either. Where tickets wait for so long that the disk
 * plainly cannot keep up, what finds no room is answered busy: it waits at its sender, who knows of it, and not here.
 */
import { messageOf } from "../core/errors.ts";
import {
  checksumSize,
  groupTicketCount,
  responseSize,
  ticketDataSize,
  TicketStatus,
  writeTicketSize,
} from "../core/frame.ts";
import { readId, type TicketId } from "../core/ids.ts";
import type { BufferKind, Kernel, TicketBuffer } from "../core/kernel.ts";
import { type Layout, slotOf } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import type { BatchOutcome, TicketStore } from "../core/ticket-store.ts";
import type { Connection, Host, Receiver, Timer } from "../env/host.ts";

export interface TicketConnectionOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly write: TicketStore["write"];
  readonly layout: Layout;
  /** Where the kernel builds responses; shared by all connections, used at once. */
  readonly responses: TicketBuffer;
  /** Sends responses; resolves when the system has them. */
  readonly respond: (responses: Uint8Array) => Promise<void>;
  readonly counts: TicketCounts;
}

export interface TicketCounts {
  received: number;
  wrongChecksum: number;
  notAnId: number;
}

interface Gathered {
  readonly buffer: TicketBuffer;
  readonly first: TicketId;
  readonly countMax: number;
  count: number;
}

export class TicketConnection implements Receiver {
  readonly #options: TicketConnectionOptions;
  readonly #connection: Connection;
  #gathered: Gathered | undefined;
  /** The beginning of a frame whose end has not arrived. */
  #part: Uint8Array | undefined;
  #partSize = 0;
  #refusals: number[] = [];
  /** Buffers on their way to the disk. */
  #inFlight = 0;
  /** Batches whose responses are not with the system yet. */
  #unanswered = 0;
  #waiting = false;
  #spare: TicketBuffer | undefined;
  /** The last run filled its buffer: more is likely to come. */
  #isStream = false;
  #flushPlanned = false;
  /** Set while tickets that have arrived wait for room. */
  #noRoomTimer: Timer | undefined;
  /** They waited for so long that what finds no room at once is refused, until the disk has caught up. */
  #isBusy = false;
  #hasRefused = false;
  /** When bytes of a long run last arrived, as the clock's `monotonic` says. */
  #bytesAt = Number.NEGATIVE_INFINITY;
  #ended = false;
  #closed = false;

  constructor(options: TicketConnectionOptions, connection: Connection) {
    this.#options = options;
    this.#connection = connection;
  }

  get working(): boolean {
    return this.#unanswered > 0;
  }

  bytes(chunk: Uint8Array): number {
    // Nothing of its own is on its way, and it stands in no queue: it may wait again.
    if (this.#isBusy && this.#inFlight === 0 && !this.#waiting) this.#isBusy = false;
    // Refusals cost no buffer, so they are bounded here.
    if (this.#unanswered >= (this.#isBusy ? 2 : 1) * limits.unsavedBatchesMax) {
      this.#noteNoRoom();
      return 0;
    }
    const taken = this.#takeChunk(this.#options.kernel.adopt(chunk));
    if (taken < chunk.length) this.#noteNoRoom();
    else this.#noteAllTaken();
    return taken;
  }

  #takeChunk(bytes: Uint8Array): number {
    let at = 0;
    if (this.#partSize > 0) {
      const taken = this.#completePart(bytes);
      if (this.#partSize > 0) return taken;
      at = taken;
    }
    const frames = Math.floor((bytes.length - at) / writeTicketSize);
    const done = this.#takeFrames(bytes.subarray(at), frames);
    at += done * writeTicketSize;
    this.#sendRefusals();
    if (done < frames) return at;
    if (at < bytes.length) this.#keepPart(bytes.subarray(at));
    this.#planFlush();
    return bytes.length;
  }

  end(): void {
    this.#ended = true;
    this.#flush();
    this.#finishIfDone();
  }

  closed(): void {
    this.#closed = true;
    this.#noRoomTimer?.cancel();
    // What was received whole is written all the same: it is what the client asked for.
    this.#flush();
    this.#spare?.release();
    this.#spare = undefined;
  }

  /** Bytes of the chunk that were used; the part is gone if its frame could be dealt with. */
  #completePart(bytes: Uint8Array): number {
    const missing = bytes.subarray(0, writeTicketSize - this.#partSize);
    if (this.#partSize + missing.length < writeTicketSize) {
      this.#part!.set(missing, this.#partSize);
      this.#partSize += missing.length;
      return missing.length;
    }
    const frame = this.#options.kernel.joinFrame(this.#part!.subarray(0, this.#partSize), missing);
    if (this.#takeFrames(frame, 1) === 0) return 0;
    this.#partSize = 0;
    return missing.length;
  }

  #keepPart(rest: Uint8Array): void {
    this.#part ??= new Uint8Array(writeTicketSize);
    this.#part.set(rest);
    this.#partSize = rest.length;
  }

  /** Deals with up to `count` frames; returns how many there was room for. */
  #takeFrames(frames: Uint8Array, count: number): number {
    let done = 0;
    while (done < count) {
      const rest = done === 0 ? frames : frames.subarray(done * writeTicketSize);
      const taken = this.#gather(rest, count - done) || this.#refuse(rest);
      // Neither continues the run nor is refused: it begins another run.
      if (taken === 0 && !this.#beginRun(readId<TicketId>(rest, 0)!)) {
        if (!this.#isBusy) break;
        this.#answer(rest, TicketStatus.busy);
        this.#hasRefused = true;
        done++;
      }
      done += taken;
    }
    return done;
  }

  /** From the first ticket on that has to wait, until all that has arrived found room. */
  #noteNoRoom(): void {
    if (this.#isBusy || this.#noRoomTimer !== undefined) return;
    const { clock, log } = this.#options.host;
    this.#noRoomTimer = clock.after(limits.ticketWaitMs, () => {
      if (this.#closed) return;
      this.#isBusy = true;
      log.warn("tickets are answered busy", { from: this.#connection.remoteHost, waitedMs: limits.ticketWaitMs });
      this.#connection.resume();
    });
  }

  #noteAllTaken(): void {
    this.#noRoomTimer?.cancel();
    this.#noRoomTimer = undefined;
    this.#isBusy = this.#isBusy && this.#hasRefused;
    this.#hasRefused = false;
  }

  /** Adds the frames that continue the gathered run and verify; returns how many. */
  #gather(frames: Uint8Array, count: number): number {
    const gathered = this.#gathered;
    if (gathered === undefined) return 0;
    const data = gathered.buffer.data.subarray(gathered.count * ticketDataSize);
    const sums = gathered.buffer.sums.subarray(gathered.count * checksumSize);
    const countMax = Math.min(count, gathered.countMax - gathered.count);
    const taken = this.#options.kernel.unframe(frames, countMax, gathered.first + gathered.count, data, sums);
    gathered.count += taken;
    this.#options.counts.received += taken;
    this.#isStream = gathered.count === gathered.countMax;
    if (this.#isStream) this.#flush();
    return taken;
  }

  /** 1 if the frame is bad, and answered so. */
  #refuse(frame: Uint8Array): number {
    const { counts, kernel } = this.#options;
    const isId = readId<TicketId>(frame, 0) !== undefined;
    if (isId && kernel.checkFrame(frame)) return 0;
    if (isId) counts.wrongChecksum++;
    else counts.notAnId++;
    this.#answer(frame, isId ? TicketStatus.wrongChecksum : TicketStatus.notAnId);
    return 1;
  }

  /** Without writing it, together with others. */
  #answer(frame: Uint8Array, status: TicketStatus): void {
    for (let index = 0; index < 8; index++) this.#refusals.push(frame[index]!);
    this.#refusals.push(status);
  }

  #sendRefusals(): void {
    if (this.#refusals.length === 0) return;
    const responses = Uint8Array.from(this.#refusals);
    this.#refusals = [];
    void this.#deliver(Promise.resolve(responses));
  }

  /**
   * False where there is no memory for it now; the connection goes on when there is. Where a group begins, and as many
   * tickets came before as there was room for, a group's memory is worth waiting for: with less, all of the group would
   * be written in pieces.
   */
  #beginRun(first: TicketId): boolean {
    this.#flush();
    const { kernel, layout } = this.#options;
    if (this.#inFlight >= limits.batchesInFlightMax || this.#unanswered >= limits.unsavedBatchesMax) return false;
    // Up to where the next group begins; only depth 2 has groups.
    const toGroup =
      layout.depth === 2 ? groupTicketCount - (slotOf(layout, first) % groupTicketCount) : groupTicketCount;
    const group = layout.depth === 2 && toGroup === groupTicketCount;
    const waits = group && this.#isStream && !this.#isBusy;
    const buffer =
      this.#spare ?? (group ? kernel.take("group") : undefined) ?? (waits ? undefined : kernel.take("block"));
    if (buffer === undefined) {
      this.#waitFor(waits ? "group" : "block");
      return false;
    }
    this.#spare = undefined;
    this.#gathered = { buffer, first, count: 0, countMax: Math.min(toGroup, buffer.ticketCountMax) };
    return true;
  }

  #waitFor(kind: BufferKind): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#options.kernel.wait(kind).then(
      (buffer) => {
        this.#waiting = false;
        if (this.#closed) buffer.release();
        else {
          this.#spare = buffer;
          this.#connection.resume();
        }
      },
      () => this.#connection.destroy(),
    );
  }

  /** Writes what was gathered when nothing more comes: at once, or for the beginning of a long run a moment later. */
  #planFlush(): void {
    if (this.#gathered === undefined) return;
    const { clock } = this.#options.host;
    const { buffer, count } = this.#gathered;
    const patient = buffer.kind === "group" && count >= limits.patientTicketCount;
    if (patient) this.#bytesAt = clock.monotonic();
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    const flush = (): void => {
      const quietMs = clock.monotonic() - this.#bytesAt;
      if (quietMs < limits.groupPatienceMs && this.#gathered?.buffer.kind === "group" && !this.#ended) {
        clock.after(limits.groupPatienceMs - quietMs, flush);
        return;
      }
      this.#flushPlanned = false;
      this.#flush();
    };
    if (patient) clock.after(limits.groupPatienceMs, flush);
    else clock.soon(flush);
  }

  /** Hands what was gathered to the store. */
  #flush(): void {
    const gathered = this.#gathered;
    if (gathered === undefined) return;
    this.#gathered = undefined;
    const { first, count, buffer } = gathered;
    if (count === 0) {
      buffer.release();
      return;
    }
    const data = buffer.data.subarray(0, count * ticketDataSize);
    const pending = this.#options.write({ first, count, data, sums: buffer.sums.subarray(0, count * checksumSize) });
    this.#inFlight++;
    void pending.released.then(() => {
      buffer.release();
      this.#inFlight--;
      if (!this.#closed) this.#connection.resume();
    });
    void this.#deliver(pending.saved.then((outcome) => this.#responsesTo(first, count, outcome)));
  }

  #responsesTo(first: TicketId, count: number, outcome: BatchOutcome): Uint8Array {
    const { kernel, responses, host } = this.#options;
    if (outcome.reason !== undefined) {
      host.log.warn("tickets not saved", { count, status: outcome.status, reason: outcome.reason });
    }
    const { each } = outcome;
    for (let from = 0; from < count;) {
      const status = each?.[from] ?? outcome.status;
      let to = each === undefined ? count : from + 1;
      while (to < count && each?.[to] === status) to++;
      kernel.respond(first + from, to - from, status, responses.pages.subarray(from * responseSize));
      from = to;
    }
    return responses.pages.slice(0, count * responseSize);
  }

  async #deliver(responses: Promise<Uint8Array>): Promise<void> {
    this.#unanswered++;
    try {
      await this.#options.respond(await responses);
    } catch (error) {
      this.#options.host.log.debug("responses not delivered", { error: messageOf(error) });
      this.#connection.destroy();
    } finally {
      this.#unanswered--;
      if (!this.#closed) this.#connection.resume();
      this.#finishIfDone();
    }
  }

  #finishIfDone(): void {
    if (this.#ended && this.#unanswered === 0 && !this.#closed) void this.#connection.end();
  }
}
