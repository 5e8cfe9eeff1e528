/**
 * The store's own timers and threads do not keep a process alive: nobody should have to wait for them. What a caller waits for
 * does, also where at some moment nothing but such a timer is under way.
 */

/** Longer than any operation; it never comes to anything. */
const pauseMs = 2 ** 31 - 1;

export async function alive<Value>(work: () => Promise<Value>): Promise<Value> {
  const timer = setInterval(() => undefined, pauseMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
