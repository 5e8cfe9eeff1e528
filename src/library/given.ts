/** What callers may bring of their own: a clock, a log, a key. */
import { parseKey } from "../core/key.ts";
import type { Clock, Host, Log } from "../env/host.ts";
import { nodeHost } from "../env/node-host.ts";
import type { FoundKey } from "../env/node-key-file.ts";

export function hostOf(log: Log, clock: Clock | undefined): Host {
  const host = nodeHost(log);
  return clock === undefined ? host : { ...host, clock };
}

export function givenKey(key: string | undefined): FoundKey | undefined {
  return key === undefined ? undefined : { key: parseKey(key, "key"), source: "key", notes: [] };
}
