import { randomBytes } from "node:crypto";
import type { Clock, Random } from "./host.ts";

export const nodeClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, call) => {
    const timer = setTimeout(call, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (call) => void setImmediate(call),
};

export const nodeRandom: Random = { bytes: (size) => new Uint8Array(randomBytes(size)) };
