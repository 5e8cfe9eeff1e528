import { afterAll, beforeAll, expect, test } from "vitest";
import type { Attributes, Datastore } from "./datastore.ts";
import { refused, type Fixture, type OpenFixture } from "./fixture.contract.ts";

export function registryFacts(open: OpenFixture): void {
  let fixture: Fixture;
  let datastore: Datastore;
  beforeAll(async () => {
    fixture = await open();
    datastore = fixture.datastore;
  });
  afterAll(() => fixture.close());

  test("an entry is what was saved last, until it is removed", async () => {
    expect(await datastore.getEntry("account", "a")).toBeUndefined();
    await datastore.saveEntry("account", "a", { x: 1, list: [null, { deep: "é" }] });
    expect(await datastore.getEntry("account", "a")).toEqual({ x: 1, list: [null, { deep: "é" }] });
    await datastore.saveEntry("account", "a", {});
    expect(await datastore.getEntry("account", "a")).toEqual({});
    expect(await datastore.removeEntry("account", "a")).toBe(true);
    expect(await datastore.removeEntry("account", "a")).toBe(false);
    expect(await datastore.getEntry("account", "a")).toBeUndefined();
  });

  test("entries are listed in order of name, each registry by itself", async () => {
    for (const name of ["b", "é", "a", "a/b", "ab"]) await datastore.saveEntry("access-key", name, { name });
    await datastore.saveEntry("account", "a", { other: true });
    const listed = await datastore.listEntries("access-key");
    expect(listed.map((entry) => entry.name)).toEqual(["a", "a/b", "ab", "b", "é"]);
    for (const { name, attributes } of listed) expect(attributes).toEqual({ name });
    expect(await datastore.listEntries("account")).toEqual([{ name: "a", attributes: { other: true } }]);
    expect(await datastore.listEntries("encryption-key")).toEqual([]);
  });

  test("what is there is replaced only where it is what was expected", async () => {
    await datastore.saveEntry("encryption-key", "k", { n: 1, m: 2 }, null);
    await refused(datastore.saveEntry("encryption-key", "k", { n: 9 }, null), "CONFLICT");
    await refused(datastore.saveEntry("encryption-key", "k", { n: 9 }, { n: 1 }), "CONFLICT");
    await refused(datastore.saveEntry("encryption-key", "other", { n: 9 }, { n: 1 }), "CONFLICT");
    expect(await datastore.getEntry("encryption-key", "k")).toEqual({ n: 1, m: 2 });
    await datastore.saveEntry("encryption-key", "k", { n: 3 }, { m: 2, n: 1 });
    expect(await datastore.getEntry("encryption-key", "k")).toEqual({ n: 3 });
    await refused(datastore.saveEntry("encryption-key", "k", {}, { n: 1, m: 2 }), "CONFLICT");
    expect(await datastore.getEntry("encryption-key", "other")).toBeUndefined();
  });

  test("of many who make or change an entry at once, one does", async () => {
    const clients = [datastore, fixture.second ?? datastore];
    const attempt = async (client: Datastore, entry: Attributes, expected: Attributes | null) => {
      await client.saveEntry("account", "race", entry, expected);
      return entry;
    };
    let expected: Attributes | null = null;
    for (let round = 0; round < 3; round++) {
      const before = expected;
      const attempts = Array.from({ length: 20 }, (_, by) => attempt(clients[by % 2]!, { round, by }, before));
      const winners: Attributes[] = [];
      for (const result of await Promise.allSettled(attempts)) {
        if (result.status === "fulfilled") winners.push(result.value);
      }
      expect(winners).toHaveLength(1);
      expected = winners[0]!;
      expect(await datastore.getEntry("account", "race")).toEqual(expected);
    }
  });

  test("several entries change together, or none of them", async () => {
    const entry = (name: string, attributes: Attributes | undefined, expected?: Attributes | null) =>
      ({ registry: "account", name, attributes, ...(expected === undefined ? {} : { expected }) }) as const;
    await datastore.changeEntries([entry("m1", { v: 1 }, null), entry("m2", { v: 2 }, null), entry("m3", { v: 3 })]);
    const partly = [entry("m1", { v: 9 }, { v: 1 }), entry("m2", undefined, { v: 9 }), entry("m4", {}, null)];
    await refused(datastore.changeEntries(partly), "CONFLICT");
    expect(await datastore.getEntry("account", "m1")).toEqual({ v: 1 });
    expect(await datastore.getEntry("account", "m4")).toBeUndefined();
    await datastore.changeEntries([entry("m1", undefined, { v: 1 }), entry("m2", { v: 2 }, { v: 2 }), entry("m4", {})]);
    const left = (await datastore.listEntries("account")).filter(({ name }) => name.startsWith("m"));
    expect(left.map(({ name }) => name)).toEqual(["m2", "m3", "m4"]);
    await datastore.changeEntries([entry("never", undefined)]);
  });

  test("names that no entry can have are refused", async () => {
    await refused(datastore.saveEntry("account", "", {}), "INVALID");
    await refused(datastore.saveEntry("account", "a\0b", {}), "INVALID");
    await refused(datastore.getEntry("account", "x".repeat(256)), "INVALID");
    await refused(datastore.removeEntry("account", "\ud800"), "INVALID");
    await datastore.saveEntry("account", "x".repeat(255), {});
    expect(await datastore.getEntry("account", "x".repeat(255))).toEqual({});
  });
}
