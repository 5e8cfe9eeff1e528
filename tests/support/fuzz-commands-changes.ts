/** What can become of a router's recorded answers: another value, a field less, too many, too deep, another order. */
import fc from "fast-check";
import type { TicketsAnswer } from "../../src/wire/message.ts";
import type { CommandCase } from "./fuzz-commands.ts";

export type Part =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "error"; readonly code: string; readonly message: string }
  | ({ readonly kind: "tickets"; readonly data: Uint8Array; readonly sums: Uint8Array } & TicketsAnswer);

export type Path = readonly (string | number)[];

/** Of the answer to the request `call` of a command, counted from 0. */
export type AnswerChange = { readonly call: number } & (
  | { readonly how: "set"; readonly part: number; readonly path: Path; readonly value: unknown }
  | { readonly how: "leave out"; readonly part: number; readonly path: Path }
  /** A list with its items so many times; of other values, a list of them. */
  | { readonly how: "more"; readonly part: number; readonly path: Path; readonly times: number }
  | { readonly how: "nest"; readonly part: number; readonly path: Path; readonly depth: number }
  /** The part does not come, comes so many times, or last. */
  | { readonly how: "repeat"; readonly part: number; readonly times: number }
  | { readonly how: "last"; readonly part: number }
  /** Before this part. */
  | { readonly how: "say"; readonly part: number; readonly value: unknown }
  | { readonly how: "fail"; readonly part: number; readonly code: string; readonly message: string }
  | { readonly how: "tickets"; readonly part: number; readonly count: number; readonly take: number }
);

/**
 * Other tickets of the same size in all stay as they were: which of them an object is made of, and in what order, is for whoever
 * has the key to say.
 */
export function changedParts(parts: readonly Part[], changes: readonly AnswerChange[]): readonly Part[] {
  const now = changes.reduce(changedOnce, parts);
  const [wasTaken, isTaken] = [takenOf(parts), takenOf(now)];
  const isSame = isTaken.length === wasTaken.length && isTaken.every((part, index) => part === wasTaken[index]);
  return !isSame && sizeOf(isTaken) === sizeOf(wasTaken) ? parts : now;
}

type TakenPart = Extract<Part, { kind: "tickets" }>;

function takenOf(parts: readonly Part[]): TakenPart[] {
  return parts.filter((part) => part.kind === "tickets");
}

function sizeOf(parts: readonly TakenPart[]): number {
  return parts.reduce((sum, { take }) => sum + take, 0);
}

function changedOnce(parts: readonly Part[], change: AnswerChange): readonly Part[] {
  const at = Math.min(change.part, parts.length);
  const part = parts[at];
  const [before, after] = [parts.slice(0, at), parts.slice(at + 1)];
  switch (change.how) {
    case "repeat":
      return part === undefined ? parts : [...before, ...Array.from({ length: change.times }, () => part), ...after];
    case "last":
      return part === undefined ? parts : [...before, ...after, part];
    case "say":
      return [...before, { kind: "json", value: change.value }, ...parts.slice(at)];
    case "fail":
      return [...before, { kind: "error", code: change.code, message: change.message }];
    case "tickets": {
      const like = parts.find((one) => one.kind === "tickets");
      const [data, sums] = [like?.data ?? new Uint8Array(1_458), like?.sums ?? new Uint8Array(8)];
      const tickets = { first: like?.first ?? (7 as TicketsAnswer["first"]), count: change.count, skip: 0 };
      return [...before, { kind: "tickets", ...tickets, take: change.take, data, sums }, ...parts.slice(at)];
    }
    case "set":
    case "leave out":
    case "more":
    case "nest":
      if (part?.kind !== "json") return parts;
      return [...before, { kind: "json", value: changedValue(part.value, change.path, change) }, ...after];
    default:
      return parts;
  }
}

/** An answer that is much larger is refused by its size already. */
const sizeMax = 1_000_000;

type ValueChange = Extract<AnswerChange, { path: Path }>;

function changedValue(value: unknown, way: Path, change: ValueChange): unknown {
  const [name, ...rest] = way;
  if (name === undefined) return valueOf(value, change);
  if (typeof value !== "object" || value === null) return value;
  const leavesOut = change.how === "leave out" && rest.length === 0;
  if (Array.isArray(value)) {
    if (leavesOut) return value.filter((_, index) => index !== name);
    return value.map((item: unknown, index) => (index === name ? changedValue(item, rest, change) : item));
  }
  const entries = Object.entries(value).filter(([each]) => each !== name || !leavesOut);
  if (change.how === "set" && rest.length === 0 && !Object.hasOwn(value, name)) entries.push([String(name), null]);
  // By JSON, in which `__proto__` is a name like another one.
  const text = entries.map(([each, below]) => {
    return `${JSON.stringify(each)}:${JSON.stringify(each === name ? changedValue(below, rest, change) : below)}`;
  });
  return JSON.parse(`{${text.join()}}`);
}

