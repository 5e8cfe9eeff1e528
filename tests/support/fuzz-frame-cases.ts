/** What the fuzzers of frames are fed with. */
import fc from "fast-check";
import { type AskedCase, type ByteStreamCase, operations, type StreamCase, type TappedCase } from "./fuzz-frames.ts";
import { byteChange } from "./fuzz-run.ts";
import { tapChange } from "./fuzz-tap.ts";

const pieces = fc.oneof(
  { weight: 3, arbitrary: fc.constant([1_000_000]) },
  fc.array(fc.integer({ min: 100, max: 5_000 }), { minLength: 1, maxLength: 4 }),
  fc.constant([1474]),
  fc.constant([7, 1]),
);

export const streamCase: fc.Arbitrary<StreamCase> = fc.record({
  connection: fc.nat(20),
  splice: fc.option(fc.record({ connection: fc.nat(20), at: fc.nat(30_000) }), { nil: null, freq: 2 }),
  changes: fc.array(byteChange, { maxLength: 4 }),
  pieces: pieces.map((sizes) => (sizes[0] === 7 ? [701, 133] : sizes)),
});

export const byteStreamCase: fc.Arbitrary<ByteStreamCase> = fc.record({
  size: fc.oneof(fc.nat(20), fc.nat(5_000), fc.constantFrom(1457, 1458, 1459, 2916, 262_144, 1_000_000)),
  seed: fc.nat(1_000),
  pieces: fc.array(fc.integer({ min: 500, max: 200_000 }), { minLength: 1, maxLength: 4 }),
  ending: fc.oneof(
    { weight: 20, arbitrary: fc.constant("end" as const) },
    { weight: 16, arbitrary: fc.constant("reset" as const) },
    { weight: 1, arbitrary: fc.constant("silence" as const) },
  ),
});

export const tappedCase: fc.Arbitrary<TappedCase> = fc.record({
  asked: fc.array(fc.constantFrom(...operations), { minLength: 1, maxLength: 6 }),
  changes: fc.array(tapChange(8), { minLength: 1, maxLength: 3 }),
});

const asked = fc.array(fc.constantFrom("put", "get", "get", "large", "space"), { minLength: 1, maxLength: 5 });
export const clusterCase: fc.Arbitrary<TappedCase> = fc.record({
  asked,
  changes: fc.array(tapChange(6), { minLength: 1, maxLength: 3 }),
});

const number = fc.oneof(
  { weight: 5, arbitrary: fc.nat(20) },
  fc.nat(3_000_000),
  fc.constantFrom(
    2_901_713_047_666,
    2_901_713_047_667,
    2_901_713_047_668,
    2 ** 53 - 1,
    2 ** 53,
    2 ** 63,
    2 ** 64 - 2048,
  ),
);
const operation = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...operations, "userrm", "sserot", "read", "reclaim", "space", "hello") },
  fc.stringMatching(/^[a-z\0é]{0,8}$/),
);
const name = fc.constantFrom("x", "", "a b", "\u0000", "__proto__", "n".repeat(300), "root", 'q"', "é");
const body = fc.oneof(
  { weight: 4, arbitrary: fc.constant("") },
  { weight: 3, arbitrary: fc.record({ name }).map((value) => JSON.stringify(value)) },
  {
    weight: 3,
    arbitrary: fc
      .record(
        {
          name: fc.oneof(name, fc.jsonValue()),
          email: fc.oneof(name, fc.jsonValue()),
          buckets: fc.jsonValue(),
          readOnly: fc.jsonValue(),
          accessKey: fc.oneof(name, fc.jsonValue()),
          secret: fc.oneof(name, fc.jsonValue()),
          account: fc.oneof(name, fc.jsonValue()),
        },
        { requiredKeys: [] },
      )
      .map((value) => JSON.stringify(value)),
  },
  fc.jsonValue().map((value) => JSON.stringify(value)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  fc.constantFrom("[".repeat(100_000), "x".repeat(1_048_577), '{"name":'),
);

export const askedCases: fc.Arbitrary<readonly AskedCase[]> = fc.array(
  fc.record({ operation, numbers: fc.tuple(number, number, number), body }),
  { minLength: 1, maxLength: 4 },
);
