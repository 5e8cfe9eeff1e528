/**
 * Random sequences of operations against a model in memory that knows only who refers to what. After each sequence the
 * datastore must hold exactly what the model says: versions, references, live tickets by volume, counters.
 */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import assert from "node:assert/strict";
import { idCount, type ObjectId, type TicketId } from "../core/ids.ts";
import { ticketsIn } from "../core/run.ts";
import type { Datastore, NewObject, VersionRecord, Versioning } from "./datastore.ts";
import { byBytes, fileTarget, now, refused, Writer, type Fixture, type OpenFixture } from "./fixture.contract.ts";

const keys = ["a", "a/b", "😀"];
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("put" as const),
      key: fc.constantFrom(...keys),
      size: fc.constantFrom(0, 1, 1_458, 5_000),
      condition: fc.constantFrom(undefined, undefined, "absent" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("standalone" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("copy" as const), which: fc.nat(9), key: fc.constantFrom(...keys) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete" as const), key: fc.constantFrom(...keys) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("deleteVersion" as const), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("versioning" as const), isOn: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("upload" as const), key: fc.constantFrom(...keys) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("part" as const),
      which: fc.nat(3),
      part: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("copyPart" as const),
      which: fc.nat(3),
      part: fc.integer({ min: 1, max: 3 }),
      object: fc.nat(9),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("complete" as const), which: fc.nat(3), parts: fc.subarray([1, 2, 3]) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const), which: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("repeat" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

export function modelFacts(open: OpenFixture): void {
  let fixture: Fixture;
  let datastore: Datastore;
  beforeAll(async () => {
    fixture = await open();
    datastore = fixture.datastore;
  });
  afterAll(() => fixture.close());

  test("leaves what the model says", async () => {
    let runCount = 0;
    const property = fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
      const model = new Model(datastore, `run-${runCount++}`);
      await model.start();
      for (const step of steps) await model.apply(step);
      await model.check();
    });
    await expect(fc.assert(property, { numRuns: 40 })).resolves.toBeUndefined();
  });
}

interface ModelObject {
  readonly size: number;
  readonly ticketCount: number;
  readonly parts: readonly ObjectId[] | undefined;
  standalone: boolean;
}

interface ModelUpload {
  readonly id: string;
  readonly key: string;
  readonly parts: Map<number, ObjectId>;
}

class Model {
  readonly #datastore: Datastore;
  readonly #bucket: string;
  readonly #writer: Writer;
  #versioning: Versioning = "off";
  readonly #files = new Map<string, VersionRecord[]>();
  readonly #objects = new Map<ObjectId, ModelObject>();
  readonly #uploads: ModelUpload[] = [];
  #uploadCount = 0;
  #lastPut: { object: NewObject; key: string; version: VersionRecord } | undefined;
  #before = { buckets: 0, objects: 0, bytes: 0, uploads: 0 };

  constructor(datastore: Datastore, name: string) {
    this.#datastore = datastore;
    this.#bucket = name;
    this.#writer = new Writer(datastore, "router", `putter of ${name}`);
  }

  async start(): Promise<void> {
    await this.#datastore.createBucket(this.#bucket, {}, now);
    this.#before = await this.#datastore.counters();
  }

