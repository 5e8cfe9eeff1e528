import { describe, expect, test } from "vitest";
import type { HttpAnswer, HttpRequest } from "../../env/http.ts";
import { nodeClock } from "../../env/node-clock.ts";
import { kindOf, Metrics } from "./metrics.ts";
import { opsHandler, type OpsOptions } from "./ops-handler.ts";

const status = {
  durability: "os: OK is said BEFORE the disk has the bytes",
  counters: { buckets: 2, objects: 3, bytes: 4000, uploads: 1 },
  putters: [{ available: true, freeSpace: 100 }, { available: false }],
  tickets: { syncs: 5, syncedWrites: 50, ticketsWritten: 60, ticketsRefused: 0 },
  volumes: { open: 7, poisoned: 0 },
  reclaim: { running: true, volumesUnlinked: 8, volumesRewritten: 9, lastError: undefined },
  connections: 11,
  freeBuffers: { tiny: 1, block: 2, group: 3 },
  reads: { damaged: 12 },
  snapshots: { count: 2, newestAt: 1_790_000_000_000, lastError: "no room", journalSize: 77, isJournalBroken: true },
};

function ask(target: string, options: Partial<OpsOptions> = {}, method = "GET"): Promise<HttpAnswer> {
  const all = {
    metrics: new Metrics(),
    clock: nodeClock,
    status: async () => status,
    isClosing: () => false,
    ...options,
  };
  const body = { size: 0, read: () => Promise.resolve() };
  const request: HttpRequest = { method, target, headers: {}, peer: "127.0.0.1", secure: false, body };
  return opsHandler(all)(request);
}

const reasonsOf = ({ body }: HttpAnswer): unknown => JSON.parse(body as string).reasons;

test("health is 200 whatever the store is like", async () => {
  const broken = { status: () => Promise.reject(new Error("no")), isClosing: () => true };
  expect(await ask("/-/health", broken)).toMatchObject({ status: 200, body: '{"status":"ok"}\n' });
});

test("other paths and methods are told what there is", async () => {
  expect((await ask("/-/secrets")).status).toBe(404);
  expect(await ask("/-/health", {}, "DELETE")).toMatchObject({ status: 405, headers: { Allow: "GET, HEAD" } });
  expect((await ask("/-/health?x=1", {}, "HEAD")).status).toBe(200);
});

describe("ready", () => {
  test("is 200 with a putter and a datastore", async () => {
    expect((await ask("/-/ready")).status).toBe(200);
  });

  test.each<[string, Partial<OpsOptions>, string]>([
    ["while it closes", { isClosing: () => true }, "closing"],
    ["without a putter", { status: async () => ({ ...status, putters: [] }) }, "no putter is available"],
    ["where none answers", { status: async () => ({ putters: [{ available: false }] }) }, "no putter is available"],
    ["without a datastore", { status: () => Promise.reject(new Error("gone")) }, "the datastore does not answer: gone"],
  ])("is 503 %s", async (_, options, reason) => {
    const answer = await ask("/-/ready", options);
    expect(answer.status).toBe(503);
    expect(reasonsOf(answer)).toEqual([reason]);
  });

  test("is 503 where the datastore takes too long", async () => {
    const clock = { ...nodeClock, after: (_: number, call: () => void) => nodeClock.after(1, call) };
    const answer = await ask("/-/ready", { clock, status: () => new Promise(() => undefined) });
    expect(reasonsOf(answer)).toEqual(["the datastore does not answer: not within 2000 ms"]);
  });
});

describe("metrics", () => {
  const lines = async (options: Partial<OpsOptions> = {}): Promise<string[]> => {
    const answer = await ask("/-/metrics", options);
    expect(answer).toMatchObject({
      status: 200,
      headers: { "Content-Type": expect.stringContaining("version=0.0.4") },
    });
    return (answer.body as string).split("\n").filter((line) => !line.startsWith("#"));
  };

  test("tell requests, latencies and bytes", async () => {
    const metrics = new Metrics();
    metrics.observe("PutObject", 200, 0.002, 1000, 0);
    metrics.observe("PutObject", 503, 20, 10, 300);
    metrics.observe("GetObject", 200, 0.0001, 0, 5000);
    const told = await lines({ metrics, connectionCount: () => 3 });
    const latency = "data_putter_request_duration_seconds";
    for (const line of [
      'data_putter_requests_total{operation="PutObject",status="2xx"} 1',
      'data_putter_requests_total{operation="PutObject",status="5xx"} 1',
      'data_putter_requests_total{operation="GetObject",status="2xx"} 1',
      'data_putter_received_bytes_total{kind="write"} 1010',
      'data_putter_sent_bytes_total{kind="read"} 5000',
      `${latency}_bucket{le="0.001",kind="write"} 0`,
      `${latency}_bucket{le="0.0025",kind="write"} 1`,
      `${latency}_bucket{le="10",kind="write"} 1`,
      `${latency}_bucket{le="+Inf",kind="write"} 2`,
      `${latency}_count{kind="write"} 2`,
      `${latency}_bucket{le="0.0005",kind="read"} 1`,
      "data_putter_http_connections 3",
    ]) {
      expect(told).toContain(line);
    }
  });

  test("tell the store, and what durability it has", async () => {
    const told = await lines();
    for (const line of [
      'data_putter_durability{level="os"} 1',
      "data_putter_syncs_total 5",
      "data_putter_synced_writes_total 50",
      "data_putter_objects 3",
      "data_putter_open_volumes 7",
      'data_putter_putters{state="available"} 1',
      'data_putter_putters{state="unavailable"} 1',
      "data_putter_free_bytes 100",
      "data_putter_reclaim_volumes_rewritten_total 9",
      "data_putter_reclaim_running 1",
      "data_putter_damaged_reads_total 12",
      "data_putter_datastore_snapshots 2",
      "data_putter_datastore_snapshot_timestamp_seconds 1790000000",
      "data_putter_datastore_snapshot_failed 1",
      "data_putter_datastore_journal_bytes 77",
      "data_putter_datastore_journal_broken 1",
      'data_putter_free_buffers{size="group"} 3',
      "data_putter_up 1",
    ]) {
      expect(told).toContain(line);
    }
  });

  test("are told twice alike, and without the store", async () => {
    const metrics = new Metrics();
    metrics.observe("GetObject", 200, 1, 0, 1);
    expect(await lines({ metrics })).toEqual(await lines({ metrics }));
    const told = await lines({ metrics, status: () => Promise.reject(new Error("no")) });
    expect(told).toContain("data_putter_up 0");
    expect(told).toContain('data_putter_requests_total{operation="GetObject",status="2xx"} 1');
  });

  test("do not grow with names that clients make up", async () => {
    const metrics = new Metrics();
    for (let index = 0; index < 10_000; index++) metrics.observe(`Made${index}`, 200, 0, 0, 0);
    expect(metrics.operations().length).toBeLessThan(202);
    const count = metrics.operations().reduce((sum, { statuses }) => sum + statuses[1]!, 0);
    expect(count).toBe(10_000);
  });

  test("know the kinds of operations", () => {
    const kinds = ["GetObject", "UploadPart", "ListObjectsV2", "DeleteObjects", "GetBucketAcl"].map(kindOf);
    expect(kinds).toEqual(["read", "write", "list", "delete", "other"]);
  });
});
