/**
 * A router in several processes whose datastore is damaged after a crash: it is refused, restored, and then everything that
 * was acknowledged over S3 is there; where a part of the journal is damaged too, exactly what is missing is named.
 */
import { createHash } from "node:crypto";
import { cp, open, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CommandLine } from "../support/cli.ts";
import { type Service, someBytes } from "../support/program.ts";
import { signHeader } from "../support/s3-signer.ts";
import { eventually } from "../support/store.ts";

const keys = { accessKey: "tester", secretKey: "testers-secret" };
const env = { DATA_PUTTER_ACCESS_KEY: keys.accessKey, DATA_PUTTER_SECRET_KEY: keys.secretKey };
let line: CommandLine;
let origin: string;
/** What was acknowledged: key, and the hash of its bytes. */
const acknowledged = new Map<string, string>();

beforeAll(async () => {
  line = await CommandLine.make();
});
afterAll(() => line.place.remove());

async function start(root: string): Promise<Service> {
  const args = ["router", "--root", root, "--workers", "2", "--json", "--port", "0", "--response-port", "0"];
  const service = await line.place.start("data-putter", args, { cwd: line.folder, env, ready: /\n/ });
  origin = `http://127.0.0.1:${(JSON.parse(service.stdout()) as { s3Port: number }).s3Port}`;
  return service;
}

async function ask(method: string, target: string, body?: Uint8Array): Promise<{ status: number; bytes: Buffer }> {
  const url = `${origin}${target}`;
  const signed = signHeader(keys, { method, url, headers: {}, ...(body === undefined ? {} : { body }) });
  const { host: _, ...headers } = signed.headers;
  const sent = signed.body === undefined ? {} : { body: signed.body };
  const answer = await fetch(url, { method, headers, ...sent });
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()) };
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Stores until it is refused or cut off; what was answered with 200 counts. */
async function write(name: string): Promise<void> {
  for (let index = 0; ; index++) {
    const key = `${name}-${index}`;
    const bytes = someBytes([1, 900, 5_000, 70_000][index % 4]!, index);
    const { status } = await ask("PUT", `/bucket/${key}`, bytes);
    if (status !== 200) throw new Error(`${status}`);
    acknowledged.set(key, hashOf(bytes));
  }
}

/** Those that are not there as they were acknowledged. */
async function missing(): Promise<string[]> {
  const lost: string[] = [];
  for (const [key, hash] of acknowledged) {
    const { status, bytes } = await ask("GET", `/bucket/${key}`);
    if (status === 404) lost.push(key);
    else if (status !== 200 || hashOf(bytes) !== hash) throw new Error(`${key} is answered ${status}`);
  }
  return lost;
}

async function refusedStart(root: string): Promise<string> {
  const args = ["router", "--root", root, "--workers", "2", "--port", "0", "--response-port", "0"];
  const { code, stderr } = await line.run(args, { env, timeoutMs: 20_000 });
  expect(code).toBe(1);
  return stderr;
}

async function overwrite(file: string, at: number, size: number): Promise<void> {
  const handle = await open(file, "r+");
  await handle.write(Buffer.alloc(size, 0xa5), 0, size, at);
  await handle.close();
}

test("is refused by the name of the runbook, restored, and has all that was acknowledged", async () => {
  const first = await start("root");
  expect((await ask("PUT", "/bucket")).status).toBe(200);
  const writers = ["a", "b", "c", "d", "e", "f"].map((name) => write(name));
  const ended = Promise.allSettled(writers);
  await eventually(() => acknowledged.size > 300);
  // Any of the processes tells what the one that commits keeps.
  for (let round = 0; round < 6; round++) {
    const metrics = (await ask("GET", "/-/metrics")).bytes.toString();
    expect(metrics).toMatch(/^data_putter_datastore_snapshots \d+$/m);
    expect(metrics).toMatch(/^data_putter_datastore_snapshot_timestamp_seconds \d/m);
    expect(Number(/^data_putter_datastore_journal_bytes (\d+)$/m.exec(metrics)![1])).toBeGreaterThan(0);
    expect(metrics).toMatch(/^data_putter_datastore_journal_broken 0$/m);
  }
  await first.kill();
  await ended;
  await cp(line.path("root"), line.path("second"), {
    recursive: true,
    filter: (name) => path.basename(name) !== "lock",
  });

  await overwrite(line.path("root/datastore/data.mdb"), 0, 8_192);
  expect(await refusedStart("root")).toContain("docs/runbooks/restore-the-datastore.md");
  const restored = await line.run(["restore", "--root", "root", "--json"]);
  expect([restored.code, restored.stderr]).toEqual([0, ""]);
  expect(JSON.parse(restored.stdout)).toMatchObject({ unknownCommits: 0, unusedCommits: 0, removedLater: [] });
  const again = await start("root");
  expect(await missing()).toEqual([]);
  expect((await ask("PUT", "/bucket/later", someBytes(10, 1))).status).toBe(200);
  expect(await again.stop()).toBe(0);
});

test("names each version that a damaged journal has taken along, and no other is missing", async () => {
  const snapshots = line.path("second/snapshots");
  const journals = (await readdir(snapshots)).filter((name) => name.startsWith("journal-")).sort();
  const journal = path.join(snapshots, journals.at(-1)!);
  const { size } = await stat(journal);
  await overwrite(journal, Math.floor(size / 2), 40);
  await overwrite(line.path("second/datastore/data.mdb"), 0, 8_192);
  expect(await refusedStart("second")).toContain("docs/runbooks/restore-the-datastore.md");
  const { code, stdout } = await line.run(["restore", "--root", "second", "--json"]);
  expect(code).toBe(1);
  const report = JSON.parse(stdout) as {
    keptAside: string;
    unknownCommits: number;
    newer: readonly { key?: string; restored: boolean }[];
  };
  expect(report.unknownCommits).toBeGreaterThan(0);
  const named = report.newer.filter(({ restored }) => !restored).map(({ key }) => key);
  const kept = (await readFile(path.join(report.keptAside, "newer-versions.jsonl"), "utf8")).trim().split("\n");
  expect(kept).toHaveLength(report.newer.length);
  const router = await start("second");
  const lost = await missing();
  expect(lost.length).toBeGreaterThan(0);
  // A commit that nothing can be read of is counted; it has what several clients wrote at once.
  const unnamed = lost.filter((key) => !named.includes(key));
  expect(unnamed.length).toBeLessThanOrEqual(6 * report.unknownCommits);
  for (const { key, restored } of report.newer) {
    if (restored && key !== undefined && acknowledged.has(key)) expect(lost).not.toContain(key);
  }
  await router.stop();
});
