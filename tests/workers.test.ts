/** `router --workers`: several processes, one data directory, every promise kept. */
import { readdirSync, readlinkSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ticketDataSize } from "../src/core/frame.ts";
import { Belongings, eventually } from "./support/store.ts";
import { type Stored, type WorkerClient, WorkersStore } from "./support/workers.ts";

const megabyte = 1024 * 1024;
const size = 3 * ticketDataSize;
const writerNames = ["a", "b", "c", "d", "e", "f", "g", "h"];

let belongings: Belongings;
let root: string;

beforeEach(async () => {
  belongings = new Belongings();
  root = await belongings.directory();
});
afterEach(() => belongings.giveBack());

async function start(count = 2): Promise<WorkersStore> {
  const store = await WorkersStore.start(root, count);
  if (store === undefined) throw new Error("the workers did not start");
  belongings.add(() => store.end("SIGKILL"));
  return store;
}

async function startWithBucket(): Promise<[WorkersStore, WorkerClient, WorkerClient]> {
  const store = await start();
  await store.worker(0).do("bucket");
  return [store, store.worker(0), store.worker(1)];
}

describe("two workers", () => {
  test("what one has acknowledged, the other one reads at once, and no longer when it is gone", async () => {
    const [, one, other] = await startWithBucket();
    for (let round = 1; round <= 60; round++) {
      const [writer, reader] = round % 2 === 0 ? [one, other] : [other, one];
      const key = `key ${round % 5}`;
      await writer.do("put", { key, size, fill: round });
      expect(await reader.do("get", { key })).toEqual({ size, fill: round, same: true });
      await writer.do("remove", { key });
      expect(await reader.do("get", { key })).toBeNull();
    }
  });

  test("no id is handed out twice, and each writes volumes of its own", async () => {
    const [, one, other] = await startWithBucket();
    const puts = (worker: WorkerClient, name: string): Promise<Stored>[] =>
      Array.from({ length: 100 }, (_, index) => worker.do<Stored>("put", { key: `${name}${index}`, size, fill: 1 }));
    const [ofOne, ofOther] = await Promise.all([Promise.all(puts(one, "a")), Promise.all(puts(other, "b"))]);
    expect(new Set([...ofOne, ...ofOther].map(({ id }) => id)).size).toBe(200);
    const volumesOf = (stored: readonly Stored[]): Set<number> =>
      new Set(stored.flatMap(({ places }) => places.map(({ volume }) => volume)));
    expect([...volumesOf(ofOne)].filter((volume) => volumesOf(ofOther).has(volume))).toEqual([]);
    expect(ofOther[0]!.places[0]!.putter).toBe(`${ofOne[0]!.places[0]!.putter}.1`);
  });

  test("of conditional writes to one key, through both, one wins", async () => {
    const [, one, other] = await startWithBucket();
    for (let round = 0; round < 10; round++) {
      const key = `key ${round}`;
      const writes = Array.from({ length: 10 }, (_, index) =>
        (index % 2 === 0 ? one : other).do<Stored>("put", { key, size, fill: index + 1, absent: true }),
      );
      const outcomes = await Promise.allSettled(writes);
      const won = outcomes.flatMap(({ status }, index) => (status === "fulfilled" ? [index + 1] : []));
      const reasons = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason.message] : []));
      expect(won).toHaveLength(1);
      expect(new Set(reasons)).toEqual(new Set(["CONFLICT"]));
      expect(await one.do("get", { key })).toMatchObject({ fill: won[0] });
    }
  });

  test("a volume is reclaimed when the other one has read to the end what was deleted, and its space is free then", async () => {
    const [store, one, other] = await startWithBucket();
    const { places } = await one.do<Stored>("put", { key: "large", size: 20 * megabyte, fill: 7 });
    await one.do("put", { key: "small", size, fill: 8 });
    expect(await other.do("get", { key: "small" })).toMatchObject({ fill: 8 });
    const begun = await other.do<number>("begin", { key: "large" });
    expect(begun).toBeLessThan(megabyte);
    await one.do("remove", { key: "large" });
    await one.do("remove", { key: "small" });
    // The first look retires the volume.
    await one.do("reclaim");
    const reclaimed = one.do("reclaim");
    expect(await Promise.race([reclaimed, other.do("get", { key: "small" })])).toBeNull();
    expect(await other.do("finish", { key: "large" })).toBe(20 * megabyte);
    expect(await reclaimed).toMatchObject({ volumesUnlinked: 1 });
    expect(places).toHaveLength(1);
    const deletedIn = (pid: number): string[] =>
      readdirSync(`/proc/${pid}/fd`)
        .map((descriptor) => linkOf(`/proc/${pid}/fd/${descriptor}`))
        .filter((target) => target.startsWith(root) && target.endsWith("(deleted)"));
    await eventually(() => deletedIn(one.pid).length + deletedIn(other.pid).length === 0);
    expect(store.isAlive(other.pid)).toBe(true);
  });

  test("what one rewrites, the other goes on reading", async () => {
    const [, one, other] = await startWithBucket();
    await one.do("put", { key: "first", size, fill: 1 });
    await one.do("put", { key: "dead", size: 10 * megabyte, fill: 2 });
    await one.do("put", { key: "last", size, fill: 3 });
    const read = (): Promise<unknown[]> =>
      Promise.all(["first", "last"].map((key) => other.do("get", { key }).catch((error: Error) => error.message)));
    const whole = [1, 3].map((fill) => ({ size, fill, same: true }));
    expect(await read()).toEqual(whole);
    await one.do("remove", { key: "dead" });
    await one.do("reclaim");
    const reclaiming = one.do("reclaim");
    const isDone = (): Promise<boolean> =>
      Promise.race([reclaiming.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))]);
    do expect(await read()).toEqual(whole);
    while (!(await isDone()));
    expect(await reclaiming).toMatchObject({ volumesRewritten: 1 });
    expect(await read()).toEqual(whole);
  });
});

