/**
 * Nobody asks for anything: every object that is saved is referred to as often as its record says, by versions, parts of
 * uploads, objects that consist of it, or itself where it is a stream's; and whatever is referred to is there. What nobody
 * refers to would never be reclaimed, and what is referred to once too little would be too early.
 */
import type { Datastore, ObjectRecord, UploadRecord } from "../../src/datastore/datastore.ts";
import { buckets } from "../world/files.ts";
import type { World } from "../world/world.ts";

const pageSize = 1_000;

export async function checkReferences(world: World, datastore: Datastore): Promise<void> {
  const referred = new Map<number, number>();
  const refer = (object: number): void => void referred.set(object, (referred.get(object) ?? 0) + 1);
  for (const { name } of buckets) {
    const request = { bucket: name, prefix: "", delimiter: undefined, after: undefined, limit: pageSize };
    for (const { object } of (await datastore.listVersions(request)).items) if (object !== undefined) refer(object);
    const uploads: readonly UploadRecord[] = (await datastore.listUploads(request)).items;
    for (const { upload } of uploads) {
      for (const { object } of await datastore.listParts(upload, 0, pageSize)) refer(object);
    }
  }
  const saved = await savedObjects(datastore);
  for (const { content, standalone, id } of saved) {
    if (standalone) refer(id);
    if (content.kind === "parts") for (const { object } of content.parts) refer(object);
  }
  for (const { id, references } of saved) {
    const count = referred.get(id) ?? 0;
    referred.delete(id);
    if (count === references && count > 0) continue;
    world.history.violation(
      `references: object ${id} is referred to ${count} times, and its record says ${references}`,
    );
  }
  for (const id of referred.keys())
    world.history.violation(`references: object ${id} is referred to, and is not there`);
}

async function savedObjects(datastore: Datastore): Promise<(ObjectRecord & { status: "saved" })[]> {
  const saved: (ObjectRecord & { status: "saved" })[] = [];
  for (let after: ObjectRecord["id"] | undefined; ;) {
    const page = await datastore.listObjects(after, pageSize);
    for (const record of page) if (record.status === "saved") saved.push(record);
    if (page.length < pageSize) return saved;
    after = page.at(-1)!.id;
  }
}
