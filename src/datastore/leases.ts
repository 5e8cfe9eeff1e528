/** Operations on leases and volumes. */
import { StoreError } from "../core/errors.ts";
import { groupTicketCount } from "../core/frame.ts";
import { idCount, type ObjectId, type TicketId } from "../core/ids.ts";
import { layoutOf, placementDepth, slotOf, volumeEnd, volumeOf, volumeStart } from "../core/layout.ts";
import { bucketNameSizeMax } from "../core/limits.ts";
import type { Lease, VolumeRecord } from "./datastore.ts";
import { allocationKey, lastByte, leaseKey, liveCounter, nameBytes, restoredKey, Table, volumeKey } from "./keys.ts";
import {
  getRecord,
  parseRecord,
  type StoredAllocation,
  type StoredLease,
  type StoredRestored,
  type StoredVolume,
} from "./records.ts";
import type { Reader, Transaction } from "./transaction.ts";

const layout = layoutOf(placementDepth);

/** The byte string of a router's name. */
export function routerBytes(router: string): string {
  return nameBytes("router", router, bucketNameSizeMax);
}

// ── leases ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export function leaseObjects(tx: Transaction, router: string, count: number): Lease<ObjectId> {
  checkCount(count);
  const name = routerBytes(router);
  const allocation = getAllocation(tx);
  const first = allocation.object;
  const end = Math.min(first + count, idCount);
  if (first >= end) throw new StoreError("NO_SPACE", "there is no ObjectID left: the last one, ZZZZZZZZ, is leased");
  putAllocation(tx, { ...allocation, object: end });
  return putLease(tx, name, "o", first, end);
}

export function leaseTickets(tx: Transaction, router: string, putter: string, count: number): Lease<TicketId> {
  checkCount(count);
  const name = routerBytes(router);
  const openKey = Table.openVolume + nameBytes("putter", putter, bucketNameSizeMax);
  const { number, volume } = openVolume(tx, openKey) ?? newVolume(tx, openKey, putter);
  const first = volumeStart(layout, number) + volume.leasedCount;
  const slot = slotOf(layout, first);
  const endSlot = Math.ceil((slot + count) / groupTicketCount) * groupTicketCount;
  const end = Math.min(first + (endSlot - slot), volumeEnd(layout, number));
  putVolume(tx, number, { ...volume, leases: volume.leases + 1, leasedCount: volume.leasedCount + (end - first) });
  return putLease(tx, name, "t", first, end);
}

export function releaseObjects(tx: Transaction, router: string, lease: Lease<ObjectId>, next: ObjectId): void {
  const end = endLease(tx, router, "o", lease, next);
  if (end === undefined) return;
  const allocation = getAllocation(tx);
  if (allocation.object === end) putAllocation(tx, { ...allocation, object: next });
}

export function releaseTickets(tx: Transaction, router: string, lease: Lease<TicketId>, next: TicketId): void {
  const end = endLease(tx, router, "t", lease, next);
  if (end === undefined) return;
  const number = volumeOf(layout, lease.first);
  const volume = requireVolume(tx, number);
  const nothingAfter = volumeStart(layout, number) + volume.leasedCount === end;
  const leasedCount = nothingAfter ? next - volumeStart(layout, number) : volume.leasedCount;
  putVolume(tx, number, { ...volume, leases: volume.leases - 1, leasedCount });
}

/** Ends all leases of a router; what was not handed out of them never will be. */
export function endLeases(tx: Transaction, router: string): void {
  const base = `${Table.lease}${routerBytes(router)}\0`;
  const leases = tx.range(base, base + lastByte, Number.MAX_SAFE_INTEGER);
  const ended = new Map<number, number>();
  for (const { key } of leases) {
    if (key[base.length] !== "t") continue;
    const number = volumeOf(layout, Number(key.slice(base.length + 1)));
    ended.set(number, (ended.get(number) ?? 0) + 1);
  }
  tx.want?.(...[...ended.keys()].map(volumeKey));
  const volumes = [...ended].map(([number, count]) => ({ number, count, volume: requireVolume(tx, number) }));
  for (const { key } of leases) tx.delete(key);
  for (const { number, count, volume } of volumes) putVolume(tx, number, { ...volume, leases: volume.leases - count });
}

/** The end of a lease that is ended by this; undefined where it is none (any more). */
function endLease(
  tx: Transaction,
  router: string,
  kind: "o" | "t",
  lease: Lease<number>,
  next: number,
): number | undefined {
  const key = leaseKey(routerBytes(router), kind, lease.first);
  const stored = getRecord<StoredLease>(tx, key);
  if (stored === undefined) return undefined;
  const end = lease.first + stored.count;
  if (!(Number.isSafeInteger(next) && next >= lease.first && next <= end)) {
    throw new StoreError("INVALID", `next id ${next}: must lie in the lease, ${lease.first} to ${end}`);
  }
  tx.delete(key);
  return end;
}

function putLease<Id>(tx: Transaction, router: string, kind: "o" | "t", first: number, end: number): Lease<Id> {
  const stored: StoredLease = { count: end - first };
  tx.put(leaseKey(router, kind, first), JSON.stringify(stored));
  return { first: first as Id, count: end - first };
}