describe("a worker that is killed in the middle of a load", () => {
  test("loses nothing that was acknowledged, does not disturb the other one, and comes back", async () => {
    const [store, one, other] = await startWithBucket();
    const acknowledged = new Set<string>();
    const failures: string[] = [];
    const stop = new AbortController();
    const writer = async (worker: WorkerClient, name: string): Promise<void> => {
      for (let index = 0; !stop.signal.aborted; index++) {
        const key = `${name} ${index}`;
        const failure = await worker.do("put", { key, size, fill: 9 }).then(
          () => undefined,
          (error: Error) => error.message,
        );
        if (failure === undefined) acknowledged.add(key);
        else return void failures.push(`${name[0]}: ${failure}`);
      }
    };
    const writers = writerNames.map((name) => writer(name < "e" ? one : other, name < "e" ? `1${name}` : `2${name}`));
    await eventually(() => acknowledged.size > 200);
    await store.killWorker(1);
    await eventually(() => failures.length === 4);
    const before = acknowledged.size;
    await eventually(() => acknowledged.size > before + 200);
    stop.abort();
    await Promise.all(writers);
    expect(failures).toEqual(Array.from({ length: 4 }, () => "2: gone"));
    const next = await store.nextWorker(1, other);
    for (const key of acknowledged) expect(await next.do("get", { key })).toEqual({ size, fill: 9, same: true });
    await next.do("put", { key: "again", size, fill: 10 });
    expect(await one.do("get", { key: "again" })).toMatchObject({ fill: 10 });
  });
});

describe("the primary", () => {
  test("takes all with it when it is killed, and a restart has all that was acknowledged", async () => {
    const [store, one, other] = await startWithBucket();
    const acknowledged = new Set<string>();
    const writer = async (worker: WorkerClient, name: string): Promise<void> => {
      for (let index = 0; ; index++) {
        await worker.do("put", { key: `${name} ${index}`, size, fill: 9 });
        acknowledged.add(`${name} ${index}`);
      }
    };
    const writers = writerNames.map((name) => writer(name < "e" ? one : other, name));
    await eventually(() => acknowledged.size > 200);
    await store.end("SIGKILL");
    await Promise.allSettled(writers);
    await eventually(() => !store.isAlive(one.pid) && !store.isAlive(other.pid));
    const again = await start(3);
    for (const key of acknowledged) {
      expect(await again.worker(2).do("get", { key })).toEqual({ size, fill: 9, same: true });
    }
  });

  test("leaves the directory locked while a worker lives", async () => {
    const store = await start();
    const { pid } = store.worker(1);
    process.kill(pid, "SIGSTOP");
    await store.end("SIGKILL");
    expect(await WorkersStore.start(root)).toBeUndefined();
    process.kill(pid, "SIGKILL");
    await eventually(() => !store.isAlive(pid));
    await start();
  });

  test("closes all in order, and one process reads, and reclaims, what several have written", async () => {
    const [store, , other] = await startWithBucket();
    await other.do("put", { key: "kept", size, fill: 4 });
    await other.do("put", { key: "dead", size: 10 * megabyte, fill: 5 });
    await other.do("remove", { key: "dead" });
    await store.end("SIGTERM");
    expect(store.process.exitCode).toBe(0);
    const reclaim = { intervalMs: 1e9, openDeadMin: 1, deadShareMin: 0.1 };
    const { router } = await belongings.router({ root, reclaim });
    await router.reclaimer.runOnce();
    await router.reclaimer.runOnce();
    expect(router.reclaimer.status).toMatchObject({ volumesRewritten: 1, lastError: undefined });
    const { object } = (await router.datastore.getVersion("bucket", "kept"))!;
    const record = await router.datastore.getObject(object!);
    if (record?.status !== "saved") throw new Error("not saved");
    expect(await router.get(record)).toEqual(new Uint8Array(size).fill(4));
  });
});

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
