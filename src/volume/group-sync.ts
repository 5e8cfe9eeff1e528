/**
 * Group commit: one sync in flight, and everyone who asks meanwhile shares the next one. A caller's promise stands for a
 * sync that began after it asked, so all that was written before is covered.
 */
export class GroupSync {
  readonly #sync: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** Rejects where that sync failed. */
  request(): Promise<void> {
    this.#next ??= this.#start();
    return this.#next;
  }

  async #start(): Promise<void> {
    // A failure belongs to those who shared that sync; the next group makes its own attempt.
    await this.#running?.catch(() => undefined);
    this.#running = this.#next;
    this.#next = undefined;
    await this.#sync();
  }
}
