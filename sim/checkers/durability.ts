/**
 * When all is well again: every version that is there reads back bit for bit, and so does every object of a byte stream
 * that was acknowledged and that nobody removed; what was removed is gone; what nobody was told of: see aborts.ts.
 * (Which versions have to be there is told by the histories: see linearizability.ts.)
 */
import type { SavedObject } from "../../src/datastore/datastore.ts";
import type { Client } from "../world/client.ts";
import { bytesOf, type Content, differenceAt, sizeOf } from "../world/contents.ts";
import { buckets } from "../world/files.ts";
import { describeError, type RunningRouterRole } from "../world/roles.ts";
import type { Streams } from "../world/streams.ts";
import type { World } from "../world/world.ts";
import { checkUnacknowledged } from "./aborts.ts";

export async function checkVersions(world: World, client: Client): Promise<number> {
  let count = 0;
  for (const { name } of buckets) {
    const versions = await client.listVersions(name);
    if (versions === undefined) world.history.violation(`durability: bucket ${name} cannot be listed when all is well`);
    for (const version of versions ?? []) {
      if (version.object === undefined) continue;
      await client.readVersion(name, version, "final");
      world.coverage.note("check", "version read back");
      count++;
    }
  }
  return count;
}

export async function checkStreams(world: World, streams: Streams, running: RunningRouterRole): Promise<void> {
  const { router } = running;
  const found = new Map<number, SavedObject>();
  for (let after: SavedObject["id"] | undefined; ;) {
    const page = await router.list(after, 1_000);
    for (const record of page) if (record.status === "saved" && record.standalone) found.set(record.id, record);
    if (page.length < 1_000) break;
    after = page.at(-1)!.id;
  }
  const compare = async (object: SavedObject, content: Content, what: string): Promise<void> => {
    let bytes: Uint8Array;
    try {
      bytes = await router.get(object);
    } catch (error) {
      const isExcused = world.damages.concern(object);
      if (!isExcused) world.history.violation(`durability: ${what}: ${describeError(error)}`);
      return;
    }
    const difference = differenceAt(bytes, content);
    if (bytes.length !== sizeOf(content) || difference !== undefined) {
      world.history.violation(`bytes: ${what} differs at ${difference ?? bytes.length}`);
    }
  };
  for (const [id, { content, removal }] of streams.acknowledged) {
    const object = found.get(id);
    found.delete(id);
    if (object === undefined && removal === "none") {
      world.history.violation(`durability: object ${id} of a stream was acknowledged, and is gone`);
    } else if (object !== undefined && removal === "done") {
      world.history.violation(`deletes: object ${id} of a stream was removed, and is back`);
    } else if (object !== undefined) {
      await compare(object, content, `object ${id} of a stream`);
      world.coverage.note("check", "stream read back");
    }
  }
  const untold = new Map<number, Uint8Array>();
  for (const object of found.values()) {
    const bytes = await router.get(object).catch(() => undefined);
    if (bytes !== undefined) untold.set(object.id, bytes);
  }
  checkUnacknowledged(world, streams, untold);
}

/** Parts that were acknowledged of uploads that nobody completed or aborted. */
export async function checkUploads(world: World, { router, datastore }: RunningRouterRole): Promise<void> {
  for (const { upload, parts } of world.history.uploads.values()) {
    const listed = await datastore.listParts(upload, 0, 1_000);
    for (const [part, { acknowledged, possible }] of parts) {
      const what = `part ${part} of ${upload}`;
      const found = listed.find((record) => record.part === part);
      const object = found === undefined ? undefined : await datastore.getObject(found.object);
      if (object?.status !== "saved") {
        if (found === undefined && acknowledged === undefined) continue;
        world.history.violation(`durability: ${what} is ${found === undefined ? "gone" : "there without its object"}`);
        continue;
      }
      const contents = acknowledged === undefined ? possible : [acknowledged];
      try {
        const bytes = await router.get(object);
        const isRight = contents.some((content) => Buffer.compare(bytesOf(content), bytes) === 0);
        if (!isRight) world.history.violation(`bytes: ${what} is nothing that was sent for it`);
        world.coverage.note("check", "part read back");
      } catch (error) {
        const isExcused = world.damages.concern(object);
        if (!isExcused) world.history.violation(`durability: ${what}: ${describeError(error)}`);
      }
    }
  }
}
