/**
 * What was asked of the gateway, counted. A request costs one look-up and a few additions; all else happens when somebody
 * asks for the numbers (exposition.ts). Few values per label: operations are those of a fixed table, latencies are told
 * by kind of operation.
 */
import * as limits from "../../core/limits.ts";

/** Upper ends, in seconds; what takes longer is in the last bucket, which has none. */
export const latencyBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const;

export type OperationKind = "read" | "write" | "list" | "delete" | "other";
export type StatusClass = "1xx" | "2xx" | "3xx" | "4xx" | "5xx";
export const statusClasses: readonly StatusClass[] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

export interface OperationCounts {
  readonly operation: string;
  /** By status class, in the order of `statusClasses`. */
  readonly statuses: readonly number[];
}

export interface KindCounts {
  readonly kind: OperationKind;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly seconds: number;
  readonly count: number;
  /** By bucket, each for itself; one more than `latencyBuckets`. */
  readonly latencies: readonly number[];
}

interface Kind {
  bytesIn: number;
  bytesOut: number;
  seconds: number;
  count: number;
  readonly latencies: number[];
}

interface Entry {
  readonly kind: Kind;
  readonly statuses: number[];
}

export class Metrics {
  readonly #entries = new Map<string, Entry>();
  readonly #kinds = new Map<OperationKind, Kind>();

  observe(operation: string, status: number, seconds: number, bytesIn: number, bytesOut: number): void {
    const { kind, statuses } = this.#entries.get(operation) ?? this.#newEntry(operation);
    const index = status >= 100 && status < 600 ? Math.trunc(status / 100) - 1 : 4;
    statuses[index]!++;
    kind.bytesIn += bytesIn;
    kind.bytesOut += bytesOut;
    kind.seconds += seconds;
    kind.count++;
    let bucket = 0;
    while (bucket < latencyBuckets.length && seconds > latencyBuckets[bucket]!) bucket++;
    kind.latencies[bucket]!++;
  }

  operations(): OperationCounts[] {
    return [...this.#entries].map(([operation, { statuses }]) => ({ operation, statuses: [...statuses] }));
  }

  kinds(): KindCounts[] {
    return [...this.#kinds].map(([kind, counts]) => ({ kind, ...counts, latencies: [...counts.latencies] }));
  }

  #newEntry(operation: string): Entry {
    // A name that comes from a client by mistake cannot fill the memory of whoever collects these.
    if (this.#entries.size >= limits.metricOperationsMax) {
      return this.#entries.get("unknown") ?? this.#add("unknown");
    }
    return this.#add(operation);
  }

  #add(operation: string): Entry {
    const name = kindOf(operation);
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      kind = { bytesIn: 0, bytesOut: 0, seconds: 0, count: 0, latencies: latencyBuckets.map(() => 0).concat(0) };
      this.#kinds.set(name, kind);
    }
    const entry: Entry = { kind, statuses: statusClasses.map(() => 0) };
    this.#entries.set(operation, entry);
    return entry;
  }
}

export function kindOf(operation: string): OperationKind {
  if (operation.startsWith("List")) return "list";
  if (/^(Delete|Abort)/.test(operation)) return "delete";
  if (/^(GetObject|HeadObject)$/.test(operation)) return "read";
  if (/^(PutObject|PostObject|CopyObject|UploadPart|UploadPartCopy|CompleteMultipartUpload)$/.test(operation))
    return "write";
  return "other";
}
