/**
 * Virtual time. Everything that a simulated machine does later is an event here: a timer, or the end of an operation of
 * its disk or network. One event happens at a time, the earliest first, those of the same moment in the order in which
 * they were asked for; after each of them every promise that can go on does so before the next one.
 *
 * Assumed: the code under simulation waits for nothing but this clock and promises that follow from it.
 */
import type { Clock, Timer } from "../src/env/host.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  call: (() => void) | undefined;
}

export class SimulatedClock implements Clock {
  readonly #heap: Event[] = [];
  #time = 0;
  #order = 0;
  /** How many events have happened. */
  eventCount = 0;
  /** What `now` shows beside the time that passed. */
  #wallOffset: number;

  constructor(startAt = Date.UTC(2030, 0, 1)) {
    this.#wallOffset = startAt;
  }

  now(): number {
    return Math.floor(this.#wallOffset + this.#time);
  }

  monotonic(): number {
    return this.#time;
  }

  after(delayMs: number, call: () => void): Timer {
    const event: Event = { at: this.#time + Math.max(0, delayMs), order: this.#order++, call };
    push(this.#heap, event);
    return { cancel: () => (event.call = undefined) };
  }

  soon(call: () => void): void {
    this.after(0, call);
  }

  /** Sets the wall clock forward or back; timers and `monotonic` do not notice. */
  jump(ms: number): void {
    this.#wallOffset += ms;
  }

  /** Lets one event happen, and everything that follows from it without a further event; false when there is none. */
  async step(): Promise<boolean> {
    const event = this.#next() ?? (await settlePromises().then(() => this.#next()));
    if (event === undefined) return false;
    this.#time = event.at;
    this.eventCount++;
    event.call();
    await settlePromises();
    return true;
  }

  /** Runs until `promise` settles, and hands on what it settled to. Throws when nothing is left that could settle it. */
  async run<Value>(promise: Promise<Value>): Promise<Value> {
    const state = { settled: false };
    void Promise.allSettled([promise]).then(() => (state.settled = true));
    await settlePromises();
    while (!state.settled) {
      if (!(await this.step()) && !state.settled) {
        throw new Error("nothing is left to happen, and the promise is pending");
      }
    }
    return promise;
  }

  /** Runs until nothing is left to happen. Recurring timers never end: `eventsMax` is the limit. */
  async runUntilIdle(eventsMax = 1_000_000): Promise<void> {
    for (let count = 0; await this.step(); count++) {
      if (count >= eventsMax) throw new Error(`still busy after ${eventsMax} events`);
    }
  }

  /** The next event that was not cancelled. */
  #next(): { at: number; call: () => void } | undefined {
    for (let event = pop(this.#heap); event !== undefined; event = pop(this.#heap)) {
      if (event.call !== undefined) return { at: event.at, call: event.call };
    }
    return undefined;
  }

  /** Runs everything that happens within the next `ms`. */
  async runFor(ms: number): Promise<void> {
    const state = { over: false };
    this.after(ms, () => (state.over = true));
    while (!state.over) await this.step();
  }
}

/** A turn of the real event loop: all promises that can go on have done so. */
function settlePromises(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
