import { afterAll, beforeAll, expect, test } from "vitest";
import { idCount, type ObjectId, type TicketId } from "../core/ids.ts";
import type { Datastore, WritingObject } from "./datastore.ts";
import { fileTarget, now, refused, Writer, type Fixture, type OpenFixture } from "./fixture.contract.ts";

export function objectFacts(open: OpenFixture): void {
  let fixture: Fixture;
  let datastore: Datastore;
  let writer: Writer;
  beforeAll(async () => {
    fixture = await open();
    datastore = fixture.datastore;
    writer = new Writer(datastore);
    await datastore.createBucket("bucket", {}, now);
  });
  afterAll(() => fixture.close());

  const writing = (id: ObjectId, writeCount: number): WritingObject => ({
    id,
    status: "writing",
    createdAt: now,
    ticketCount: 9,
    writeCount,
    router: "router",
  });

  test("progress is seen, and overwritten by the end of the write", async () => {
    const object = await writer.object();
    expect(await datastore.getObject(object.id)).toBeUndefined();
    await datastore.noteProgress(writing(object.id, 2));
    await datastore.noteProgress(writing(object.id, 5));
    expect(await datastore.getObject(object.id)).toEqual(writing(object.id, 5));
    await refused(datastore.removeObject(object.id), "CONFLICT");
    await datastore.saveObject(object, { kind: "standalone" }, now + 1);
    const saved = {
      id: object.id,
      status: "saved",
      createdAt: now + 1,
      ticketCount: 1,
      writeCount: 1,
      size: 1_000,
      content: { kind: "runs", runs: object.runs },
      references: 1,
      standalone: true,
      attributes: {},
    };
    expect(await datastore.getObject(object.id)).toEqual(saved);
    await datastore.noteProgress(writing(object.id, 6));
    await datastore.failObject(object.id, "late", now);
    expect(await datastore.getObject(object.id)).toEqual(saved);
    expect(await datastore.closeRouter("router")).toBe(0);
    writer = new Writer(datastore);
  });

  test("a write that was given up is an error, cannot be committed any more, and is forgotten in time", async () => {
    const object = await writer.object();
    await datastore.noteProgress(writing(object.id, 3));
    await datastore.failObject(object.id, "the client went away", now);
    await datastore.failObject(object.id, "a later reason", now + 5);
    const failed = { id: object.id, status: "error", createdAt: now, ticketCount: 9, writeCount: 3 };
    expect(await datastore.getObject(object.id)).toEqual({ ...failed, reason: "the client went away" });
    await datastore.noteProgress(writing(object.id, 4));
    expect((await datastore.getObject(object.id))?.status).toBe("error");
    await refused(datastore.saveObject(object, { kind: "standalone" }, now), "CONFLICT");
    expect(await datastore.forgetFailed(now, 100)).toBe(0);
    expect(await datastore.forgetFailed(now + 1, 100)).toBe(1);
    expect(await datastore.getObject(object.id)).toBeUndefined();
    expect(await datastore.forgetFailed(now + 1, 100)).toBe(0);
  });

  test("failed objects are forgotten oldest first, at most as many as asked", async () => {
    const ids: ObjectId[] = [];
    for (let index = 0; index < 5; index++) {
      const id = await writer.id();
      ids.push(id);
      await datastore.failObject(id, "no reason", now - index);
    }
    expect(await datastore.forgetFailed(now + 1, 2)).toBe(2);
    const left = await Promise.all(ids.map((id) => datastore.getObject(id)));
    expect(left.map((object) => object !== undefined)).toEqual([true, true, true, false, false]);
    expect(await datastore.removeObject(ids[0]!)).toBe(true);
    expect(await datastore.forgetFailed(now + 1, 100)).toBe(2);
  });

  test("a standalone object is counted, listed and removed by its id", async () => {
    const before = await datastore.counters();
    const object = await writer.save({ kind: "standalone" }, 5_000, { etag: "e" });
    expect(await datastore.counters()).toMatchObject({ objects: before.objects + 1, bytes: before.bytes + 5_000 });
    expect(await datastore.listObjects((object.id - 1) as ObjectId, 10)).toMatchObject([
      { id: object.id, status: "saved", size: 5_000, attributes: { etag: "e" } },
    ]);
    expect(await datastore.removeObject(object.id)).toBe(true);
    expect(await datastore.removeObject(object.id)).toBe(false);
    expect(await datastore.getObject(object.id)).toBeUndefined();
    expect(await datastore.counters()).toEqual(before);
  });

  test("objects are listed in order of id, up to a limit, after an id", async () => {
    const ids: ObjectId[] = [];
    for (let index = 0; index < 5; index++) ids.push((await writer.save({ kind: "standalone" })).id);
    const listed = await datastore.listObjects((ids[0]! - 1) as ObjectId, 3);
    expect(listed.map((object) => object.id)).toEqual(ids.slice(0, 3));
    const rest = await datastore.listObjects(ids[2], 100);
    expect(rest.map((object) => object.id)).toEqual(ids.slice(3));
    const all = await datastore.listObjects(undefined, 1_000);
    expect(all.map((object) => object.id)).toEqual(all.map((object) => object.id).sort((left, right) => left - right));
    expect(all.length).toBeGreaterThanOrEqual(5);
  });

  test("an empty object has no runs", async () => {
    const object = await writer.save({ kind: "standalone" }, 0);
    expect(await datastore.getObject(object.id)).toMatchObject({ size: 0, ticketCount: 0, content: { runs: [] } });
    expect(await datastore.removeObject(object.id)).toBe(true);
  });

  test("a commit that is repeated is made once and answered alike", async () => {
    const before = await datastore.counters();
    const standalone = await writer.object();
    await datastore.saveObject(standalone, { kind: "standalone" }, now);
    await datastore.saveObject(standalone, { kind: "standalone" }, now);
    const file = await writer.object();
    const target = fileTarget("bucket", "repeated", { condition: { kind: "absent" } });
    const first = await datastore.saveObject(file, target, now);
    const second = await datastore.saveObject(file, target, now);
    expect(second).toEqual(first);
    expect(await datastore.counters()).toMatchObject({ objects: before.objects + 2, bytes: before.bytes + 2_000 });
    expect((await datastore.getObject(file.id)) as object).toMatchObject({ references: 1 });
    await Promise.all([datastore.saveObject(file, target, now), datastore.saveObject(file, target, now)]);
    expect(await datastore.getVersion("bucket", "repeated")).toEqual(first);
  });

  test("a file's object belongs to the file: it cannot be removed by its id", async () => {
    const object = await writer.save(fileTarget("bucket", "owned"));
    await refused(datastore.removeObject(object.id), "CONFLICT");
    await datastore.deleteFile("bucket", "owned", now);
    expect(await datastore.getObject(object.id)).toBeUndefined();
    expect(await datastore.removeObject(object.id)).toBe(false);
  });

  test("a standalone object that a file was copied from stays for the file", async () => {
    const object = await writer.save({ kind: "standalone" });
    await datastore.copyVersion(object.id, fileTarget("bucket", "from-standalone"), now);
    expect(await datastore.removeObject(object.id)).toBe(true);
    expect(await datastore.getObject(object.id)).toMatchObject({ references: 1, standalone: false });
    await refused(datastore.removeObject(object.id), "CONFLICT");
    await datastore.deleteFile("bucket", "from-standalone", now);
    expect(await datastore.getObject(object.id)).toBeUndefined();
  });

  test("objects that cannot be are refused, and leave nothing", async () => {
    const before = await datastore.counters();
    const good = await writer.object(3_000);
    const [run] = good.runs;
    const wrong = [
      { ...good, size: 3 },
      { ...good, size: -1 },
      { ...good, size: 2.5 },
      { ...good, id: -1 as ObjectId },
      { ...good, id: idCount as ObjectId },
      { ...good, runs: [{ first: run!.first, count: 0 }] },
      { ...good, runs: [{ first: -3 as TicketId, count: 3 }] },
      { ...good, runs: [{ first: (idCount - 1) as TicketId, count: 3 }] },
    ];
    for (const object of wrong) await refused(datastore.saveObject(object, { kind: "standalone" }, now), "INVALID");
    expect(await datastore.getObject(good.id)).toBeUndefined();
    expect(await datastore.counters()).toEqual(before);
  });

  test("a run that was never leased is refused: somebody else may get it", async () => {
    const object = await writer.object();
    const volumes = await datastore.listVolumes(undefined, 100);
    const { leasedCount } = volumes[0]!;
    const beyond = { first: leasedCount as TicketId, count: 1 };
    await refused(datastore.saveObject({ ...object, runs: [beyond] }, { kind: "standalone" }, now), "INVALID");
    expect(await datastore.getObject(object.id)).toBeUndefined();
  });

  test("one refused operation does not disturb those that were asked for with it", async () => {
    const objects = await Promise.all(Array.from({ length: 20 }, () => writer.object()));
    const results = await Promise.allSettled(
      objects.map((object, index) =>
        datastore.saveObject(object, fileTarget(index % 3 === 0 ? "no-such-bucket" : "bucket", `many/${index}`), now),
      ),
    );
    for (const [index, result] of results.entries()) {
      expect(result.status).toBe(index % 3 === 0 ? "rejected" : "fulfilled");
      const saved = await datastore.getObject(objects[index]!.id);
      expect(saved?.status).toBe(index % 3 === 0 ? undefined : "saved");
    }
  });

  test("everything is there after kill -9", async () => {
    const object = await writer.save(fileTarget("bucket", "kept", { attributes: { a: ["x"] } }), 4_000);
    const before = {
      counters: await datastore.counters(),
      version: await datastore.getVersion("bucket", "kept"),
      object: await datastore.getObject(object.id),
      volumes: await datastore.listVolumes(undefined, 10),
    };
    datastore = await fixture.reopen();
    writer = new Writer(datastore);
    expect({
      counters: await datastore.counters(),
      version: await datastore.getVersion("bucket", "kept"),
      object: await datastore.getObject(object.id),
      volumes: await datastore.listVolumes(undefined, 10),
    }).toEqual(before);
  });
}
