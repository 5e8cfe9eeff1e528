/**
 * Operations that are under way at the same moment, from two routers, on the same few files, objects and uploads. What
 * each of them does may depend on who was first; that nobody's reference, count or version is lost may not.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { idCount, type ObjectId, type TicketId } from "../core/ids.ts";
import { layoutOf, placementDepth, volumeOf } from "../core/layout.ts";
import { ticketsIn } from "../core/run.ts";
import type { Datastore, SavedObject, VersionRecord } from "./datastore.ts";
import { fileTarget, now, Writer, type Fixture, type OpenFixture } from "./fixture.contract.ts";

const layout = layoutOf(placementDepth);
const bucket = "bucket";
const keys = ["a", "b"];
const uploads = ["u1", "u2"];
const step = fc.record({
  kind: fc.constantFrom(
    ...([
      "put",
      "put",
      "put",
      "copy",
      "delete",
      "deleteVersion",
      "part",
      "copyPart",
      "complete",
      "abort",
      "remove",
    ] as const),
  ),
  key: fc.constantFrom(...keys),
  upload: fc.constantFrom(...uploads),
  which: fc.nat(20),
});

export function concurrencyFacts(open: OpenFixture): void {
  let fixture: Fixture;
  let datastore: Datastore;
  beforeEach(async () => {
    fixture = await open();
    datastore = fixture.datastore;
    await datastore.createBucket(bucket, {}, now);
  });
  afterEach(() => fixture.close());

  test("with versioning, writes and deletes of one file at once make a history that can be taken back step by step", async () => {
    await datastore.updateBucket(bucket, { versioning: "enabled" });
    const clients = [datastore, fixture.second ?? datastore];
    const writers = clients.map((client, index) => new Writer(client, `r${index}`));
    const request = { bucket, prefix: "", delimiter: undefined, after: undefined, limit: 1_000 };
    for (let round = 1; round <= 15; round++) {
      const operations = Array.from({ length: 4 }, (_, index) =>
        index % 2 === 0 ? clients[index >> 1]!.deleteFile(bucket, "k", now) : writers[index >> 1]!.put(bucket, "k"),
      );
      await Promise.all(operations);
      const ids = (await datastore.listVersions(request)).items.map((item) => item.version);
      expect(ids).toHaveLength(4 * round);
      expect(ids).toEqual([...ids].sort());
    }
    const { items } = await datastore.listVersions(request);
    for (const [index, item] of items.entries()) {
      expect(await datastore.getVersion(bucket, "k")).toEqual({ ...item, latest: true });
      await datastore.deleteVersion(bucket, "k", item.version);
      expect((await datastore.listVersions(request)).items).toHaveLength(items.length - index - 1);
    }
  });

  test("any operations at once leave every reference and count as it should be", async () => {
    const property = fc.asyncProperty(
      fc.array(step, { maxLength: 40, size: "max" }),
      fc.constantFrom("enabled", "suspended", "off"),
      async (steps, versioning) => {
        await fixture.close();
        fixture = await open();
        datastore = fixture.datastore;
        await datastore.createBucket(bucket, {}, now);
        if (versioning !== "off") await datastore.updateBucket(bucket, { versioning });
        const clients = [datastore, fixture.second ?? datastore];
        const writers = clients.map((client, index) => new Writer(client, `r${index}`, `p${index}`));
        for (const upload of uploads) {
          await datastore.createUpload({ upload, bucket, key: "c", createdAt: now, attributes: {} });
        }
        await writers[0]!.save({ kind: "standalone" });
        const results = await Promise.allSettled(steps.map((step, index) => run(writers[index % 2]!, step)));
        for (const result of results) {
          // Who came too late is told so; nobody is told anything else.
          if (result.status === "rejected") assert.match(result.reason.code, /^(CONFLICT|NOT_FOUND)$/);
        }
        await checkConsistency(datastore);
      },
    );
    await expect(fc.assert(property, { numRuns: 12 })).resolves.toBeUndefined();
  });
}

async function run(
  writer: Writer,
  step: { kind: string; key: string; upload: string; which: number },
): Promise<unknown> {
  const { datastore } = writer;
  const { kind, key, upload, which } = step;
  const some = async (): Promise<ObjectId | undefined> => {
    const objects = await datastore.listObjects(undefined, 100);
    return objects[which % Math.max(objects.length, 1)]?.id;
  };
  const someVersion = async (): Promise<VersionRecord | undefined> => {
    const request = { bucket, prefix: "", delimiter: undefined, after: undefined, limit: 100 };
    const { items } = await datastore.listVersions(request);
    return items[which % Math.max(items.length, 1)];
  };
  const part = 1 + (which % 2);
  switch (kind) {
    case "put":
      return writer.save(fileTarget(bucket, key));
    case "copy": {
      const id = await some();
      return id === undefined ? undefined : datastore.copyVersion(id, fileTarget(bucket, key), now);
    }
    case "delete":
      return datastore.deleteFile(bucket, key, now);
    case "deleteVersion": {
      const version = await someVersion();
      return version === undefined ? undefined : datastore.deleteVersion(bucket, version.key, version.version);
    }
    case "part":
      return writer.save({ kind: "part", upload, part, attributes: {} });
    case "copyPart": {
      const id = await some();
      return id === undefined ? undefined : datastore.copyPart(id, upload, part, {}, now);
    }
    case "complete":
      return datastore.completeUpload(upload, [part], await writer.id(), {}, fileTarget(bucket, "c"), now);
    case "abort":
      return datastore.abortUpload(upload);
    default: {
      const id = await some();
      return id === undefined ? undefined : datastore.removeObject(id);
    }
  }
}

/** Counts everything anew from what refers to it. */
async function checkConsistency(datastore: Datastore): Promise<void> {
  const references = new Map<ObjectId, number>();
  const refer = (id: ObjectId | undefined): void => {
    if (id !== undefined) references.set(id, (references.get(id) ?? 0) + 1);
  };
  const request = { bucket, prefix: "", delimiter: undefined, after: undefined, limit: 1_000 };
  const { items } = await datastore.listVersions(request);
  for (const item of items) refer(item.object);
  const latest = items.filter((item) => item.latest);
  assert.deepEqual(
    (await datastore.listFiles(request)).items,
    latest.filter((item) => item.object !== undefined),
  );
  let uploadCount = 0;
  for (const upload of uploads) {
    if ((await datastore.getUpload(upload)) === undefined) continue;
    uploadCount++;
    for (const part of await datastore.listParts(upload, 0, 10)) refer(part.object);
  }
  const objects = (await datastore.listObjects(undefined, 10_000)) as SavedObject[];
  let bytes = 0;
  const live = new Map<number, number>();
  for (const object of objects) {
    assert.equal(object.status, "saved");
    if (object.standalone) refer(object.id);
    if (object.content.kind === "parts") {
      for (const part of object.content.parts) refer(part.object);
      continue;
    }
    bytes += object.size;
    for (const run of object.content.runs) {
      const volume = volumeOf(layout, run.first);
      live.set(volume, (live.get(volume) ?? 0) + run.count);
    }
  }
  assert.deepEqual(
    new Map(objects.map((object) => [object.id, object.references])),
    new Map([...references].sort(byId)),
  );
  assert.deepEqual(await datastore.counters(), { buckets: 1, objects: objects.length, bytes, uploads: uploadCount });
  for (const { volume, liveCount } of await datastore.listVolumes(undefined, 100)) {
    assert.equal(liveCount, live.get(volume) ?? 0);
  }
  const runs = await datastore.listRuns(0 as TicketId, idCount as TicketId, 10_000);
  assert.equal(
    ticketsIn(runs),
    [...live.values()].reduce((sum, count) => sum + count, 0),
  );
}

function byId([left]: [ObjectId, number], [right]: [ObjectId, number]): number {
  return left - right;
}
