/** What the contract's suites are run on, and a writer that spares them the bookkeeping of ids. */
import assert from "node:assert/strict";
import { ticketCountOf } from "../core/frame.ts";
import type { ObjectId, TicketId } from "../core/ids.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { Attributes, Condition, Datastore, Lease, NewObject, Target, VersionRecord } from "./datastore.ts";

export interface Fixture {
  readonly datastore: Datastore;
  /** Another client of the same store, where there can be several. */
  readonly second?: Datastore;
  /** Opens it again as after `kill -9`: nothing is released or drained in an orderly way by the caller. */
  reopen(): Promise<Datastore>;
  close(): Promise<void>;
}

/** Opens a new, empty datastore. */
export type OpenFixture = () => Promise<Fixture>;

export const now = 1_790_000_000_000;

/** Hands out ids from leases of its own, one ticket of 1,000 bytes per object unless told otherwise. */
export class Writer {
  readonly datastore: Datastore;
  readonly router: string;
  readonly putter: string;
  #objects: Lease<ObjectId> = { first: 0 as ObjectId, count: 0 };
  #objectsUsed = 0;
  #tickets: Lease<TicketId> = { first: 0 as TicketId, count: 0 };
  #ticketsUsed = 0;
  #lastLease: Promise<unknown> = Promise.resolve();

  constructor(datastore: Datastore, router = "router", putter = "putter") {
    this.datastore = datastore;
    this.router = router;
    this.putter = putter;
  }

  id(): Promise<ObjectId> {
    return this.#inTurn(async () => {
      if (this.#objectsUsed === this.#objects.count) {
        this.#objects = await this.datastore.leaseObjects(this.router, 1_000);
        this.#objectsUsed = 0;
      }
      return (this.#objects.first + this.#objectsUsed++) as ObjectId;
    });
  }

  async object(size = 1_000, attributes: Attributes = {}): Promise<NewObject> {
    const id = await this.id();
    const count = ticketCountOf(size);
    if (count === 0) return { id, size, runs: [], attributes };
    const first = await this.#inTurn(async () => {
      if (this.#ticketsUsed + count > this.#tickets.count) {
        this.#tickets = await this.datastore.leaseTickets(this.router, this.putter, Math.max(count, 2_048));
        this.#ticketsUsed = 0;
      }
      this.#ticketsUsed += count;
      return (this.#tickets.first + this.#ticketsUsed - count) as TicketId;
    });
    return { id, size, runs: [{ first, count }], attributes };
  }

  async save(target: Target, size = 1_000, attributes: Attributes = {}): Promise<NewObject> {
    const object = await this.object(size, attributes);
    await this.datastore.saveObject(object, target, now);
    return object;
  }

  async put(bucket: string, key: string, more: PutOptions = {}): Promise<VersionRecord> {
    const object = await this.object(more.size);
    const version = await this.datastore.saveObject(object, fileTarget(bucket, key, more), more.now ?? now);
    assert(version !== undefined, "a write of a file makes a version");
    return version;
  }

  #inTurn<Result>(take: () => Promise<Result>): Promise<Result> {
    const taken = this.#lastLease.then(take);
    this.#lastLease = taken;
    return taken;
  }
}

export interface PutOptions {
  readonly size?: number;
  readonly attributes?: Attributes;
  readonly condition?: Condition;
  readonly now?: number;
}

export function fileTarget(bucket: string, key: string, more: PutOptions = {}): Extract<Target, { kind: "file" }> {
  const { attributes = {}, condition } = more;
  return { kind: "file", bucket, key, attributes, ...(condition === undefined ? {} : { condition }) };
}

export async function refused(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(promise, { name: "StoreError", code });
}

/** Texts in the order of their UTF-8 bytes. */
export function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
