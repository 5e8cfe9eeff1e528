import fc from "fast-check";
import { expect, test } from "vitest";
import { VersionParser } from "./version-parser.ts";

const name = fc.oneof(
  fc.constantFrom("etag", "type", "meta", "__proto__", "", "0", "toString"),
  fc.string({ unit: "binary" }),
);
const leaf = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("d41d8cd98f00b204e9800998ecf8427e", 'a"b', "\\"),
  fc.maxSafeNat(),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
);
const { value: attributes } = fc.letrec<{ value: unknown; entry: unknown }>((tie) => ({
  value: fc.dictionary(name, tie("entry"), { maxKeys: 5 }),
  entry: fc.oneof({ weight: 4, arbitrary: leaf }, tie("value"), fc.array(leaf, { maxLength: 3 })),
}));
const number = fc.oneof(
  fc.nat(),
  fc.maxSafeNat(),
  fc.constantFrom(0, 1.5, -1, 999_999_999_999_999, 1_000_000_000_000_000),
);
const record = fc.record(
  { order: number, null: fc.constant(true), createdAt: number, object: number, size: number, attributes },
  { requiredKeys: ["order", "createdAt", "attributes"], noNullPrototype: true },
);

test("a record is what JSON.parse makes of it, whatever the one before was", () => {
  const property = fc.property(fc.array(record, { maxLength: 6 }), (records) => {
    const parser = new VersionParser();
    for (const each of records) {
      const text = JSON.stringify(each);
      expect(parser.parse("f", text)).toStrictEqual(JSON.parse(text));
    }
  });
  fc.assert(property, { numRuns: 500 });
});

test("a name that means something to objects is a name like any other", () => {
  const text =
    '{"order":0,"null":true,"createdAt":1,"object":2,"size":3,"attributes":{"meta":{"__proto__":{"x":"y"}}}}';
  const { meta } = new VersionParser().parse("f", text).attributes as { meta: object };
  expect(Object.getPrototypeOf(meta)).toBe(Object.prototype);
  expect(Object.keys(meta)).toEqual(["__proto__"]);
});

test("a text that ends early, goes on, or is no JSON is damage", () => {
  const text = '{"order":0,"null":true,"createdAt":1,"object":2,"size":3,"attributes":{"etag":"e","n":{"x":1}}}';
  const damaged = expect.objectContaining({ code: "DAMAGED" });
  for (let size = 0; size < text.length; size++) {
    expect(() => new VersionParser().parse("f", text.slice(0, size)), text.slice(0, size)).toThrow(damaged);
  }
  for (const bad of [
    `${text}}`,
    `${text}x`,
    text.replace("1}", "01}"),
    text.replace('"e"', "e"),
    text.replace(":1}", "1}"),
    text.replace(',"n"', '"n"'),
  ]) {
    expect(() => new VersionParser().parse("f", bad), bad).toThrow(damaged);
  }
});
