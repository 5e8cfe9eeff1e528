import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { idCount, type ObjectId, type TicketId } from "../core/ids.ts";
import type { Datastore, Target } from "./datastore.ts";
import { fileTarget, now, refused, Writer, type Fixture, type OpenFixture } from "./fixture.contract.ts";

export function uploadFacts(open: OpenFixture): void {
  let fixture: Fixture;
  let datastore: Datastore;
  let writer: Writer;
  let upload: string;
  let uploadCount = 0;
  const bucket = "bucket";
  beforeAll(async () => {
    fixture = await open();
    datastore = fixture.datastore;
    writer = new Writer(datastore);
    await datastore.createBucket(bucket, {}, now);
  });
  afterAll(() => fixture.close());
  beforeEach(async () => {
    upload = `upload-${uploadCount++}`;
    await datastore.createUpload({ upload, bucket, key: upload, createdAt: now, attributes: { a: 1 } });
  });

  const part = (number: number): Target => ({ kind: "part", upload, part: number, attributes: { number } });
  const liveRuns = async (): Promise<number> => {
    const runs = await datastore.listRuns(0 as TicketId, idCount as TicketId, 10_000);
    return runs.reduce((sum, run) => sum + run.count, 0);
  };

  test("an upload is there until it is completed or aborted", async () => {
    const record = { upload, bucket, key: upload, createdAt: now, attributes: { a: 1 } };
    expect(await datastore.getUpload(upload)).toEqual(record);
    await refused(datastore.createUpload(record), "CONFLICT");
    await refused(datastore.createUpload({ ...record, upload: "other", bucket: "nowhere" }), "NOT_FOUND");
    const { uploads } = await datastore.counters();
    expect(await datastore.abortUpload(upload)).toBe(true);
    expect((await datastore.counters()).uploads).toBe(uploads - 1);
    expect(await datastore.abortUpload(upload)).toBe(false);
    expect(await datastore.getUpload(upload)).toBeUndefined();
    await refused(datastore.listParts(upload, 0, 10), "NOT_FOUND");
    await refused(datastore.saveObject(await writer.object(), part(1), now), "NOT_FOUND");
  });

  test("parts are listed in order; a part that is sent again replaces the one before", async () => {
    const third = await writer.save(part(3), 300);
    const first = await writer.save(part(1), 100);
    const replaced = await writer.save(part(10_000), 1);
    const last = await writer.save(part(10_000), 200);
    expect(await datastore.getObject(replaced.id)).toBeUndefined();
    const listed = [
      { part: 1, object: first.id, size: 100, createdAt: now, attributes: { number: 1 } },
      { part: 3, object: third.id, size: 300, createdAt: now, attributes: { number: 3 } },
      { part: 10_000, object: last.id, size: 200, createdAt: now, attributes: { number: 10_000 } },
    ];
    expect(await datastore.listParts(upload, 0, 10)).toEqual(listed);
    expect(await datastore.listParts(upload, 0, 2)).toEqual(listed.slice(0, 2));
    expect(await datastore.listParts(upload, 1, 10)).toEqual(listed.slice(1));
    expect(await datastore.listParts(upload, 10_000, 10)).toEqual([]);
    for (const number of [0, -1, 1.5, 10_001]) {
      await refused(datastore.saveObject(await writer.object(), part(number), now), "INVALID");
    }
  });

  test("the repetition of a part's commit changes nothing, also when the part was replaced", async () => {
    const first = await writer.save(part(1));
    const before = await datastore.counters();
    await datastore.saveObject(first, part(1), now);
    expect(await datastore.counters()).toEqual(before);
    expect(await datastore.getObject(first.id)).toMatchObject({ references: 1 });
  });

  test("completing makes one version of the named parts, in their order, and lets go of the others", async () => {
    const [one, two, three] = [
      await writer.save(part(1), 2_000),
      await writer.save(part(2)),
      await writer.save(part(3), 500),
    ];
    const before = await datastore.counters();
    const id = await writer.id();
    const target = fileTarget(bucket, upload, { attributes: { type: "x" } });
    const version = await datastore.completeUpload(upload, [3, 1], id, { etag: "e-2" }, target, now + 1);
    expect(version).toEqual({
      key: upload,
      version: "null",
      createdAt: now + 1,
      object: id,
      size: 2_500,
      attributes: { type: "x" },
      latest: true,
    });
    expect(await datastore.getVersion(bucket, upload)).toEqual(version);
    expect(await datastore.getObject(id)).toEqual({
      id,
      status: "saved",
      createdAt: now + 1,
      ticketCount: 3,
      writeCount: 3,
      size: 2_500,
      content: {
        kind: "parts",
        parts: [
          { object: three.id, size: 500 },
          { object: one.id, size: 2_000 },
        ],
      },
      references: 1,
      standalone: false,
      attributes: { etag: "e-2" },
    });
    expect(await datastore.getObject(two.id)).toBeUndefined();
    expect(await datastore.getObject(one.id)).toMatchObject({ references: 1 });
    expect(await datastore.getUpload(upload)).toBeUndefined();
    expect(await datastore.counters()).toEqual({
      ...before,
      uploads: before.uploads - 1,
      bytes: before.bytes - 1_000,
    });
    await datastore.deleteFile(bucket, upload, now);
    expect(await datastore.getObject(id)).toBeUndefined();
    expect(await datastore.getObject(one.id)).toBeUndefined();
    expect(await datastore.getObject(three.id)).toBeUndefined();
  });

  test("completing is refused where a part is missing, named twice, or none is named", async () => {
    await writer.save(part(1));
    const id = await writer.id();
    const complete = (parts: number[]) =>
      datastore.completeUpload(upload, parts, id, {}, fileTarget(bucket, upload), now);
    await refused(complete([1, 2]), "CONFLICT");
    await refused(complete([1, 1]), "INVALID");
    await refused(complete([]), "INVALID");
    expect(await datastore.getObject(id)).toBeUndefined();
    expect(await datastore.listParts(upload, 0, 10)).toHaveLength(1);
    await datastore.abortUpload(upload);
    await refused(complete([1]), "NOT_FOUND");
  });

  test("completing on a condition that does not hold leaves the upload as it was", async () => {
    await writer.save(part(1));
    await writer.put(bucket, upload);
    const id = await writer.id();
    const target = fileTarget(bucket, upload, { condition: { kind: "absent" } });
    await refused(datastore.completeUpload(upload, [1], id, {}, target, now), "CONFLICT");
    expect(await datastore.listParts(upload, 0, 10)).toHaveLength(1);
    await datastore.completeUpload(upload, [1], id, {}, fileTarget(bucket, upload), now);
    expect((await datastore.getVersion(bucket, upload))?.object).toBe(id);
  });

  test("completing again under the same ObjectID is answered alike", async () => {
    await writer.save(part(1));
    const id = await writer.id();
    const complete = () => datastore.completeUpload(upload, [1], id, {}, fileTarget(bucket, upload), now);
    const first = await complete();
    const before = await datastore.counters();
    expect(await complete()).toEqual(first);
    expect(await datastore.counters()).toEqual(before);
  });

  test("aborting lets go of the parts", async () => {
    const before = await datastore.counters();
    const runsBefore = await liveRuns();
    const one = await writer.save(part(1), 9_000);
    await writer.save(part(2), 9_000);
    expect(await liveRuns()).toBe(runsBefore + 14);
    await datastore.abortUpload(upload);
    expect(await datastore.getObject(one.id)).toBeUndefined();
    expect(await datastore.counters()).toEqual({ ...before, uploads: before.uploads - 1 });
    expect(await liveRuns()).toBe(runsBefore);
  });

  test("a copied part shares the object", async () => {
    const source = await writer.put(bucket, "source", { size: 700 });
    await datastore.copyPart(source.object!, upload, 1, { etag: "s" }, now + 1);
    await datastore.copyPart(source.object!, upload, 2, {}, now);
    expect(await datastore.getObject(source.object!)).toMatchObject({ references: 3 });
    expect(await datastore.listParts(upload, 0, 1)).toEqual([
      { part: 1, object: source.object, size: 700, createdAt: now + 1, attributes: { etag: "s" } },
    ]);
    const id = await writer.id();
    await datastore.completeUpload(upload, [1, 2], id, {}, fileTarget(bucket, upload), now);
    await datastore.deleteFile(bucket, "source", now);
    expect(await datastore.getObject(source.object!)).toMatchObject({ references: 2 });
    expect(await datastore.getObject(id)).toMatchObject({ size: 1_400, ticketCount: 2 });
    await datastore.deleteFile(bucket, upload, now);
    expect(await datastore.getObject(source.object!)).toBeUndefined();
    await refused(datastore.copyPart(source.object!, upload, 1, {}, now), "NOT_FOUND");
  });

  test("a part that is a copy of an object of parts is taken apart: contents are one level deep", async () => {
    const one = await writer.save(part(1), 100);
    const two = await writer.save(part(2), 200);
    const inner = await writer.id();
    await datastore.completeUpload(upload, [1, 2], inner, {}, fileTarget(bucket, "inner"), now);
    upload = `${upload}-outer`;
    await datastore.createUpload({ upload, bucket, key: upload, createdAt: now, attributes: {} });
    await datastore.copyPart(inner, upload, 1, {}, now);
    const three = await writer.save(part(2), 300);
    await datastore.copyPart(inner, upload, 3, {}, now);
    expect(await datastore.getObject(inner)).toMatchObject({ references: 3 });
    const outer = await writer.id();
    await datastore.completeUpload(upload, [1, 2, 3], outer, {}, fileTarget(bucket, "outer"), now);
    const objects = [one, two, three, one, two];
    expect(await datastore.getObject(outer)).toMatchObject({
      size: 900,
      ticketCount: 5,
      content: { kind: "parts", parts: objects.map(({ id, size }) => ({ object: id, size })) },
    });
    expect(await datastore.getObject(inner)).toMatchObject({ references: 1 });
    expect(await datastore.getObject(one.id)).toMatchObject({ references: 3 });
    await datastore.deleteFile(bucket, "inner", now);
    expect(await datastore.getObject(inner)).toBeUndefined();
    expect(await datastore.getObject(one.id)).toMatchObject({ references: 2 });
    await datastore.deleteFile(bucket, "outer", now);
    for (const { id } of objects) expect(await datastore.getObject(id)).toBeUndefined();
  });

  test("an object of parts can be taken apart when nothing else refers to it any more", async () => {
    const one = await writer.save(part(1), 100);
    const inner = await writer.id();
    await datastore.completeUpload(upload, [1], inner, {}, fileTarget(bucket, "inner"), now);
    upload = `${upload}-outer`;
    await datastore.createUpload({ upload, bucket, key: upload, createdAt: now, attributes: {} });
    await datastore.copyPart(inner, upload, 1, {}, now);
    await datastore.deleteFile(bucket, "inner", now);
    expect(await datastore.getObject(inner)).toMatchObject({ references: 1 });
    const outer = await writer.id();
    await datastore.completeUpload(upload, [1], outer, {}, fileTarget(bucket, "outer"), now);
    expect(await datastore.getObject(inner)).toBeUndefined();
    expect(await datastore.getObject(one.id)).toMatchObject({ references: 1 });
  });

  test("an upload of the most parts there can be is completed", async () => {
    const objects = await Promise.all(Array.from({ length: 10_000 }, () => writer.object(0)));
    await Promise.all(objects.map((object, index) => datastore.saveObject(object, part(index + 1), now)));
    const id = await writer.id();
    const numbers = objects.map((_, index) => index + 1);
    const version = await datastore.completeUpload(upload, numbers, id, {}, fileTarget(bucket, "most"), now);
    expect(version.object).toBe(id);
    const record = await datastore.getObject(id);
    expect(await datastore.listObjects((id - 1) as ObjectId, 1)).toEqual([record]);
    expect(record?.status === "saved" && record.content.kind === "parts" && record.content.parts.length).toBe(10_000);
    await datastore.deleteFile(bucket, "most", now);
    expect(await datastore.getObject(objects[9_999]!.id)).toBeUndefined();
  });
}
