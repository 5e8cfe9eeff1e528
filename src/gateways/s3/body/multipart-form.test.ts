/** Forms as browsers and libraries write them, cut anywhere, and what is no form. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formBody } from "../../../../tests/support/s3-signer.ts";
import { S3Error } from "../protocol/error.ts";
import { formBoundary, type FormEvent, MultipartForm } from "./multipart-form.ts";

const boundary = "XX";

interface Read {
  readonly fields: readonly [string, string][];
  readonly filename: string | undefined;
  readonly file: string;
  readonly isComplete: boolean;
}

function read(pieces: readonly Uint8Array[]): Read {
  const form = new MultipartForm(boundary);
  const events: FormEvent[] = pieces.flatMap((piece) =>
    form
      .feed(piece)
      .map((event) => (event.kind === "bytes" ? { ...event, bytes: new Uint8Array(event.bytes) } : event)),
  );
  form.end();
  return {
    fields: events.flatMap((event) => (event.kind === "field" ? [[event.name, event.value] as [string, string]] : [])),
    filename: events.find((event) => event.kind === "file")?.filename,
    file: Buffer.concat(events.flatMap((event) => (event.kind === "bytes" ? [event.bytes] : []))).toString("latin1"),
    isComplete: events.at(-1)?.kind === "end",
  };
}

function refusal(text: string): S3Error {
  try {
    read([Buffer.from(text)]);
  } catch (error) {
    expect(error).toBeInstanceOf(S3Error);
    return error as S3Error;
  }
  throw new Error("it was taken");
}

function cut(whole: Uint8Array, at: readonly number[]): Uint8Array[] {
  const edges = [0, ...at.map((each) => each % (whole.length + 1)).sort((one, other) => one - other), whole.length];
  return edges.slice(1).map((end, index) => whole.subarray(edges[index], end));
}

describe("a form", () => {
  // Words of which delimiters are made, so that the file is full of what nearly is one.
  const contents = fc
    .array(fc.constantFrom("\r", "\n", "--", "-", "X", "\r\n--X", "\r\n--", "a", "\u00ff"), { maxLength: 40 })
    .map((words) => words.join(""))
    .filter((text) => !text.includes(`\r\n--${boundary}`) && !`${text}\r`.includes(`\r\n--${boundary}`));
  const values = fc.string({ unit: "grapheme", maxLength: 20 });

  it("is read alike however it is cut", () => {
    const cuts = fc.array(fc.nat(1_000), { maxLength: 20 });
    fc.assert(
      fc.property(contents, fc.array(values, { maxLength: 4 }), cuts, (content, list, at) => {
        const fields = list.map((value, index): [string, string] => [`field${index}`, value]);
        const { body } = formBody(fields, { content: Buffer.from(content, "latin1"), filename: "a b.txt" }, boundary);
        const expected = { fields, filename: "a b.txt", file: content, isComplete: true };
        expect(read(cut(body, at))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it("is read byte by byte, and with other things around it", () => {
    const { body } = formBody({ key: "k", empty: "" }, { content: "hello" }, boundary);
    const whole = Buffer.concat([Buffer.from("preamble\r\n"), body, Buffer.from("epilogue\r\n--XX--")]);
    const found = read([...whole].map((byte) => Uint8Array.of(byte)));
    expect(found.fields).toEqual([
      ["key", "k"],
      ["empty", ""],
    ]);
    expect(found.file).toBe("hello");
  });

  it("may have fields behind the file, which are ignored", () => {
    const text = `--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello\r\n--XX\r\nContent-Disposition: form-data; name="acl"\r\n\r\npublic-read\r\n--XX--\r\n`;
    expect(read([Buffer.from(text)])).toEqual({ fields: [], filename: undefined, file: "hello", isComplete: true });
  });

  it.each([
    ['name="key"; filename="key"', "key"],
    ["name=key", "key"],
    ['filename="x"; name="key"', "key"],
    ['name="a\\"b"', 'a"b'],
    ['name="a%22b"', 'a"b'],
    ['name="ä€"', "ä€"],
  ])("names a field by %s", (disposition, name) => {
    const part = `--XX\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; ${disposition}\r\n\r\nv\r\n`;
    const text = `${part}--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\n\r\n--XX--`;
    expect(read([Buffer.from(text)]).fields).toEqual([[name, "v"]]);
  });

  it.each([
    ['filename="a.txt"', "a.txt"],
    ["filename*=utf-8''%E2%82%AC.txt", "€.txt"],
    ["filename*=utf-8''%", undefined],
  ])("names its file by %s", (disposition, filename) => {
    const text = `--XX\r\nContent-Disposition: form-data; name="file"; ${disposition}\r\n\r\n\r\n--XX--`;
    expect(read([Buffer.from(text)]).filename).toBe(filename);
  });
});

describe("what is refused", () => {
  it.each([
    ["nothing at all", "", "MalformedPOSTRequest"],
    ["no delimiter", "hello", "MalformedPOSTRequest"],
    ["no end", '--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello', "MalformedPOSTRequest"],
    ["no name", "--XX\r\nContent-Type: a/b\r\n\r\nhello\r\n--XX--", "MalformedPOSTRequest"],
    ["something behind a delimiter", "--XX nonsense\r\n", "MalformedPOSTRequest"],
    ["no file", '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--XX--', "InvalidArgument"],
    [
      "fields that are too long",
      `--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n${"b".repeat(20_480)}`,
      "MaxPostPreDataLengthExceeded",
    ],
    ["headers that are too long", `--XX\r\n${"b".repeat(20_480)}`, "MaxPostPreDataLengthExceeded"],
    [
      "too many fields",
      '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'.repeat(1_000),
      "MaxPostPreDataLengthExceeded",
    ],
  ])("%s", (_, text, code) => {
    expect(refusal(text).code).toBe(code);
  });

  it("whatever else comes, with an S3Error", () => {
    const word = fc.constantFrom(
      "--XX",
      "\r\n",
      "--",
      "Content-Disposition: form-data; ",
      'name="',
      '"',
      ";",
      "file",
      "a",
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        try {
          read([Buffer.from(words.join(""))]);
        } catch (error) {
          expect(error).toBeInstanceOf(S3Error);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("a file larger than the fields may be is not", () => {
    const { body } = formBody({ key: "k" }, { content: "x".repeat(1_000_000) }, boundary);
    expect(read([body]).file.length).toBe(1_000_000);
  });
});

it("a boundary is read from the Content-Type", () => {
  expect(formBoundary("multipart/form-data; boundary=abc")).toBe("abc");
  expect(formBoundary('Multipart/Form-Data; charset=x; boundary="a b;c"')).toBe("a b;c");
  expect(formBoundary("multipart/form-data")).toBeUndefined();
  expect(formBoundary("application/xml; boundary=abc")).toBeUndefined();
  expect(formBoundary(undefined)).toBeUndefined();
});
