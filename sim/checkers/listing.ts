/** Listings of every shape agree with one another and with what reads of single files say. Nobody changes anything meanwhile. */
import type { Datastore, VersionRecord } from "../../src/datastore/datastore.ts";
import { buckets, sortedKeys } from "../world/files.ts";
import type { World } from "../world/world.ts";

/** More than any bucket of a run holds: pages that do not come to an end are not the same as the whole. */
const endless = 10_000;

export async function checkListings(world: World, datastore: Datastore): Promise<void> {
  for (const { name: bucket } of buckets) {
    const all = await everyVersion(datastore, bucket, 1_000);
    const inPages = await everyVersion(datastore, bucket, 2);
    const wrong = (text: string): void => world.history.violation(`listing: ${bucket}: ${text}`);
    if (textOf(all) !== textOf(inPages)) wrong("pages of versions do not add up to the whole list");
    const live: VersionRecord[] = [];
    for (const key of sortedKeys) {
      const newest = await datastore.getVersion(bucket, key);
      const listed = all.filter((version) => version.key === key);
      if (textOf([newest].filter(isThere)) !== textOf(listed.slice(0, 1))) wrong(`${key}: its newest version differs`);
      for (const version of listed) {
        const found = await datastore.getVersion(bucket, key, version.version);
        if (textOf([found].filter(isThere)) !== textOf([version])) wrong(`${key} ${version.version} differs by itself`);
      }
      if (newest?.object !== undefined) live.push(newest);
    }
    for (const limit of [1, 3, 1_000]) {
      if (textOf(await everyFile(datastore, bucket, limit)) !== textOf(live)) wrong(`files by ${limit} differ`);
    }
    const request = { bucket, prefix: "", delimiter: "/", after: undefined, limit: 1_000 };
    const rolled = await datastore.listFiles(request);
    const prefixes = [
      ...new Set(live.filter(({ key }) => key.includes("/")).map(({ key }) => key.split("/")[0] + "/")),
    ];
    if (JSON.stringify(rolled.prefixes) !== JSON.stringify(prefixes)) wrong("common prefixes differ");
    if (textOf(rolled.items) !== textOf(live.filter(({ key }) => !key.includes("/"))))
      wrong("items beside them differ");
  }
}

async function everyFile(datastore: Datastore, bucket: string, limit: number): Promise<VersionRecord[]> {
  const found: VersionRecord[] = [];
  for (;;) {
    const after = found.at(-1)?.key;
    const { items, more } = await datastore.listFiles({ bucket, prefix: "", delimiter: undefined, after, limit });
    found.push(...items);
    if (!more || found.length > endless) return found;
  }
}

async function everyVersion(datastore: Datastore, bucket: string, limit: number): Promise<VersionRecord[]> {
  const found: VersionRecord[] = [];
  for (;;) {
    const last = found.at(-1);
    const after = last === undefined ? undefined : { key: last.key, version: last.version };
    const { items, more } = await datastore.listVersions({ bucket, prefix: "", delimiter: undefined, after, limit });
    found.push(...items);
    if (!more || found.length > endless) return found;
  }
}

function isThere(version: VersionRecord | undefined): version is VersionRecord {
  return version !== undefined;
}

function textOf(versions: readonly VersionRecord[]): string {
  return JSON.stringify(versions);
}
