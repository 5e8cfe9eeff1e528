/** The buckets and keys that clients use, and how a write marks what it makes. */
import type { Condition, FileTarget, VersionRecord } from "../../src/datastore/datastore.ts";

export interface Bucket {
  readonly name: string;
  /** Whether clients turn its versioning on and off. */
  readonly changes: boolean;
}

export const buckets: readonly Bucket[] = [
  { name: "off", changes: false },
  { name: "on", changes: false },
  { name: "changing", changes: true },
];
export const keys: readonly string[] = ["a/one", "a/two", "a/é", "b", "b/\u{1f33b}", "c"];
/** As a listing has them. */
export const sortedKeys: readonly string[] = [...keys].sort((one, other) =>
  Buffer.compare(Buffer.from(one), Buffer.from(other)),
);

export function tagOf(version: VersionRecord): number {
  return Number(version.attributes["tag"]);
}

export function fileTarget(bucket: string, key: string, tag: number, condition?: Condition): FileTarget {
  return { kind: "file", bucket, key, attributes: { tag }, ...(condition === undefined ? {} : { condition }) };
}
