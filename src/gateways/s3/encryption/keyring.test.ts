import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { encryptionKeyBelievedMs } from "../../../core/limits.ts";
import type { Datastore } from "../../../datastore/datastore.ts";
import { openEmbedded } from "../../../datastore/embedded.ts";
import { nodeClock, nodeRandom } from "../../../env/node-clock.ts";
import { nodeDisk } from "../../../env/node-disk.ts";
import { silentLog } from "../../../env/node-log.ts";
import { Sealing } from "../auth/sealing.ts";
import { defaultKeyName, Keyring, ownKeyName } from "./keyring.ts";

let directory: string;
let datastore: Datastore;
let time = 0;
const clock = { ...nodeClock, now: () => 1_000_000 + time, monotonic: () => time };
const sealing = new Sealing(Buffer.alloc(16, 1), nodeRandom);
const open = (with_ = sealing) => Keyring.open({ datastore, sealing: with_, random: nodeRandom, clock });

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "keyring-"));
  datastore = await openEmbedded({ directory, disk: nodeDisk, clock: nodeClock, durability: "os", log: silentLog });
});
beforeEach(async () => {
  for (const { name } of await datastore.listEntries("encryption-key")) {
    await datastore.removeEntry("encryption-key", name);
  }
});
afterAll(async () => {
  await datastore.close();
  await rm(directory, { recursive: true, force: true });
});

test("a key is there from when it was added, and only once", async () => {
  const keyring = open();
  expect(await keyring.wrapping("k")).toBeUndefined();
  expect(await keyring.add("k")).toEqual({
    name: "k",
    createdAt: 1_000_000 + time,
    version: 1,
    rotatedAt: 1_000_000 + time,
  });
  expect((await keyring.wrapping("k"))?.version).toBe(1);
  await expect(keyring.add("k")).rejects.toMatchObject({ code: "CONFLICT" });
  await expect(keyring.rotate("other")).rejects.toMatchObject({ code: "NOT_FOUND" });
});

test("after rotation, the new version wraps and the old one still unwraps, also in another process", async () => {
  const [one, other] = [open(), open()];
  await one.add("k");
  const first = (await other.wrapping("k"))!;
  await one.rotate("k");
  const second = (await one.wrapping("k"))!;
  expect([first.version, second.version]).toEqual([1, 2]);
  expect(second.key.equals(first.key)).toBe(false);
  // Not noticed yet for what is new, and at once for what was wrapped with it.
  expect((await other.wrapping("k"))?.version).toBe(1);
  expect((await other.unwrapping("k", 2)).equals(second.key)).toBe(true);
  expect((await other.unwrapping("k", 1)).equals(first.key)).toBe(true);
  await one.rotate("k");
  time += encryptionKeyBelievedMs;
  expect((await other.wrapping("k"))?.version).toBe(3);
});

test("what is known is there without waiting", async () => {
  const keyring = open();
  await keyring.add("k");
  await keyring.wrapping("k");
  expect(keyring.wrapping("k")).not.toBeInstanceOf(Promise);
  expect(keyring.unwrapping("k", 1)).not.toBeInstanceOf(Promise);
});

test("the store's own keys are made once, when they are first used, by however many at once", async () => {
  const keyrings = [open(), open(), open()];
  const found = await Promise.all([...keyrings, ...keyrings].map(async (keyring) => keyring.wrapping(ownKeyName)));
  for (const each of found) expect(each?.key.equals(found[0]!.key)).toBe(true);
  expect((await open().wrapping(defaultKeyName))?.version).toBe(1);
  expect((await open().list()).map(({ name }) => name)).toEqual([defaultKeyName, ownKeyName]);
  expect((await open().rotate(ownKeyName)).version).toBe(2);
});

test("a version that is not there is damage, not another key", async () => {
  const keyring = open();
  await keyring.add("k");
  await expect(keyring.unwrapping("k", 2)).rejects.toMatchObject({ code: "DAMAGED" });
  await expect(keyring.unwrapping("none", 1)).rejects.toMatchObject({ code: "DAMAGED" });
});

test("the datastore alone gives no key away", async () => {
  await open().add("k");
  const key = (await open().wrapping("k"))!.key.export();
  const kept = JSON.stringify(await datastore.getEntry("encryption-key", "k"));
  expect(kept).not.toContain(key.toString("base64").slice(0, 20));
  const thief = open(new Sealing(Buffer.alloc(16, 2), nodeRandom));
  await expect(thief.wrapping("k")).rejects.toMatchObject({ code: "WRONG_KEY" });
});

test.each(["", "é", "a b", "-a", "a:b", "x".repeat(129), "aws/mine", "data-putter/x", "alias/x"])(
  "nothing is called %j",
  async (name) => {
    await expect(open().add(name)).rejects.toMatchObject({ code: "INVALID" });
  },
);
