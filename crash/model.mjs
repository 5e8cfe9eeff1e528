/**
 * What must be so: of each key without versions its state and what was asked of it since; of each key with versions all of
 * them; of uploads their parts; of streams their contents. An operation is entered when it is sent and completed when it is
 * answered; what has no answer when the process dies may have happened, wholly, or not at all.
 */
import { absent } from "./history.mjs";

export class Model {
  /** Key → { state, operations, hint }; `hint`: an ETag that the key had lately, for conditions. */
  plain = new Map();
  /** Key → { versions: Map of id → { name (or absent: a delete marker), start, end }, unknown: [{ name, start }], … } */
  versioned = new Map();
  /** { key, id, plan: sizes, parts: Map of number → { acknowledged, possible contents }, isBusy, completing } */
  uploads = [];
  /** ObjectID → { name, state: stored, removing, removed, or forgotten (and its id is still known) } */
  streams = new Map();
  acknowledgedCount = 0;
  unknownCount = 0;
  /** Says nothing to the model of every so manieth acknowledged operation: to see that this is noticed. */
  #forgetEvery;
  #count = 0;

  constructor({ plainKeys, versionedKeys, forgetEvery }) {
    for (const key of plainKeys) this.plain.set(key, { state: absent, operations: [], hint: undefined });
    for (const key of versionedKeys) {
      this.versioned.set(key, { versions: new Map(), unknown: [], removing: new Set(), removed: new Set() });
    }
    this.#forgetEvery = forgetEvery;
  }

  begin(key, kind, value, expected) {
    const operation = { kind, value, expected, start: performance.now(), end: Infinity, outcome: "unknown" };
    this.plain.get(key).operations.push(operation);
    return operation;
  }

  /** `outcome`: ok or refused. */
  end(key, operation, outcome, etag) {
    if (this.isForgotten()) {
      this.withdraw(key, operation);
      return;
    }
    operation.end = performance.now();
    operation.outcome = outcome;
    if (etag !== undefined) this.plain.get(key).hint = etag;
    this.acknowledgedCount++;
  }

  /** It is certain that it did not happen. */
  withdraw(key, operation) {
    const entry = this.plain.get(key);
    entry.operations = entry.operations.filter((other) => other !== operation);
  }

  isForgotten() {
    this.#count++;
    return this.#forgetEvery > 0 && this.#count % this.#forgetEvery === 0;
  }
}
