/** tests/s3-fuzz.test.ts for a minute, half of it each. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { fuzzBytes, fuzzGrammar } from "../support/s3-fuzz-runs.ts";
import { S3Target } from "../support/s3-fuzz.ts";
import { Belongings } from "../support/store.ts";

const belongings = new Belongings();
let target: S3Target;

beforeAll(async () => {
  target = await S3Target.open(belongings);
});
afterAll(() => belongings.giveBack());

it("any request is answered, in S3's words, and the store stays whole", async () => {
  expect(await fuzzGrammar(target, 30_000, 200)).toBeGreaterThan(200);
});

it("any bytes are answered or the connection closed", async () => {
  expect(await fuzzBytes(target, 30_000, 1_001)).toBeGreaterThan(1_000);
});
