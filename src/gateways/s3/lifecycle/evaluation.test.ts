/** When rules are due, of which versions: by table, and what holds of any. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ObjectId } from "../../../core/ids.ts";
import type { Version } from "../model.ts";
import { abortionOf, actionsFor, dueAfter, expirationOf } from "./evaluation.ts";
import type { Lifecycle, LifecycleRule } from "./rules.ts";

const day = 86_400_000;
const short = 1_000;
const start = Date.UTC(2026, 0, 10, 15, 30);

function rule(more: Partial<LifecycleRule>): LifecycleRule {
  return { id: "rule", enabled: true, filter: {}, form: "none", ...more };
}
const lifecycle = (...rules: Partial<LifecycleRule>[]): Lifecycle => ({
  rules: rules.map((each, index) => rule({ id: `rule${index}`, ...each })),
});

interface Made {
  readonly key?: string;
  readonly at?: number;
  readonly size?: number;
  readonly tags?: { readonly [key: string]: string };
  readonly marker?: boolean;
}
let count = 0;
function version({ key = "k", at = start, size = 10, tags, marker = false }: Made = {}, latest = true): Version {
  const name = String(count++).padStart(16, "0");
  return {
    bucket: "b",
    key,
    version: name,
    createdAt: at,
    size,
    latest,
    object: marker ? undefined : (`O${count}` as unknown as ObjectId),
    attributes: { etag: "x", ...(tags === undefined ? {} : { tags }) },
  } as unknown as Version;
}
/** Newest first; each older by so many days than the start says. */
const versions = (...made: Made[]): Version[] => made.map((each, index) => version(each, index === 0));
const kinds = (rules: Lifecycle, all: readonly Version[], now: number, dayMs = day): string[] =>
  actionsFor(rules, all, now, dayMs).map(({ kind, version: of }) => `${kind} ${all.indexOf(of)}`);

describe("days", () => {
  it("end at the midnight after they have passed", () => {
    expect(new Date(dueAfter(start, 1, day)).toISOString()).toBe("2026-01-12T00:00:00.000Z");
    expect(dueAfter(Date.UTC(2026, 0, 10), 1, day)).toBe(Date.UTC(2026, 0, 11));
  });

  it("that are shorter know no midnight", () => {
    expect(dueAfter(start, 3, short)).toBe(start + 3 * short);
  });

  it("are never over before they have passed, nor a day too late", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 1, max: 5000 }), (from, days) => {
        const late = dueAfter(from, days, day) - (from + days * day);
        expect(late).toBeGreaterThanOrEqual(0);
        expect(late).toBeLessThan(day);
      }),
    );
  });
});

describe("the newest version", () => {
  const expires = lifecycle({ expiration: { days: 1 } });

  it("expires when its days are over, not before", () => {
    const all = versions({});
    expect(kinds(expires, all, Date.UTC(2026, 0, 12) - 1)).toEqual([]);
    expect(kinds(expires, all, Date.UTC(2026, 0, 12))).toEqual(["expire 0"]);
  });

  it("expires at a date, whatever its age", () => {
    const dated = lifecycle({ expiration: { date: Date.UTC(2026, 0, 1) } });
    expect(kinds(dated, versions({}), start)).toEqual(["expire 0"]);
  });

  it("expires by the rule that is due first, which is named", () => {
    const rules = lifecycle(
      { expiration: { days: 9 } },
      { expiration: { days: 2 } },
      { enabled: false, expiration: { days: 1 } },
    );
    expect(expirationOf(rules, version(), short)).toEqual({ at: start + 2 * short, rule: "rule1" });
  });

  it.each([
    [{ prefix: "foo/" }, { key: "foo/bar" }, true],
    [{ prefix: "foo/" }, { key: "foo" }, false],
    [{ prefix: "" }, {}, true],
    [{ tags: { a: "b" } }, { tags: { a: "b", c: "d" } }, true],
    [{ tags: { a: "b" } }, { tags: { a: "c" } }, false],
    [{ tags: { a: "b", c: "d" } }, { tags: { a: "b" } }, false],
    [{ tags: { toString: "b" } }, {}, false],
    [{ largerThan: 10 }, { size: 10 }, false],
    [{ largerThan: 10 }, { size: 11 }, true],
    [{ smallerThan: 10 }, { size: 10 }, false],
    [{ smallerThan: 10 }, { size: 9 }, true],
    [{ prefix: "k", tags: { a: "b" }, largerThan: 1, smallerThan: 5 }, { size: 3, tags: { a: "b" } }, true],
    [{ prefix: "k", tags: { a: "b" }, largerThan: 1, smallerThan: 5 }, { size: 5, tags: { a: "b" } }, false],
  ])("is meant by %j if it is %j: %s", (filter, made, isMeant) => {
    const rules = lifecycle({ filter, expiration: { days: 1 } });
    expect(kinds(rules, versions(made), start + 5 * day)).toEqual(isMeant ? ["expire 0"] : []);
  });

  it("is left alone by a rule about delete markers or noncurrent versions", () => {
    const rules = lifecycle({ expiration: { markers: true } }, { noncurrent: { days: 1 } }, { abortDays: 1 });
    expect(kinds(rules, versions({}), start + 50 * day)).toEqual([]);
  });
});

