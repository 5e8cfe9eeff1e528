import { createSecretKey } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { nodeRandom } from "../../../env/node-clock.ts";
import { type Binding, unwrapKey, wrapKey, wrappingVersionOf } from "./key-wrap.ts";

const key = createSecretKey(Buffer.alloc(32, 7));
const binding: Binding = { mode: "SSE-KMS", name: "payroll", context: "eyJhIjoiYiJ9" };
const dataKey = nodeRandom.bytes(32);

/** Deterministic, for the vector. */
const counting = { bytes: (size: number) => Uint8Array.from({ length: size }, (_, index) => index) };

test("the format does not change", () => {
  const wrapped = wrapKey(counting, { key, version: 3 }, binding, Buffer.alloc(32, 9));
  expect(wrapped).toBe(vector);
  expect(unwrapKey(key, binding, vector)).toEqual(Buffer.alloc(32, 9));
});
const vector = "AQAAAAMAAQIDBAUGBwgJCgsRiOB5FADQQH677JXrUWXz6DW/hxFrfjgfx2qzh95kDMZB52CCQ8Aey/VFXkvJEXY=";

test("what was wrapped opens, and says under which version", () => {
  const wrapped = wrapKey(nodeRandom, { key, version: 4_000_000_000 }, binding, dataKey);
  expect(wrappingVersionOf(wrapped)).toBe(4_000_000_000);
  expect(unwrapKey(key, binding, wrapped)).toEqual(Buffer.from(dataKey));
});

test("any flipped bit is refused, and so is any other length", () => {
  const wrapped = Buffer.from(wrapKey(nodeRandom, { key, version: 1 }, binding, dataKey), "base64");
  fc.assert(
    fc.property(fc.integer({ min: 0, max: wrapped.length * 8 - 1 }), (bit) => {
      const changed = Buffer.from(wrapped);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(unwrapKey(key, binding, changed.toString("base64"))).toBeUndefined();
    }),
    { numRuns: 520 },
  );
  for (const text of [
    "",
    "!",
    wrapped.subarray(0, 64).toString("base64"),
    Buffer.concat([wrapped, Buffer.alloc(1)]).toString("base64"),
  ]) {
    expect(unwrapKey(key, binding, text)).toBeUndefined();
  }
});

test("another key, mode, name or context does not open it", () => {
  const wrapped = wrapKey(nodeRandom, { key, version: 1 }, binding, dataKey);
  expect(unwrapKey(createSecretKey(Buffer.alloc(32, 8)), binding, wrapped)).toBeUndefined();
  expect(unwrapKey(key, { ...binding, mode: "SSE-S3" }, wrapped)).toBeUndefined();
  expect(unwrapKey(key, { ...binding, name: "payrol" }, wrapped)).toBeUndefined();
  expect(unwrapKey(key, { ...binding, context: undefined }, wrapped)).toBeUndefined();
});
