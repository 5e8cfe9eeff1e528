/**
 * When small writes go to disk: those that come at about the same time share one write and one sync, and so, further on,
 * one commit. Clients that wait for their answers fall into step when the next group waits for those of the last one,
 * who come again as soon as they are answered; else two or more groups follow each other at half the size, which is
 * twice the syncs and commits for as many objects.
 *
 * Nobody waits where few write, or where nobody came the last times; never for longer than nobody comes.
 */
import type { Clock, Timer } from "../env/host.ts";
import { companyMax, companyMin, companySkipMax, companyStillMax, companyStillMs } from "../core/limits.ts";

export class Company {
  readonly #clock: Clock;
  /** Written, not confirmed yet. */
  #flying = 0;
  /** Of the group that was confirmed last. */
  #landed = 0;
  /** Waiting to be written. */
  #waiting = 0;
  /** As many as may come before it is worth to go. */
  #expected = 0;
  #timer: Timer | undefined;
  #go: (() => void) | undefined;
  /** Times in a row in which nobody came, and how often not to wait for that reason. */
  #lonely = 0;
  #skip = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  arrived(): void {
    this.#waiting++;
    if (this.#isComplete()) this.#finish();
  }

  /** All that waited go. */
  left(): void {
    this.#waiting = 0;
  }

  /** So many were written and wait for their sync. */
  written(count: number): void {
    this.#flying += count;
  }

  /** So many are answered now. */
  confirmed(count: number): void {
    this.#flying -= count;
    this.#landed += count;
    if (this.#flying > 0) return;
    this.#expected = Math.min(this.#landed + this.#waiting, companyMax);
    this.#landed = 0;
    if (this.#go === undefined) return;
    if (this.#isComplete()) this.#finish();
    else this.#watch();
  }

  /** Somebody cannot wait. */
  hurry(): void {
    this.#finish();
  }

  /** Undefined where the write may begin at once. One at a time. */
  gather(): Promise<void> | undefined {
    const expected = this.#flying === 0 ? this.#expected : this.#flying + this.#waiting;
    if (expected < companyMin || this.#isComplete()) return undefined;
    if (this.#skip > 0) {
      this.#skip--;
      return undefined;
    }
    return new Promise((resolve) => {
      this.#go = resolve;
      if (this.#flying === 0) this.#watch();
    });
  }

  #isComplete(): boolean {
    return this.#waiting >= companyMax || (this.#flying === 0 && this.#waiting >= this.#expected);
  }

  /** Until nobody has come for a while. */
  #watch(): void {
    const before = this.#waiting;
    let seen = before;
    let still = 0;
    const look = (): void => {
      still = this.#waiting > seen ? 0 : still + 1;
      seen = this.#waiting;
      if (still < companyStillMax) {
        this.#timer = this.#clock.after(companyStillMs, look);
        return;
      }
      this.#lonely = seen > before ? 0 : this.#lonely + 1;
      this.#skip = this.#lonely === 0 ? 0 : Math.min(2 ** this.#lonely, companySkipMax);
      this.#finish();
    };
    this.#timer = this.#clock.after(companyStillMs, look);
  }

  #finish(): void {
    const go = this.#go;
    if (go === undefined) return;
    this.#go = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    go();
  }
}
