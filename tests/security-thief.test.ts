/**
 * What a thief of the disk, the datastore, a backup or the key gets: the second half of docs/security.md. Secrets are planted in a
 * store, its directory is copied, and the copy is searched, and opened with the wrong key and with the right one.
 */
import { createHash, randomBytes } from "node:crypto";
import { cp, readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunningRouter } from "../src/compose/router-process.ts";
import { Sealing } from "../src/gateways/s3/auth/sealing.ts";
import { Keyring } from "../src/gateways/s3/encryption/keyring.ts";
import { RedisServer, hasRedisServer } from "./support/redis-server.ts";
import { redisCli } from "./support/redis-client.ts";
import { type Headers, S3Endpoint } from "./support/s3-endpoint.ts";
import type { SignerKeys } from "./support/s3-signer.ts";
import { Belongings, eventually, otherKey, quietHost, testKey } from "./support/store.ts";

const belongings = new Belongings();
const withRedis = hasRedisServer();
const sse = "x-amz-server-side-encryption";
const customerKey = randomBytes(32);
const customer: Headers = {
  [`${sse}-customer-algorithm`]: "AES256",
  [`${sse}-customer-key`]: customerKey.toString("base64"),
  [`${sse}-customer-key-md5`]: createHash("md5").update(customerKey).digest("base64"),
};
/** How each object is stored, and read. */
const modes: { readonly [name: string]: readonly [write: Headers, read: Headers] } = {
  plain: [{}, {}],
  "sse-s3": [{ [sse]: "AES256" }, {}],
  "sse-kms": [{ [sse]: "aws:kms", [`${sse}-aws-kms-key-id`]: "payroll" }, {}],
  dsse: [{ [sse]: "aws:kms:dsse" }, {}],
  "sse-c": [customer, customer],
};
const encrypted = Object.keys(modes).filter((name) => name !== "plain");
const contents = Object.fromEntries(Object.keys(modes).map((name) => [name, randomBytes(3000)]));
const alice: SignerKeys = { accessKey: "alice-access-key", secretKey: "alices-planted-secret" };
const rootKeys: SignerKeys = { accessKey: "tester", secretKey: "testers-secret" };

/** What a store of any kind is filled with. */
async function fill(s3: S3Endpoint): Promise<void> {
  const { accounts, gateway } = s3.running;
  const { datastore } = gateway!.services;
  const sealing = new Sealing(testKey, quietHost.random);
  const keyring = new Keyring({ datastore, sealing, random: quietHost.random, clock: quietHost.clock });
  await keyring.add("payroll");
  await accounts.add({ name: "alice", ...alice });
  await s3.bucket("planted-bucket");
  for (const [name, [write]] of Object.entries(modes)) {
    const headers = { ...write, "x-amz-meta-note": "planted-note" };
    const { status } = await s3.ask("PUT", `/planted-bucket/planted-${name}`, headers, contents[name]);
    expect([name, status]).toEqual([name, 200]);
  }
}

/** Everything that must never lie anywhere, as it is and as text. */
function secrets(): Buffer[] {
  const keys = [testKey, customerKey].map((key) => Buffer.from(key));
  const texts = keys.flatMap((key) => [Buffer.from(key.toString("hex")), Buffer.from(key.toString("base64"))]);
  return [...keys, ...texts, Buffer.from(alice.secretKey), Buffer.from(rootKeys.secretKey)];
}

const pieceOf = (name: string): Buffer => contents[name]!.subarray(100, 164);

async function filesBelow(directory: string): Promise<{ readonly name: string; readonly bytes: Buffer }[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  return Promise.all(
    files.map(async (file) => ({ name: path.relative(directory, file), bytes: await readFile(file) })),
  );
}

async function found(directory: string, needle: Buffer | string): Promise<boolean> {
  return (await filesBelow(directory)).some(({ bytes }) => bytes.includes(needle));
}

/** A copy of the directory as a thief or a backup has it; sockets are no files. */
async function copyOf(root: string): Promise<string> {
  const copy = path.join(await belongings.directory(), "copy");
  await cp(root, copy, { recursive: true, filter: (file) => path.basename(file) !== "lock" });
  return copy;
}

async function ask(
  s3: S3Endpoint,
  name: string,
  headers: Headers,
  keys: SignerKeys = rootKeys,
): Promise<[number, boolean]> {
  const { status, bytes } = await s3.ask("GET", `/planted-bucket/planted-${name}`, headers, undefined, keys);
  return [status, bytes.includes(pieceOf(name))];
}

/** False, where something was gone just then. */
function missing(error: NodeJS.ErrnoException): boolean {
  if (error.code !== "ENOENT") throw error;
  return false;
}

let stolen: string;

beforeAll(async () => {
  // With --key-file: the key is not below --root.
  const root = await belongings.directory();
  const s3 = await S3Endpoint.open(belongings, { root, snapshots: { intervalMs: 100 } });
  await fill(s3);
  // A snapshot in the making gets its name while one looks.
  const isTaken = async (): Promise<boolean> => found(path.join(root, "snapshots"), "planted-sse-c");
  await eventually(async () => isTaken().catch(missing));
  await s3.running.close();
  stolen = await copyOf(root);
});
afterAll(() => belongings.giveBack());

