/**
 * Shapes of JSON answers: what another process says is taken only where it is what was agreed on, be it that the other
 * process is of another version, has a bug, or lies. A shape gives the value that it describes or throws PROTOCOL, which
 * names the place and the rule and not the value: that may be long, or nobody's business. Fields that a shape does not
 * know are left out, so that a newer side may say more.
 */
import { StoreError } from "../core/errors.ts";
import { parseId } from "../core/ids.ts";
import { printable } from "../core/printable.ts";

export type Shape<Value> = (value: unknown, place: string) => Value;

/** The value of an answer, as `shape` has it. */
export function readAnswer<Value>(operation: string, shape: Shape<Value>, value: unknown): Value {
  return shape(value, `the answer to ${operation}`);
}

/** Times that a Date can have, from 1970 on. */
const timeMsMax = 8_640_000_000_000_000;
/** Characters of a place that are told. */
const placeSizeMax = 200;

export const flag: Shape<boolean> = (value, place) => (typeof value === "boolean" ? value : other(place, "a boolean"));

/** A size, a count, an offset. */
export const whole: Shape<number> = (value, place) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : other(place, "a whole number, 0 or more");

/** Milliseconds since 1970. */
export const time: Shape<number> = (value, place) =>
  whole(value, place) <= timeMsMax ? (value as number) : other(place, "a time in milliseconds");

/** As it came, for what is compared, stored or quoted. */
export const text: Shape<string> = (value, place) => (typeof value === "string" ? value : other(place, "a text"));

/** For people: on one line, without what a terminal obeys. */
export const line: Shape<string> = (value, place) => printable(text(value, place));

/** The text of a TicketID or ObjectID. */
export const id: Shape<string> = (value, place) =>
  parseId(text(value, place)) === undefined ? other(place, "an id") : (value as string);

export function oneOf<Value extends string>(...values: readonly Value[]): Shape<Value> {
  return (value, place) => values.find((each) => each === value) ?? other(place, `one of ${values.join(", ")}`);
}

export function optional<Value>(shape: Shape<Value>): Shape<Value | undefined> {
  return (value, place) => (value === undefined ? undefined : shape(value, place));
}

/** null, where there is none. */
export function orNull<Value>(shape: Shape<Value>): Shape<Value | null> {
  return (value, place) => (value === null ? null : shape(value, place));
}

export function listOf<Value>(shape: Shape<Value>, countMax = Number.POSITIVE_INFINITY): Shape<Value[]> {
  return (value, place) => {
    if (!Array.isArray(value)) return other(place, "a list");
    if (value.length > countMax) return other(place, `a list of ${countMax} at most`);
    return value.map((item, index) => shape(item, `${place}[${index}]`));
  };
}

/** Every field of the type, those that can be left out by `optional`. */
export function fields<Value extends object>(shapes: {
  readonly [Name in keyof Value]-?: Shape<Value[Name]>;
}): Shape<Value> {
  const known = Object.entries(shapes) as [string, Shape<unknown>][];
  return (value, place) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return other(place, "an object");
    const read: { [name: string]: unknown } = {};
    for (const [name, shape] of known) {
      // What every object inherits was not said by anybody.
      const field = shape(Object.hasOwn(value, name) ? (value as typeof read)[name] : undefined, `${place}: ${name}`);
      if (field !== undefined) read[name] = field;
    }
    return read as Value;
  };
}

/** Anything that is not nested deeper than this: what walks through it has an end. */
export function tree(depthMax: number): Shape<unknown> {
  const walk = (value: unknown, place: string, depth: number): void => {
    if (typeof value !== "object" || value === null) return;
    if (depth === 0) other(place, `nested ${depthMax} deep at most`);
    for (const below of Object.values(value)) walk(below, place, depth - 1);
  };
  return (value, place) => {
    walk(value, place, depthMax);
    return value;
  };
}

function other(place: string, rule: string): never {
  throw new StoreError("PROTOCOL", `${printable(place, placeSizeMax)}: must be ${rule}`);
}
