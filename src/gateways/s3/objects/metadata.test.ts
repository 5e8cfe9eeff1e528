import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeOf } from "../../../../tests/support/s3-request.ts";
import {
  applyOverrides,
  describedObject,
  describingHeaders,
  metadataSizeMax,
  placementAttributes,
} from "./metadata.ts";

function told(said: { readonly [name: string]: string }): { [name: string]: string | number } {
  const headers = {};
  describingHeaders({ etag: "x", ...describedObject(said) }, headers);
  return headers;
}

describe("what is said of an object", () => {
  it("any user metadata comes back, byte for byte, but for white space around it", () => {
    const name = fc.stringMatching(/^[a-z0-9._-]{1,20}$/);
    const value = fc.string({
      unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)),
      maxLength: 40,
    });
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 5 }), (meta) => {
        const said = Object.fromEntries(Object.entries(meta).map(([key, text]) => [`x-amz-meta-${key}`, text]));
        const expected = Object.fromEntries(Object.entries(said).map(([key, text]) => [key, text.trim()]));
        expect(told(said)).toEqual({ "Content-Type": "binary/octet-stream", ...expected });
      }),
    );
  });

  it("names count towards the limit, the prefix does not", () => {
    const fits = { "x-amz-meta-ab": "x".repeat(metadataSizeMax - 2) };
    expect(codeOf(() => describedObject(fits))).toBeUndefined();
    expect(codeOf(() => describedObject({ ...fits, "x-amz-meta-c": "" }))).toBe("MetadataTooLarge");
  });

  it("names of Object.prototype are names like any other", () => {
    const said = { "x-amz-meta-__proto__": "a", "x-amz-meta-constructor": "b" };
    expect(told(said)).toMatchObject({ "x-amz-meta-constructor": "b" });
    expect(Object.hasOwn(told(said), "x-amz-meta-__proto__")).toBe(true);
  });

  it("empty system headers are none", () => {
    expect(describedObject({ "content-type": "", "cache-control": "", "content-encoding": "aws-chunked" })).toEqual({});
  });

  it("other headers are not kept", () => {
    expect(describedObject({ "x-custom": "1", etag: "2", "x-amz-other": "3" })).toEqual({});
  });
});

describe("where it is to be", () => {
  const placed = (said: { readonly [name: string]: string }): unknown => placementAttributes((name) => said[name]);

  it("STANDARD goes without saying", () => {
    expect(placed({ "x-amz-storage-class": "STANDARD" })).toEqual({});
    expect(placed({ "x-amz-storage-class": "STANDARD_IA" })).toEqual({ class: "STANDARD_IA" });
  });

  it("classes that are unknown, and redirects to nowhere, are refused", () => {
    expect(codeOf(() => placed({ "x-amz-storage-class": "standard" }))).toBe("InvalidStorageClass");
    expect(codeOf(() => placed({ "x-amz-website-redirect-location": "elsewhere" }))).toBe("InvalidRequest");
    for (const to of ["/k", "http://h/k", "https://h/"]) {
      expect(placed({ "x-amz-website-redirect-location": to })).toEqual({ redirect: to });
    }
  });
});

describe("overrides", () => {
  const query = new Map([["response-content-type", "a/b"]]);

  it("are for who has signed", () => {
    const headers = { "Content-Type": "text/plain" };
    applyOverrides(query, true, headers);
    expect(headers["Content-Type"]).toBe("a/b");
    expect(codeOf(() => applyOverrides(query, false, {}))).toBe("InvalidRequest");
    expect(codeOf(() => applyOverrides(new Map([["versionId", "1"]]), false, {}))).toBeUndefined();
  });

  it("cannot begin a header of their own", () => {
    expect(codeOf(() => applyOverrides(new Map([["response-expires", "a\r\nb: c"]]), true, {}))).toBe(
      "InvalidArgument",
    );
  });
});
