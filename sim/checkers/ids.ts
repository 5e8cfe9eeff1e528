/** No id is issued twice: no ticket is handed to a store twice, no object's id is used for two objects. */
import type { Run } from "../../src/core/run.ts";
import type { Datastore } from "../../src/datastore/datastore.ts";

interface Range {
  first: number;
  end: number;
}

export class IdLedger {
  /** Tickets that were handed to a store, in order, joined where they touch. */
  readonly #written: Range[] = [];
  readonly #objects = new Map<number, string>();
  /** Of all objects that somebody asked to be saved: they stand for the same tickets for ever. */
  readonly runs = new Map<number, readonly Run[]>();
  readonly #violation: (text: string) => void;

  constructor(violation: (text: string) => void) {
    this.#violation = violation;
  }

  noteWrite(first: number, count: number): void {
    const end = first + count;
    let index = this.#written.findIndex((range) => range.end >= first);
    if (index < 0) index = this.#written.length;
    const next = this.#written[index];
    if (next !== undefined && next.first < end && next.end > first) {
      this.#violation(`ids: tickets ${first} to ${end} are written, of which some were before`);
      return;
    }
    if (next !== undefined && next.end === first) {
      next.end = end;
      const after = this.#written[index + 1];
      if (after === undefined || after.first > end) return;
      if (after.first < end) this.#violation(`ids: tickets ${first} to ${end} are written, of which some were before`);
      next.end = Math.max(end, after.end);
      this.#written.splice(index + 1, 1);
    } else if (next !== undefined && next.first === end) next.first = first;
    else this.#written.splice(index, 0, { first, end });
  }

  noteObject(id: number, what: string): void {
    const before = this.#objects.get(id);
    if (before !== undefined && before !== what) this.#violation(`ids: object ${id} is ${what}, and was ${before}`);
    this.#objects.set(id, what);
  }
}

/** A datastore whose objects are noted down as they are asked for. */
export function ledgered(datastore: Datastore, ids: IdLedger): Datastore {
  return new Proxy(datastore, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name === "saveObject") {
        const save: Datastore["saveObject"] = (object, into, now) => {
          ids.noteObject(object.id, `saved ${JSON.stringify([object.size, object.runs, into])}`);
          ids.runs.set(object.id, object.runs);
          return target.saveObject(object, into, now);
        };
        return save;
      }
      if (name === "completeUpload") {
        const complete: Datastore["completeUpload"] = (upload, parts, id, attributes, into, now) => {
          ids.noteObject(id, `upload ${upload} ${JSON.stringify([parts, into])}`);
          return target.completeUpload(upload, parts, id, attributes, into, now);
        };
        return complete;
      }
      return (value as (...args: unknown[]) => unknown).bind(target);
    },
  });
}
