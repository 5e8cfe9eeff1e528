/**
 * Listings as clients ask for them while everything changes: each page is one look at all files that it covers, and is
 * noted down as a read of each of them.
 */
import type { VersionRecord } from "../../src/datastore/datastore.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import type { Client } from "./client.ts";
import { sortedKeys, tagOf } from "./files.ts";
import type { CallOutcome } from "./process.ts";
import type { Operation } from "./history.ts";
import type { World } from "./world.ts";

export class Listings {
  readonly #world: World;
  readonly #client: Client;
  readonly #random: SimulatedRandom;

  constructor(world: World, client: Client, random: SimulatedRandom) {
    this.#world = world;
    this.#client = client;
    this.#random = random;
  }

  /** Files that are there, with or without prefix and delimiter, from the beginning or after a key. */
  async files(bucket: string): Promise<void> {
    const random = this.#random;
    const after = random.chance(0.3) ? random.pick(sortedKeys) : undefined;
    const prefix = random.chance(0.25) ? random.pick(["a/", "b", "b/"]) : "";
    const delimiter = after === undefined && random.chance(0.3) ? "/" : undefined;
    const limit = random.chance(0.5) ? 1_000 : random.between(1, 4);
    const covered = sortedKeys.filter(
      (key) => key.startsWith(prefix) && (after === undefined || sortedKeys.indexOf(key) > sortedKeys.indexOf(after)),
    );
    const operations = this.#begin(bucket, "live", covered);
    const request = { bucket, prefix, delimiter, after, limit };
    const outcome = await this.#client.call(({ datastore }) => datastore.listFiles(request));
    if (outcome.kind !== "value") return this.#endAll(operations, outcome);
    const { items, prefixes, more } = outcome.value;
    this.#client.note(
      delimiter !== undefined ? "list files, with delimiter" : more ? "list files, a page" : "list files",
    );
    if (prefix !== "") this.#client.note("list files, with prefix");
    // Of a page that is not the last one, what comes after its last entry says nothing.
    const ends = [items.at(-1)?.key, prefixes.at(-1)].filter((text) => text !== undefined);
    const last = more ? Math.max(...ends.map(indexOfEntry)) : sortedKeys.length;
    for (const [key, operation] of operations) {
      const version = items.find((item) => item.key === key);
      if (version !== undefined) this.#client.noteVersion(version);
      // Rolled up with others: it is not known which of them is there.
      const isRolledUp = prefixes.some((rolled) => key.startsWith(rolled));
      if (isRolledUp || sortedKeys.indexOf(key) > last) continue;
      this.#world.history.end(operation, { kind: "tags", tags: version === undefined ? [] : [tagOf(version)] });
    }
  }

  /** All versions of a bucket, in one page. */
  async versions(bucket: string): Promise<readonly VersionRecord[] | undefined> {
    const page = await this.#versionsPage(bucket, undefined, 1_000);
    if (page !== undefined) this.#client.note("list versions");
    return page?.items;
  }

  async versionsInPages(bucket: string): Promise<void> {
    const limit = this.#random.between(1, 6);
    let after: { key: string; version: string } | undefined;
    for (let pages = 0; pages < 5; pages++) {
      const page = await this.#versionsPage(bucket, after, limit);
      if (page === undefined) return;
      this.#client.note("list versions, a page");
      const last = page.items.at(-1);
      if (!page.more || last === undefined) return;
      after = { key: last.key, version: last.version };
    }
  }

  async #versionsPage(bucket: string, after: { key: string; version: string } | undefined, limit: number) {
    // The file in which a page begins was begun by the one before, at another time.
    const covered = sortedKeys.filter(
      (key) => after === undefined || sortedKeys.indexOf(key) > sortedKeys.indexOf(after.key),
    );
    const operations = this.#begin(bucket, "stack", covered);
    const request = { bucket, prefix: "", delimiter: undefined, after, limit };
    const outcome = await this.#client.call(({ datastore }) => datastore.listVersions(request));
    if (outcome.kind !== "value") {
      this.#endAll(operations, outcome);
      return undefined;
    }
    const { items, more } = outcome.value;
    for (const version of items) this.#client.noteVersion(version);
    const end = more ? sortedKeys.indexOf(items.at(-1)!.key) : sortedKeys.length;
    for (const [key, operation] of operations) {
      if (sortedKeys.indexOf(key) >= end) continue;
      const tags = items.filter((version) => version.key === key).map(tagOf);
      this.#world.history.end(operation, { kind: "tags", tags });
    }
    return { items, more };
  }

  #begin(bucket: string, kind: "live" | "stack", covered: readonly string[]): Map<string, Operation> {
    const { history } = this.#world;
    return new Map(covered.map((key) => [key, history.begin(bucket, key, this.#client.name, { kind })] as const));
  }

  #endAll(operations: ReadonlyMap<string, Operation>, outcome: CallOutcome<unknown>): void {
    for (const operation of operations.values()) this.#client.end(operation, outcome);
  }
}

/** Of the last key that an entry of a page stands for. */
function indexOfEntry(entry: string): number {
  return sortedKeys.findLastIndex((key) => key === entry || (entry.endsWith("/") && key.startsWith(entry)));
}
