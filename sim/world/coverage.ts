/**
 * What really happened in a run: that a fault was injected does not say that it hit anything, and that a client has an
 * operation does not say that it ever succeeds. Whoever does something notes it here; `expected` is what the seeds of
 * `npm test` have to show at least once, so that a workload that quietly stops doing something is seen.
 */
import { faultKinds } from "./faults.ts";

export type CoverageArea = "fault" | "disk" | "network" | "process" | "cluster" | "operation" | "check";

export class Coverage {
  /** "area: what" → how often. */
  readonly counts = new Map<string, number>();

  /** The largest of something. */
  readonly maxima = new Map<string, number>();

  most(what: string, value: number): void {
    if (value > (this.maxima.get(what) ?? -1)) this.maxima.set(what, value);
  }

  note(area: CoverageArea, what: string, count = 1): void {
    const name = `${area}: ${what}`;
    this.counts.set(name, (this.counts.get(name) ?? 0) + count);
  }

  add({ counts, maxima }: Coverage): void {
    for (const [name, count] of counts) this.counts.set(name, (this.counts.get(name) ?? 0) + count);
    for (const [what, value] of maxima) this.most(what, value);
  }

  /** Of `expected`, what did not happen. */
  get missing(): string[] {
    return expected.filter((name) => !this.counts.has(name));
  }

  /** For people: sorted, one line each. */
  get lines(): string[] {
    const line = (number: number | undefined, what: string): string => `${String(number).padStart(10)}  ${what}`;
    return [
      ...[...this.counts.keys()].sort().map((name) => line(this.counts.get(name), name)),
      ...[...this.maxima.keys()].sort().map((what) => line(this.maxima.get(what), `at most: ${what}`)),
    ];
  }
}

const effects = {
  disk: [
    "unsynced write lost",
    "unsynced write kept",
    "unsynced write torn",
    "unsynced entry lost",
    "unsynced entry kept",
    "write lost by a failed sync",
    "write lost that came during a failed sync",
    "bytes changed that were read from the disk again",
    "operation failed",
    "no space was left for a write",
    "no descriptor was left",
    "no descriptor was left for the second file of a volume",
    "file was opened unbuffered",
    "kill with operations under way",
    "bit flip",
    "misdirected write",
  ],
  network: [
    "cut with bytes under way",
    "cut in the middle of a frame",
    "silence with bytes under way",
    "bytes held up by a partition",
    "bytes that overtook others of another connection",
  ],
  process: [
    "killed while it ran",
    "killed while it started or closed",
    "power cut while it ran",
    "power cut while it started or closed",
    "clock jumps back",
    "clock jumps ahead",
    "closed in order",
    "reclaimed a volume by unlinking it",
    "reclaimed a volume by writing it anew",
  ],
  cluster: [
    "several routers",
    "several putters",
    "responses over tcp/5002",
    "datastore in the router's process",
    "datastore on a machine of its own",
    "depth 2",
    "depth 3",
    "depth 4",
  ],
  operation: [
    "put",
    "put: overwrites",
    "put: larger than a group",
    "put, absent",
    "put, absent: refused",
    "put, present",
    "put, present: refused",
    "put, tag",
    "put, tag: refused",
    "put, object",
    "put, object: refused",
    "put: outcome unknown",
    "put: refused, and not for its condition",
    "several puts, absent, at once",
    "streamed put",
    "streamed put, given up",
    "delete",
    "delete, conditional",
    "delete, conditional: refused",
    "delete: outcome unknown",
    "delete: refused, and not for its condition",
    "delete a version",
    "copy",
    "copy: outcome unknown",
    "part",
    "part, copied",
    "upload completed",
    "upload completed: outcome unknown",
    "upload aborted",
    "parts listed",
    "uploads listed",
    "versioning enabled",
    "versioning suspended",
    "list files",
    "list files, a page",
    "list files, with delimiter",
    "list files, with prefix",
    "list versions",
    "list versions, a page",
    "read, whole",
    "read, a range",
    "read, an older version",
    "read, empty",
    "read: left before its end",
    "stream sent",
    "stream broken off",
    "stream reset",
    "stream refused by the datastore",
    "stream fetched",
    "stream fetched from an offset",
    "stream removed",
  ],
  check: ["version read back", "stream read back", "part read back", "history decided", "damage found and explained"],
} as const;

export const expected: readonly string[] = [
  ...faultKinds.map((kind) => `fault: ${kind}`),
  ...Object.entries(effects).flatMap(([area, whats]) => whats.map((what) => `${area}: ${what}`)),
];
