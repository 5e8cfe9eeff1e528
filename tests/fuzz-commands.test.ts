/** Commands whose router answers otherwise, for a few seconds; `npm run test:long` takes longer. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandCase, CommandTarget } from "./support/fuzz-commands.ts";
import { type PutCase, putCase, PutTarget } from "./support/fuzz-commands-put.ts";
import { commandCase } from "./support/fuzz-commands-changes.ts";
import { fuzz, regressions, Unhandled } from "./support/fuzz-run.ts";
import { Belongings } from "./support/store.ts";

const belongings = new Belongings();
const unhandled = new Unhandled();
let target: CommandTarget;
let putting: PutTarget;

beforeAll(async () => {
  putting = await PutTarget.open(belongings, unhandled);
  target = await CommandTarget.open(belongings, unhandled);
});
afterAll(async () => {
  await belongings.giveBack();
  unhandled.end();
});

describe("what was found once", () => {
  it.each(regressions<CommandCase | PutCase>("commands"))("%s", async (_, found) => {
    await expect("line" in found ? target.check(found) : putting.check(found)).resolves.toBeUndefined();
  });
});

it("a router that has the key and answers anything: a right result or an error of ours, in time", async () => {
  expect(await fuzz(3, commandCase(target.recorded), (one) => target.check(one), 21)).toBeGreaterThan(20);
});

it("put: stored is what was sent whole and then said to be", async () => {
  expect(await fuzz(0.8, putCase, (one) => putting.check(one), 11)).toBeGreaterThan(10);
});
