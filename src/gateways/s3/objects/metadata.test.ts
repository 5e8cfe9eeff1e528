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
  it("any user metadata of US-ASCII comes back, byte for byte, but for white space around it", () => {
    const name = fc.stringMatching(/^[a-z0-9._-]{1,20}$/);
    const value = fc.string({ unit: "grapheme-ascii", maxLength: 40 });
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 5 }), (meta) => {
        const said = Object.fromEntries(Object.entries(meta).map(([key, text]) => [`x-amz-meta-${key}`, text]));
        const expected = Object.fromEntries(Object.entries(said).map(([key, text]) => [key, text.trim()]));
        expect(told(said)).toEqual({ "Content-Type": "binary/octet-stream", ...expected });
      }),
    );
  });

  it("other user metadata comes back encoded by RFC 2047", () => {
    const comesBack = (value: Buffer): unknown => told({ "x-amz-meta-a": value.toString("latin1") })["x-amz-meta-a"];
    expect(comesBack(Buffer.from("grün"))).toBe("=?UTF-8?B?Z3LDvG4=?=");
    expect(comesBack(Buffer.from("grün", "latin1"))).toBe("=?UTF-8?B?Z3LDvG4=?=");
    const text = fc.string({ unit: "grapheme", maxLength: 40 }).map((each) => `é${each}é`);
    fc.assert(
      fc.property(text, (value) => {
        const encoded = /^=\?UTF-8\?B\?([A-Za-z0-9+/=]+)\?=$/.exec(String(comesBack(Buffer.from(value))));
        expect(Buffer.from(encoded![1]!, "base64").toString()).toBe(value);
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
