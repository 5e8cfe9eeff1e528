/** The commands of docs/runbooks/restore-the-datastore.md, run as they stand there (with other folders). */
import { mkdtemp, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { layoutOf, placementDepth, volumeOf } from "../src/core/layout.ts";
import type { Datastore } from "../src/datastore/datastore.ts";
import { openEmbedded } from "../src/datastore/embedded.ts";
import { now, refused, Writer } from "../src/datastore/fixture.contract.ts";
import { openRedis } from "../src/datastore/redis.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { nodeDisk } from "../src/env/node-disk.ts";
import { silentLog } from "../src/env/node-log.ts";
import { redisCli } from "./support/redis-client.ts";
import { hasRedisServer, RedisServer } from "./support/redis-server.ts";
import { readBlocks, Shell } from "./support/runbook.ts";

const layout = layoutOf(placementDepth);
const runbook = fileURLToPath(new URL("../docs/runbooks/restore-the-datastore.md", import.meta.url));

/** Puts something new; tells the ids that it got. */
async function putNew(store: Datastore, key: string): Promise<{ object: number; first: number }> {
  const writer = new Writer(store);
  const object = await writer.object();
  await store.saveObject(object, { kind: "file", bucket: "bucket", key, attributes: {} }, now);
  return { object: object.id, first: object.runs[0]!.first };
}

describe("restore-the-datastore.md", () => {
  let directory: string;
  let shell: Shell;
  let warnings: string[];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "runbook-"));
    shell = new Shell(directory, { PATH: process.env["PATH"] ?? "" });
    warnings = [];
  });
  afterEach(async () => {
    await shell.close();
    await rm(directory, { recursive: true, force: true });
  });
  const run = async (heading: string): Promise<void> => {
    const blocks = (await readBlocks(runbook)).filter((block) => block.heading === heading);
    expect(blocks.length, heading).toBe(1);
    await shell.run(blocks[0]!.commands.replaceAll("/srv/", `${directory}/`));
  };
  const openHere = (): Promise<Datastore> =>
    openEmbedded({
      directory: join(directory, "objects", "datastore"),
      clock: nodeClock,
      durability: "disk",
      log: { ...silentLog, warn: (message) => void warnings.push(message) },
      disk: nodeDisk,
    });

  test("a copy that is put back holds what it held, and hands out no id that was used after it was made", async () => {
    await nodeDisk.makeDirectory(join(directory, "objects"));
    let store = await openHere();
    await store.createBucket("bucket", {}, now);
    await putNew(store, "before");
    await store.close();
    await run("Restore the datastore");
    await run("Make a copy");
    store = await openHere();
    const lost = await putNew(store, "after");
    await store.sealVolume(0);
    const lostToo = await putNew(store, "after the seal");
    await store.close();
    await truncate(join(directory, "objects", "datastore", "data.mdb"), 9_000);
    await refused(openHere(), "DAMAGED");

    await run("Put a copy back");
    store = await openHere();
    expect(warnings).toEqual([expect.stringContaining("put back from a copy")]);
    expect((await store.getVersion("bucket", "before"))?.key).toBe("before");
    expect(await store.getVersion("bucket", "after")).toBeUndefined();
    const fresh = await putNew(store, "fresh");
    expect(fresh.object).toBeGreaterThan(lostToo.object);
    expect(volumeOf(layout, fresh.first)).toBeGreaterThan(volumeOf(layout, lostToo.first));
    expect(volumeOf(layout, lost.first)).toBe(0);
    expect((await store.getVolume(0))?.sealed).toBe(true);
    await store.close();

    warnings = [];
    await (await openHere()).close();
    expect(warnings).toEqual([]);
  });
});

describe.skipIf(!hasRedisServer())("restore-the-datastore.md, with Redis", () => {
  test("the commands make it skip ids", async () => {
    const server = await RedisServer.start();
    try {
      const openHere = () => openRedis({ url: server.url, clock: nodeClock, durability: "disk", log: silentLog });
      let store = await openHere();
      await store.createBucket("bucket", {}, now);
      const before = await putNew(store, "before");
      await store.close();
      await redisCli(server.url, "hset", "data-putter:data", "mrestored", "{}");
      store = await openHere();
      const fresh = await putNew(store, "fresh");
      expect(fresh.object).toBeGreaterThan(before.object + 1_000_000);
      expect(volumeOf(layout, fresh.first)).toBeGreaterThan(1_000);
      await store.close();
      expect(await redisCli(server.url, "hexists", "data-putter:data", "mrestored")).toBe("0");
    } finally {
      await server.stop();
    }
  });
});
