/** SIGINT, SIGTERM and SIGHUP: the first one asks for an end, a second one ends at once. */

export const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** What a shell shows for a process that SIGINT ended. */
const interruptedCode = 130;

export async function withStop<Value>(work: (stop: AbortSignal) => Promise<Value>): Promise<Value> {
  const abort = new AbortController();
  const asked = (): void => {
    // Draining has been asked for and is not to be waited for: nothing less ends a process at once.
    if (abort.signal.aborted) process.exit(interruptedCode);
    abort.abort();
  };
  for (const signal of stopSignals) process.on(signal, asked);
  try {
    return await work(abort.signal);
  } finally {
    for (const signal of stopSignals) process.off(signal, asked);
  }
}

export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