function valueOf(value: unknown, change: ValueChange): unknown {
  switch (change.how) {
    case "set":
      return change.value;
    case "more": {
      const items: unknown[] = Array.isArray(value) ? value : [value];
      const times = Math.min(change.times, Math.ceil(sizeMax / (JSON.stringify(items).length + 1)));
      return Array.from({ length: items.length * times }, (_, index) => items[index % items.length]);
    }
    case "nest": {
      let text = JSON.stringify(value);
      for (let depth = 0; depth < change.depth; depth++) text = depth % 2 === 0 ? `[${text}]` : `{"a":${text}}`;
      return JSON.parse(text);
    }
    case "leave out":
      return null;
    default:
      return value;
  }
}

// ── cases ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const values: readonly unknown[] = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "1",
  "-1",
  "0.5",
  "1e300",
  "8640000000000001",
  "9007199254740991",
  "9007199254740992",
  "2901713047667",
  '""',
  '"1"',
  '"ZZZZZZZZ"',
  '"ZZZZZZZZZ"',
  '"error"',
  '"writing"',
  '"constructor"',
  '"a\\nb"',
  '"\\u001b[2J\\u0007\\r"',
  '"\\u009b2J\\u0085\\u202e\\u2028"',
  '"\\ud800"',
  `"${"x".repeat(5_000)}"`,
  "[]",
  "[null]",
  "[[[]]]",
  "{}",
  '{"__proto__":{"removed":true,"objects":[],"users":[],"more":true}}',
  '{"length":5,"map":null,"0":{}}',
  '{"toString":1,"valueOf":null,"constructor":{}}',
  '{"toJSON":"x"}',
].map((text) => JSON.parse(text) as unknown);

interface Place {
  readonly call: number;
  readonly part: number;
  readonly path: Path;
}

interface Answers {
  readonly parts: readonly Part[];
}

export function commandCase(recorded: ReadonlyMap<string, readonly Answers[]>): fc.Arbitrary<CommandCase> {
  return fc.constantFrom(...recorded.entries()).chain(([line, calls]) => {
    const places = calls.flatMap(({ parts }, call) => parts.flatMap((part, at) => placesIn(part, call, at)));
    const change = changeAt(fc.constantFrom(...places));
    return fc.record({ line: fc.constant(line), changes: fc.array(change, { minLength: 1, maxLength: 2 }) });
  });
}

function placesIn(part: Part, call: number, at: number): Place[] {
  const inside = (value: unknown, way: Path): Place[] => {
    const here = { call, part: at, path: way };
    if (typeof value !== "object" || value === null) return [here];
    const names = Array.isArray(value) ? [...value.keys()].slice(0, 3) : Object.keys(value);
    return [
      here,
      ...names.flatMap((name) => inside((value as Record<string | number, unknown>)[name], [...way, name])),
    ];
  };
  return part.kind === "json" ? inside(part.value, []) : [{ call, part: at, path: [] }];
}

function changeAt(places: fc.Arbitrary<Place>): fc.Arbitrary<AnswerChange> {
  const of = <Change extends object>(
    weight: number,
    shape: fc.Arbitrary<Change>,
  ): fc.WeightedArbitrary<AnswerChange> => ({
    weight,
    arbitrary: fc.tuple(places, shape).map(([place, change]) => {
      const whole = { ...place, ...change };
      if ("path" in whole && !["set", "leave out", "more", "nest"].includes((change as { how?: string }).how ?? "")) {
        const { path: _path, ...rest } = whole;
        return rest as unknown as AnswerChange;
      }
      return whole as unknown as AnswerChange;
    }),
  });
  return fc.oneof(
    of(10, fc.record({ how: fc.constant("set"), value: fc.constantFrom(...values) })),
    of(2, fc.record({ how: fc.constant("set"), value: fc.jsonValue() })),
    of(3, fc.record({ how: fc.constant("leave out") })),
    of(2, fc.record({ how: fc.constant("more"), times: fc.constantFrom(0, 2, 1_001, 130_000) })),
    of(1, fc.record({ how: fc.constant("nest"), depth: fc.constantFrom(1, 2, 17, 3_000) })),
    of(2, fc.record({ how: fc.constant("repeat"), times: fc.constantFrom(0, 2, 30) })),
    of(1, fc.record({ how: fc.constant("last") })),
    of(1, fc.record({ how: fc.constant("say"), value: fc.constantFrom(...values) })),
    of(
      1,
      fc.record({
        how: fc.constant("fail"),
        code: fc.constantFrom("INVALID", "NOT_FOUND", "CONFLICT", "DAMAGED", "WRONG_KEY", "toString", "UNAVAILABLE"),
        message: fc.constantFrom("m", "", "one\ntwo\n    at three", "\u001b[31m\u009b", "x".repeat(900_000)),
      }),
    ),
    of(
      1,
      fc
        .record({ how: fc.constant("tickets"), count: fc.constantFrom(0, 1), take: fc.constantFrom(0, 1) })
        .map((one) => ({
          ...one,
          take: Math.min(one.take, one.count),
        })),
    ),
  );
}
