/** Which versions came and went after a snapshot: found from the records that changed, without looking at any others. */
import { formatId, type ObjectId } from "../core/ids.ts";
import { orderDigits, Table, textOf } from "./keys.ts";
import type { Change } from "./journal-format.ts";
import { parseRecord, type StoredObject, type StoredVersion, versionId } from "./records.ts";

/** A version; or an object of its own, which has neither bucket nor key. */
export interface Lost {
  readonly bucket?: string;
  readonly key?: string;
  readonly version?: string;
  /** ObjectID; absent in a delete marker. */
  readonly object?: string;
  readonly size?: number;
  readonly createdAt: number;
}

export interface NewerVersion extends Lost {
  readonly restored: boolean;
}

type Value = string | undefined;

export class VersionChanges {
  readonly #get: (key: string) => Value;
  /** What the snapshot has, of all that changed later. */
  readonly #before = new Map<string, Value>();
  /** What follows from commits that were not carried out. */
  readonly #unused = new Map<string, Value>();

  /** `get` reads what is being restored: at first the snapshot, in the end the result. */
  constructor(get: (key: string) => Value) {
    this.#get = get;
  }

  /** Before a group is carried out, or instead. */
  note(changes: readonly Change[], isCarriedOut: boolean): void {
    for (const { key, value } of changes) {
      if (!tables.has(key[0] ?? "")) continue;
      if (!this.#before.has(key)) this.#before.set(key, this.#get(key));
      if (!isCarriedOut) this.#unused.set(key, value);
    }
  }

  /** When all that can be carried out has been. */
  compare(): { newer: NewerVersion[]; removedLater: Lost[] } {
    const keys = [...this.#before.keys()];
    const before = versionsOf(keys, (key) => this.#before.get(key));
    const restored = versionsOf(keys, this.#get);
    const latest = versionsOf(keys, (key) => (this.#unused.has(key) ? this.#unused.get(key) : this.#get(key)));
    const newer = [...latest].filter(([id]) => !before.has(id));
    return {
      newer: newer.map(([id, version]) => ({ ...version, restored: restored.has(id) })),
      removedLater: [...restored].filter(([id]) => !latest.has(id)).map(([, version]) => version),
    };
  }
}

const tables = new Set<string>([Table.file, Table.version, Table.object]);

/** By what tells them apart: the same version can lie in `file` and, later, in `version`. */
function versionsOf(keys: readonly string[], get: (key: string) => Value): Map<string, Lost> {
  const found = new Map<string, Lost>();
  for (const key of keys) {
    const text = get(key);
    const described = text === undefined ? undefined : describe(key, text);
    if (described !== undefined) found.set(JSON.stringify(described), described);
  }
  return found;
}

function describe(key: string, text: string): Lost | undefined {
  if (key[0] === Table.object) {
    const stored = parseRecord<StoredObject>(key, text);
    if (stored.status !== "saved" || stored.standalone !== true) return undefined;
    return { object: formatId(Number(key.slice(1)) as ObjectId), size: stored.size, createdAt: stored.createdAt };
  }
  const file = key[0] === Table.file ? key.slice(1) : key.slice(1, -1 - orderDigits);
  const [bucket, name] = file.split("\0") as [string, string];
  const stored = parseRecord<StoredVersion>(key, text);
  const content = stored.object === undefined ? {} : { object: formatId(stored.object), size: stored.size ?? 0 };
  const { createdAt } = stored;
  return { bucket: textOf(bucket), key: textOf(name), version: versionId(stored), ...content, createdAt };
}
