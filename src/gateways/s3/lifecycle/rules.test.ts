/** Lifecycle rules as XML: what is taken is told again as it was; what is not understood is refused. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { S3Error } from "../protocol/error.ts";
import { parseXml } from "../protocol/xml.ts";
import { type LifecycleRule, readRules, ruleElement } from "./rules.ts";

const read = (inner: string): LifecycleRule[] =>
  readRules(
    parseXml(Buffer.from(`<LifecycleConfiguration>${inner}</LifecycleConfiguration>`), "LifecycleConfiguration"),
    () => "made",
  );
const one = (inner: string, status = "Enabled"): LifecycleRule =>
  read(`<Rule><ID>r</ID><Status>${status}</Status>${inner}</Rule>`)[0]!;
const expires = "<Expiration><Days>1</Days></Expiration>";

function refusal(inner: string): string {
  try {
    read(inner);
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
  return "taken";
}
const refusedRule = (inner: string, status = "Enabled"): string =>
  refusal(`<Rule><ID>r</ID><Status>${status}</Status>${inner}</Rule>`);

describe("a rule", () => {
  const text = fc.string({ minLength: 1, maxLength: 20, unit: "grapheme-ascii" });
  const sizes = fc
    .tuple(fc.nat(1000), fc.nat(1000))
    .map(([low, more]) => ({ largerThan: low, smallerThan: low + more + 1 }));
  const predicates = fc.record(
    {
      prefix: text,
      tags: fc.dictionary(
        text.filter((key) => key !== "__proto__"),
        text,
        { minKeys: 1, maxKeys: 3 },
      ),
    },
    { requiredKeys: [] },
  );
  const forms = fc.oneof(
    fc.constant({ form: "none", filter: {} } as const),
    fc.oneof(text, fc.constant("")).map((prefix) => ({ form: "prefix", filter: { prefix } }) as const),
    fc
      .constantFrom({}, { prefix: "" }, { prefix: "a/" }, { tags: { a: "b" } }, { largerThan: 0 })
      .map((filter) => ({ form: "filter", filter }) as const),
    fc.tuple(predicates, sizes).map(([filter, size]) => ({ form: "and", filter: { ...filter, ...size } }) as const),
  );
  const days = fc.integer({ min: 1, max: 2_147_483_647 });
  const rules = fc
    .tuple(
      fc.record({ id: text.map((id) => id.trim()).filter((id) => id !== ""), enabled: fc.boolean() }),
      forms,
      fc.record(
        {
          expiration: fc.oneof(
            days.map((each) => ({ days: each })),
            fc.nat(40_000).map((each) => ({ date: each * 86_400_000 })),
            fc.boolean().map((markers) => ({ markers })),
          ),
          noncurrent: fc.oneof(
            days.map((each) => ({ days: each })),
            fc.tuple(days, fc.integer({ min: 1, max: 100 })).map(([each, keep]) => ({ days: each, keep })),
          ),
        },
        { requiredKeys: ["expiration"] },
      ),
    )
    .map(([named, filtered, actions]): LifecycleRule => ({ ...named, ...filtered, ...actions }))
    .filter(({ expiration, filter }) => expiration?.markers !== true || filter.tags === undefined);

  it("is read from its XML as it was written", () => {
    fc.assert(
      fc.property(rules, (rule) => {
        expect(read(ruleElement(rule))).toEqual([rule]);
      }),
    );
  });

  it("without an ID gets one", () => {
    expect(read(`<Rule><Status>Enabled</Status><Prefix/>${expires}</Rule>`)[0]!.id).toBe("made");
  });

  it("keeps the form of its filter, which tools compare", () => {
    for (const filter of [
      "<Prefix></Prefix>",
      "<Prefix>a/</Prefix>",
      "<Filter></Filter>",
      "<Filter><Prefix></Prefix></Filter>",
      "<Filter><And><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>",
      "<Filter><And><Prefix></Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>",
    ]) {
      expect(ruleElement(one(filter + expires))).toContain(filter);
    }
  });
});

describe("refused", () => {
  it.each([
    ["", "InvalidRequest"],
    [`<Expiration><Days>0</Days></Expiration>`, "InvalidArgument"],
    [`<Expiration><Days>-1</Days></Expiration>`, "InvalidArgument"],
    [`<Expiration><Days>x</Days></Expiration>`, "MalformedXML"],
    [`<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>`, "MalformedXML"],
    [`<Expiration/>`, "MalformedXML"],
    [`<Expiration><Date>20200101</Date></Expiration>`, "MalformedXML"],
    [`<Expiration><Date>1970-08-22T19:15:01Z</Date></Expiration>`, "InvalidArgument"],
    [`<Expiration><ExpiredObjectDeleteMarker>yes</ExpiredObjectDeleteMarker></Expiration>`, "MalformedXML"],
    [
      `<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>`,
      "InvalidArgument",
    ],
    [
      `<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>`,
      "InvalidArgument",
    ],
    [
      `<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation></AbortIncompleteMultipartUpload>`,
      "InvalidArgument",
    ],
    [`<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>`, "NotImplemented"],
    [`${expires}<Other/>`, "MalformedXML"],
    [`${expires}<Prefix>a</Prefix><Filter><Prefix>a</Prefix></Filter>`, "MalformedXML"],
    [`${expires}<Filter><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>`, "MalformedXML"],
    [
      `${expires}<Filter><And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>`,
      "InvalidRequest",
    ],
    [
      `${expires}<Filter><And><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>a</Key><Value>c</Value></Tag></And></Filter>`,
      "InvalidRequest",
    ],
    [
      `<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>`,
      "InvalidRequest",
    ],
  ])("%s: %s", (inner, code) => {
    expect(refusedRule(inner)).toBe(code);
  });

  it("rules that are none, too many, called alike or neither on nor off", () => {
    expect(refusal("")).toBe("MalformedXML");
    for (const status of ["enabled", "disabled", "invalid"]) expect(refusedRule(expires, status)).toBe("MalformedXML");
    const rule = (id: string): string =>
      `<Rule><ID>${id}</ID><Status>Enabled</Status><Prefix>${id}</Prefix>${expires}</Rule>`;
    expect(refusal(rule("a") + rule("a"))).toBe("InvalidArgument");
    expect(refusal(rule("a".repeat(256)))).toBe("InvalidArgument");
    expect(refusal(Array.from({ length: 1001 }, (_, index) => rule(`r${index}`)).join(""))).toBe("MalformedXML");
    expect(read(Array.from({ length: 1000 }, (_, index) => rule(`r${index}`)).join(""))).toHaveLength(1000);
  });
});
