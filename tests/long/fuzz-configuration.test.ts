/** tests/fuzz-configuration.test.ts for longer, and the same through the command line as a process. */
import { expect, it } from "vitest";
import { checkConfiguration, configurationCase } from "../support/fuzz-configuration.ts";
import { fuzz } from "../support/fuzz-run.ts";

it("any configuration is one that keeps all rules, or is refused with where, what rule and what value", async () => {
  expect(await fuzz(20, configurationCase, checkConfiguration)).toBeGreaterThan(500);
});
