import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Digests } from "../../../env/digests.ts";
import { openNodeDigests } from "../../../env/node-digests.ts";
import { combineCrcs } from "./crc-combine.ts";

let digests: Digests;
beforeAll(async () => void (digests = await openNodeDigests()));
afterAll(() => digests.close());

test.each(["crc32", "crc32c", "crc64nvme"] as const)("the %s of parts combined is that of all their bytes", (name) => {
  const parts = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 });
  fc.assert(
    fc.property(parts, (pieces) => {
      const combined = combineCrcs(
        name,
        pieces.map((piece) => ({ crc: digests.once(name, piece), size: piece.length })),
      );
      expect(Buffer.from(combined)).toEqual(Buffer.from(digests.once(name, Buffer.concat(pieces))));
    }),
  );
});

test("parts as large as parts are", () => {
  const pieces = [5_242_880, 5_242_880, 123_457].map((size, index) => Buffer.alloc(size, index + 1));
  for (const name of ["crc32", "crc32c", "crc64nvme"] as const) {
    const parts = pieces.map((piece) => ({ crc: digests.once(name, piece), size: piece.length }));
    expect(Buffer.from(combineCrcs(name, parts))).toEqual(Buffer.from(digests.once(name, Buffer.concat(pieces))));
  }
});