describe("noncurrent versions", () => {
  const all = versions({ at: start + 9 * day }, { at: start + 5 * day }, { at: start + 4 * day }, { at: start });

  it("go so many days after they were replaced, not after they were made", () => {
    const rules = lifecycle({ noncurrent: { days: 2 } });
    expect(kinds(rules, all, start + 6 * day - 1)).toEqual([]);
    expect(kinds(rules, all, start + 8 * day)).toEqual(["remove 2", "remove 3"]);
    expect(kinds(rules, all, start + 12 * day)).toEqual(["remove 1", "remove 2", "remove 3"]);
  });

  it("are kept as far as newer ones are few", () => {
    const keep = (count: number): string[] =>
      kinds(lifecycle({ noncurrent: { days: 1, keep: count } }), all, start + 90 * day);
    expect(keep(1)).toEqual(["remove 2", "remove 3"]);
    expect(keep(2)).toEqual(["remove 3"]);
    expect(keep(3)).toEqual([]);
  });

  it("are judged by their own tags and size", () => {
    const rules = lifecycle({ filter: { tags: { a: "b" } }, noncurrent: { days: 1 } });
    const tagged = versions({ at: start + day }, { tags: { a: "b" } }, { at: start - day });
    expect(kinds(rules, tagged, start + 90 * day)).toEqual(["remove 1"]);
  });
});

describe("a delete marker", () => {
  const alone = versions({ marker: true });
  const onTop = versions({ marker: true, at: start + day }, {});

  it("goes when nothing is below it, where that is asked for or its days are over", () => {
    expect(kinds(lifecycle({ expiration: { markers: true } }), alone, start)).toEqual(["remove 0"]);
    expect(kinds(lifecycle({ expiration: { markers: false } }), alone, start + 90 * day)).toEqual([]);
    expect(kinds(lifecycle({ expiration: { days: 3 } }), alone, start + day)).toEqual([]);
    expect(kinds(lifecycle({ expiration: { days: 3 } }), alone, start + 4 * day)).toEqual(["remove 0"]);
    expect(kinds(lifecycle({ filter: { prefix: "x" }, expiration: { markers: true } }), alone, start)).toEqual([]);
  });

  it("stays while it hides something", () => {
    expect(kinds(lifecycle({ expiration: { markers: true } }), onTop, start + 90 * day)).toEqual([]);
    expect(kinds(lifecycle({ expiration: { days: 1 } }), onTop, start + 90 * day)).toEqual([]);
  });
});

describe("an upload", () => {
  it("is aborted by the first rule for its key", () => {
    const rules = lifecycle(
      { filter: { prefix: "a" }, abortDays: 5 },
      { filter: { prefix: "ab" }, abortDays: 2 },
      { filter: { prefix: "x" }, abortDays: 1 },
    );
    const upload = { key: "abc", createdAt: start };
    expect(abortionOf(rules, upload, short)).toEqual({ at: start + 2 * short, rule: "rule1" });
    expect(abortionOf(rules, { key: "b", createdAt: start }, short)).toBeUndefined();
    expect(abortionOf(lifecycle({ enabled: false, abortDays: 1 }), upload, short)).toBeUndefined();
  });
});

describe("whatever the rules and versions", () => {
  const anyRule = fc.record({
    enabled: fc.boolean(),
    filter: fc.constantFrom<LifecycleRule["filter"][]>(
      {},
      { prefix: "k" },
      { prefix: "z" },
      { tags: { a: "b" } },
      { largerThan: 5 },
    ),
    expiration: fc.constantFrom({ days: 1 }, { days: 5 }, { markers: true }, { date: start }),
    noncurrent: fc.record({ days: fc.integer({ min: 1, max: 9 }), keep: fc.integer({ min: 0, max: 3 }) }),
  });
  const anyVersions = fc.array(fc.record({ marker: fc.boolean(), size: fc.nat(9), age: fc.nat(20) }), {
    minLength: 1,
    maxLength: 6,
  });
  const made = (list: readonly { marker: boolean; size: number; age: number }[]): Version[] =>
    versions(
      ...list
        .map(({ marker, size, age }) => ({ marker, size, at: start - age * day }))
        .sort((one, other) => other.at - one.at),
    );

  it("nothing is named twice, only the newest expires, and what is due stays due", () => {
    fc.assert(
      fc.property(fc.array(anyRule, { maxLength: 4 }), anyVersions, fc.nat(40), (rules, list, days) => {
        const all = made(list);
        const now = start + days * day;
        const actions = kinds(lifecycle(...rules), all, now);
        expect(new Set(actions.map((each) => each.split(" ")[1])).size).toBe(actions.length);
        for (const action of actions) {
          if (action.startsWith("expire")) expect(action).toBe("expire 0");
          if (action === "remove 0") expect(all).toHaveLength(1);
        }
        expect(kinds(lifecycle(...rules), all, now + 3 * day)).toEqual(expect.arrayContaining(actions));
      }),
    );
  });

  it("disabled rules do nothing", () => {
    fc.assert(
      fc.property(fc.array(anyRule, { maxLength: 4 }), anyVersions, (rules, list) => {
        const off = lifecycle(...rules.map((each) => ({ ...each, enabled: false })));
        expect(kinds(off, made(list), start + 999 * day)).toEqual([]);
      }),
    );
  });
});
