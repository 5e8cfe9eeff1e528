/** The log of who wants none. In a file of its own: loading a logger takes longer than starting a store. */
import type { Log } from "./host.ts";

export const silentLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // Nothing is said.
}
