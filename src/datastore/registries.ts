/** Operations on records that gateways keep by name (accounts, access keys, encryption keys). */
import { StoreError } from "../core/errors.ts";
import { entryNameSizeMax } from "../core/limits.ts";
import type { Attributes, EntryChange, Registry, RegistryEntry } from "./datastore.ts";
import { lastByte, nameBytes, Table, textOf } from "./keys.ts";
import { getRecord, parseRecord, sameJson, type StoredEntry } from "./records.ts";
import type { Reader, Transaction } from "./transaction.ts";

export function getEntry(reader: Reader, registry: Registry, name: string): Attributes | undefined {
  return getRecord<StoredEntry>(reader, entryKey(registry, name))?.attributes;
}

export function listEntries(reader: Reader, registry: Registry): RegistryEntry[] {
  const base = `${Table.registry}${registry}\0`;
  return reader.range(base, base + lastByte, Number.MAX_SAFE_INTEGER).map(({ key, value }) => {
    const { attributes } = parseRecord<StoredEntry>(key, value);
    return { name: textOf(key.slice(base.length)), attributes };
  });
}

export function changeEntries(tx: Transaction, changes: readonly EntryChange[]): void {
  const keyed = changes.map((change) => ({ ...change, key: entryKey(change.registry, change.name) }));
  for (const { key, expected } of keyed) if (expected !== undefined) tx.want?.(key);
  for (const { registry, name, expected } of keyed) {
    if (expected !== undefined) checkEntry(getEntry(tx, registry, name), expected, `${registry} ${name}`);
  }
  for (const { key, attributes } of keyed) {
    if (attributes === undefined) tx.delete(key);
    else tx.put(key, JSON.stringify({ attributes } satisfies StoredEntry));
  }
}

export function removeEntry(tx: Transaction, registry: Registry, name: string): boolean {
  const key = entryKey(registry, name);
  if (tx.get(key) === undefined) return false;
  tx.delete(key);
  return true;
}

/** Says nothing of what is in it: that can be secret. */
function checkEntry(found: Attributes | undefined, expected: Attributes | null, what: string): void {
  if (expected === null && found !== undefined) throw new StoreError("CONFLICT", `${what} exists`);
  if (expected !== null && !sameJson(found, expected)) {
    const reason = found === undefined ? "is gone" : "was changed by somebody else";
    throw new StoreError("CONFLICT", `${what} ${reason}`);
  }
}

function entryKey(registry: Registry, name: string): string {
  return `${Table.registry}${registry}\0${nameBytes("name", name, entryNameSizeMax)}`;
}
