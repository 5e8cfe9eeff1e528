/** What the programs need of the built product. */
import { nodeHost } from "../../dist/env/node-host.js";
import { nodeLog } from "../../dist/env/node-log.js";
import { parseKey } from "../../dist/core/key.js";

/** Of no worth: nothing but benchmarks on this machine is kept under it. */
export const keyText = "000102030405060708090a0b0c0d0e0f";
export const key = parseKey(keyText, "bench");
export const bind = "127.0.0.1";

export function benchHost() {
  return nodeHost(nodeLog("warn"));
}

/** Nothing is reclaimed while something else is measured. */
export const noReclaim = { intervalMs: 24 * 3_600_000 };
