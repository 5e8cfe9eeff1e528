import { expect, test } from "vitest";
import { isWithin, parseRange } from "./addresses.ts";

test.each([
  ["192.0.2.1", "192.0.2.1", true],
  ["192.0.2.1", "192.0.2.2", false],
  ["192.0.2.0/24", "192.0.2.255", true],
  ["192.0.2.0/24", "192.0.3.0", false],
  ["192.0.2.77/24", "192.0.2.1", true],
  ["0.0.0.0/0", "255.255.255.255", true],
  ["0.0.0.0/0", "::1", false],
  ["10.0.0.0/8", "::ffff:10.1.2.3", true],
  ["::ffff:10.0.0.0/104", "10.1.2.3", true],
  ["2001:db8::/32", "2001:db8:ffff::1", true],
  ["2001:db8::/32", "2001:db9::", false],
  ["::1", "0:0:0:0:0:0:0:1", true],
  ["fe80::/10", "fe80::1%eth0", true],
  ["::/0", "::", true],
])("%s and %s: %s", (range, address, expected) => {
  expect(isWithin(parseRange(range)!, address)).toBe(expected);
});

test.each([
  "",
  "1.2.3",
  "1.2.3.256",
  "1.2.3.4/33",
  "1.2.3.4/",
  "::1/129",
  "1::2::3",
  "1:2:3:4:5:6:7",
  "g::",
  "1.2.3.4/x",
])("%j is no range", (text) => {
  expect(parseRange(text)).toBeUndefined();
});

test("what is no address is within nothing", () => {
  expect(isWithin(parseRange("0.0.0.0/0")!, "unknown")).toBe(false);
});
