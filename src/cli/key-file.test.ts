import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fingerprintOf, formatKey, type Key, parseKey } from "../core/key.ts";
import { nodeRandom } from "../env/node-clock.ts";
import { makeKeyFile, readKeyFile } from "../env/node-key-file.ts";
import { serviceKey } from "./key-file.ts";
import { resolveSettings, type Settings } from "./settings.ts";

const hex = "000102030405060708090a0b0c0d0e0f";
const otherHex = "0f0e0d0c0b0a09080706050403020100";

let root: string;
beforeEach(async () => {
  root = await fs.mkdtemp(path.join(os.tmpdir(), "data-putter-key-"));
});
afterEach(() => fs.rm(root, { recursive: true, force: true }));

function settings(environment: { readonly [name: string]: string } = {}): Settings {
  const resolved = resolveSettings("router", { flags: {}, environment, readFile: () => "" });
  if (resolved.kind === "problems") throw new Error(resolved.problems.join());
  return resolved.settings;
}

describe("a key file", () => {
  it("is 32 hex digits and a newline for its owner only, and nothing else is left beside it", async () => {
    const file = path.join(root, "key");
    const key = await makeKeyFile(file, nodeRandom);
    expect(await fs.readFile(file, "utf8")).toBe(`${formatKey(key!)}\n`);
    if (process.platform !== "win32") expect((await fs.stat(file)).mode & 0o777).toBe(0o600);
    expect(await fs.readdir(root)).toEqual(["key"]);
  });

  it("is never replaced", async () => {
    const file = path.join(root, "key");
    await fs.writeFile(file, `${hex}\n`);
    expect(await makeKeyFile(file, nodeRandom)).toBeUndefined();
    expect(await fs.readFile(file, "utf8")).toBe(`${hex}\n`);
    expect(await fs.readdir(root)).toEqual(["key"]);
  });

  it("of many that make it at once, one does, and it is whole whenever it is seen", async () => {
    const file = path.join(root, "key");
    const made = await Promise.all(Array.from({ length: 20 }, () => makeKeyFile(file, nodeRandom)));
    const keys = made.filter((key): key is Key => key !== undefined);
    expect(keys).toHaveLength(1);
    expect(fingerprintOf((await readKeyFile(file))!.key)).toBe(fingerprintOf(keys[0]!));
  });

  it("that others can read is used, with a warning", async () => {
    const file = path.join(root, "key");
    await fs.writeFile(file, hex, { mode: 0o644 });
    const found = await readKeyFile(file);
    expect(formatKey(found!.key)).toBe(hex);
    if (process.platform !== "win32") expect(found!.notes).toEqual([expect.stringContaining("can be read by others")]);
  });

  it("with anything else in it is an error that does not repeat it", async () => {
    const file = path.join(root, "key");
    await fs.writeFile(file, "secret-but-wrong");
    const error = await readKeyFile(file).catch((thrown: unknown) => thrown as Error);
    expect((error as Error).message).toContain(file);
    expect((error as Error).message).not.toContain("secret");
  });
});

describe("the key of a service", () => {
  it("is made at the first start, in a directory that is made too, and found at the next", async () => {
    const place = path.join(root, "a", "b");
    const first = await serviceKey(settings(), place, nodeRandom);
    expect(first.notes).toEqual([expect.stringContaining("made a new key")]);
    const second = await serviceKey(settings(), place, nodeRandom);
    expect(fingerprintOf(second.key)).toBe(fingerprintOf(first.key));
    expect(second.notes).toEqual([]);
  });

  it("is not made where one is given", async () => {
    const { key } = await serviceKey(settings({ DATA_PUTTER_KEY: hex }), root, nodeRandom);
    expect(formatKey(key)).toBe(hex);
    expect(await fs.readdir(root)).toEqual([]);
  });

  it("is not made anew for data that has lost its own", async () => {
    await fs.writeFile(path.join(root, "data-putter.json"), "{}");
    await expect(serviceKey(settings(), root, nodeRandom)).rejects.toMatchObject({
      code: "INVALID",
      message: expect.stringContaining("holds data, but its key"),
    });
    expect(await fs.readdir(root)).toEqual(["data-putter.json"]);
  });

  it("that is given and is not the directory's is refused by both fingerprints", async () => {
    await fs.writeFile(path.join(root, "key"), hex, { mode: 0o600 });
    const error = (await serviceKey(settings({ DATA_PUTTER_KEY: otherHex }), root, nodeRandom).catch(
      (thrown: unknown) => thrown,
    )) as Error;
    expect(error).toMatchObject({ code: "WRONG_KEY" });
    for (const text of [hex, otherHex]) expect(error.message).toContain(fingerprintOf(parseKey(text, "test")));
  });

  it("must be where it is said to be", async () => {
    const given = settings({ DATA_PUTTER_KEY_FILE: path.join(root, "none") });
    await expect(serviceKey(given, root, nodeRandom)).rejects.toThrow(/DATA_PUTTER_KEY_FILE: there is no key file/);
  });
});
