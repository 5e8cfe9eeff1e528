import { createSecretKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeRandom } from "../../../env/node-clock.ts";
import type { CipherStretch } from "../model.ts";
import { decryptor, newStretch } from "./key-stream.ts";

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
const layer = (fill: number) => createSecretKey(Buffer.alloc(32, fill));

describe("NIST SP 800-38A, F.5.5: AES-256 in counter mode", () => {
  const key = createSecretKey(hex("603deb1015ca71be2b73aef0857d7781 1f352c073b6108d72d9810a30914dff4"));
  const iv = Buffer.from(hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")).toString("base64");
  const plain = hex(
    "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51 30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
  );
  const cipher = hex(
    "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5 2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
  );

  test.each([0, 1, 15, 16, 17, 31, 32, 47, 48, 63])("from byte %i on, across the last byte's carry", (offset) => {
    const decrypt = decryptor([key], [{ size: 64, iv }], offset);
    expect(Buffer.from(decrypt(cipher.subarray(offset)))).toEqual(Buffer.from(plain.subarray(offset)));
  });
});

test("a counter block of all ones is followed by one of all zeros", () => {
  const iv = Buffer.alloc(16, 0xff);
  const start = decryptor([layer(1)], [{ size: 100, iv: iv.toString("base64") }], 16)(new Uint8Array(32));
  const zeros = decryptor([layer(1)], [{ size: 100, iv: Buffer.alloc(16).toString("base64") }], 0)(new Uint8Array(32));
  expect(Buffer.from(start)).toEqual(Buffer.from(zeros));
});

test("a range far into a large stretch is where one long stream has it", () => {
  // 2^32 blocks and more: the carry goes beyond four bytes.
  const iv = Buffer.from("00112233445566778899aabbffffffff", "hex");
  const carried = Buffer.from("00112233445566778899aabc0000000a", "hex");
  const far = decryptor([layer(2)], [{ size: 2 ** 40, iv: iv.toString("base64") }], 16 * 11)(new Uint8Array(16));
  const same = decryptor([layer(2)], [{ size: 16, iv: carried.toString("base64") }], 0)(new Uint8Array(16));
  expect(Buffer.from(far)).toEqual(Buffer.from(same));
  const block = 5 * 2 ** 32 + 3;
  const further = decryptor([layer(2)], [{ size: 2 ** 50, iv: Buffer.alloc(16).toString("base64") }], 16 * block);
  const counter = Buffer.alloc(16);
  counter.writeBigUInt64BE(BigInt(block), 8);
  const there = decryptor([layer(2)], [{ size: 16, iv: counter.toString("base64") }], 0)(new Uint8Array(16));
  expect(Buffer.from(further(new Uint8Array(16)))).toEqual(Buffer.from(there));
});

test("any range of any stretches, read in any pieces, is the plain bytes; what is given is not changed", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 70 }), { minLength: 1, maxLength: 6 });
  const pieces = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 8 });
  const layers = fc.constantFrom([layer(3)], [layer(3), layer(4)]);
  fc.assert(
    fc.property(sizes, pieces, fc.nat(), fc.nat(), layers, (stretchSizes, pieceSizes, from, length, keys) => {
      const stored: Uint8Array[] = [];
      const stretches: CipherStretch[] = [];
      const plain = Buffer.from(nodeRandom.bytes(stretchSizes.reduce((sum, size) => sum + size, 0)));
      let at = 0;
      for (const size of stretchSizes) {
        const stretch = newStretch(nodeRandom, keys);
        const half = Math.floor(size / 2);
        for (const piece of [plain.subarray(at, at + half), plain.subarray(at + half, at + size)]) {
          const before = Buffer.from(piece);
          stored.push(Uint8Array.from(stretch.encrypt(piece)));
          expect(piece.equals(before)).toBe(true);
        }
        stretches.push({ size, iv: stretch.iv });
        at += size;
      }
      const cipher = Buffer.concat(stored);
      expect(cipher.length).toBe(plain.length);
      const offset = from % (plain.length + 1);
      const end = offset + (length % (plain.length - offset + 1));
      const decrypt = decryptor(keys, stretches, offset);
      const read: Uint8Array[] = [];
      let next = offset;
      for (const size of [...pieceSizes, plain.length]) {
        const piece = cipher.subarray(next, Math.min(end, next + size));
        read.push(Uint8Array.from(decrypt(piece)));
        next += piece.length;
      }
      expect(Buffer.concat(read).equals(plain.subarray(offset, end))).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test("two stretches of the same bytes under one key have nothing in common", () => {
  const [one, other] = [newStretch(nodeRandom, [layer(5)]), newStretch(nodeRandom, [layer(5)])];
  const plain = new Uint8Array(64);
  expect(one.iv).not.toBe(other.iv);
  expect(Buffer.from(one.encrypt(plain))).not.toEqual(Buffer.from(other.encrypt(plain)));
});

test("more bytes than there are stretches is a bug, and no bytes", () => {
  const decrypt = decryptor([layer(6)], [{ size: 10, iv: Buffer.alloc(16).toString("base64") }], 0);
  expect(() => decrypt(new Uint8Array(11))).toThrow("more bytes");
});
