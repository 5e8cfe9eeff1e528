import { type Clock, delay } from "./host.ts";

/** Holds work to `rate` bytes per second: await it before each piece. */
export function pacer(clock: Clock, rate: number): (bytes: number) => Promise<void> {
  let freeAt = clock.monotonic();
  return async (bytes) => {
    const now = clock.monotonic();
    const start = Math.max(freeAt, now);
    freeAt = start + (bytes / rate) * 1000;
    if (start > now) await delay(clock, start - now);
  };
}
