/** Digests of Node, where they arrive and by threads, against node:crypto and the check values of the CRC catalogue. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as limits from "../core/limits.ts";
import type { DigestAlgorithm, Digests } from "./digests.ts";
import { openNodeDigests } from "./node-digests.ts";

const every: readonly DigestAlgorithm[] = ["md5", "sha1", "sha256", "crc32", "crc32c", "crc64nvme"];
const check = Buffer.from("123456789");
const large = limits.digestAwaySizeMin;

let digests: Digests;
beforeEach(async () => void (digests = await openNodeDigests()));
afterEach(() => digests.close());

const hex = (results: ReadonlyMap<DigestAlgorithm, Uint8Array>): { [name: string]: string } =>
  Object.fromEntries([...results].map(([name, bytes]) => [name, Buffer.from(bytes).toString("hex")]));

function expected(bytes: Uint8Array): { [name: string]: string } {
  const sums = ["md5", "sha1", "sha256"].map((name) => [name, createHash(name).update(bytes).digest("hex")]);
  const crcs = (["crc32c", "crc64nvme"] as const).map((name) => [
    name,
    Buffer.from(digests.once(name, bytes)).toString("hex"),
  ]);
  return Object.fromEntries([...sums, ...crcs, ["crc32", crc32(bytes).toString(16).padStart(8, "0")]]);
}

function patternOf(size: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let index = 0; index < size; index++) bytes[index] = (index * 31 + seed * 17 + (index >> 8)) & 0xff;
  return bytes;
}

test("check values", async () => {
  const values = {
    md5: "25f9e794323b453885f5181f1b624d0b",
    sha1: "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    sha256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    crc32: "cbf43926",
    crc32c: "e3069283",
    crc64nvme: "ae8b14860a799888",
  };
  expect(
    Object.fromEntries(every.map((name) => [name, Buffer.from(digests.once(name, check)).toString("hex")])),
  ).toEqual(values);
  for (const sizeHint of [9, 100, undefined, large]) {
    const digest = digests.open(every, sizeHint);
    await digest.update(check);
    expect(hex(await digest.finish())).toEqual(values);
  }
});

test.each([0, 10, undefined, large])("of nothing, where %s bytes were announced", async (sizeHint) => {
  expect(hex(await digests.open(every, sizeHint).finish())).toEqual(expected(new Uint8Array(0)));
});

test("many at a time, in pieces, interleaved, are each their own", async () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1, maxLength: 20 });
  const bodies = fc.array(fc.record({ sizes, isLarge: fc.boolean() }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(bodies, async (all) => {
      const running = all.map(({ sizes, isLarge }, seed) => ({
        digest: digests.open(every, isLarge ? large : 1),
        pieces: sizes.map((size, index) => patternOf(size, seed + index)),
      }));
      for (let turn = 0; turn < 20; turn++) {
        for (const { digest, pieces } of running) await digest.update(pieces[turn] ?? new Uint8Array(0));
      }
      for (const { digest, pieces } of running) {
        expect(hex(await digest.finish())).toEqual(expected(Buffer.concat(pieces)));
      }
    }),
    { numRuns: 40 },
  );
});

describe("by a thread", () => {
  test("the bytes may be changed when update has returned or resolved, and who is too fast is held back", async () => {
    const digest = digests.open(["md5"], undefined);
    const all = patternOf(20 * large + 77, 1);
    let held = 0;
    const piece = Buffer.alloc(900_001);
    for (let at = 0; at < all.length; at += piece.length) {
      const size = all.copy(piece, 0, at, at + piece.length);
      const taken = digest.update(piece.subarray(0, size));
      if (taken !== undefined) {
        held++;
        await taken;
      }
      piece.fill(0);
    }
    expect(held).toBeGreaterThan(0);
    expect(hex(await digest.finish())).toEqual({ md5: createHash("md5").update(all).digest("hex") });
  });

  test("one that is given up leaves nothing to the others", async () => {
    const given = digests.open(every, 10 * large);
    const kept = digests.open(every, 10 * large);
    const bytes = patternOf(3 * large, 2);
    await given.update(bytes);
    await kept.update(bytes);
    given.abort();
    expect(hex(await kept.finish())).toEqual(expected(bytes));
  });

  test("one that is given up while it is held back is told so", async () => {
    const digest = digests.open(["md5"], 100 * large);
    const taken = digest.update(patternOf(10 * large, 3));
    digest.abort();
    await expect(taken).rejects.toMatchObject({ code: "ABORTED" });
  });

  test("closing fails what is under way", async () => {
    const digest = digests.open(["md5"], 100 * large);
    const taken = digest.update(patternOf(10 * large, 3));
    await Promise.all([expect(taken).rejects.toMatchObject({ code: "UNAVAILABLE" }), digests.close()]);
    await expect(digest.finish()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(() => digests.open(["md5"], large)).toThrow("closed");
  });

  test("more bodies than threads take are hashed all the same", async () => {
    const bytes = patternOf(large, 4);
    const count = limits.digestsAwayMax + 30;
    const running = Array.from({ length: count }, () => digests.open(["crc64nvme", "md5"], 2 * large));
    for (const digest of running) await digest.update(bytes);
    const results = await Promise.all(running.map((digest) => digest.finish()));
    const { md5, crc64nvme } = expected(bytes);
    expect(results.map(hex)).toEqual(Array.from({ length: count }, () => ({ md5, crc64nvme })));
  });
});
