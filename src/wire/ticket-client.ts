/**
 * The sending side of WriteTickets: frames out, WriteTicketResponses in, many in flight, in any order.
 *
 * Nothing is kept per ticket: an outstanding batch is a range with a count of what was answered in order; a table of
 * single statuses is made only for a batch whose answers come out of order or say anything but "saved".
 */
import { type Address, formatAddress } from "../core/address.ts";
import { describeStatus, responseSize, ticketDataSize, TicketStatus, writeTicketSize } from "../core/frame.ts";
import { readId, type TicketId } from "../core/ids.ts";
import type { Kernel, TicketBuffer } from "../core/kernel.ts";
import * as limits from "../core/limits.ts";
import { allFailed, allSaved, type BatchOutcome, type PendingWrite, refusedWrite } from "../core/ticket-store.ts";
import type { TicketBatch } from "../core/ticket-store.ts";
import type { Connection, Host, Receiver, Timer } from "../env/host.ts";
import { tlsOnly, unreachable } from "./request-client.ts";

export interface TicketClientOptions {
  readonly host: Host;
  readonly kernel: Kernel;
  readonly address: Address;
  /** Called once, when nothing more can be sent. */
  readonly onClosed: (reason: string) => void;
}

interface Outstanding {
  readonly first: TicketId;
  readonly count: number;
  /** Answered "saved" in order, from the first on. */
  inOrder: number;
  answered: number;
  /** Status of each, `unanswered` where there is none yet. */
  each: Uint8Array | undefined;
  readonly settle: (outcome: BatchOutcome) => void;
}

const unanswered = 0xff;

export class TicketClient implements Receiver {
  /** Responses on this connection to tickets that are not awaited. */
  droppedCount = 0;
  readonly #options: TicketClientOptions;
  readonly #connection: Connection;
  readonly #frames: TicketBuffer;
  readonly #outstanding: Outstanding[] = [];
  /** Each write goes out whole before the next one is framed: they share one buffer. */
  #sending: Promise<void> = Promise.resolve();
  readonly #part = new Uint8Array(responseSize);
  #partSize = 0;
  #closedReason: string | undefined;
  #lastAnswerAt: number;
  #lastUsedAt: number;
  #timer: Timer;

  private constructor(options: TicketClientOptions, connection: Connection, frames: TicketBuffer) {
    this.#options = options;
    this.#connection = connection;
    this.#frames = frames;
    this.#lastAnswerAt = options.host.clock.monotonic();
    this.#lastUsedAt = this.#lastAnswerAt;
    this.#timer = this.#watch();
  }

  static async connect(options: TicketClientOptions): Promise<TicketClient> {
    const { host, kernel, address } = options;
    const frames = await kernel.wait("block");
    try {
      const connection = await host.network.connect({
        ...address,
        receiveBuffer: kernel.receiveBuffer,
        timeoutMs: limits.connectTimeoutMs,
      });
      const client = new TicketClient(options, connection, frames);
      connection.start(client);
      return client;
    } catch (error) {
      frames.release();
      throw unreachable(formatAddress(address), error);
    }
  }

