/**
 * Records of buckets as they were parsed last. Every request of a gateway reads its bucket, whose attributes (policy,
 * CORS, …) can be long; here it costs reading and comparing the text. Who has derived something from a record can keep
 * it by the record itself, in a WeakMap: while the bucket does not change, it is the same object. Frozen, since it is
 * shared.
 */
import { parsedBucketsMax } from "../core/limits.ts";
import { bucketKey } from "./buckets.ts";
import type { BucketRecord } from "./datastore.ts";
import { parseRecord, type StoredBucket } from "./records.ts";
import type { Reader } from "./transaction.ts";

export class BucketCache {
  /** In the order in which they were parsed; the oldest go first. */
  readonly #parsed = new Map<string, { readonly text: string; readonly record: BucketRecord }>();

  get(reader: Reader, name: string): BucketRecord | undefined {
    const key = bucketKey(name);
    const text = reader.get(key);
    const known = this.#parsed.get(name);
    if (known !== undefined && known.text === text) return known.record;
    this.#parsed.delete(name);
    if (text === undefined) return undefined;
    const record = frozen({ name, ...parseRecord<StoredBucket>(key, text) });
    if (this.#parsed.size >= parsedBucketsMax) this.#parsed.delete(this.#parsed.keys().next().value!);
    this.#parsed.set(name, { text, record });
    return record;
  }
}

function frozen<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) frozen(inner);
    Object.freeze(value);
  }
  return value;
}
