/** The numbers of a gateway and of the store below it as Prometheus reads them; made anew each time, from what is known. */
import type { MetricValueWithName, Registry } from "prom-client";
import type { RouterStatus } from "../../router/object-answers.ts";
import { latencyBuckets, type Metrics, statusClasses } from "./metrics.ts";

export interface ExpositionOptions {
  readonly metrics: Metrics;
  /** undefined: it could not be had. */
  readonly status: RouterStatus | undefined;
  /** HTTP connections that are open. */
  readonly connectionCount: number | undefined;
}

interface Sample {
  readonly labels: { readonly [name: string]: string };
  readonly value: number;
}

type Tell = (type: "counter" | "gauge", name: string, help: string, samples: readonly Sample[]) => void;

/** Content type and text. */
export async function expose(options: ExpositionOptions): Promise<{ type: string; text: string }> {
  // Only who is asked for numbers waits for the library to be loaded.
  const { default: client } = await import("prom-client");
  const registry = new client.Registry();
  const tell: Tell = (type, name, help, samples) => {
    const labelNames = Object.keys(samples[0]?.labels ?? {});
    const configuration = { name: `data_putter_${name}`, help, labelNames, registers: [registry] };
    if (type === "counter") {
      const counter = new client.Counter(configuration);
      for (const { labels, value } of samples) counter.inc(labels, value);
    } else {
      const gauge = new client.Gauge(configuration);
      for (const { labels, value } of samples) gauge.set(labels, value);
    }
  };
  tellRequests(tell, registry, options);
  tellStore(tell, options.status);
  return { type: registry.contentType, text: await registry.metrics() };
}

function tellRequests(tell: Tell, registry: Registry, { metrics, connectionCount }: ExpositionOptions): void {
  const kinds = metrics.kinds();
  const requests = metrics
    .operations()
    .flatMap(({ operation, statuses }) =>
      statuses.flatMap((value, index) =>
        value === 0 ? [] : [{ labels: { operation, status: statusClasses[index]! }, value }],
      ),
    );
  tell("counter", "requests_total", "Requests answered, by operation and status class", requests);
  const bytesOf = (way: "bytesIn" | "bytesOut"): Sample[] =>
    kinds.map((counts) => ({ labels: { kind: counts.kind }, value: counts[way] }));
  tell("counter", "received_bytes_total", "Bytes of request bodies", bytesOf("bytesIn"));
  tell("counter", "sent_bytes_total", "Bytes of answers' bodies", bytesOf("bytesOut"));
  if (connectionCount !== undefined)
    tell("gauge", "http_connections", "Open HTTP connections", single(connectionCount));
  registry.registerMetric(latencyHistogram(metrics) as never);
}

/** prom-client's own histogram counts each observation itself; ours have been counted. */
function latencyHistogram(metrics: Metrics): { name: string; get(): Promise<unknown> } {
  const name = "data_putter_request_duration_seconds";
  const values: MetricValueWithName<string>[] = [];
  for (const { kind, latencies, seconds, count } of metrics.kinds()) {
    let sum = 0;
    for (const [index, inBucket] of latencies.entries()) {
      sum += inBucket;
      values.push({ metricName: `${name}_bucket`, labels: { le: latencyBuckets[index] ?? "+Inf", kind }, value: sum });
    }
    values.push({ metricName: `${name}_sum`, labels: { kind }, value: seconds });
    values.push({ metricName: `${name}_count`, labels: { kind }, value: count });
  }
  const help = "Time until an answer was known, by kind of operation";
  const told = { name, help, type: "histogram", values, aggregator: "sum" };
  return { name, get: async () => told };
}

/** What a router's status has; all of it may be missing. */
interface StoreStatus {
  readonly durability?: string;
  readonly counters?: { readonly [name: string]: number };
  readonly putters?: readonly { readonly available: boolean; readonly freeSpace?: number }[];
  readonly tickets?: { readonly [name: string]: number };
  readonly volumes?: { readonly [name: string]: number };
  readonly reads?: { readonly [name: string]: number };
  readonly responses?: { readonly [name: string]: number };
  readonly reclaim?: { readonly [name: string]: unknown };
  readonly snapshots?: {
    readonly count: number;
    readonly newestAt?: number;
    readonly lastError?: string;
    readonly journalSize?: number;
    readonly isJournalBroken?: boolean;
  };
  readonly connections?: number;
  readonly freeBuffers?: { readonly [size: string]: number };
}

