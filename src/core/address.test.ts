import { describe, expect, it } from "vitest";
import { formatAddress, parseAddress } from "./address.ts";

describe("addresses", () => {
  it.each([
    ["127.0.0.1:5000", "127.0.0.1"],
    ["some-host.example:5000", "some-host.example"],
    ["[::1]:5000", "::1"],
    ["[fe80::1%eth0]:5000", "fe80::1%eth0"],
    ["[::ffff:10.0.0.1]:5000", "::ffff:10.0.0.1"],
  ])("%s is the host %s, and is written the same way", (text, host) => {
    expect(parseAddress(text, "field")).toEqual({ host, port: 5_000 });
    expect(formatAddress({ host, port: 5_000 })).toBe(text);
  });

  it.each(["", "a", "a:", ":1", "a:0", "a:65536", "::1:5000", "[::1]", "[a]:1", "[.%0]:1", "[10.0.0.1]:1", "[:::]:1"])(
    "%j is none",
    (text) => {
      expect(() => parseAddress(text, "field")).toThrow(`field: host:port with a port from 1 to 65535, not "${text}"`);
    },
  );
});
