/** The commands of docs/runbooks/restore-the-datastore.md, run as they stand there (with other folders). */
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ObjectId, parseId } from "../src/core/ids.ts";
import { layoutOf, placementDepth, volumeOf } from "../src/core/layout.ts";
import type { Datastore } from "../src/datastore/datastore.ts";
import { now, Writer } from "../src/datastore/fixture.contract.ts";
import { openRedis } from "../src/datastore/redis.ts";
import { nodeClock } from "../src/env/node-clock.ts";
import { silentLog } from "../src/env/node-log.ts";
import { freePort, type Service, someBytes, Workplace } from "./support/program.ts";
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
  let place: Workplace;
  let home: string;
  let env: Record<string, string>;
  let shell: Shell;
  let router: Service | undefined;
  beforeEach(async () => {
    place = await Workplace.make();
    home = await place.folder("home");
    const [port, responsePort] = [String(await freePort()), String(await freePort())];
    env = { DATA_PUTTER_PORT: port, DATA_PUTTER_RESPONSE_PORT: responsePort };
    shell = new Shell(home, place.environment(env));
    await run("Restore the datastore");
  });
  afterEach(async () => {
    await shell.close();
    await place.remove();
  });
  const root = (...names: string[]): string => join(home, "objects", ...names);
  /** All blocks below a heading; what they print. */
  const run = async (heading: string): Promise<string> => {
    const blocks = (await readBlocks(runbook)).filter((block) => block.heading === heading);
    expect(blocks.length, heading).toBeGreaterThan(0);
    return shell.run(blocks.map(({ commands }) => commands.replaceAll("/srv/", `${home}/`)).join("\n"));
  };
  const start = async (): Promise<void> => {
    router = await place.start("data-putter", ["router", "--root", root()], {
      cwd: home,
      env,
      ready: /key fingerprint/,
    });
  };
  const put = async (seed: number): Promise<string> => {
    await writeFile(join(home, `file-${seed}`), someBytes(100_000 * seed, seed));
    return (await place.done("data-putter", ["put", `file-${seed}`], { cwd: home, env })).split(" ")[0]!;
  };
  const get = async (object: string): Promise<Buffer> => {
    const args = ["get", object, "-o", `${object}.back`, "--key-file", root("key")];
    await place.done("data-putter", args, { cwd: home, env });
    return readFile(join(home, `${object}.back`));
  };
  const list = async (): Promise<string> =>
    place.done("data-putter", ["ls", "--key-file", root("key")], { cwd: home, env });

  test("a damaged datastore is refused, and after its commands everything is as it was", async () => {
    await start();
    const objects = [await put(1), await put(2)];
    await router!.kill();
    await truncate(root("datastore", "data.mdb"), 9_000);
    const refusal = await place.run("data-putter", ["router", "--root", root()], { cwd: home, env });
    expect(refusal.code).toBe(1);
    expect(refusal.stderr).toMatch(/damaged.*run data-putter restore, see docs\/runbooks\/restore-the-datastore\.md/);
    const verify = (await readBlocks(runbook)).findLast(({ heading }) => heading === "Restore")!.commands;
    expect(verify).toContain("verify");
    const blocks = (await readBlocks(runbook)).filter(({ heading }) => heading === "Restore");
    for (const { commands } of blocks.slice(0, -1))
      expect(await shell.run(commands)).toContain("nothing that is known of");
    await start();
    expect(await shell.run(verify)).toContain("nothing is damaged");
    for (const [index, object] of objects.entries()) {
      expect((await get(object)).equals(someBytes(100_000 * (index + 1), index + 1))).toBe(true);
    }
  });

  test("from a copy that was kept elsewhere it has what that has, and hands out no id again", async () => {
    await start();
    const kept = await put(1);
    await run("Keep copies elsewhere");
    const lost = await put(2);
    await router!.kill();
    await rm(root("datastore"), { recursive: true });
    await rm(root("snapshots"), { recursive: true });
    expect(await run("Restore from such a copy")).toContain("nothing that is known of");
    await start();
    expect((await get(kept)).equals(someBytes(100_000, 1))).toBe(true);
    const fresh = await put(3);
    expect(await list()).not.toContain(`\n${lost} `);
    expect(parseId<ObjectId>(fresh)!).toBeGreaterThan(parseId<ObjectId>(lost)!);
    expect((await get(fresh)).equals(someBytes(300_000, 3))).toBe(true);
  });

  test("has no command that is not run here", async () => {
    const headings = (await readBlocks(runbook)).map(({ heading }) => heading);
    const known = ["Restore the datastore", "Restore", "Keep copies elsewhere", "Restore from such a copy"];
    expect([...new Set(headings)]).toEqual(known);
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
