/**
 * Time that stands still until a test moves it: for what objects are dated with, lifecycle, object lock, expiry of presigned
 * URLs, and the age of signatures. Waiting for disks and connections goes on by the machine's clock.
 */
import type { Clock, Timer } from "../env/host.ts";
import { nodeClock } from "../env/node-clock.ts";

export interface FakeClock extends Clock {
  /** Moves time on, and starts what was planned for the time up to then. */
  advance(ms: number): void;
}

/** `start`: what it shows at first; without it, the time that it is. */
export function fakeClock(start: Date | number = Date.now()): FakeClock {
  let now = start instanceof Date ? start.getTime() : start;
  if (!Number.isFinite(now)) throw new RangeError("start: a date, or milliseconds since 1970");
  const planned = new Set<{ readonly due: number; fire(): void }>();
  return {
    now: () => now,
    monotonic: () => nodeClock.monotonic(),
    soon: (call) => nodeClock.soon(call),
    after: (delayMs, call): Timer => {
      const fire = (): void => {
        stop();
        call();
      };
      const plan = { due: now + delayMs, fire };
      // Delays that are longer than a timer can be are for `advance` alone.
      const timer = delayMs > timerDelayMax ? undefined : nodeClock.after(delayMs, fire);
      const stop = (): void => {
        planned.delete(plan);
        timer?.cancel();
      };
      planned.add(plan);
      return { cancel: stop };
    },
    advance: (ms) => {
      if (!(ms >= 0)) throw new RangeError(`ms: time goes on, not by ${ms}`);
      now += ms;
      const due = [...planned].filter((plan) => plan.due <= now).sort((one, other) => one.due - other.due);
      // What one of them cancels does not happen. What they plan anew is for later.
      for (const plan of due) if (planned.has(plan)) plan.fire();
    },
  };
}

/** Of setTimeout. */
const timerDelayMax = 2 ** 31 - 1;