function checkCount(count: number): void {
  if (!(Number.isSafeInteger(count) && count >= 1 && count <= idCount)) {
    throw new StoreError("INVALID", `lease of ${count}: must be for 1 id or more`);
  }
}

function getAllocation(tx: Transaction): StoredAllocation {
  return getRecord<StoredAllocation>(tx, allocationKey) ?? { object: 0, volume: 0 };
}

function putAllocation(tx: Transaction, allocation: StoredAllocation): void {
  tx.put(allocationKey, JSON.stringify(allocation));
}

/** Far more than anybody makes between two copies of a datastore, and little of what there is. */
const skippedObjects = 1_000_000_000;
const skippedVolumes = 10_000;

/**
 * A datastore that is older than the disks, put back from a copy, would lease ids again that were handed out after the
 * copy was made, and whose slots are taken. So, once, no volume that it knows gets a further lease, and ids are skipped.
 */
export function skipAfterRestore(tx: Transaction): boolean {
  const restored = getRecord<StoredRestored>(tx, restoredKey);
  if (restored === undefined) return false;
  const { object, volume } = getAllocation(tx);
  const allocation = { object: Math.max(object, restored.object ?? 0), volume: Math.max(volume, restored.volume ?? 0) };
  const entries = tx.range(Table.volume, Table.volume + lastByte, Number.MAX_SAFE_INTEGER);
  const volumes = entries.map(({ key, value }) => ({ key, volume: parseRecord<StoredVolume>(key, value) }));
  for (const { key, volume } of volumes) tx.put(key, JSON.stringify({ ...volume, sealed: true }));
  putAllocation(tx, { object: allocation.object + skippedObjects, volume: allocation.volume + skippedVolumes });
  tx.add("order", skippedObjects);
  tx.delete(restoredKey);
  return true;
}

// ── volumes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

interface NumberedVolume {
  readonly number: number;
  readonly volume: StoredVolume;
}

/** The volume from which a putter still gets leases. */
function openVolume(tx: Transaction, openKey: string): NumberedVolume | undefined {
  const text = tx.get(openKey);
  if (text === undefined) return undefined;
  const number = Number(text);
  const volume = requireVolume(tx, number);
  const isFull = volumeStart(layout, number) + volume.leasedCount >= volumeEnd(layout, number);
  return volume.sealed || isFull ? undefined : { number, volume };
}

function newVolume(tx: Transaction, openKey: string, putter: string): NumberedVolume {
  const allocation = getAllocation(tx);
  const number = allocation.volume;
  if (volumeStart(layout, number) >= idCount) {
    throw new StoreError("NO_SPACE", "there is no TicketID left: the volume of the last one, ZZZZZZZZ, is in use");
  }
  putAllocation(tx, { ...allocation, volume: number + 1 });
  tx.put(openKey, String(number));
  return { number, volume: { putter, sealed: false, leases: 0, leasedCount: 0, reclaimedCount: 0 } };
}

export function sealVolume(tx: Transaction, number: number): void {
  const volume = requireVolume(tx, number);
  if (!volume.sealed) putVolume(tx, number, { ...volume, sealed: true });
}

export function noteReclaimed(tx: Transaction, number: number, deadCount: number): void {
  const volume = requireVolume(tx, number);
  if (!(Number.isSafeInteger(deadCount) && deadCount >= 0 && deadCount <= volume.leasedCount)) {
    throw new StoreError(
      "INVALID",
      `dead tickets ${deadCount}: must be 0 to ${volume.leasedCount}, as many as were leased`,
    );
  }
  putVolume(tx, number, { ...volume, reclaimedCount: deadCount });
}

export function getVolume(reader: Reader, number: number): VolumeRecord | undefined {
  const stored = getRecord<StoredVolume>(reader, volumeKey(number));
  return stored === undefined ? undefined : volumeRecord(reader, number, stored);
}

export function listVolumes(reader: Reader, after: number | undefined, limit: number): VolumeRecord[] {
  return reader
    .range(after === undefined ? Table.volume : volumeKey(after + 1), Table.volume + lastByte, limit)
    .map(({ key, value }) => volumeRecord(reader, Number(key.slice(1)), parseRecord<StoredVolume>(key, value)));
}

/** One past the last ticket of a volume that was leased. */
export function leasedEnd(reader: Reader, number: number): number {
  const stored = reader.shared(volumeKey(number), parseRecord<StoredVolume>);
  return volumeStart(layout, number) + (stored?.leasedCount ?? 0);
}

function volumeRecord(reader: Reader, volume: number, stored: StoredVolume): VolumeRecord {
  const { putter, sealed, leases, leasedCount, reclaimedCount } = stored;
  const liveCount = reader.counter(liveCounter(volume));
  return { volume, putter, sealed, leases, leasedCount, liveCount, reclaimedCount };
}

function requireVolume(reader: Reader, number: number): StoredVolume {
  const stored = getRecord<StoredVolume>(reader, volumeKey(number));
  if (stored === undefined) throw new StoreError("NOT_FOUND", `volume ${number} does not exist`);
  return stored;
}

function putVolume(tx: Transaction, number: number, stored: StoredVolume): void {
  tx.put(volumeKey(number), JSON.stringify(stored));
}
