/**
 * Group commit: one sync in flight, and everyone who asks meanwhile shares the next one. A caller's promise stands for a
 * sync that began after it asked, so all that was written before is covered.
 *
 * Who writes in bulk asks patiently: the next sync begins when somebody cannot wait, or after a moment. That makes a
 * few dozen syncs out of the several hundred that a stream of groups would cause, and costs it nothing.
 */
import type { Clock, Timer } from "../env/host.ts";

interface Group {
  readonly promise: Promise<void>;
  readonly begin: () => void;
}

export class GroupSync {
  readonly #sync: () => Promise<void>;
  readonly #clock: Clock;
  #running: Promise<void> | undefined;
  #next: Group | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, sync: () => Promise<void>) {
    this.#clock = clock;
    this.#sync = sync;
  }

  /** Rejects where that sync failed. `patienceMs`: how long it may wait for company. */
  request(patienceMs = 0): Promise<void> {
    this.#next ??= this.#newGroup();
    const group = this.#next;
    if (patienceMs === 0) group.begin();
    else this.#timer ??= this.#clock.after(patienceMs, group.begin);
    return group.promise;
  }

  #newGroup(): Group {
    let begin!: () => void;
    const wanted = new Promise<void>((resolve) => (begin = resolve));
    return { promise: this.#run(wanted), begin };
  }

  async #run(wanted: Promise<void>): Promise<void> {
    await wanted;
    // A failure belongs to those who shared that sync; the next group makes its own attempt.
    await this.#running?.catch(() => undefined);
    this.#running = this.#next?.promise;
    this.#next = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#sync();
  }
}
