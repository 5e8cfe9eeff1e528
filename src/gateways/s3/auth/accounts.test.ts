import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../../core/errors.ts";
import { parseKey } from "../../../core/key.ts";
import { accountCacheMs, unknownAccountsCachedMax } from "../../../core/limits.ts";
import type { Datastore } from "../../../datastore/datastore.ts";
import { openEmbedded } from "../../../datastore/embedded.ts";
import { nodeClock } from "../../../env/node-clock.ts";
import { nodeHost } from "../../../env/node-host.ts";
import { silentLog } from "../../../env/node-log.ts";
import type { NewUser } from "./account-rules.ts";
import { type AccessKey, Accounts } from "./accounts.ts";

const key = parseKey("000102030405060708090a0b0c0d0e0f", "test");
const otherKey = parseKey("0f0e0d0c0b0a09080706050403020100", "test");

let directory: string;
let datastore: Datastore;
let monotonicMs = 0;
const plainHost = nodeHost(silentLog);
const host = { ...plainHost, clock: { ...nodeClock, now: () => 1_000, monotonic: () => monotonicMs } };
let accounts: Accounts;
/** Another process. */
let others: Accounts;
/** Reads of the datastore by `accounts`, and what they wait for before they answer. */
let readCount = 0;
let answersHeld: Promise<void> | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "accounts-"));
});
afterAll(async () => {
  await datastore.close();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  await datastore?.close();
  await rm(directory, { recursive: true, force: true });
  const options = { directory, clock: nodeClock, durability: "os", log: silentLog, disk: host.disk } as const;
  datastore = await openEmbedded(options);
  const counted = new Proxy(datastore, {
    get(target, name) {
      if (name === "getEntry") {
        return async (...asked: Parameters<Datastore["getEntry"]>) => {
          readCount++;
          const held = answersHeld;
          const found = await target.getEntry(...asked);
          await held;
          return found;
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  accounts = await Accounts.open({ datastore: counted, host, key });
  others = await Accounts.open({ datastore, host, key });
});

async function refused(promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  const error = expect.objectContaining({ code, message: expect.stringMatching(message) as string });
  await expect(promise).rejects.toEqual(error);
}

describe("root", () => {
  it("is made once, with keys that clients take", async () => {
    const { accessKey, created } = await accounts.ensureRoot();
    expect(created).toBe(true);
    expect(accessKey).toMatchObject({ user: "root", root: true, readOnly: false, buckets: undefined });
    expect(accessKey.account).toMatchObject({ name: "root", email: undefined, createdAt: 1_000 });
    expect(accessKey.account.id).toMatch(/^[0-9a-f]{64}$/);
    expect(accessKey.accessKey).toMatch(/^[A-Z0-9]{20}$/);
    expect(accessKey.secretKey).toMatch(/^[A-Za-z0-9]{40}$/);
    expect(await others.ensureRoot()).toEqual({ accessKey, created: false });
    expect(await others.find(accessKey.accessKey)).toEqual(accessKey);
  });

  it("of many processes that begin at once, one makes it and all have it", async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, async () => (await Accounts.open({ datastore, host, key })).ensureRoot()),
    );
    expect(all.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(all.map(({ accessKey }) => accessKey.accessKey + accessKey.account.id)).size).toBe(1);
  });

  it("has the keys that are given, from when they are; its account stays", async () => {
    const first = await accounts.ensureRoot({ accessKey: "minioadmin", secretKey: "minioadmin" });
    expect(first).toMatchObject({ created: true, accessKey: { accessKey: "minioadmin", secretKey: "minioadmin" } });
    const newSecret = await accounts.ensureRoot({ accessKey: "minioadmin", secretKey: "another/secret+" });
    expect(newSecret).toMatchObject({ created: false, accessKey: { secretKey: "another/secret+" } });
    expect(await accounts.find("minioadmin")).toEqual(newSecret.accessKey);
    const renamed = await accounts.ensureRoot({ accessKey: "ROOT", secretKey: "secret" });
    expect(renamed.accessKey.account).toEqual(first.accessKey.account);
    expect(await accounts.find("minioadmin")).toBeUndefined();
    expect(await accounts.find("ROOT")).toEqual(renamed.accessKey);
    expect(await accounts.ensureRoot()).toEqual({ accessKey: renamed.accessKey, created: false });
    expect(await accounts.list()).toHaveLength(1);
  });

  it("takes both keys or none, and no access key of somebody else", async () => {
    await refused(accounts.ensureRoot({ accessKey: "abc" }), "INVALID", /both or none/);
    await refused(accounts.ensureRoot({ secretKey: "abcd" }), "INVALID", /both or none/);
    await refused(accounts.ensureRoot({ accessKey: "a/b", secretKey: "abcd" }), "INVALID", /access key: .*"a\/b"/);
    const secret = "s p a c e";
    await refused(accounts.ensureRoot({ accessKey: "abc", secretKey: secret }), "INVALID", /^(?!.*s p a c e).*secret/);
    await accounts.ensureRoot();
    await accounts.add({ name: "alice", accessKey: "ALICE" });
    await refused(accounts.ensureRoot({ accessKey: "ALICE", secretKey: "abcd" }), "CONFLICT", /user alice has it/);
    expect((await accounts.find("ALICE"))?.user).toBe("alice");
  });

  it("does not open under another key of the store", async () => {
    await accounts.ensureRoot();
    const strange = await Accounts.open({ datastore, host, key: otherKey });
    await refused(strange.ensureRoot(), "WRONG_KEY", /does not open/);
    expect((await accounts.ensureRoot()).created).toBe(false);
  });

  it("cannot be removed", async () => {
    await accounts.ensureRoot();
    await refused(accounts.remove("root"), "CONFLICT", /root cannot be removed/);
    expect(await accounts.list()).toHaveLength(1);
  });
});

describe("a user", () => {
  beforeEach(async () => {
    await accounts.ensureRoot({ accessKey: "ROOT", secretKey: "root" });
  });

  it("without limits is an account of its own", async () => {
    const alice = await accounts.add({ name: "alice", email: "Alice@Example.com" });
    expect(alice).toMatchObject({ user: "alice", readOnly: false, buckets: undefined, root: false });
    expect(alice.account).toMatchObject({ name: "alice", email: "Alice@Example.com", createdAt: 1_000 });
    expect(alice.account.id).not.toBe((await accounts.accountByName("root"))?.id);
    expect(await accounts.find(alice.accessKey)).toEqual(alice);
    expect(await accounts.accountById(alice.account.id)).toEqual(alice.account);
    expect(await accounts.accountByName("alice")).toEqual(alice.account);
    expect(await accounts.accountByEmail("alice@example.COM")).toEqual(alice.account);
  });

  it("with limits has a key within root's account, or within one that is named", async () => {
    const root = (await accounts.accountByName("root"))!;
    const { account } = await accounts.add({ name: "alice" });
    const viewer = await accounts.add({ name: "viewer", readOnly: true });
    expect(viewer).toMatchObject({ account: root, readOnly: true, buckets: undefined });
    const backup = await accounts.add({ name: "backup", buckets: ["photos", "mail"] });
    expect(backup).toMatchObject({ account: root, readOnly: false, buckets: ["photos", "mail"] });
    const both = await accounts.add({ name: "both", readOnly: true, buckets: ["photos"], account: "alice" });
    expect(both).toMatchObject({ account, readOnly: true, buckets: ["photos"] });
    const second = await accounts.add({ name: "second", account: "alice" });
    expect(second).toMatchObject({ account, readOnly: false, buckets: undefined });
    for (const made of [viewer, backup, both, second]) expect(await others.find(made.accessKey)).toEqual(made);
    expect(await accounts.accountByName("viewer")).toBeUndefined();
    await refused(accounts.add({ name: "x", account: "viewer" }), "NOT_FOUND", /account viewer does not exist/);
  });

  it("can be given its keys", async () => {
    const given = await accounts.add({ name: "alice", accessKey: "test", secretKey: "h7Gh/xu+TrQ==" });
    expect(given).toMatchObject({ accessKey: "test", secretKey: "h7Gh/xu+TrQ==" });
    expect(await others.find("test")).toEqual(given);
  });

  it("takes nobody's name, address or key", async () => {
    await accounts.add({ name: "alice", email: "a@example.com", accessKey: "ALICE" });
    await refused(accounts.add({ name: "alice" }), "CONFLICT", /user alice exists/);
    await refused(accounts.add({ name: "root" }), "CONFLICT", /user root exists/);
    await refused(accounts.add({ name: "bob", email: "A@EXAMPLE.com" }), "CONFLICT", /email A@EXAMPLE\.com/);
    await refused(accounts.add({ name: "bob", accessKey: "ALICE" }), "CONFLICT", /access key ALICE: user alice has it/);
    await accounts.add({ name: "helper", account: "alice" });
    await accounts.remove("alice");
    await refused(accounts.add({ name: "alice" }), "CONFLICT", /account alice exists/);
    expect((await accounts.add({ name: "alice", account: "alice" })).account.email).toBe("a@example.com");
  });

  it.each<[Partial<NewUser>, RegExp]>([
    [{ name: "" }, /^name: 1 to 64 .*, not ""$/],
    [{ name: "x".repeat(65) }, /^name: 1 to 64/],
    [{ name: "a b" }, /^name: .*not "a b"$/],
    [{ name: "a/b" }, /^name: .*not "a\/b"$/],
    [{ email: "nobody" }, /^email: .*not "nobody"$/],
    [{ email: "a@b@c" }, /^email: /],
    [{ email: "a@example.com", readOnly: true }, /^email: an account has one/],
    [{ account: "a b" }, /^account: .*not "a b"$/],
    [{ buckets: [] }, /^buckets: 1 to 100 of them, not 0$/],
    [{ buckets: ["a/b"] }, /^bucket: .*not "a\/b"$/],
    [{ buckets: Array.from({ length: 101 }, (_, index) => `bucket-${index}`) }, /^buckets: .*not 101$/],
    [{ accessKey: "a/bc" }, /^access key: .*not "a\/bc"$/],
    [{ accessKey: "ab" }, /^access key: 3 to 128/],
    [{ secretKey: "sec ret" }, /^secret key: 4 to 128 (?!.*sec ret)/],
  ])("%j breaks a rule, which is told", async (wrong, message) => {
    await refused(accounts.add({ name: "fine", ...wrong }), "INVALID", message);
    expect(await accounts.list()).toHaveLength(1);
  });

  it("of many who take the same name at once, one has it, and nothing is left of the others", async () => {
    const add = (index: number) => (index % 2 === 0 ? accounts : others).add({ name: "race", email: "r@example.com" });
    const results = await Promise.allSettled(Array.from({ length: 10 }, (_, index) => add(index)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "CONFLICT" });
    }
    expect(await datastore.listEntries("access-key")).toHaveLength(2);
    expect(await datastore.listEntries("account")).toHaveLength(3 + 4);
  });

  it("many can be added to one account at once, and removed again", async () => {
    const names = Array.from({ length: 8 }, (_, index) => `u${index}`);
    const before = await datastore.listEntries("account");
    await Promise.all(names.map((name) => accounts.add({ name, readOnly: true })));
    expect(await accounts.list()).toHaveLength(9);
    const removed = await Promise.all(names.map((name, index) => (index < 4 ? accounts : others).remove(name)));
    expect(removed).toEqual(names.map(() => true));
    expect(await datastore.listEntries("account")).toEqual(before);
  });

  it("that is removed is gone, with its account when it was the last one", async () => {
    const before = [await datastore.listEntries("account"), await datastore.listEntries("access-key")];
    const alice = await accounts.add({ name: "alice", email: "a@example.com" });
    const viewer = await accounts.add({ name: "viewer", account: "alice", readOnly: true });
    expect(await accounts.remove("alice")).toBe(true);
    expect(await accounts.find(alice.accessKey)).toBeUndefined();
    expect(await accounts.find(viewer.accessKey)).toEqual(viewer);
    expect(await accounts.remove("viewer")).toBe(true);
    expect(await accounts.accountById(alice.account.id)).toBeUndefined();
    expect(await accounts.accountByEmail("a@example.com")).toBeUndefined();
    expect([await datastore.listEntries("account"), await datastore.listEntries("access-key")]).toEqual(before);
    expect(await accounts.remove("alice")).toBe(false);
    expect(await accounts.remove("no such/name")).toBe(false);
  });

  it("that is the last of an account with buckets stays", async () => {
    const { account } = await accounts.add({ name: "alice" });
    await accounts.add({ name: "second", account: "alice" });
    for (let index = 0; index < 12; index++) {
      await datastore.createBucket(`bucket-${10 + index}`, { owner: account.id }, 1);
    }
    await datastore.createBucket("not-hers", { owner: (await accounts.accountByName("root"))!.id }, 1);
    expect(await accounts.remove("second")).toBe(true);
    await refused(accounts.remove("alice"), "CONFLICT", /owns buckets: bucket-10, .*bucket-19, and 2 more$/);
    for (const { name } of await datastore.listBuckets()) await datastore.deleteBucket(name);
    expect(await accounts.remove("alice")).toBe(true);
  });

  it("is listed without its secret", async () => {
    await accounts.add({ name: "alice", accessKey: "ALICE", secretKey: "alice-secret" });
    await accounts.add({ name: "viewer", accessKey: "VIEWER", readOnly: true });
    const listed = await accounts.list();
    expect(listed.map(({ user, accessKey }) => [user, accessKey])).toEqual([
      ["alice", "ALICE"],
      ["root", "ROOT"],
      ["viewer", "VIEWER"],
    ]);
    expect(listed[0]).toMatchObject({ account: { name: "alice" }, createdAt: 1_000 });
    expect(JSON.stringify(listed)).not.toMatch(/secret/i);
  });

  it("has its secret sealed in the datastore", async () => {
    await accounts.add({ name: "alice", accessKey: "ALICE", secretKey: "alice-secret" });
    const stored = JSON.stringify([await datastore.listEntries("account"), await datastore.listEntries("access-key")]);
    expect(stored).not.toContain("alice-secret");
    expect(stored).not.toContain(Buffer.from("alice-secret").toString("base64"));
    const entry = (await datastore.getEntry("access-key", "ALICE"))!;
    await datastore.saveEntry("access-key", "MALLORY", entry);
    await refused(Promise.resolve(accounts.find("MALLORY")), "WRONG_KEY", /^(?!.*alice-secret).*does not open/);
  });
});

describe("a look-up", () => {
  let alice: AccessKey;
  beforeEach(async () => {
    await others.ensureRoot();
    alice = await others.add({ name: "alice" });
    readCount = 0;
  });

  it("that is known waits for nothing, and gives the same object while nothing changes", async () => {
    const found = await accounts.find(alice.accessKey);
    expect(found).toEqual(alice);
    const reads = readCount;
    expect(accounts.find(alice.accessKey)).toBe(found);
    expect(accounts.accountById(alice.account.id)).toBe(found!.account);
    expect(readCount).toBe(reads);
    monotonicMs += accountCacheMs;
    const again = accounts.find(alice.accessKey);
    expect(again).toBeInstanceOf(Promise);
    expect(await again).toBe(found);
    expect(readCount).toBeGreaterThan(reads);
  });

  it("is believed for a while where another process changes something", async () => {
    const found = await accounts.find(alice.accessKey);
    await others.remove("alice");
    monotonicMs += accountCacheMs - 1;
    expect(accounts.find(alice.accessKey)).toBe(found);
    monotonicMs += 1;
    expect(await accounts.find(alice.accessKey)).toBeUndefined();
    expect(accounts.find(alice.accessKey)).toBeUndefined();
  });

  it("sees at once what was changed through the same instance", async () => {
    expect(await accounts.find("LATER")).toBeUndefined();
    const later = await accounts.add({ name: "later", accessKey: "LATER" });
    expect(await accounts.find("LATER")).toEqual(later);
    await accounts.find(alice.accessKey);
    await accounts.remove("alice");
    expect(await accounts.find(alice.accessKey)).toBeUndefined();
  });

  it("that was under way when something changed is not believed", async () => {
    const viewer = await accounts.add({ name: "viewer", account: "alice", readOnly: true });
    let release!: () => void;
    answersHeld = new Promise((resolve) => (release = resolve));
    const slow = accounts.find(viewer.accessKey);
    answersHeld = undefined;
    await accounts.remove("viewer");
    release();
    // It began before, so that either answer is right for it; for those that begin now only one is.
    expect(await slow).toEqual(viewer);
    expect(await accounts.find(viewer.accessKey)).toBeUndefined();
  });

  it("of one key by many at once is one look-up", async () => {
    const all = await Promise.all(Array.from({ length: 100 }, async () => accounts.find(alice.accessKey)));
    expect(new Set(all).size).toBe(1);
    expect(readCount).toBe(2);
  });

  it("of what is not there is remembered too, but not without end", async () => {
    await accounts.find(alice.accessKey);
    for (let index = 0; index < unknownAccountsCachedMax + 10; index++) await accounts.find(`UNKNOWN${index}`);
    const reads = readCount;
    expect(accounts.find(`UNKNOWN${unknownAccountsCachedMax}`)).toBeUndefined();
    expect(accounts.find(alice.accessKey)).toEqual(alice);
    expect(readCount).toBe(reads);
    expect(await accounts.find("UNKNOWN0")).toBeUndefined();
    expect(readCount).toBe(reads + 1);
  });

  it("of what cannot be there asks nobody", () => {
    for (const text of ["", "a", "a/b", "x".repeat(129), "a\0b"]) expect(accounts.find(text)).toBeUndefined();
    for (const text of ["", "ab", "F".repeat(64)]) expect(accounts.accountById(text)).toBeUndefined();
    expect(readCount).toBe(0);
  });
});
