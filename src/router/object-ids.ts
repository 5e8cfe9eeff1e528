/** Hands out ObjectIDs without a gap, out of leases. */
import type { ObjectId } from "../core/ids.ts";
import * as limits from "../core/limits.ts";
import type { Datastore, Lease } from "../datastore/datastore.ts";

export class ObjectIds {
  readonly #datastore: Datastore;
  readonly #router: string;
  #lease: Lease<ObjectId> | undefined;
  #next = 0;
  #fetching: Promise<void> | undefined;

  constructor(datastore: Datastore, router: string) {
    this.#datastore = datastore;
    this.#router = router;
  }

  /** The next id, if one is leased already. */
  takeNow(): ObjectId | undefined {
    if (this.#lease === undefined || this.#next === this.#lease.first + this.#lease.count) return undefined;
    return this.#next++ as ObjectId;
  }

  async take(): Promise<ObjectId> {
    while (this.#lease === undefined || this.#next === this.#lease.first + this.#lease.count) {
      this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined));
      await this.#fetching;
    }
    return this.#next++ as ObjectId;
  }

  /** Returns what was not handed out, so that the next start goes on where this one ended. */
  async close(): Promise<void> {
    await this.#fetching?.catch(() => undefined);
    if (this.#lease !== undefined) {
      await this.#datastore.releaseObjects(this.#router, this.#lease, this.#next as ObjectId);
    }
    this.#lease = undefined;
  }

  async #fetch(): Promise<void> {
    const ended = this.#lease;
    if (ended !== undefined) await this.#datastore.releaseObjects(this.#router, ended, this.#next as ObjectId);
    this.#lease = await this.#datastore.leaseObjects(this.#router, limits.objectLeaseCount);
    this.#next = this.#lease.first;
  }
}
