/** Every file below --root changed, one at a time, for a few seconds; `npm run test:long` takes longer. */
import { mkdir, readFile, rename, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { StoreError } from "../src/core/errors.ts";
import { formatId } from "../src/core/ids.ts";
import { formatKey } from "../src/core/key.ts";
import { makeKeyFile, readKeyFile } from "../src/env/node-key-file.ts";
import { markerName, openDataDirectory } from "../src/volume/data-directory.ts";
import { fileKinds, type HeaderCase, headerCase, HeaderTarget } from "./support/fuzz-headers.ts";
import { fuzz, regressions } from "./support/fuzz-run.ts";
import { Belongings, patternOf, quietHost, sameBytes, savedObject } from "./support/store.ts";

const belongings = new Belongings();
let target: HeaderTarget;

beforeAll(async () => {
  target = await HeaderTarget.open(belongings);
});
afterAll(() => belongings.giveBack());

describe("what was found once", () => {
  it.each(regressions<HeaderCase>("headers"))("%s", async (_, found) => {
    await expect(target.check(found)).resolves.toBeUndefined();
  });
});

it("a store with any file changed starts and reads right or says what is wrong, or says why it does not start", async () => {
  expect(await fuzz(4, headerCase, (one) => target.check(one), 6)).toBeGreaterThan(5);
});

describe.each(["directory", "loop", "fifo"] as const)("a %s in the place of", (how) => {
  it.each(fileKinds.map((file) => [file]))("%s", async (file) => {
    await expect(target.check({ file, change: { how } })).resolves.toBeUndefined();
  });
});

it("verify names the tickets that lie where a directory is, and reads the others", async () => {
  const root = await belongings.directory();
  const first = await belongings.router({ root });
  const bytes = patternOf(3_000, 1);
  const { id } = await first.router.put(bytes, { kind: "standalone" }, {});
  await first.close();
  await rename(path.join(root, "sum"), path.join(root, "aside"));
  await mkdir(path.join(root, "sum"));
  const { router } = await belongings.router({ root });
  const object = await savedObject(router, formatId(id));
  const found = [];
  for await (const { damages } of router.verify(object)) found.push(...damages);
  expect(found.map(({ offset, kind }) => [offset, kind])).toEqual([0, 1_458, 2_916].map((at) => [at, "unreadable"]));
  const message = `${path.join(root, "sum")} is a directory, where a file must be`;
  await expect(router.get(object)).rejects.toMatchObject({ code: "DAMAGED", message });
  await rmdir(path.join(root, "sum"));
  await rename(path.join(root, "aside"), path.join(root, "sum"));
  expect(sameBytes(await router.get(object), bytes)).toBe(true);
});

it("any bit of the datastore's meta pages", async () => {
  const bit: fc.Arbitrary<HeaderCase> = fc.tuple(fc.nat(1), fc.nat(167), fc.nat(7)).map(([page, at, bit]) => ({
    file: "datastore",
    change: { how: "bytes", changes: [{ how: "flip", at: page * 4_096 + at, bit }] },
  }));
  expect(await fuzz(1, bit, (one) => target.check(one), 2)).toBeGreaterThan(1);
});

describe("every byte of a small file, each bit of it flipped, and cut off there", () => {
  /** `read` throws an error of ours that names the file, or tells what it read. */
  async function everyChange(file: string, read: () => Promise<string>): Promise<Map<string, number>> {
    const whole = await readFile(file);
    const outcomes = new Map<string, number>();
    for (let at = 0; at < whole.length; at++) {
      for (let bit = 0; bit <= 8; bit++) {
        const bytes = bit === 8 ? whole.subarray(0, at) : Buffer.from(whole);
        if (bit < 8) bytes[at]! ^= 1 << bit;
        await writeFile(file, bytes);
        const outcome = await read().catch((error: unknown) => {
          if (!(error instanceof StoreError) || !error.message.includes(file)) throw error;
          return error.code;
        });
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    }
    await writeFile(file, whole);
    return outcomes;
  }

  it("of data-putter.json: it is refused by its name, or means the same", async () => {
    const root = await belongings.directory();
    const { disk, random } = quietHost;
    const read = async (): Promise<string> => {
      const { lock, depth, id } = await openDataDirectory(disk, random, { root, depth: undefined, depthDefault: 2 });
      await lock.release();
      return `${depth} ${id}`;
    };
    const right = await read();
    const outcomes = await everyChange(path.join(root, markerName), read);
    expect([...outcomes.keys()].toSorted()).toEqual([right, "INCOMPATIBLE"].toSorted());
    // The end of the line, and the name of the check, without which it is one of an earlier version.
    expect(outcomes.get(right)).toBeLessThan(60);
  });

  it("of the key: it is refused by its name, or it is another key", async () => {
    const file = path.join(await belongings.directory(), "key");
    const key = formatKey((await makeKeyFile(file, quietHost.random))!);
    const outcomes = await everyChange(file, async () => formatKey((await readKeyFile(file))!.key));
    expect(outcomes.get("INVALID")).toBeGreaterThan(100);
    // The end of the line, and a letter that is small or large.
    expect(outcomes.get(key) ?? 0).toBeLessThan(50);
  });
});