function tellStore(tell: Tell, known: RouterStatus | undefined): void {
  tell("gauge", "up", "Whether the store's own status could be had", single(known === undefined ? 0 : 1));
  if (known === undefined) return;
  const status = known as StoreStatus;
  const level = status.durability?.split(/[^a-z]/)[0] ?? "unknown";
  tell("gauge", "durability", "1 for what OK means here: disk survives a power cut, os may not", [
    { labels: { level }, value: 1 },
  ]);
  const counters: [
    object: { readonly [name: string]: unknown } | undefined,
    field: string,
    name: string,
    help: string,
  ][] = [
    [status.tickets, "syncs", "syncs_total", "Syncs of volumes"],
    [status.tickets, "syncedWrites", "synced_writes_total", "Writes that shared them: by syncs_total, the group size"],
    [status.tickets, "ticketsWritten", "tickets_written_total", "Tickets written"],
    [status.tickets, "ticketsRefused", "tickets_refused_total", "Tickets refused"],
    [status.reads, "damaged", "damaged_reads_total", "Reads that ended because what is stored is damaged: run verify"],
    [status.responses, "dropped", "responses_dropped_total", "Responses for tickets that nobody awaits"],
    [status.reclaim, "volumesUnlinked", "reclaim_volumes_unlinked_total", "Volumes removed, nothing in them was live"],
    [status.reclaim, "volumesRewritten", "reclaim_volumes_rewritten_total", "Volumes rewritten with what was live"],
  ];
  const gauges: typeof counters = [
    [status.counters, "buckets", "buckets", "Buckets"],
    [status.counters, "objects", "objects", "Saved objects"],
    [status.counters, "bytes", "stored_bytes", "Bytes of saved objects"],
    [status.counters, "uploads", "multipart_uploads", "Multipart uploads under way"],
    [status.volumes, "open", "open_volumes", "Volumes that are open"],
    [status.volumes, "poisoned", "poisoned_volumes", "Volumes that take no writes because a sync failed"],
  ];
  for (const [type, rows] of [
    ["counter", counters],
    ["gauge", gauges],
  ] as const) {
    for (const [object, field, name, help] of rows) {
      const value = object?.[field];
      if (typeof value === "number") tell(type, name, help, single(value));
    }
  }
  const { putters = [], freeBuffers = {}, connections } = status;
  const available = putters.filter((putter) => putter.available).length;
  tell("gauge", "putters", "Putters by whether they answer", [
    { labels: { state: "available" }, value: available },
    { labels: { state: "unavailable" }, value: putters.length - available },
  ]);
  const free = putters.flatMap(({ freeSpace }) => (freeSpace === undefined ? [] : [freeSpace]));
  if (free.length > 0) tell("gauge", "free_bytes", "Free space of all putters", single(free.reduce((a, b) => a + b)));
  tell(
    "gauge",
    "free_buffers",
    "Buffers for writes that nobody has; at 0 writers queue",
    Object.entries(freeBuffers).map(([size, value]) => ({ labels: { size }, value })),
  );
  if (connections !== undefined)
    tell("gauge", "tcp_connections", "Open connections of the other ports", single(connections));
  if (status.snapshots !== undefined) {
    const { count, newestAt = 0, lastError, journalSize = 0, isJournalBroken = false } = status.snapshots;
    tell("gauge", "datastore_snapshots", "Snapshots of the datastore that are kept", single(count));
    const help = "When the newest snapshot of the datastore was taken, in seconds since 1970; 0: there is none";
    tell("gauge", "datastore_snapshot_timestamp_seconds", help, single(newestAt / 1000));
    const failed = "Whether the last attempt to take a snapshot of the datastore failed";
    tell("gauge", "datastore_snapshot_failed", failed, single(lastError === undefined ? 0 : 1));
    const size = "Bytes of the datastore's journal since the newest snapshot";
    tell("gauge", "datastore_journal_bytes", size, single(journalSize));
    const broken = "Whether the journal lacks commits: a restore ends before them until the next snapshot is taken";
    tell("gauge", "datastore_journal_broken", broken, single(isJournalBroken ? 1 : 0));
  }
  const isRunning = status.reclaim?.["running"] === true;
  tell("gauge", "reclaim_running", "Whether reclaiming is at work", single(isRunning ? 1 : 0));
}

function single(value: number): Sample[] {
  return [{ labels: {}, value }];
}
