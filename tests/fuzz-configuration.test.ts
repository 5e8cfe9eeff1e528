/** Flags, variables and configuration files by chance, for a few seconds; `npm run test:long` takes longer. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as rules from "../src/cli/option-rules.ts";
import { formatAddress, parseAddress } from "../src/core/address.ts";
import { bombs, checkConfiguration, type ConfigurationCase, configurationCase } from "./support/fuzz-configuration.ts";
import { fuzz, regressions } from "./support/fuzz-run.ts";

describe("what was found once", () => {
  it.each(regressions<ConfigurationCase>("configuration"))("%s", (_, found) => {
    expect(() => checkConfiguration(found)).not.toThrow();
  });

  it.each(bombs.map((file) => [file.slice(0, 30), file] as const))(
    "a file made to be long in reading: %j",
    (_, file) => {
      expect(() => checkConfiguration({ command: "router", flags: {}, environment: {}, file })).not.toThrow();
    },
  );
});

it("any configuration is one that keeps all rules, or is refused with where, what rule and what value", async () => {
  expect(await fuzz(4, configurationCase, checkConfiguration, 101)).toBeGreaterThan(100);
});

describe("parsers", () => {
  const anyText = fc.oneof(fc.string({ unit: "binary", maxLength: 60 }), fc.stringMatching(/^[[\]0-9a-z:.%-]{0,30}$/));

  it("whole numbers: what is taken is digits, within its bounds, and the number that they say", () => {
    const bounds = fc.tuple(fc.nat(), fc.nat()).map(([one, other]) => [Math.min(one, other), Math.max(one, other)]);
    const texts = fc.oneof(anyText, fc.integer().map(String), fc.bigInt().map(String), fc.nat(70_000).map(String));
    fc.assert(
      fc.property(bounds, texts, ([min, max], text) => {
        const value = rules.wholeNumber(min!, max!).parse(text);
        const means = /^[0-9]{1,16}$/.test(text) ? BigInt(text) : -1n;
        expect(value).toBe(means >= BigInt(min!) && means <= BigInt(max!) ? Number(means) : undefined);
      }),
      { numRuns: 2_000 },
    );
  });

  it("addresses: what is taken is written the same way again, and is a host and a port to anybody", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          fc.tuple(anyText, fc.nat(70_000)).map((both) => both.join(":")),
        ),
        (text) => {
          const value = rules.address.parse(text);
          if (value === undefined) return;
          expect(parseAddress(formatAddress(value), "again")).toEqual(value);
          expect(value.port > 0 && value.port <= 65_535).toBe(true);
          expect(value.host).toMatch(/^[\w.-]+$|^[0-9a-fA-F:.]+(%[\w.-]+)?$/);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it("every rule answers any text, by a value or by undefined, and in time", () => {
    const all = Object.entries(rules).flatMap(([name, rule]): [string, rules.Rule<unknown>][] => {
      return typeof rule === "object" ? [[name, rule]] : [];
    });
    expect(all.length).toBeGreaterThan(15);
    const long = fc.tuple(fc.constantFrom("a", "a,", "a:1,", "0", ".", "-", "[", "@", " "), fc.nat(50_000));
    const texts = fc.oneof(
      { weight: 5, arbitrary: anyText },
      long.map(([part, times]) => part.repeat(times)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const start = performance.now();
        for (const [name, { parse }] of all) {
          parse(text);
          if (performance.now() - start > 5_000) throw new Error(`${name} takes too long`);
        }
      }),
      { numRuns: 150 },
    );
  });
});
