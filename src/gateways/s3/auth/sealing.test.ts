import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseKey } from "../../../core/key.ts";
import { nodeRandom } from "../../../env/node-clock.ts";
import { Sealing } from "./sealing.ts";

const key = parseKey("000102030405060708090a0b0c0d0e0f", "test");
const sealing = new Sealing(key, nodeRandom);
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

describe("a sealed secret", () => {
  it("opens to what was sealed, whatever that was", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.string(), fc.string(), (plain, purpose, associated) => {
        const sealed = sealing.seal(purpose, associated, plain);
        expect(sealed).toMatch(/^[A-Za-z0-9+/]+=*$/);
        expect(new Sealing(key, nodeRandom).unseal(purpose, associated, sealed)).toEqual(plain);
      }),
    );
  });

  it("is this, byte by byte: what was sealed once opens for ever", () => {
    const fixed = new Sealing(key, { bytes: (size) => new Uint8Array(size).fill(7) });
    const sealed = "AQcHBwcHBwcHBwcHB/XCsSwfXzSSoHYfSVasIO/0Fxxz22k=";
    expect(fixed.seal("access-key", "AK", bytes("secret"))).toBe(sealed);
    expect(sealing.unseal("access-key", "AK", sealed)).toEqual(bytes("secret"));
  });

  it("opens under no other key, for no other purpose or record, and with no bit changed", () => {
    const sealed = sealing.seal("access-key", "AK", bytes("secret"));
    const other = new Sealing(parseKey("0f0e0d0c0b0a09080706050403020100", "test"), nodeRandom);
    const wrong = expect.objectContaining({ code: "WRONG_KEY" });
    expect(() => other.unseal("access-key", "AK", sealed)).toThrow(wrong);
    expect(() => sealing.unseal("encryption-key", "AK", sealed)).toThrow(wrong);
    expect(() => sealing.unseal("access-key", "AL", sealed)).toThrow(wrong);
    const raw = Buffer.from(sealed, "base64");
    for (let bit = 8; bit < raw.length * 8; bit++) {
      const changed = Buffer.from(raw);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => sealing.unseal("access-key", "AK", changed.toString("base64"))).toThrow(wrong);
    }
    for (let size = 0; size < raw.length; size++) {
      const cut = raw.subarray(0, size).toString("base64");
      expect(() => sealing.unseal("access-key", "AK", cut)).toThrow(wrong);
    }
  });

  it("of a later version says so", () => {
    const raw = Buffer.from(sealing.seal("p", "a", bytes("secret")), "base64");
    raw[0] = 2;
    const unseal = () => sealing.unseal("p", "a", raw.toString("base64"));
    expect(unseal).toThrow(expect.objectContaining({ code: "INCOMPATIBLE" }));
  });

  it("is another one each time", () => {
    expect(sealing.seal("p", "a", bytes("x"))).not.toBe(sealing.seal("p", "a", bytes("x")));
  });
});
