import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeOf } from "../../../../tests/support/s3-request.ts";
import { document, element, escapeText, leaf, parseXml } from "./xml.ts";

const parse = (text: string | Uint8Array, ...roots: string[]): ReturnType<typeof parseXml> =>
  parseXml(typeof text === "string" ? Buffer.from(text) : text, ...(roots.length === 0 ? ["Root"] : roots));

describe("what is written", () => {
  it("is read again as it was, whatever XML can say", () => {
    // Line ends are the one thing that XML's readers change, so they are written as references.
    const letter = fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }).filter((text) => text >= " ");
    const said = fc.string({ unit: fc.oneof(fc.constantFrom("\t", "\n", "\r", '"', "&"), letter) });
    fc.assert(
      fc.property(said, (text) => {
        expect(parse(document("Root", leaf("Text", text))).require("Text").text).toBe(text);
      }),
    );
  });

  it("never becomes markup", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("<", ">", "&", '"', "'", "a", "]") }), (text) => {
        expect(escapeText(text)).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|apos);)/);
      }),
    );
  });

  it("leaves out what is undefined, and nothing else", () => {
    expect(element("A", leaf("B", undefined), undefined, leaf("C", ""), leaf("D", 0), leaf("E", false))).toBe(
      "<A><C></C><D>0</D><E>false</E></A>",
    );
  });
});

describe("what is read", () => {
  it("may have any prefix and white space, and CDATA", () => {
    const root = parse(
      '<s3:Root xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/">\n <s3:A> x </s3:A><B><![CDATA[<y>]]></B></s3:Root>',
    );
    expect([root.value("A"), root.require("A").text, root.value("B"), root.value("C")]).toEqual([
      "x",
      " x ",
      "<y>",
      undefined,
    ]);
  });

  it.each([
    ["nothing", ""],
    ["no XML", "hello"],
    ["an end that is missing", "<Root><A></Root>"],
    ["another root", "<Other/>"],
    ["an entity of its own", '<!DOCTYPE Root [<!ENTITY a "b">]><Root>&a;</Root>'],
    ["depth without end", `<Root>${"<A>".repeat(200_000)}`],
  ])("%s is MalformedXML", (_name, text) => {
    expect(codeOf(() => parse(text))).toBe("MalformedXML");
  });

  it("bytes that are no UTF-8 are MalformedXML", () => {
    expect(codeOf(() => parse(Buffer.from("<Root>\xff</Root>", "latin1")))).toBe("MalformedXML");
  });

  it("what is there twice, missing or out of place is MalformedXML", () => {
    const root = parse("<Root><A/><A/><B/></Root>");
    expect(codeOf(() => root.child("A"))).toBe("MalformedXML");
    expect(codeOf(() => root.require("C"))).toBe("MalformedXML");
    expect(codeOf(() => root.only("A"))).toBe("MalformedXML");
    expect(codeOf(() => root.only("A", "B"))).toBeUndefined();
  });

  it("whatever comes is read or MalformedXML", () => {
    const piece = fc.constantFrom(
      "<Root>",
      "</Root>",
      "<A>",
      "</A>",
      "<A/>",
      "&amp;",
      "&#0;",
      "&x;",
      "<!--",
      "-->",
      "<?x?>",
      "<![CDATA[",
      "]]>",
      "a",
      '<A b="c">',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        expect([undefined, "MalformedXML"]).toContain(codeOf(() => parse(pieces.join(""))));
      }),
      { numRuns: 1000 },
    );
  });
});
