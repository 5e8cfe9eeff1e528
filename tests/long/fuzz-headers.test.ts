/** tests/fuzz-headers.test.ts for longer; and every bit of the datastore's meta pages, as many as there is time for. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type HeaderCase, headerCase, HeaderTarget } from "../support/fuzz-headers.ts";
import { fuzz } from "../support/fuzz-run.ts";
import { Belongings } from "../support/store.ts";

const belongings = new Belongings();
let target: HeaderTarget;

beforeAll(async () => {
  target = await HeaderTarget.open(belongings);
});
afterAll(() => belongings.giveBack());

it("a store with any file changed starts and reads right or says what is wrong, or says why it does not start", async () => {
  expect(await fuzz(20, headerCase, (one) => target.check(one))).toBeGreaterThan(20);
});

it("any bit of the datastore's meta pages", async () => {
  const bit: fc.Arbitrary<HeaderCase> = fc.tuple(fc.nat(1), fc.nat(167), fc.nat(7)).map(([page, at, bit]) => ({
    file: "datastore",
    change: { how: "bytes", changes: [{ how: "flip", at: page * 4_096 + at, bit }] },
  }));
  expect(await fuzz(20, bit, (one) => target.check(one))).toBeGreaterThan(20);
});
