/** HMAC-SHA-256 against that of node:crypto. */
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { HmacSha256 } from "./hmac.ts";

it("HMAC in two hashes is HMAC", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.string({ unit: "binary-ascii", maxLength: 1_500 }),
      (key, text) => {
        const expected = createHmac("sha256", key).update(text, "latin1").digest("hex");
        expect(new HmacSha256(key).sign(text)).toBe(expected);
      },
    ),
  );
});