  /** Sends a batch. `saved` resolves when every ticket was answered, or with a failure when none can be any more. */
  write(batch: TicketBatch): PendingWrite {
    if (this.#closedReason !== undefined) return refusedWrite(TicketStatus.notWritten, this.#closedReason);
    this.#lastUsedAt = this.#options.host.clock.monotonic();
    if (this.#outstanding.length === 0) this.#lastAnswerAt = this.#lastUsedAt;
    const saved = new Promise<BatchOutcome>((settle) => {
      const { first, count } = batch;
      this.#outstanding.push({ first, count, inOrder: 0, answered: 0, each: undefined, settle });
    });
    const released = this.#sending.then(() => this.#send(batch));
    this.#sending = released;
    return { released, saved };
  }

  /** A response that came on another connection. False where its ticket is not awaited. */
  accept(ticket: TicketId, status: number): boolean {
    for (const [index, batch] of this.#outstanding.entries()) {
      const offset = ticket - batch.first;
      if (offset < 0 || offset >= batch.count) continue;
      if (offset < batch.inOrder || (batch.each !== undefined && batch.each[offset] !== unanswered)) continue;
      this.#lastAnswerAt = this.#options.host.clock.monotonic();
      this.#note(batch, offset, status);
      if (batch.answered === batch.count) this.#outstanding.splice(index, 1);
      return true;
    }
    return false;
  }

  /** The other end's address, as the system has it. */
  get remoteHost(): string {
    return this.#connection.remoteHost;
  }

  /** For how long nothing was written; 0 while answers are awaited. */
  get idleMs(): number {
    return this.#outstanding.length > 0 ? 0 : this.#options.host.clock.monotonic() - this.#lastUsedAt;
  }

  close(reason: string): void {
    this.#fail(reason);
    this.#connection.destroy();
  }

  bytes(chunk: Uint8Array): number {
    this.#lastAnswerAt = this.#options.host.clock.monotonic();
    let at = 0;
    if (this.#partSize > 0) {
      const part = chunk.subarray(0, responseSize - this.#partSize);
      this.#part.set(part, this.#partSize);
      this.#partSize += part.length;
      at = part.length;
      if (this.#partSize < responseSize) return chunk.length;
      this.#partSize = 0;
      this.#acceptFrame(this.#part, 0);
    }
    const frames = Math.floor((chunk.length - at) / responseSize);
    this.#acceptFrames(chunk.subarray(at, at + frames * responseSize), frames);
    const rest = chunk.subarray(at + frames * responseSize);
    this.#part.set(rest);
    this.#partSize = rest.length;
    return chunk.length;
  }

  end(): void {
    this.close("the putter ended the connection");
  }

  closed(error: Error | undefined): void {
    this.#fail(error === undefined ? "the connection to the putter closed" : error.message);
    this.#frames.release();
  }

  async #send(batch: TicketBatch): Promise<void> {
    const { kernel } = this.#options;
    const step = this.#frames.ticketCountMax;
    try {
      for (let done = 0; done < batch.count && this.#closedReason === undefined; done += step) {
        const count = Math.min(step, batch.count - done);
        const data = batch.data.subarray(done * ticketDataSize);
        kernel.enframe(batch.first + done, count, data, batch.sums.subarray(done * 8), this.#frames.pages);
        await this.#connection.write(this.#frames.pages.subarray(0, count * writeTicketSize));
      }
    } catch (error) {
      this.close(error instanceof Error ? error.message : String(error));
    }
  }

  /** The fast path: responses in the order of sending, all saved. */
  #acceptFrames(chunk: Uint8Array, count: number): void {
    const frames = this.#options.kernel.adopt(chunk);
    for (let done = 0; done < count;) {
      const batch = this.#outstanding[0];
      const rest = frames.subarray(done * responseSize);
      let matched = 0;
      if (batch !== undefined && batch.each === undefined) {
        const countMax = Math.min(count - done, batch.count - batch.inOrder);
        matched = this.#options.kernel.matchResponses(rest, countMax, batch.first + batch.inOrder, TicketStatus.saved);
        batch.inOrder += matched;
        batch.answered += matched;
        if (batch.answered === batch.count) {
          this.#outstanding.shift();
          batch.settle(allSaved());
        }
      }
      done += matched;
      if (matched === 0) this.#acceptFrame(frames, done++ * responseSize);
    }
  }

  #acceptFrame(frames: Uint8Array, at: number): void {
    const ticket = readId<TicketId>(frames, at);
    if (ticket === undefined) this.close(whyNoTicket(frames.subarray(at, at + responseSize)));
    else if (!this.accept(ticket, frames[at + 8]!)) this.droppedCount++;
  }

  #note(batch: Outstanding, offset: number, status: number): void {
    if (batch.each === undefined && status === TicketStatus.saved && offset === batch.inOrder) {
      batch.inOrder++;
    } else {
      if (batch.each === undefined) {
        batch.each = new Uint8Array(batch.count).fill(unanswered);
        batch.each.fill(TicketStatus.saved, 0, batch.inOrder);
      }
      batch.each[offset] = status;
    }
    batch.answered++;
    if (batch.answered === batch.count) batch.settle(outcomeOf(batch));
  }

  #fail(reason: string): void {
    if (this.#closedReason !== undefined) return;
    this.#closedReason = reason;
    this.#timer.cancel();
    const lost = allFailed(TicketStatus.notWritten, reason);
    for (const batch of this.#outstanding.splice(0)) batch.settle(lost);
    this.#options.onClosed(reason);
  }

  /** A putter that is silent while tickets wait is given up. */
  #watch(): Timer {
    return this.#options.host.clock.after(limits.responseTimeoutMs / 4, () => {
      const silentMs = this.#options.host.clock.monotonic() - this.#lastAnswerAt;
      if (this.#outstanding.length > 0 && silentMs > limits.responseTimeoutMs) {
        this.close(`the putter answered nothing for ${Math.round(silentMs)} ms`);
      } else {
        this.#timer = this.#watch();
      }
    });
  }
}

function whyNoTicket(frame: Uint8Array): string {
  return tlsOnly.startsWith(Buffer.from(frame).toString("latin1"))
    ? "the putter takes TLS only: give --peer-tls, too"
    : "the putter answered with something that is no TicketID";
}

function outcomeOf(batch: Outstanding): BatchOutcome {
  const worst = batch.each?.find((status) => status !== TicketStatus.saved);
  if (worst === undefined) return allSaved();
  const known = worst <= TicketStatus.busy ? (worst as TicketStatus) : TicketStatus.notWritten;
  return { status: known, each: batch.each, reason: describeStatus(worst) };
}
