import type { Host, Log } from "./host.ts";
import { nodeClock, nodeRandom } from "./node-clock.ts";
import { nodeDisk } from "./node-disk.ts";
import { nodeNetwork } from "./node-network.ts";

/** The Host of the product: this machine. */
export function nodeHost(log: Log): Host {
  return { disk: nodeDisk, network: nodeNetwork, clock: nodeClock, random: nodeRandom, log };
}
