/** Requests by grammar and by mutation, for a few seconds; for a minute in tests/long. What was found once is replayed. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fuzzBytes, fuzzGrammar } from "./support/s3-fuzz-runs.ts";
import { type FuzzRequest, S3Target } from "./support/s3-fuzz.ts";
import { Belongings } from "./support/store.ts";

const belongings = new Belongings();
let target: S3Target;

beforeAll(async () => {
  target = await S3Target.open(belongings);
});
afterAll(() => belongings.giveBack());

interface Regression {
  readonly what: string;
  readonly requests: readonly FuzzRequest[];
}
const regressions = JSON.parse(readFileSync(new URL("regressions/s3.json", import.meta.url), "utf8")) as Regression[];

describe("what was found once", () => {
  it.each(regressions.map(({ what, requests }) => [what, requests] as const))("%s", async (_, requests) => {
    for (const request of requests) expect(await target.problem(request)).toBeUndefined();
  });
});

it("any request is answered, in S3's words, and the store stays whole", async () => {
  expect(await fuzzGrammar(target, 3_000)).toBeGreaterThan(0);
});

it("any bytes are answered or the connection closed", async () => {
  expect(await fuzzBytes(target, 2_500)).toBeGreaterThan(0);
});
