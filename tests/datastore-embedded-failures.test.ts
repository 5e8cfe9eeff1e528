/** The embedded store on a full disk, on damaged files, with the wrong format, and at its end. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, open, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { StoreError } from "../src/core/errors.ts";
import type { Datastore } from "../src/datastore/datastore.ts";
import { openEmbedded, type EmbeddedOptions } from "../src/datastore/embedded.ts";
import { now, refused, Writer } from "../src/datastore/fixture.contract.ts";
import { GroupCommit } from "../src/datastore/group-commit.ts";
import { LmdbFile } from "../src/datastore/lmdb-file.ts";
import type { Transaction } from "../src/datastore/transaction.ts";
import type { Timer } from "../src/env/host.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { nodeDisk } from "../src/env/node-disk.ts";
import { silentLog } from "../src/env/node-log.ts";

let directory: string;
let datastore: Datastore | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "embedded-"));
});
afterEach(async () => {
  await datastore?.close();
  datastore = undefined;
  await rm(directory, { recursive: true, force: true });
});
const openHere = async (more: Partial<EmbeddedOptions> = {}): Promise<Datastore> => {
  const options = {
    directory: join(directory, "store"),
    clock: nodeClock,
    durability: "disk",
    log: silentLog,
  } as const;
  datastore = await openEmbedded({ ...options, disk: nodeDisk, ...more });
  return datastore;
};
const filled = async (): Promise<void> => {
  const store = await openHere();
  const writer = new Writer(store);
  await store.createBucket("bucket", {}, now);
  await Promise.all(Array.from({ length: 500 }, (_, index) => writer.put("bucket", `key/${index}`)));
  await store.close();
};
const dataFile = (): string => join(directory, "store", "data.mdb");

describe("a damaged file of the embedded datastore", () => {
  const refusal = {
    code: "DAMAGED",
    message: expect.stringContaining("docs/runbooks/restore-the-datastore.md") as string,
  };

  test("is refused where its header is something else", async () => {
    await filled();
    const file = await open(dataFile(), "r+");
    await file.write(Buffer.alloc(8_192, "not this"), 0, 8_192, 0);
    await file.close();
    await expect(openHere()).rejects.toMatchObject(refusal);
  });

  test("is refused where it is cut short before its first page", async () => {
    await filled();
    await truncate(dataFile(), 8_192);
    await expect(openHere()).rejects.toMatchObject(refusal);
    await truncate(dataFile(), 100);
    await expect(openHere()).rejects.toMatchObject(refusal);
  });

  test("is refused, or its reads fail, where other pages are gone; the process does not crash", async () => {
    await filled();
    const { size } = await stat(dataFile());
    const whole = await readFile(dataFile());
    const outcomes = new Set<string>();
    for (let kept = 3; kept < size / 4_096; kept += 4) {
      await writeFile(dataFile(), whole.subarray(0, kept * 4_096));
      try {
        const store = await openHere();
        const request = { bucket: "bucket", prefix: "", delimiter: undefined, after: undefined, limit: 1_000 };
        const page = await store.listFiles(request);
        await Promise.all(page.items.map((item) => store.getObject(item.object!)));
        outcomes.add(page.items.length === 500 ? "whole" : "short");
      } catch (error) {
        expect(error).toBeInstanceOf(StoreError);
        outcomes.add((error as StoreError).code);
      } finally {
        await datastore?.close();
        datastore = undefined;
      }
    }
    expect(outcomes).toContain("DAMAGED");
    expect([...outcomes].filter((outcome) => outcome !== "DAMAGED" && outcome !== "whole")).toEqual([]);
  });

  test("that was just made and never written is used", async () => {
    await mkdir(join(directory, "store"));
    await writeFile(dataFile(), "");
    expect((await (await openHere()).createBucket("bucket", {}, now)).name).toBe("bucket");
  });

  test("with one damaged record is used; reading that record is an error", async () => {
    await filled();
    const file = new LmdbFile({ directory: join(directory, "store"), sync: true });
    file.transact(() => file.put("fbucket\0key/7", "{"));
    await file.close();
    const store = await openHere();
    await refused(store.getVersion("bucket", "key/7"), "DAMAGED");
    expect((await store.getVersion("bucket", "key/8"))?.key).toBe("key/8");
  });
});

describe("the embedded datastore", () => {
  test("refuses a newer format, naming both", async () => {
    await filled();
    const file = new LmdbFile({ directory: join(directory, "store"), sync: true });
    file.transact(() => file.put("mformat", "7"));
    await file.close();
    await expect(openHere()).rejects.toMatchObject({
      code: "INCOMPATIBLE",
      message: expect.stringMatching(/format 7.* knows 2/) as string,
    });
  });

  test("finishes what is under way when it is closed, and refuses what comes after", async () => {
    const store = await openHere();
    const made = store.createBucket("bucket", {}, now);
    await store.close();
    expect((await made).name).toBe("bucket");
    await refused(store.getBucket("bucket"), "ABORTED");
    await refused(store.createBucket("other", {}, now), "ABORTED");
    await store.close();
    expect((await (await openHere()).getBucket("bucket"))?.name).toBe("bucket");
  });

  test("says where it is, and what durability os gives up", async () => {
    expect((await openHere()).description).toContain(directory);
    expect(datastore?.durabilityGap).toBeUndefined();
    await datastore?.close();
    expect((await openHere({ durability: "os" })).durabilityGap).toMatch(/durability os/);
  });

  test("shows no reader what is not committed", async () => {
    const store = await openHere();
    const made = store.createBucket("bucket", {}, now);
    expect(await store.getBucket("bucket")).toBeUndefined();
    await made;
    expect((await store.getBucket("bucket"))?.name).toBe("bucket");
  });

  test("grows past the map that it was opened with", async () => {
    const file = new LmdbFile({ directory: join(directory, "store"), sync: false, mapSize: 1_048_576 });
    for (let round = 0; round < 20; round++) {
      file.transact(() => {
        for (let index = 0; index < 1_000; index++) file.put(`key ${index} of ${round}`, "x".repeat(1_000));
      });
      expect(file.get(`key 0 of ${round}`)).toHaveLength(1_000);
    }
    expect([...file.range("k", "l", Number.MAX_SAFE_INTEGER)]).toHaveLength(20_000);
    await file.close();
    expect((await stat(dataFile())).size).toBeGreaterThan(20_000_000);
  });
});

const isRoot = process.getuid?.() === 0;
if (!isRoot && process.env["CI"] !== undefined) throw new Error("CI must run as root, to mount a small file system");
if (!isRoot) console.warn("SKIPPED: not root, nothing is tested on a full disk");

describe.skipIf(!isRoot)("the embedded datastore on a full disk", () => {
  let mounted: string;
  beforeEach(async () => {
    mounted = join(directory, "small");
    await mkdir(mounted);
    await promisify(execFile)("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", mounted]);
  });
  afterEach(async () => {
    await datastore?.close();
    datastore = undefined;
    await promisify(execFile)("umount", [mounted]);
  });

  test("refuses what does not fit as NO_SPACE, keeps what it has, and works on when there is room", async () => {
    let later: (() => void)[] = [];
    const after = (_delayMs: number, call: () => void): Timer => {
      later.push(call);
      return { cancel: () => void (later = later.filter((each) => each !== call)) };
    };
    const store = await openHere({ directory: join(mounted, "store"), clock: { ...nodeClock, after } });
    const writer = new Writer(store);
    await store.createBucket("bucket", {}, now);
    await writeFile(join(mounted, "ballast"), Buffer.alloc(2_000_000));
    const kept: string[] = [];
    let failedRounds = 0;
    for (let round = 0; round < 200 && failedRounds < 5; round++) {
      const names = Array.from({ length: 20 }, (_, index) => `key/${index}/${round}`);
      const results = await Promise.allSettled(names.map((name) => writer.put("bucket", name)));
      const failures = results.filter((result) => result.status === "rejected");
      for (const failure of failures) expect(failure.reason).toMatchObject({ code: "NO_SPACE" });
      if (failures.length > 0) {
        failedRounds++;
        // Until some time has passed nothing is tried.
        await refused(store.createBucket("other", {}, now), "NO_SPACE");
        expect(later).toHaveLength(1);
        later.shift()!();
        await setImmediate();
      } else kept.push(...names);
    }
    expect(failedRounds).toBe(5);
    expect(kept.length).toBeGreaterThan(100);
    const check = async (open: Datastore, expected: readonly string[]): Promise<void> => {
      const found: string[] = [];
      for (let after: string | undefined; ; after = found.at(-1)) {
        const page = await open.listFiles({ bucket: "bucket", prefix: "", delimiter: undefined, after, limit: 1_000 });
        found.push(...page.items.map((item) => item.key));
        for (const item of page.items) expect((await open.getObject(item.object!))?.status).toBe("saved");
        if (!page.more) break;
      }
      expect(found).toEqual([...expected].sort());
      expect(await open.counters()).toMatchObject({ objects: expected.length, bytes: expected.length * 1_000 });
      expect((await open.getVolume(0))?.liveCount).toBe(expected.length);
    };
    await check(store, kept);

    await rm(join(mounted, "ballast"));
    for (let round = 0; round < 20; round++) {
      const names = Array.from({ length: 20 }, (_, index) => `later/${index}/${round}`);
      await Promise.all(names.map((name) => writer.put("bucket", name)));
      await Promise.all(kept.splice(0, 10).map((name) => store.deleteFile("bucket", name, now)));
      kept.push(...names);
    }
    await check(store, kept);
    await store.close();
    await check(await openHere({ directory: join(mounted, "store") }), kept);
  });
});

describe("a group of commits", () => {
  /** Applies a group at once, and counts how often it was run. */
  class Groups {
    readonly values = new Map<string, string>();
    runCount = 0;
    transact(body: (transaction: Transaction & { changeCount: number }) => void): void {
      this.runCount++;
      const changed = new Map<string, string>();
      const transaction = {
        changeCount: 0,
        put(key: string, value: string) {
          this.changeCount++;
          changed.set(key, value);
        },
      };
      body(transaction as unknown as Transaction & { changeCount: number });
      for (const [key, value] of changed) this.values.set(key, value);
    }
  }

  test("is one transaction for all that was asked for in one turn", async () => {
    const store = new Groups();
    const group = new GroupCommit(store, nodeClock);
    await Promise.all(Array.from({ length: 100 }, (_, index) => group.commit((tx) => tx.put(`${index}`, ""))));
    expect(store.runCount).toBe(1);
    expect(store.values.size).toBe(100);
  });

  test("is done again without an operation that failed half way, and nothing of that one stays", async () => {
    const store = new Groups();
    const group = new GroupCommit(store, nodeClock);
    const results = await Promise.allSettled([
      group.commit((tx) => tx.put("a", "1")),
      group.commit((tx) => {
        tx.put("b", "half");
        throw new StoreError("DAMAGED", "found out late");
      }),
      group.commit(() => {
        throw new StoreError("CONFLICT", "found out in time");
      }),
      group.commit((tx) => tx.put("c", "2")),
    ]);
    expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
    expect([...store.values.keys()]).toEqual(["a", "c"]);
    expect(store.runCount).toBe(2);
  });

  test("is bounded: what waits beyond that is BUSY", async () => {
    const store = new Groups();
    const group = new GroupCommit(store, nodeClock);
    const waiting = Array.from({ length: 70_000 }, () => group.commit(() => undefined));
    const results = await Promise.allSettled(waiting);
    const busy = results.filter((result) => result.status === "rejected");
    expect(busy).toHaveLength(70_000 - 65_536);
    expect(busy[0]).toMatchObject({ reason: { code: "BUSY" } });
    expect(store.runCount).toBe(65_536 / 512);
  });
});
