/**
 * The batch work on tickets (kernel/kernel.ts, WebAssembly) and the memory that it works in.
 *
 * One memory of fixed size holds every buffer that bytes pass through between socket and disk: sockets are read into
 * it, files written and read from it, checksums made in place. It never grows, so views stay valid; what cannot get a
 * buffer waits. Buffers come in three sizes and begin at page boundaries, as direct I/O wants them.
 *
 *   tiny    2 tickets      one page, for small objects
 *   block   180 tickets    a little more than one read from a socket
 *   group   2048 tickets   729 pages of Data, 4 of Checksums: what is written unbuffered
 */
import { assert, StoreError } from "./errors.ts";
import { checksumSize, groupTicketCount, ticketDataSize, writeTicketSize } from "./frame.ts";
import { kernelBinary } from "./kernel-binary.ts";
import type { Key } from "./key.ts";
import * as limits from "./limits.ts";

export const pageSize = 4096;

export type BufferKind = "tiny" | "block" | "group";
export const bufferTicketCount: Readonly<Record<BufferKind, number>> = {
  tiny: 2,
  block: 180,
  group: groupTicketCount,
};

/** Room for a number of tickets: Data after Data, Checksum after Checksum. Whoever took it owns it until `release`. */
export interface TicketBuffer {
  readonly kind: BufferKind;
  readonly ticketCountMax: number;
  readonly data: Uint8Array;
  readonly sums: Uint8Array;
  /** All of its memory, `data` first: room for as many frames. In a full block `sums` follow `data` without a gap. */
  readonly pages: Uint8Array;
  release(): void;
}

export interface ArenaSizes {
  readonly tiny: number;
  readonly block: number;
  readonly group: number;
}

export const defaultArena: ArenaSizes = {
  tiny: limits.tinyBufferCount,
  block: limits.blockBufferCount,
  group: limits.groupBufferCount,
};

/** Bytes of a message whose `mac` can be made. */
const messageMax = 2048;

interface KernelExports {
  setKey(key: number): void;
  makeSums(data: number, first: number, count: number, sums: number): void;
  checkSums(data: number, first: number, count: number, sums: number): number;
  unframe(frames: number, count: number, expected: number, data: number, sums: number): number;
  checkFrame(frame: number): number;
  enframe(data: number, sums: number, first: number, count: number, frames: number): void;
  respond(first: number, count: number, status: number, responses: number): void;
  matchResponses(responses: number, count: number, expected: number, status: number): number;
  mac(message: number, size: number, out: number): void;
}

export class Kernel {
  /** Where sockets are read into; shared by all of them, since each chunk is dealt with before the next one comes. */
  readonly receiveBuffer: Uint8Array;
  readonly #memory: Uint8Array;
  readonly #exports: KernelExports;
  readonly #pools: Record<BufferKind, Pool>;
  readonly #blockCount: number;
  /** For frames that came in two pieces. */
  readonly #frame: Uint8Array;

