/** What is taken from another process, and what is said of what is not. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StoreError } from "../core/errors.ts";
import { printable, printableJson } from "../core/printable.ts";
import {
  fields,
  flag,
  id,
  line,
  listOf,
  oneOf,
  optional,
  orNull,
  readAnswer,
  text,
  time,
  tree,
  whole,
} from "./answer-shape.ts";

interface Sample {
  readonly name: string;
  readonly shown: string;
  readonly size: number;
  readonly at?: number;
  readonly kind: "one" | "other";
  readonly list: readonly boolean[];
  readonly nothing: string | null;
}

const sample = fields<Sample>({
  name: text,
  shown: line,
  size: whole,
  at: optional(time),
  kind: oneOf("one", "other"),
  list: listOf(flag, 2),
  nothing: orNull(id),
});
const right = { name: "n\u001b", shown: "s", size: 5, kind: "one", list: [true], nothing: null };

describe("a shape", () => {
  it("gives what it knows, without what it does not", () => {
    expect(readAnswer("ask", sample, { ...right, more: 1 })).toEqual(right);
    expect(readAnswer("ask", sample, { ...right, at: 0, shown: "a\nb\u009b" })).toEqual({
      ...right,
      at: 0,
      shown: "a?b?",
    });
  });

  it.each([
    [null, "the answer to ask: must be an object"],
    [[], "the answer to ask: must be an object"],
    [{ ...right, size: -1 }, "the answer to ask: size: must be a whole number, 0 or more"],
    [{ ...right, size: 2 ** 53 }, "the answer to ask: size: must be a whole number, 0 or more"],
    [{ ...right, at: 8.64e15 + 1 }, "the answer to ask: at: must be a time in milliseconds"],
    [{ ...right, kind: "constructor" }, "the answer to ask: kind: must be one of one, other"],
    [{ ...right, list: [true, 1] }, "the answer to ask: list[1]: must be a boolean"],
    [{ ...right, list: [true, true, true] }, "the answer to ask: list: must be a list of 2 at most"],
    [{ ...right, list: { length: 0 } }, "the answer to ask: list: must be a list"],
    [{ ...right, nothing: "ZZZZZZZZZ" }, "the answer to ask: nothing: must be an id"],
    [JSON.parse('{"__proto__":{"name":"n"}}'), "the answer to ask: name: must be a text"],
  ])("refuses %j, by the place and the rule", (value, message) => {
    const reading = (): unknown => readAnswer("ask", sample, value);
    expect(reading).toThrow(new StoreError("PROTOCOL", message));
  });

  it("gives the value or PROTOCOL, whatever it is given", () => {
    const check = (value: unknown): void => {
      try {
        readAnswer("ask", sample, value);
      } catch (error) {
        expect(error).toMatchObject({ name: "StoreError", code: "PROTOCOL" });
      }
    };
    fc.assert(fc.property(fc.jsonValue(), check));
  });

  it("of a tree bounds its depth", () => {
    expect(tree(2)([[1]], "it")).toEqual([[1]]);
    expect(() => tree(2)([[[1]]], "it")).toThrow("it: must be nested 2 deep at most");
  });
});

describe("text for people", () => {
  // oxlint-disable-next-line no-control-regex
  const obeyed = /[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

  it("has nothing that a terminal obeys, and in JSON is the same value", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (said) => {
        expect(printable(said)).not.toMatch(obeyed);
        expect(printableJson({ said })).not.toMatch(obeyed);
        expect(JSON.parse(printableJson({ said }))).toEqual({ said });
      }),
    );
  });

  it("leaves letters of all languages as they are, and says where it was cut", () => {
    expect(printable("Grüße, 世界 🙂")).toBe("Grüße, 世界 🙂");
    expect(printable("abcdef", 3)).toBe("abc…");
  });
});
