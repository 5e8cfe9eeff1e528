/**
 * Hands out TicketIDs of one putter, out of leases from the Datastore, so that runs are long.
 *
 * Small objects take exactly what they need, one after the other. A stream, whose length nobody knows, reserves up to
 * the end of a group, then more and more groups at a time, and gives back what it did not use. So a stream that is
 * alone gets one run, and many at once get runs of many groups. The next lease is fetched before the last one ends.
 *
 * A lease ends, in the Datastore, when all of it was handed out (or it was retired) and nobody who took tickets of it is
 * still writing: only then may its volume be reclaimed.
 */
import { groupTicketCount } from "../core/frame.ts";
import type { TicketId } from "../core/ids.ts";
import { layoutOf, placementDepth, slotOf, volumeOf } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import type { TicketStore } from "../core/ticket-store.ts";
import type { Datastore, Lease } from "../datastore/datastore.ts";

export const placement = layoutOf(placementDepth);

/** Consecutive tickets for one writer, `next` to `end` not used yet. */
export interface Reservation {
  next: number;
  end: number;
  readonly lease: TicketLease;
}

/** A lease, and how many writers hold tickets of it. */
export interface TicketLease {
  readonly lease: Lease<TicketId>;
  readonly volume: number;
  /** What has not been handed out begins here. */
  cursor: number;
  readonly end: number;
  users: number;
  /** How many tickets each of them took, the first one first. */
  readonly held: number[];
  /** Nothing more is handed out of it. */
  retired: boolean;
}

export interface AllocatorOptions {
  readonly datastore: Datastore;
  readonly router: string;
  readonly store: TicketStore;
  readonly leaseCount?: number;
  readonly onError: (what: string, error: unknown) => void;
}

export class TicketAllocator {
  readonly store: TicketStore;
  readonly #options: AllocatorOptions;
  readonly #leases = new Set<TicketLease>();
  #current: TicketLease | undefined;
  #ahead: TicketLease | undefined;
  #fetching: Promise<void> | undefined;
  /** Given back, and not at the end of what was handed out. */
  #free: Reservation[] = [];
  #closed = false;

  constructor(options: AllocatorOptions) {
    this.#options = options;
    this.store = options.store;
  }

  /**
   * This router's open leases in a volume, and about how many of their tickets are not settled yet: not handed out, or
   * in the hands of those who write. (Not all of a lease that somebody writes with: somebody always does, if only to be refused.)
   */
  openIn(volume: number): { leases: number; unsettledCount: number } {
    let leases = 0;
    let unsettledCount = 0;
    for (const lease of this.#leases) {
      if (lease.volume !== volume) continue;
      leases++;
      unsettledCount += lease.held.reduce((sum, count) => sum + count, lease.end - lease.cursor);
    }
    return { leases, unsettledCount };
  }

  /**
   * 1 to `count` tickets, as many as there are in one piece; undefined where a lease has to be waited for (`ready`). The
   * taker is a user of the reservation's lease until `done`.
   */
  take(count: number): Reservation | undefined {
    const free = this.#takeFree(count);
    if (free !== undefined) return free;
    const lease = this.#usable();
    return lease === undefined ? undefined : this.#cut(lease, Math.min(lease.end, lease.cursor + count));
  }

  /** Tickets for a stream: to the end of the group that comes next, and of `groups` − 1 more. */
  reserve(groups: number): Reservation | undefined {
    const lease = this.#usable();
    if (lease === undefined) return undefined;
    const inGroup = slotOf(placement, lease.cursor) % groupTicketCount;
    const count = groups * groupTicketCount - inGroup;
    return this.#cut(lease, Math.min(lease.end, lease.cursor + count));
  }