  constructor(key: Key, sizes: ArenaSizes = defaultArena) {
    const poolPages = sizes.tiny + sizes.block * 65 + sizes.group * 733;
    const receivePages = limits.receiveSize / pageSize;
    const size = (2 + receivePages + poolPages) * pageSize;
    const wasmPages = Math.ceil(size / 65_536);
    const memory = new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages });
    const module = new WebAssembly.Module(Buffer.from(kernelBinary, "base64"));
    const noAbort = (): never => assert(false, "the kernel aborted") as never;
    const instance = new WebAssembly.Instance(module, { env: { memory, abort: noAbort } });
    this.#exports = instance.exports as unknown as KernelExports;
    this.#memory = new Uint8Array(memory.buffer);
    this.#memory.set(key, 0);
    this.#exports.setKey(0);
    this.#memory.fill(0, 0, key.length);

    let next = pageSize;
    const take = (pages: number): Uint8Array => {
      const view = this.#memory.subarray(next, next + pages * pageSize);
      next += pages * pageSize;
      return view;
    };
    this.#frame = take(1).subarray(0, writeTicketSize);
    this.receiveBuffer = take(receivePages);
    const pool = (kind: BufferKind, count: number, dataPages: number, sumsPages: number): Pool => {
      const tickets = bufferTicketCount[kind];
      return new Pool(kind, count, () => {
        const pages = take(dataPages + sumsPages);
        const sumsAt = sumsPages === 0 ? tickets * ticketDataSize : dataPages * pageSize;
        return {
          pages,
          data: pages.subarray(0, tickets * ticketDataSize),
          sums: pages.subarray(sumsAt, sumsAt + tickets * checksumSize),
        };
      });
    };
    this.#blockCount = sizes.block;
    this.#pools = {
      group: pool("group", sizes.group, 729, 4),
      block: pool("block", sizes.block, 65, 0),
      tiny: pool("tiny", sizes.tiny, 1, 0),
    };
  }

  /** A buffer if one is free and nobody waits for it. */
  take(kind: BufferKind): TicketBuffer | undefined {
    return this.#pools[kind].take();
  }

  /**
   * A buffer, when one is free; first come, first served. BUSY where too many wait already. `forClient`: who will hold it
   * while a client sends has its turn after those who only hold theirs while the disk works; every fourth is still its.
   */
  wait(kind: BufferKind, forClient = false): Promise<TicketBuffer> {
    return this.#pools[kind].wait(forClient);
  }

  freeCount(kind: BufferKind): number {
    return this.#pools[kind].freeCount;
  }

  /**
   * Fewer than half of the blocks are free. Who waits for a client then keeps none: half of them are always for what
   * waits for the disk alone, however many clients do not read what they asked for.
   */
  get isCrowded(): boolean {
    return this.#pools.block.freeCount * 2 < this.#blockCount;
  }

  /** Makes the Checksums of `count` tickets with consecutive ids from `first`. */
  makeSums(first: number, count: number, data: Uint8Array, sums: Uint8Array): void {
    this.#exports.makeSums(this.#pointer(data), first, count, this.#pointer(sums));
  }

  /** The index of the first ticket that does not verify; `count` if all do. */
  checkSums(first: number, count: number, data: Uint8Array, sums: Uint8Array): number {
    return this.#exports.checkSums(this.#pointer(data), first, count, this.#pointer(sums));
  }

  /** Takes frames apart while their ids are `expected`, `expected`+1, … and they verify; returns how many did. */
  unframe(frames: Uint8Array, count: number, expected: number, data: Uint8Array, sums: Uint8Array): number {
    return this.#exports.unframe(this.#pointer(frames), count, expected, this.#pointer(data), this.#pointer(sums));
  }

  /** Whether one WriteTicket verifies. */
  checkFrame(frame: Uint8Array): boolean {
    return this.#exports.checkFrame(this.#pointer(frame)) === 1;
  }

  /** Builds WriteTickets with consecutive ids from `first`. */
  enframe(first: number, count: number, data: Uint8Array, sums: Uint8Array, frames: Uint8Array): void {
    this.#exports.enframe(this.#pointer(data), this.#pointer(sums), first, count, this.#pointer(frames));
  }

  /** Builds WriteTicketResponses with consecutive ids from `first`. */
  respond(first: number, count: number, status: number, responses: Uint8Array): void {
    this.#exports.respond(first, count, status, this.#pointer(responses));
  }

  /** How many responses, from the first on, are for `expected`, `expected`+1, … and carry `status`. */
  matchResponses(responses: Uint8Array, count: number, expected: number, status: number): number {
    return this.#exports.matchResponses(this.#pointer(responses), count, expected, status);
  }

  /** SipHash-2-4 of any short message under the key: 8 bytes. */
  mac(message: Uint8Array): Uint8Array {
    assert(message.length <= messageMax, "message too long for mac");
    this.#memory.set(message, 16);
    this.#exports.mac(16, message.length, 0);
    return this.#memory.slice(0, 8);
  }

  /** `mac` of bytes of any length: piece by piece, each one's mac before the next piece. */
  macLong(bytes: Uint8Array): Uint8Array {
    let sum: Uint8Array = new Uint8Array(checksumSize);
    const piece = new Uint8Array(messageMax);
    const step = messageMax - checksumSize;
    for (let at = 0; at < bytes.length; at += step) {
      const part = bytes.subarray(at, at + step);
      piece.set(sum);
      piece.set(part, checksumSize);
      sum = this.mac(piece.subarray(0, checksumSize + part.length));
    }
    return sum;
  }

  /** A frame whose first bytes came earlier, put together where the kernel can read it. */
  joinFrame(head: Uint8Array, tail: Uint8Array): Uint8Array {
    this.#frame.set(head);
    this.#frame.set(tail, head.length);
    return this.#frame;
  }

  /** The chunk itself if it lies in this memory, else a copy of it in the receive buffer. */
  adopt(chunk: Uint8Array): Uint8Array {
    if (chunk.buffer === this.#memory.buffer) return chunk;
    this.receiveBuffer.set(chunk);
    return this.receiveBuffer.subarray(0, chunk.length);
  }

  #pointer(view: Uint8Array): number {
    assert(view.buffer === this.#memory.buffer, "bytes outside the arena");
    return view.byteOffset;
  }
}

/** Buffers of one kind, and who waits for them. */
class Pool {
  readonly #free: TicketBuffer[] = [];
  readonly #waiting: ((buffer: TicketBuffer) => void)[] = [];
  /** Those who will hold one while a client sends. */
  readonly #patient: ((buffer: TicketBuffer) => void)[] = [];
  #turn = 0;
  readonly #kind: BufferKind;

  constructor(kind: BufferKind, count: number, make: () => { pages: Uint8Array; data: Uint8Array; sums: Uint8Array }) {
    this.#kind = kind;
    for (let index = 0; index < count; index++) {
      const { pages, data, sums } = make();
      let taken = false;
      const buffer: TicketBuffer & { take(): void } = {
        kind,
        ticketCountMax: bufferTicketCount[kind],
        pages,
        data,
        sums,
        take: () => (taken = true),
        release: () => {
          assert(taken, "a buffer is released once");
          taken = false;
          this.#put(buffer);
        },
      };
      this.#free.push(buffer);
    }
  }

  get freeCount(): number {
    return this.#free.length;
  }

  take(): TicketBuffer | undefined {
    const buffer = this.#free.pop() as (TicketBuffer & { take(): void }) | undefined;
    buffer?.take();
    return buffer;
  }

  wait(forClient: boolean): Promise<TicketBuffer> {
    const free = this.take();
    if (free !== undefined) return Promise.resolve(free);
    const count = this.#waiting.length + this.#patient.length;
    if (count >= limits.bufferWaitersMax) {
      throw new StoreError("BUSY", `all ${this.#kind} buffers are in use and ${count} writers wait`);
    }
    return new Promise((resolve) => (forClient ? this.#patient : this.#waiting).push(resolve));
  }

  #put(buffer: TicketBuffer): void {
    this.#free.push(buffer);
    const isPatientsTurn = this.#patient.length > 0 && ++this.#turn % 4 === 0;
    const next = (isPatientsTurn ? undefined : this.#waiting.shift()) ?? this.#patient.shift();
    next?.(this.take()!);
  }
}
