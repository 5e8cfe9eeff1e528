/**
 * Whether there is room to write: free space is asked for now and then, and what was begun to be written since then is
 * taken off, so that what is kept free stays free however fast somebody writes.
 */
import { messageOf } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { Host } from "../env/host.ts";

export class FreeSpace {
  readonly #host: Host;
  readonly #place: string;
  readonly #reserveSize: number;
  #free = Number.POSITIVE_INFINITY;
  /** Begun to be written since the question was asked whose answer is `#free`. */
  #taken = 0;
  #askedAt = Number.NEGATIVE_INFINITY;
  #error: string | undefined;

  constructor(host: Host, place: string, reserveSize: number) {
    this.#host = host;
    this.#place = place;
    this.#reserveSize = reserveSize;
  }

  /** Why nothing so large may be written; undefined where it may, and is taken to be. */
  take(size: number): string | undefined {
    this.#ask();
    const free = Math.max(0, this.#free - this.#taken);
    if (free < this.#reserveSize) {
      // As the disk itself says, where that is too little already.
      const told = this.#free < this.#reserveSize ? this.#free : free;
      return `${told} bytes are free below ${this.#place}, and ${this.#reserveSize} are kept free`;
    }
    this.#taken += size;
    return undefined;
  }

  #ask(): void {
    const now = this.#host.clock.monotonic();
    if (now - this.#askedAt < limits.spaceCheckMs) return;
    this.#askedAt = now;
    const takenBefore = this.#taken;
    this.#host.disk.freeSpace(this.#place).then(
      (free) => {
        this.#free = free;
        this.#taken -= takenBefore;
        this.#error = undefined;
      },
      (error: unknown) => {
        if (this.#error === undefined) this.#host.log.warn("free space is unknown", { error: messageOf(error) });
        this.#error = messageOf(error);
        this.#free = Number.POSITIVE_INFINITY;
      },
    );
  }
}
