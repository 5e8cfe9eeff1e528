/** What can go wrong with the embedded datastore: errors of LMDB and of the system, and what is said of damage. */
import { messageOf, StoreError } from "../core/errors.ts";
import { damagedRecordsLogged } from "../core/limits.ts";
import type { Log } from "../env/host.ts";

export const runbook = "run data-putter restore, see docs/runbooks/restore-the-datastore.md";

/** LMDB's own codes (lmdb.h), and the system's. */
const errorCodes: ReadonlyMap<number, StoreError["code"]> = new Map<number, StoreError["code"]>([
  [-30797, "DAMAGED"],
  [-30796, "DAMAGED"],
  [-30795, "UNAVAILABLE"],
  [-30794, "INCOMPATIBLE"],
  [-30793, "DAMAGED"],
  [-30792, "NO_SPACE"],
  // What a transaction says of itself after it met a page that it could not use.
  [-30782, "DAMAGED"],
  [-30779, "DAMAGED"],
  [28, "NO_SPACE"],
  [122, "NO_SPACE"],
]);

/** Errors of LMDB and of the system as StoreErrors; what is neither is a bug, or for the group to judge, and stays. */
export function storeErrorOf(error: unknown): unknown {
  const number = (error as { code?: unknown }).code;
  if (error instanceof StoreError || typeof number !== "number") return error;
  const code = errorCodes.get(number) ?? "UNAVAILABLE";
  const hint = code === "DAMAGED" ? `; ${runbook}` : "";
  return new StoreError(code, `the datastore failed: ${messageOf(error)}${hint}`, { cause: error });
}

/** Whether it is the system that refused: LMDB's own codes are negative. */
export function isOfTheDisk(error: unknown): boolean {
  const number = (error as { code?: unknown }).code;
  return typeof number === "number" && number > 0;
}

/** Logs damage, each kind of it once: what is asked for again and again must not fill the log. */
export class DamageLog {
  readonly #log: Log;
  readonly #told = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** `storeErrorOf`, with a line in the log where that is damage. */
  noted(error: unknown): unknown {
    const known = storeErrorOf(error);
    if (known instanceof StoreError && known.code === "DAMAGED") this.#tell(known.message);
    return known;
  }

  #tell(reason: string): void {
    if (this.#told.has(reason) || this.#told.size >= damagedRecordsLogged) return;
    this.#told.add(reason);
    this.#log.error("the datastore is damaged", { reason });
  }
}
