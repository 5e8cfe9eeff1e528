import { describe, expect, it } from "vitest";
import { codeOf } from "../../../../tests/support/s3-request.ts";
import { bareEtag, checkReadConditions, conditionError, etagMatches, writeCondition } from "./conditions.ts";
import { StoreError } from "../../../core/errors.ts";

const headers =
  (all: { readonly [name: string]: string }) =>
  (name: string): string | undefined =>
    all[name];

describe("ETags", () => {
  it.each([
    ['"abc"', true],
    ["abc", true],
    ['W/"abc"', true],
    ["*", true],
    ['"x", "abc"', true],
    ['"x",abc', true],
    ['"ab"', false],
    ['""', false],
    ["", false],
    ['"ABC"', false],
  ])("%s matches abc: %s", (list, matches) => {
    expect(etagMatches(list, "abc")).toBe(matches);
  });

  it("are compared without quotes, which may be missing", () => {
    expect(['"a-3"', "a-3", ' "a-3" ', 'W/"a-3"'].map(bareEtag)).toEqual(["a-3", "a-3", "a-3", "a-3"]);
  });
});

describe("conditions of copies", () => {
  const at = Date.UTC(2026, 0, 1, 0, 0, 0, 500);
  const check = (all: { readonly [name: string]: string }): string | undefined =>
    codeOf(() => checkReadConditions(headers(all), "abc", at, "x-amz-copy-source-"));

  it("are refused with 412, never with 304", () => {
    expect(check({ "x-amz-copy-source-if-none-match": "abc" })).toBe("PreconditionFailed");
    expect(check({ "x-amz-copy-source-if-modified-since": "Thu, 01 Jan 2026 00:00:00 GMT" })).toBe(
      "PreconditionFailed",
    );
    expect(check({ "if-none-match": "abc" })).toBeUndefined();
  });

  it("compare whole seconds, as dates have no other", () => {
    expect(check({ "x-amz-copy-source-if-unmodified-since": "Thu, 01 Jan 2026 00:00:00 GMT" })).toBeUndefined();
    expect(check({ "x-amz-copy-source-if-unmodified-since": "Wed, 31 Dec 2025 23:59:59 GMT" })).toBe(
      "PreconditionFailed",
    );
  });

  it("an ETag that matches outweighs a date", () => {
    const date = "Wed, 31 Dec 2025 23:59:59 GMT";
    expect(
      check({ "x-amz-copy-source-if-match": "abc", "x-amz-copy-source-if-unmodified-since": date }),
    ).toBeUndefined();
  });
});

describe("conditions of writes", () => {
  it("are what the datastore checks at the commit", () => {
    expect(writeCondition(headers({}))).toBeUndefined();
    expect(writeCondition(headers({ "if-none-match": "*" }))).toEqual({ kind: "absent" });
    expect(writeCondition(headers({ "if-match": "*" }))).toEqual({ kind: "present" });
    expect(writeCondition(headers({ "if-match": '"abc"' }))).toEqual({ kind: "attribute", name: "etag", value: "abc" });
  });

  it("that S3 does not know are refused, not ignored", () => {
    expect(codeOf(() => writeCondition(headers({ "if-none-match": '"abc"' })))).toBe("NotImplemented");
    expect(codeOf(() => writeCondition(headers({ "if-none-match": "*", "if-match": "*" })))).toBe("NotImplemented");
  });

  it("that did not hold are PreconditionFailed; other errors stay what they are", () => {
    const conflict = new StoreError("CONFLICT", "other");
    expect(conditionError({ kind: "absent" }, conflict)).toMatchObject({ code: "PreconditionFailed" });
    expect(conditionError(undefined, conflict)).toBe(conflict);
    const busy = new StoreError("BUSY", "later");
    expect(conditionError({ kind: "absent" }, busy)).toBe(busy);
  });
});
