/** Which requests are too many: the rule of every HTTP server, by the counts that it keeps. */
import { httpPeerShareMax } from "../core/limits.ts";

export interface RequestCounts {
  /** Under way in all, and from the address that asks. */
  readonly active: number;
  readonly activeOfPeer: number;
  /** Addresses that are connected. */
  readonly peers: number;
  readonly requestsMax: number;
}

/**
 * One greedy client cannot have all places: while others are connected, an address has at most its share. Alone (or behind
 * a proxy, where all come from one address) it may have all; who comes then finds the share that was kept for him on top.
 * More would be a queue per client; requests are short, and a refused one is tried again by every client there is.
 */
export function isBusy({ active, activeOfPeer, peers, requestsMax }: RequestCounts): boolean {
  if (peers <= 1) return active >= requestsMax;
  const kept = requestsMax * (1 - httpPeerShareMax);
  if (activeOfPeer >= requestsMax - kept) return true;
  return active >= (activeOfPeer < kept ? requestsMax + kept : requestsMax);
}