  /** Resolves when there is a lease to take from; rejects where the Datastore gives none. */
  async ready(): Promise<void> {
    while (this.#usable() === undefined) await this.#fetch();
  }

  /** What a reservation has left, for others to use. */
  giveBack(reservation: Reservation): void {
    const { lease, next, end } = reservation;
    reservation.end = next;
    if (next === end || lease.retired) return;
    if (lease === this.#current && lease.cursor === end) lease.cursor = next;
    else if (this.#free.length < limits.freeRangesMax) this.#free.push({ next, end, lease });
  }

  /** A writer that took tickets of this lease has come to its end. */
  done(lease: TicketLease): void {
    lease.users--;
    // As if they ended in the order in which they began: it is but an estimate.
    lease.held.shift();
    this.#endIfUnused(lease);
  }

  /** Whoever took tickets of this lease last is a user of it already, and counts once. */
  joined(lease: TicketLease): void {
    lease.users--;
    const count = lease.held.pop() ?? 0;
    lease.held.push((lease.held.pop() ?? 0) + count);
  }

  /** Hands out nothing more in this volume, now and in future; its leases end when their users are done. */
  async retire(volume: number): Promise<void> {
    for (const lease of this.#leases) {
      if (lease.volume !== volume) continue;
      lease.retired = true;
      if (lease === this.#current) this.#current = undefined;
      if (lease === this.#ahead) this.#ahead = undefined;
    }
    this.#free = this.#free.filter(({ lease }) => !lease.retired);
    for (const lease of this.#leases) this.#endIfUnused(lease);
    await this.#options.datastore.sealVolume(volume);
  }

  /** Returns what was not handed out. Nobody may be writing any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#fetching?.catch(() => undefined);
    // The later one first: each goes back only if nothing was leased after it.
    const leases = [...this.#leases].sort((one, other) => other.lease.first - one.lease.first);
    this.#leases.clear();
    for (const lease of leases) await this.#release(lease);
  }

  /** A lease with something left, if there is one at hand. */
  #usable(): TicketLease | undefined {
    for (;;) {
      const lease = this.#current;
      if (lease === undefined || lease.cursor < lease.end) return lease;
      this.#current = this.#ahead;
      this.#ahead = undefined;
      this.#endIfUnused(lease);
    }
  }

  #cut(lease: TicketLease, end: number): Reservation {
    const reservation = { next: lease.cursor, end, lease };
    lease.cursor = end;
    lease.users++;
    lease.held.push(end - reservation.next);
    const left = lease.end - end;
    if (left < lease.lease.count / 2 && this.#ahead === undefined && this.#fetching === undefined) {
      this.#fetch().catch((error: unknown) => this.#options.onError("leasing tickets ahead failed", error));
    }
    return reservation;
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#fetchOne().finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }

  async #fetchOne(): Promise<void> {
    const { datastore, router, store, leaseCount } = this.#options;
    const lease = await datastore.leaseTickets(router, store.id, leaseCount ?? limits.ticketLeaseCount);
    const fetched: TicketLease = {
      lease,
      volume: volumeOf(placement, lease.first),
      cursor: lease.first,
      end: lease.first + lease.count,
      users: 0,
      held: [],
      retired: false,
    };
    this.#leases.add(fetched);
    if (this.#current === undefined) this.#current = fetched;
    else this.#ahead = fetched;
  }

  #takeFree(count: number): Reservation | undefined {
    const range = this.#free.at(-1);
    if (range === undefined) return undefined;
    const end = Math.min(range.end, range.next + count);
    const taken = { next: range.next, end, lease: range.lease };
    range.lease.users++;
    range.lease.held.push(end - range.next);
    range.next = end;
    if (range.next === range.end) this.#free.pop();
    return taken;
  }

  #endIfUnused(lease: TicketLease): void {
    const inUse = lease === this.#current || lease === this.#ahead || lease.users > 0 || !this.#leases.has(lease);
    if (this.#closed || inUse || this.#free.some((range) => range.lease === lease)) return;
    this.#leases.delete(lease);
    this.#release(lease).catch((error: unknown) => this.#options.onError("ending a lease failed", error));
  }

  #release(lease: TicketLease): Promise<void> {
    const { datastore, router } = this.#options;
    return datastore.releaseTickets(router, lease.lease, lease.cursor as TicketId);
  }
}