describe("who has the disk without the key file", () => {
  it("reads plain objects, names and metadata, as they lie there", async () => {
    expect(await found(stolen, pieceOf("plain"))).toBe(true);
    for (const name of ["planted-bucket", "planted-plain", "planted-sse-c", "planted-note", "alice", alice.accessKey]) {
      expect([name, await found(path.join(stolen, "datastore"), name)]).toEqual([name, true]);
    }
  });

  it("finds no encrypted object, no key and no secret in any file", async () => {
    expect((await filesBelow(stolen)).map(({ name }) => name)).not.toContain("key");
    for (const name of encrypted) expect([name, await found(stolen, pieceOf(name))]).toEqual([name, false]);
    for (const secret of secrets())
      expect([secret.toString("latin1"), await found(stolen, secret)]).toEqual([secret.toString("latin1"), false]);
  });

  it("gets nothing out of it with a router and another key: no object verifies, nobody's secret opens", async () => {
    const thief = { accessKey: "thief", secretKey: "thiefs-secret" };
    const s3 = await S3Endpoint.open(belongings, { root: await copyOf(stolen), key: otherKey, rootKeys: thief });
    for (const [name, [, read]] of Object.entries(modes)) {
      const [status, isThere] = await ask(s3, name, read, thief);
      expect([name, status >= 400, isThere]).toEqual([name, true, false]);
    }
    expect((await ask(s3, "plain", {}, alice))[0]).toBeGreaterThanOrEqual(400);
    await expect(open(await copyOf(stolen))).rejects.toMatchObject({ code: "WRONG_KEY" });
  });

  /** As root of old, whose secret is sealed. */
  async function open(root: string): Promise<RunningRouter> {
    return belongings.router({ root, key: otherKey, s3: { port: 0 } });
  }
});

describe("who has the key file too", () => {
  it("has everything but what lies under customers' keys", async () => {
    const s3 = await S3Endpoint.open(belongings, { root: await copyOf(stolen) });
    for (const name of ["plain", "sse-s3", "sse-kms", "dsse"]) expect(await ask(s3, name, {})).toEqual([200, true]);
    expect(await ask(s3, "sse-c", {})).toEqual([400, false]);
    const wrong = randomBytes(32);
    const md5 = createHash("md5").update(wrong).digest("base64");
    const guess = { ...customer, [`${sse}-customer-key`]: wrong.toString("base64"), [`${sse}-customer-key-md5`]: md5 };
    expect(await ask(s3, "sse-c", guess)).toEqual([403, false]);
    expect((await s3.running.accounts.find(alice.accessKey))?.secretKey).toBe(alice.secretKey);
  });
});

describe("who has the datastore alone", () => {
  it("has names, metadata and sealed secrets, and no byte of an object: its file, snapshots and journals", async () => {
    const datastore = path.join(await copyOf(stolen), "datastore");
    const snapshots = path.join(stolen, "snapshots");
    expect((await filesBelow(snapshots)).map(({ name }) => path.extname(name))).toContain(".mdb");
    for (const place of [datastore, snapshots]) {
      expect(await found(place, "planted-note")).toBe(true);
      for (const hidden of [...Object.keys(modes).map(pieceOf), ...secrets()])
        expect(await found(place, hidden)).toBe(false);
    }
  });

  it.skipIf(!withRedis)("has no more where that is Redis", async () => {
    const redis = await RedisServer.start();
    belongings.add(() => redis.stop());
    const s3 = await S3Endpoint.open(belongings, { datastore: { kind: "redis", url: redis.url } });
    await fill(s3);
    expect(await redisCli(redis.url, "HGETALL", "data-putter:data")).toContain("planted-note");
    expect(await found(redis.directory, "planted-note")).toBe(true);
    for (const hidden of [...Object.keys(modes).map(pieceOf), ...secrets()]) {
      expect(await found(redis.directory, hidden)).toBe(false);
    }
  });

  it("and can write to it, is root for S3: only secrets and bytes are bound to the key", async () => {
    const root = await copyOf(stolen);
    const s3 = await S3Endpoint.open(belongings, { root });
    const { datastore } = s3.running.gateway!.services;
    expect(await ask(s3, "plain", {}, alice)).toEqual([403, false]);
    const record = (await datastore.getEntry("access-key", alice.accessKey))!;
    await datastore.saveEntry("access-key", "mallory", { ...record, user: "mallory" }, null);
    // A sealed secret opens for its own access key only.
    const mallory = { ...alice, accessKey: "mallory" };
    expect((await s3.ask("GET", "/", {}, undefined, alice)).status).toBe(200);
    expect((await s3.ask("GET", "/", {}, undefined, mallory)).status).not.toBe(200);
    const ofRoot = (await datastore.getEntry("access-key", rootKeys.accessKey))!;
    const promoted = { ...record, account: ofRoot["account"]!, root: true };
    await datastore.saveEntry("access-key", alice.accessKey, promoted, record);
    await s3.running.close();
    const again = await S3Endpoint.open(belongings, { root });
    expect(await ask(again, "plain", {}, alice)).toEqual([200, true]);
  });
});

describe("what is removed", () => {
  it("is not wiped: its bytes stay in obj until their volume is reclaimed", async () => {
    const root = await copyOf(stolen);
    const s3 = await S3Endpoint.open(belongings, { root });
    expect((await s3.ask("DELETE", "/planted-bucket/planted-plain")).status).toBe(204);
    expect((await ask(s3, "plain", {}))[0]).toBe(404);
    expect(await found(root, pieceOf("plain"))).toBe(true);
  });

  it("comes back with an old copy of the datastore: users and their keys too", async () => {
    const root = await copyOf(stolen);
    const before = path.join(await copyOf(root), "datastore");
    const s3 = await S3Endpoint.open(belongings, { root });
    await s3.running.accounts.remove("alice");
    expect(await s3.refusal("GET", "/", {}, undefined, alice)).toEqual([403, "InvalidAccessKeyId"]);
    await s3.running.close();
    for (const name of ["datastore", "snapshots"]) await rm(path.join(root, name), { recursive: true });
    await cp(before, path.join(root, "datastore"), { recursive: true });
    const again = await S3Endpoint.open(belongings, { root });
    expect((await again.ask("GET", "/", {}, undefined, alice)).status).toBe(200);
  });
});
