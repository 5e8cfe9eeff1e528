/**
 * What refers to an object: versions of files, and parts of uploads, themselves or through an object of parts. The
 * datastore counts references and does not say whose they are, so all of them are looked at: for the rare case that
 * somebody has to be told what is damaged.
 */
import type { ObjectId } from "../core/ids.ts";
import { pageSizeMax } from "../core/limits.ts";
import type { Datastore } from "../datastore/datastore.ts";

export interface ObjectName {
  readonly object: ObjectId;
  readonly bucket: string;
  readonly key: string;
  /** Of a version. */
  readonly version?: string;
  /** Of a part of an upload that is not complete. */
  readonly upload?: string;
  readonly part?: number;
  /** Where in that version or part the object begins. */
  readonly offset: number;
}

interface Within {
  readonly object: ObjectId;
  readonly offset: number;
}

/** What refers to these objects; ends early once `signal` is aborted. */
export async function* namesOf(
  datastore: Datastore,
  objects: ReadonlySet<ObjectId>,
  signal?: AbortSignal,
): AsyncGenerator<ObjectName> {
  const isOver = (): boolean => signal?.aborted === true;
  const composed = await composedOf(datastore, objects, isOver);
  const within = (id: ObjectId | undefined): readonly Within[] => {
    if (id === undefined) return [];
    return objects.has(id) ? [{ object: id, offset: 0 }] : (composed.get(id) ?? []);
  };
  for (const { name: bucket } of await datastore.listBuckets()) {
    const request = { bucket, prefix: "", delimiter: undefined, limit: pageSizeMax };
    for (let after: { key: string; version: string } | undefined; !isOver();) {
      const { items, more } = await datastore.listVersions({ ...request, after });
      for (const { key, version, object } of items) {
        for (const each of within(object)) yield { ...each, bucket, key, version };
      }
      const last = items.at(-1);
      if (!more || last === undefined) break;
      after = { key: last.key, version: last.version };
    }
    for (let after: { key: string; version: string } | undefined; !isOver();) {
      const { items, more } = await datastore.listUploads({ ...request, after });
      for (const { key, upload } of items) {
        for await (const { part, object } of partsOf(datastore, upload)) {
          for (const each of within(object)) yield { ...each, bucket, key, upload, part };
        }
      }
      const last = items.at(-1);
      if (!more || last === undefined) break;
      after = { key: last.key, version: last.upload };
    }
  }
}

/** Objects that are made of others, some of these among them, and where in them these begin. */
async function composedOf(
  datastore: Datastore,
  objects: ReadonlySet<ObjectId>,
  isOver: () => boolean,
): Promise<ReadonlyMap<ObjectId, readonly Within[]>> {
  const composed = new Map<ObjectId, Within[]>();
  for (let after: ObjectId | undefined; !isOver();) {
    const page = await datastore.listObjects(after, pageSizeMax);
    for (const record of page) {
      if (record.status !== "saved" || record.content.kind !== "parts") continue;
      const found: Within[] = [];
      let offset = 0;
      for (const { object, size } of record.content.parts) {
        if (objects.has(object)) found.push({ object, offset });
        offset += size;
      }
      if (found.length > 0) composed.set(record.id, found);
    }
    if (page.length < pageSizeMax) break;
    after = page.at(-1)!.id;
  }
  return composed;
}

/** An upload can have come to its end meanwhile. */
async function* partsOf(
  datastore: Datastore,
  upload: string,
): AsyncGenerator<{ readonly part: number; readonly object: ObjectId }> {
  for (let after = 0; ;) {
    const parts = await datastore.listParts(upload, after, pageSizeMax).catch((error: unknown) => {
      if ((error as { code?: unknown }).code === "NOT_FOUND") return [];
      throw error;
    });
    yield* parts;
    if (parts.length < pageSizeMax) return;
    after = parts.at(-1)!.part;
  }
}
