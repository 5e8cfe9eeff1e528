/**
 * Records of buckets as they were parsed last. Every request of a gateway reads its bucket, whose attributes (policy,
 * CORS, …) can be long; here it costs reading and comparing the text, and where nobody has committed since, nothing. Who
 * has derived something from a record can keep it by the record itself, in a WeakMap: while the bucket does not change, it
 * is the same object. Frozen, since it is shared.
 */
import { parsedBucketsMax } from "../core/limits.ts";
import { bucketKey } from "./buckets.ts";
import type { BucketRecord } from "./datastore.ts";
import { parseRecord, type StoredBucket } from "./records.ts";
import type { Reader } from "./transaction.ts";

interface Parsed {
  readonly text: string;
  readonly record: BucketRecord;
  /** When that was found to be so for the last time. */
  generation: number | undefined;
}

export class BucketCache {
  /** In the order in which they were parsed; the oldest go first. */
  readonly #parsed = new Map<string, Parsed>();

  /** `generation`: the backend's, where it has one: nothing is read where nothing can have changed. */
  get(reader: Reader, name: string, generation: number | undefined): BucketRecord | undefined {
    const known = this.#parsed.get(name);
    if (known !== undefined && generation !== undefined && known.generation === generation) return known.record;
    const key = bucketKey(name);
    const text = reader.get(key);
    if (known !== undefined && known.text === text) {
      known.generation = generation;
      return known.record;
    }
    this.#parsed.delete(name);
    if (text === undefined) return undefined;
    const record = frozen({ name, ...parseRecord<StoredBucket>(key, text) });
    if (this.#parsed.size >= parsedBucketsMax) this.#parsed.delete(this.#parsed.keys().next().value!);
    this.#parsed.set(name, { text, record, generation });
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
