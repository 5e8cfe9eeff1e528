/**
 * What goes wrong, and how often. Each seed has a selection of the kinds of faults, each at a rate of its own (Groce et
 * al., "Swarm Testing", ISSTA 2012): what is found by many faults of one kind is hidden by a little of everything.
 */
import type { SimulatedRandom } from "../simulated-random.ts";

export const faultKinds = [
  "kill",
  "power cut",
  "restart",
  "clock jump",
  "sync fails",
  "read fails",
  "write fails",
  "directory fails",
  "disk full",
  "slow disk",
  "bit flip",
  "misdirected write",
  "connections cut",
  "half-open",
  "partition",
  "slow network",
  "datastore sync fails",
  "datastore requests lost",
  "datastore answers lost",
  "datastore crash",
  "cache dropped",
  "descriptors run out",
  "commits refused",
] as const;

export type FaultKind = (typeof faultKinds)[number];

/** Faults per simulated minute, by kind; kinds that are not in it do not happen. */
export type FaultRates = ReadonlyMap<FaultKind, number>;

const quietShare = 0.05;
/** What goes on for a while must not be all that there is. */
const lasting: ReadonlySet<FaultKind> = new Set([
  "disk full",
  "slow disk",
  "half-open",
  "partition",
  "slow network",
  "datastore requests lost",
  "datastore answers lost",
  "commits refused",
]);

export function chooseFaults(random: SimulatedRandom, without: ReadonlySet<FaultKind>): FaultRates {
  const rates = new Map<FaultKind, number>();
  // Some seeds have no faults at all: what fails then is a plain bug.
  const isQuiet = random.chance(quietShare);
  const share = 0.15 + 0.45 * random.fraction();
  for (const kind of faultKinds) {
    const isChosen = random.chance(share) && !isQuiet;
    const rate = 60 ** random.fraction() * (lasting.has(kind) ? 0.15 : 1);
    if (isChosen && !without.has(kind)) rates.set(kind, rate);
  }
  return rates;
}
