/**
 * Whether what happened to one key can be explained: is there an order of its operations, each at some moment between
 * request and answer, in which every answer is right? (Linearizability of a register: Wing and Gong, 1993; with memory of
 * what was tried: Lowe, 2017.) An operation without an answer may have happened at any time after its request, or never.
 *
 * An operation: { kind, value, expected, start, end, outcome }
 *   write              sets `value`
 *   delete             sets absent
 *   create             If-None-Match: *: sets `value` where there is none; refused: there was one
 *   replace            If-Match: sets `value` where `expected` was; refused: it was not
 *   read               saw `value`
 * outcome: "ok", "refused" or "unknown" (then `end` is Infinity).
 */

export const absent = "absent";

/** The state after the operation, or undefined where its answer is wrong in this state. */
function step(operation, state) {
  const { kind, value, expected, outcome } = operation;
  const isRefused = outcome === "refused";
  switch (kind) {
    case "write":
      return value;
    case "delete":
      return absent;
    case "create":
      return isRefused ? (state === absent ? undefined : state) : state === absent ? value : undefined;
    case "replace":
      return isRefused ? (state === expected ? undefined : state) : state === expected ? value : undefined;
    case "read":
      return state === value ? state : undefined;
    default:
      throw new Error(`no such operation: ${kind}`);
  }
}

/** Whether `operations`, begun in the state `before`, have an explanation. */
export function isExplained(before, operations) {
  const sorted = operations.toSorted((one, other) => one.start - other.start);
  const tried = new Set();
  /** `done`: a character for each operation. */
  const search = (done, state) => {
    let firstEnd = Infinity;
    for (let index = 0; index < sorted.length; index++) {
      const { end, outcome } = sorted[index];
      if (done[index] === "0" && outcome !== "unknown") firstEnd = Math.min(firstEnd, end);
    }
    if (firstEnd === Infinity) return true;
    const mark = `${done} ${state}`;
    if (tried.has(mark)) return false;
    tried.add(mark);
    for (let index = 0; index < sorted.length && sorted[index].start <= firstEnd; index++) {
      if (done[index] === "1") continue;
      const next = step(sorted[index], state);
      if (next === undefined) continue;
      if (search(`${done.slice(0, index)}1${done.slice(index + 1)}`, next)) return true;
    }
    return false;
  };
  return search("0".repeat(sorted.length), before);
}

export function describeOperations(before, operations) {
  const lines = operations
    .toSorted((one, other) => one.start - other.start)
    .map(({ kind, value, expected, start, end, outcome }) => {
      const times = `${start.toFixed(1)}–${end === Infinity ? "?" : end.toFixed(1)} ms`;
      const what = [kind, value, expected === undefined ? undefined : `if ${expected}`].filter(Boolean).join(" ");
      return `    ${times}: ${what}: ${outcome}`;
    });
  return [`    before: ${before}`, ...lines].join("\n");
}