  async apply(step: Step): Promise<void> {
    const datastore = this.#datastore;
    const bucket = this.#bucket;
    switch (step.kind) {
      case "put": {
        const object = await this.#writer.object(step.size);
        const condition = step.condition === undefined ? {} : { condition: { kind: step.condition } };
        const put = datastore.saveObject(object, fileTarget(bucket, step.key, condition), now);
        if (step.condition === "absent" && this.#files.get(step.key)?.[0]?.object !== undefined) {
          await refused(put, "CONFLICT");
          return;
        }
        const version = (await put)!;
        this.#keep(object.id, object.size, ticketsIn(object.runs));
        this.#addVersion(step.key, version);
        this.#lastPut = { object, key: step.key, version };
        return;
      }
      case "standalone": {
        const object = await this.#writer.save({ kind: "standalone" });
        this.#keep(object.id, object.size, 1).standalone = true;
        return;
      }
      case "copy": {
        const id = this.#someObject(step.which);
        if (id === undefined) return;
        this.#addVersion(step.key, await datastore.copyVersion(id, fileTarget(bucket, step.key), now));
        return;
      }
      case "delete": {
        const marker = await datastore.deleteFile(bucket, step.key, now);
        assert.equal(marker === undefined, this.#versioning === "off");
        if (marker === undefined) this.#setVersions(step.key, []);
        else this.#addVersion(step.key, marker);
        return;
      }
      case "deleteVersion": {
        const all = [...this.#files.values()].flat();
        const version = all[step.which % Math.max(all.length, 1)];
        if (version === undefined) return;
        assert.deepEqual(await datastore.deleteVersion(bucket, version.key, version.version), version);
        this.#setVersions(
          version.key,
          this.#files.get(version.key)!.filter((other) => other !== version),
        );
        return;
      }
      case "versioning": {
        this.#versioning = step.isOn ? "enabled" : "suspended";
        await datastore.updateBucket(bucket, { versioning: this.#versioning });
        return;
      }
      case "upload": {
        const upload = { id: `${bucket}-${this.#uploadCount++}`, key: step.key, parts: new Map<number, ObjectId>() };
        await datastore.createUpload({ upload: upload.id, bucket, key: step.key, createdAt: now, attributes: {} });
        this.#uploads.push(upload);
        return;
      }
      case "remove": {
        const standalone = [...this.#objects].filter(([, object]) => object.standalone);
        const [id, object] = standalone[step.which % Math.max(standalone.length, 1)] ?? [];
        if (id === undefined) return;
        assert.equal(await datastore.removeObject(id), true);
        object!.standalone = false;
        this.#prune();
        return;
      }
      case "repeat": {
        const last = this.#lastPut;
        if (last === undefined || !this.#objects.has(last.object.id)) return;
        const again = await datastore.saveObject(last.object, fileTarget(bucket, last.key), now);
        assert.deepEqual([again?.key, again?.version, again?.object], [last.key, last.version.version, last.object.id]);
        return;
      }
      case "part":
      case "copyPart":
      case "complete":
      case "abort":
        await this.#applyToUpload(step);
    }
  }

  async #applyToUpload(step: Extract<Step, { kind: "part" | "copyPart" | "complete" | "abort" }>): Promise<void> {
    const datastore = this.#datastore;
    const upload = this.#uploads[step.which % Math.max(this.#uploads.length, 1)];
    if (upload === undefined) return;
    if (step.kind === "part") {
      const object = await this.#writer.save({ kind: "part", upload: upload.id, part: step.part, attributes: {} });
      this.#keep(object.id, object.size, 1);
      upload.parts.set(step.part, object.id);
    } else if (step.kind === "copyPart") {
      const id = this.#someObject(step.object);
      if (id === undefined) return;
      await datastore.copyPart(id, upload.id, step.part, {}, now);
      upload.parts.set(step.part, id);
    } else if (step.kind === "abort") {
      assert.equal(await datastore.abortUpload(upload.id), true);
      this.#uploads.splice(this.#uploads.indexOf(upload), 1);
    } else {
      const id = await this.#writer.id();
      const completed = datastore.completeUpload(
        upload.id,
        step.parts,
        id,
        {},
        fileTarget(this.#bucket, upload.key),
        now,
      );
      const parts = step.parts.map((part) => upload.parts.get(part));
      if (parts.length === 0) return refused(completed, "INVALID");
      if (parts.includes(undefined)) return refused(completed, "CONFLICT");
      const version = await completed;
      const chosen = parts as ObjectId[];
      const leaves = chosen.flatMap((part) => this.#objects.get(part)!.parts ?? [part]);
      const sum = (value: (object: ModelObject) => number): number =>
        chosen.reduce((total, part) => total + value(this.#objects.get(part)!), 0);
      this.#objects.set(id, {
        size: sum((object) => object.size),
        ticketCount: sum((object) => object.ticketCount),
        parts: leaves,
        standalone: false,
      });
      this.#uploads.splice(this.#uploads.indexOf(upload), 1);
      this.#addVersion(upload.key, version);
    }
    this.#prune();
  }

  async check(): Promise<void> {
    const datastore = this.#datastore;
    const request = { bucket: this.#bucket, prefix: "", delimiter: undefined, after: undefined, limit: 1_000 };
    const files = [...this.#files.keys()].sort(byBytes);
    const versions = files.flatMap((key) => this.#files.get(key)!);
    assert.deepEqual((await datastore.listVersions(request)).items, versions);
    const visible = files.map((key) => this.#files.get(key)![0]!).filter((version) => version.object !== undefined);
    assert.deepEqual((await datastore.listFiles(request)).items, visible);
    for (const key of keys) assert.deepEqual(await datastore.getVersion(this.#bucket, key), this.#files.get(key)?.[0]);
    for (const version of versions) {
      assert.deepEqual(await datastore.getVersion(this.#bucket, version.key, version.version), version);
    }

    const references = this.#references();
    let bytes = 0;
    let liveCount = 0;
    for (const [id, object] of this.#objects) {
      const record = await datastore.getObject(id);
      assert(record?.status === "saved", `object ${id} is there`);
      assert.deepEqual(
        [record.size, record.ticketCount, record.references, record.standalone],
        [object.size, object.ticketCount, references.get(id), object.standalone],
      );
      if (object.parts !== undefined) continue;
      bytes += object.size;
      liveCount += object.ticketCount;
    }
    assert.deepEqual(await datastore.counters(), {
      buckets: this.#before.buckets,
      objects: this.#before.objects + this.#objects.size,
      bytes: this.#before.bytes + bytes,
      uploads: this.#before.uploads + this.#uploads.length,
    });
    const volumes = (await datastore.listVolumes(undefined, 1_000)).filter(
      ({ putter }) => putter === this.#writer.putter,
    );
    assert.equal(
      volumes.reduce((sum, volume) => sum + volume.liveCount, 0),
      liveCount,
    );
    const runs = await datastore.listRuns(0 as TicketId, idCount as TicketId, 100_000);
    const mine = runs.filter((run) => this.#objects.has(run.object));
    assert.equal(ticketsIn(mine), liveCount);
    for (const upload of this.#uploads) {
      const parts = await datastore.listParts(upload.id, 0, 10);
      assert.deepEqual(new Map(parts.map((part) => [part.part, part.object])), upload.parts);
    }
  }

  // What the model knows.

  #keep(id: ObjectId, size: number, ticketCount: number): ModelObject {
    const object: ModelObject = { size, ticketCount, parts: undefined, standalone: false };
    this.#objects.set(id, object);
    return object;
  }

  #someObject(which: number): ObjectId | undefined {
    const ids = [...this.#objects.keys()];
    return ids[which % Math.max(ids.length, 1)];
  }

  #addVersion(key: string, version: VersionRecord): void {
    const earlier = (this.#files.get(key) ?? []).filter((old) => version.version !== "null" || old.version !== "null");
    this.#setVersions(key, [version, ...earlier]);
  }

  #setVersions(key: string, versions: readonly VersionRecord[]): void {
    if (versions.length === 0) this.#files.delete(key);
    else
      this.#files.set(
        key,
        versions.map((version, index) => ({ ...version, latest: index === 0 })),
      );
    this.#prune();
  }

  #references(): Map<ObjectId, number> {
    const references = new Map<ObjectId, number>();
    const add = (id: ObjectId | undefined): void => {
      if (id !== undefined) references.set(id, (references.get(id) ?? 0) + 1);
    };
    for (const versions of this.#files.values()) for (const version of versions) add(version.object);
    for (const upload of this.#uploads) for (const object of upload.parts.values()) add(object);
    for (const [id, object] of this.#objects) {
      if (object.standalone) add(id);
      for (const part of object.parts ?? []) add(part);
    }
    return references;
  }

  #prune(): void {
    for (;;) {
      const references = this.#references();
      const gone = [...this.#objects.keys()].filter((id) => !references.has(id));
      if (gone.length === 0) return;
      for (const id of gone) this.#objects.delete(id);
    }
  }
}
