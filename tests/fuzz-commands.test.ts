/** Commands whose router answers otherwise, for a few seconds; `npm run test:long` takes longer. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandCase, CommandTarget } from "./support/fuzz-commands.ts";
import { commandCase } from "./support/fuzz-commands-changes.ts";
import { fuzz, regressions, Unhandled } from "./support/fuzz-run.ts";
import { Belongings } from "./support/store.ts";

const belongings = new Belongings();
const unhandled = new Unhandled();
let target: CommandTarget;

beforeAll(async () => {
  target = await CommandTarget.open(belongings, unhandled);
});
afterAll(async () => {
  await belongings.giveBack();
  unhandled.end();
});

describe("what was found once", () => {
  it.each(regressions<CommandCase>("commands"))("%s", async (_, found) => {
    await expect(target.check(found)).resolves.toBeUndefined();
  });
});

it("a router that has the key and answers anything: a right result or an error of ours, in time", async () => {
  expect(await fuzz(3, commandCase(target.recorded), (one) => target.check(one))).toBeGreaterThan(20);
});
