/**
 * What all fuzzers share: so much time, what was found before, and a look at whether the process let a promise fail unseen.
 * The seed is that of all properties (property-seed.ts).
 *
 *   FUZZ_SECONDS=n  so many seconds for each, instead of those of the test
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";

export function secondsOf(usual: number): number {
  const given = Number(process.env["FUZZ_SECONDS"]);
  return given > 0 ? given : usual;
}

/** Cases one after the other until the time is up, but `least` of them however long that takes; how many there were. */
export function fuzz<Case>(
  seconds: number,
  cases: fc.Arbitrary<Case>,
  check: (one: Case) => Promise<void> | void,
  least = 1,
): Promise<number> {
  return fuzzFor(secondsOf(seconds) * 1_000, cases, check, least);
}

/** The same, whatever FUZZ_SECONDS says. */
export async function fuzzFor<Case>(
  milliseconds: number,
  cases: fc.Arbitrary<Case>,
  check: (one: Case) => Promise<void> | void,
  least = 1,
): Promise<number> {
  const count = await run(cases, check, { numRuns: 10_000_000, interruptAfterTimeLimit: milliseconds });
  // A machine that has much else to do does little in that time: again from the first case on, by their number.
  return count >= least ? count : run(cases, check, { numRuns: least });
}

/** The last case is waited for: fast-check leaves it when the time is up, and what it does must not reach into what comes next. */
async function run<Case>(
  cases: fc.Arbitrary<Case>,
  check: (one: Case) => Promise<void> | void,
  parameters: fc.Parameters<[Case]>,
): Promise<number> {
  let count = 0;
  let last: Promise<void> = Promise.resolve();
  const property = fc.asyncProperty(cases, (one) => {
    count++;
    last = (async () => check(one))();
    return last;
  });
  await fc.assert(property, parameters);
  await last;
  return count;
}

export interface Regression<Case> {
  /** What holds now and did not. */
  readonly what: string;
  readonly case: Case;
}

/** What was found in an area, to be replayed: pairs for `it.each`. */
export function regressions<Case>(area: string): (readonly [what: string, found: Case])[] {
  const file = new URL(`../regressions/${area}.json`, import.meta.url);
  const all = JSON.parse(readFileSync(file, "utf8")) as Regression<Case>[];
  return all.map(({ what, case: found }) => [what, found] as const);
}

/** Promises that failed and that nobody waited for, since it was made. */
export class Unhandled {
  readonly #seen: unknown[] = [];
  readonly #note = (reason: unknown): void => void this.#seen.push(reason);

  constructor() {
    process.on("unhandledRejection", this.#note);
  }

  /** Throws the first one. Gives them a turn to be noticed. */
  async check(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#seen.length > 0) throw new Error("a promise failed and nobody waited for it", { cause: this.#seen[0] });
  }

  end(): void {
    process.off("unhandledRejection", this.#note);
  }
}

/** Rejects where it takes longer. */
export async function within<Value>(milliseconds: number, what: string, work: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

// ── bytes changed ───────────────────────────────────────────────────────────────────────────────────────────────────

/** One change of bytes, as JSON. Places are taken modulo what there is. */
export type ByteChange =
  | { readonly how: "flip"; readonly at: number; readonly bit: number }
  | { readonly how: "set"; readonly at: number; readonly value: number }
  | { readonly how: "cut"; readonly at: number; readonly size: number }
  | { readonly how: "end"; readonly at: number }
  | { readonly how: "double"; readonly at: number; readonly size: number }
  | { readonly how: "move"; readonly at: number; readonly size: number; readonly to: number }
  | { readonly how: "number"; readonly at: number; readonly size: 2 | 4 | 8; readonly value: string }
  /** Text or, as hex, bytes. */
  | { readonly how: "put"; readonly at: number; readonly hex: string };

const extremes = ["0", "1", "127", "128", "255", "65535", "2147483647", "2147483648", "4294967295"];
const wideExtremes = [...extremes, "9007199254740991", "9007199254740992", "18446744073709551615"];
const place = fc.nat(1_000_000);
const length = fc.oneof(fc.nat(16), fc.nat(2_000));

export const byteChange: fc.Arbitrary<ByteChange> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ how: fc.constant("flip" as const), at: place, bit: fc.nat(7) }) },
  { weight: 2, arbitrary: fc.record({ how: fc.constant("set" as const), at: place, value: fc.nat(255) }) },
  fc.record({ how: fc.constant("cut" as const), at: place, size: length }),
  fc.record({ how: fc.constant("end" as const), at: place }),
  fc.record({ how: fc.constant("double" as const), at: place, size: length }),
  fc.record({ how: fc.constant("move" as const), at: place, size: length, to: place }),
  fc.record({
    how: fc.constant("number" as const),
    at: place,
    size: fc.constantFrom(2 as const, 4 as const, 8 as const),
    value: fc.constantFrom(...wideExtremes),
  }),
  fc.record({
    how: fc.constant("put" as const),
    at: place,
    hex: fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("hex")),
  }),
);

export function changed(bytes: Uint8Array, changes: readonly ByteChange[]): Buffer<ArrayBuffer> {
  return changes.reduce<Buffer<ArrayBuffer>>((now, change) => changedOnce(now, change), Buffer.from(bytes));
}

function changedOnce(bytes: Buffer<ArrayBuffer>, change: ByteChange): Buffer<ArrayBuffer> {
  if (bytes.length === 0) return bytes;
  const at = change.at % bytes.length;
  const next = Buffer.from(bytes);
  switch (change.how) {
    case "flip":
      next[at]! ^= 1 << change.bit;
      return next;
    case "set":
      next[at] = change.value;
      return next;
    case "cut":
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.size)]);
    case "end":
      return next.subarray(0, at);
    case "double":
      return Buffer.concat([bytes.subarray(0, at + change.size), bytes.subarray(at)]);
    case "move": {
      const moved = bytes.subarray(at, at + change.size);
      const rest = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.size)]);
      const to = rest.length === 0 ? 0 : change.to % rest.length;
      return Buffer.concat([rest.subarray(0, to), moved, rest.subarray(to)]);
    }
    case "number": {
      const number = Buffer.alloc(8);
      number.writeBigUInt64BE(BigInt(change.value) & 0xffff_ffff_ffff_ffffn);
      // Where numbers lie in frames: at multiples of four.
      number.subarray(8 - change.size).copy(next, at - (at % 4));
      return next;
    }
    case "put":
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(change.hex, "hex"), bytes.subarray(at)]);
    default:
      return next;
  }
}
