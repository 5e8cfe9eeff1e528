/** Uploads in parts over HTTP: what completes them, what is refused, their checksums, and reading by part. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { partSizeMin } from "../src/core/limits.ts";
import { elementText, type Headers, type S3Answer, S3Endpoint } from "./support/s3-endpoint.ts";
import { Belongings } from "./support/store.ts";

const belongings = new Belongings();
let s3: S3Endpoint;

beforeAll(async () => {
  s3 = await S3Endpoint.open(belongings);
  await s3.bucket("uploads");
  await s3.bucket("versioned");
  const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
  await s3.ask("PUT", "/versioned?versioning", {}, enabled);
});
afterAll(() => belongings.giveBack());

interface NamedPart {
  readonly number: number | string;
  readonly etag: string;
  readonly more?: string;
}

const partSize = partSizeMin;
const large = (fill: number): Buffer => Buffer.alloc(partSize, fill);
const md5 = (bytes: Uint8Array | string): Buffer => createHash("md5").update(bytes).digest();

async function begin(path: string, headers: Headers = {}): Promise<string> {
  return elementText((await s3.ask("POST", `${path}?uploads`, headers)).text, "UploadId")!;
}

async function upload(path: string, id: string, number: number, body: Uint8Array | string): Promise<NamedPart> {
  const answer = await s3.ask("PUT", `${path}?uploadId=${id}&partNumber=${number}`, {}, body);
  expect(answer.status, answer.text).toBe(200);
  return { number, etag: answer.headers.get("etag")! };
}

function complete(path: string, id: string, parts: readonly NamedPart[], headers: Headers = {}): Promise<S3Answer> {
  const list = parts.map(
    ({ number, etag, more = "" }) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag>${more}</Part>`,
  );
  const body = `<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`;
  return s3.ask("POST", `${path}?uploadId=${id}`, headers, body);
}

const outcome = ({ status, code }: S3Answer): [number, string | undefined] => [status, code];
const get = (path: string, headers: Headers = {}): Promise<S3Answer> => s3.ask("GET", path, headers);
const head = (path: string, headers: Headers = {}): Promise<S3Answer> => s3.ask("HEAD", path, headers);

describe("completing", () => {
  test("makes one object of the parts, with what was said at the beginning", async () => {
    const said = {
      "content-type": "text/bla",
      "x-amz-meta-foo": "bar",
      "x-amz-tagging": "a=b",
      "x-amz-storage-class": "STANDARD_IA",
    };
    const path = "/uploads/whole%20one";
    const id = await begin(path, said);
    const parts = [await upload(path, id, 1, large(1)), await upload(path, id, 2, "tail")];
    const made = await complete(path, id, parts);
    const etag = createHash("md5")
      .update(md5(large(1)))
      .update(md5("tail"))
      .digest("hex");
    expect(elementText(made.text, "ETag")).toBe(`&quot;${etag}-2&quot;`);
    expect(elementText(made.text, "Location")).toBe(`${s3.origin}${path}`);
    expect([elementText(made.text, "Bucket"), elementText(made.text, "Key")]).toEqual(["uploads", "whole one"]);
    const whole = await get(path);
    expect(whole.bytes.equals(Buffer.concat([large(1), Buffer.from("tail")]))).toBe(true);
    expect(["content-type", "x-amz-meta-foo", "x-amz-storage-class"].map((name) => whole.headers.get(name))).toEqual([
      "text/bla",
      "bar",
      "STANDARD_IA",
    ]);
    expect(whole.headers.get("x-amz-tagging-count")).toBe("1");
    const across = await get(path, { range: `bytes=${partSize - 2}-${partSize + 1}` });
    expect(across.bytes).toEqual(Buffer.from([1, 1, 0x74, 0x61]));
  });

  test("asked for again is answered again, and the upload is over", async () => {
    const path = "/versioned/again";
    const id = await begin(path);
    const part = await upload(path, id, 1, "x");
    const first = await complete(path, id, [part]);
    const again = await complete(path, id, [part]);
    expect(again.headers.get("x-amz-version-id")).toBe(first.headers.get("x-amz-version-id"));
    expect(again.text).toBe(first.text);
    expect(outcome(await s3.ask("PUT", `${path}?uploadId=${id}&partNumber=1`, {}, "y"))).toEqual([404, "NoSuchUpload"]);
    const versions = (await get("/versioned?versions")).text.match(/<Key>again</g);
    expect(versions).toHaveLength(1);
  });

  test("takes the last that came under a number, and leaves out what is not named", async () => {
    const path = "/uploads/resent";
    const id = await begin(path);
    await upload(path, id, 3, "three");
    const old = await upload(path, id, 7, "old");
    const part = await upload(path, id, 7, "new");
    expect(outcome(await complete(path, id, [old]))).toEqual([400, "InvalidPart"]);
    expect((await complete(path, id, [{ ...part, etag: part.etag.replaceAll('"', "") }])).status).toBe(200);
    expect((await get(path)).text).toBe("new");
  });

  test("is refused where parts are missing, wrong, too small or out of order", async () => {
    const path = "/uploads/refused";
    const id = await begin(path);
    const one = await upload(path, id, 1, "small");
    const two = await upload(path, id, 2, "small");
    const cases: [readonly NamedPart[], number, string][] = [
      [[], 400, "MalformedXML"],
      [[one, two], 400, "EntityTooSmall"],
      [[two, one], 400, "InvalidPartOrder"],
      [[one, one], 400, "InvalidPartOrder"],
      [[{ ...one, number: 9999 }], 400, "InvalidPart"],
      [[{ ...one, etag: '"ffffffffffffffffffffffffffffffff"' }], 400, "InvalidPart"],
      [[{ ...one, number: 0 }], 400, "InvalidArgument"],
      [[{ ...one, number: -4 }], 400, "InvalidArgument"],
      [[{ ...one, number: 10_001 }], 400, "InvalidArgument"],
      [[{ ...one, number: "one" }], 400, "MalformedXML"],
      [[{ ...one, more: "<Other/>" }], 400, "MalformedXML"],
    ];
    for (const [parts, status, code] of cases) {
      expect(outcome(await complete(path, id, parts)), JSON.stringify(parts)).toEqual([status, code]);
    }
    const small = await complete(path, id, [one, two]);
    expect(elementText(small.text, "MinSizeAllowed")).toBe(String(partSizeMin));
    for (const body of [
      "",
      "<CompleteMultipartUpload>",
      "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
    ]) {
      expect(await s3.refusal("POST", `${path}?uploadId=${id}`, {}, body)).toEqual([400, "MalformedXML"]);
    }
    expect((await head(path)).status).toBe(404);
    expect((await complete(path, id, [one])).status).toBe(200);
  });

  test("on condition, and with the size that was promised", async () => {
    const path = "/uploads/conditional";
    const make = async (headers: Headers, to = path): Promise<[number, string | undefined]> => {
      const id = await begin(to);
      const answer = await complete(to, id, [await upload(to, id, 1, "x")], headers);
      if (answer.status !== 200) await s3.ask("DELETE", `${to}?uploadId=${id}`);
      return outcome(answer);
    };
    expect(await make({ "if-match": "*" })).toEqual([404, "NoSuchKey"]);
    expect(await make({ "if-none-match": "*" })).toEqual([200, undefined]);
    expect(await make({ "if-none-match": "*" })).toEqual([412, "PreconditionFailed"]);
    expect(await make({ "if-match": '"other"' })).toEqual([412, "PreconditionFailed"]);
    expect(await make({ "if-match": (await head(path)).headers.get("etag")! })).toEqual([200, undefined]);
    expect(await make({ "x-amz-mp-object-size": "2" })).toEqual([400, "InvalidRequest"]);
    expect(await make({ "x-amz-mp-object-size": "one" })).toEqual([400, "InvalidRequest"]);
    expect(await make({ "x-amz-mp-object-size": "1" })).toEqual([200, undefined]);
    const all = await Promise.all(Array.from({ length: 20 }, () => make({ "if-none-match": "*" }, "/uploads/race")));
    expect(all.filter(([status]) => status === 200)).toHaveLength(1);
  });

  test("several times at once makes one version, and all hear of it", async () => {
    const path = "/versioned/at-once";
    const id = await begin(path);
    const part = await upload(path, id, 1, "x");
    const answers = await Promise.all(Array.from({ length: 8 }, () => complete(path, id, [part])));
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(new Set(answers.map(({ headers }) => headers.get("x-amz-version-id"))).size).toBe(1);
  });
});

test("what is made where versions are suspended is told without a version id, and read with that of the null version", async () => {
  await s3.bucket("suspended");
  const suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
  await s3.ask("PUT", "/suspended?versioning", {}, suspended);
  const id = await begin("/suspended/parts");
  const part = await upload("/suspended/parts", id, 1, "x");
  const made = [
    await s3.ask("PUT", "/suspended/put", {}, "x"),
    await s3.ask("PUT", "/suspended/copy", { "x-amz-copy-source": "suspended/put" }),
    await complete("/suspended/parts", id, [part]),
  ];
  expect(made.map(({ status, headers }) => [status, headers.get("x-amz-version-id")])).toEqual(
    made.map(() => [200, null]),
  );
  for (const key of ["put", "copy", "parts"]) {
    expect((await head(`/suspended/${key}`)).headers.get("x-amz-version-id")).toBe("null");
  }
});

describe("uploads that are not there", () => {
  test("are NoSuchUpload, whatever is asked of them", async () => {
    const id = await begin("/uploads/there");
    for (const [path, named] of [
      ["/uploads/there", "never-made"],
      ["/uploads/there", ""],
      ["/uploads/elsewhere", id],
    ]) {
      const query = `${path}?uploadId=${named}`;
      expect(await s3.refusal("PUT", `${query}&partNumber=1`, {}, "x")).toEqual([404, "NoSuchUpload"]);
      expect(await s3.refusal("GET", query)).toEqual([404, "NoSuchUpload"]);
      expect(await s3.refusal("DELETE", query)).toEqual([404, "NoSuchUpload"]);
      expect(outcome(await complete(path!, named!, [{ number: 1, etag: "x" }]))).toEqual([404, "NoSuchUpload"]);
    }
  });

  test("nor once they are aborted", async () => {
    const id = await begin("/uploads/aborted");
    await upload("/uploads/aborted", id, 1, "x");
    expect((await s3.ask("DELETE", `/uploads/aborted?uploadId=${id}`)).status).toBe(204);
    expect(await s3.refusal("DELETE", `/uploads/aborted?uploadId=${id}`)).toEqual([404, "NoSuchUpload"]);
    expect(await s3.refusal("GET", `/uploads/aborted?uploadId=${id}`)).toEqual([404, "NoSuchUpload"]);
  });

  test("also where they are aborted while a part comes", async () => {
    const path = "/uploads/aborted-between";
    await s3.ask("PUT", "/uploads/copied-between", {}, "x");
    const outcomes = new Set<string>();
    for (let round = 0; round < 20; round++) {
      const id = await begin(path);
      const query = `${path}?uploadId=${id}`;
      const [sent, copied, aborted] = await Promise.all([
        s3.ask("PUT", `${query}&partNumber=1`, {}, "x"),
        s3.ask("PUT", `${query}&partNumber=2`, { "x-amz-copy-source": "/uploads/copied-between" }),
        s3.ask("DELETE", query),
      ]);
      expect(aborted.status).toBe(204);
      for (const { status, code } of [sent, copied]) outcomes.add(code ?? String(status));
    }
    expect([...outcomes].filter((code) => code !== "200" && code !== "NoSuchUpload")).toEqual([]);
  });

  test.each([["0"], ["10001"], ["-1"], ["a"], [""]])("%j is no part number", async (number) => {
    const id = await begin("/uploads/numbers");
    const query = `/uploads/numbers?uploadId=${id}&partNumber=${number}`;
    expect(await s3.refusal("PUT", query, {}, "x")).toEqual([400, "InvalidArgument"]);
  });
});

describe("parts that are copied", () => {
  test("are all of an object or a range of it; not what is not there", async () => {
    await s3.ask("PUT", "/uploads/source", {}, large(5));
    await s3.ask("PUT", "/uploads/five", {}, "abcde");
    const path = "/uploads/copied";
    const id = await begin(path);
    const copy = async (number: number, source: string, range?: string, more: Headers = {}): Promise<S3Answer> =>
      s3.ask("PUT", `${path}?uploadId=${id}&partNumber=${number}`, {
        "x-amz-copy-source": source,
        ...(range === undefined ? {} : { "x-amz-copy-source-range": range }),
        ...more,
      });
    const etag = (answer: S3Answer): string => elementText(answer.text, "ETag")!;
    const whole = await copy(1, "/uploads/source");
    expect(etag(whole)).toBe(`&quot;${md5(large(5)).toString("hex")}&quot;`);
    const range = await copy(2, "/uploads/five", "bytes=1-3");
    expect(etag(range)).toBe(`&quot;${md5("bcd").toString("hex")}&quot;`);
    const wrong = [
      "bytes=0-21",
      "bytes",
      "0-2",
      "bytes=0",
      "bytes=hello-world",
      "bytes=0-bar",
      "bytes=hello-",
      "bytes=0-2,3-5",
      "bytes=3-1",
    ];
    for (const text of wrong)
      expect(outcome(await copy(3, "/uploads/five", text)), text).toEqual([400, "InvalidArgument"]);
    expect(outcome(await copy(3, "/uploads/nothing"))).toEqual([404, "NoSuchKey"]);
    expect(outcome(await copy(3, "/nobodys-bucket/k"))).toEqual([404, "NoSuchBucket"]);
    expect(outcome(await copy(3, "/uploads/five", undefined, { "x-amz-copy-source-if-match": '"x"' }))).toEqual([
      412,
      "PreconditionFailed",
    ]);
    const parts = [whole, range].map((answer, index) => ({ number: index + 1, etag: etag(answer) }));
    expect((await complete(path, id, parts)).status).toBe(200);
    expect((await get(path)).bytes.equals(Buffer.concat([large(5), Buffer.from("bcd")]))).toBe(true);
  });
});

describe("reading by part", () => {
  test("gives each part with its place; parts are counted as they are in the object", async () => {
    const path = "/uploads/by-part";
    const id = await begin(path);
    const parts = [await upload(path, id, 4, large(1)), await upload(path, id, 9, "last")];
    await complete(path, id, parts);
    const { headers } = await head(path);
    for (const [number, size, range] of [
      [1, partSize, `bytes 0-${partSize - 1}/${partSize + 4}`],
      [2, 4, `bytes ${partSize}-${partSize + 3}/${partSize + 4}`],
    ]) {
      for (const method of ["GET", "HEAD"]) {
        const answer = await s3.ask(method, `${path}?partNumber=${number}`);
        expect(answer.status).toBe(206);
        expect(
          ["etag", "x-amz-mp-parts-count", "content-length", "content-range"].map((name) => answer.headers.get(name)),
        ).toEqual([headers.get("etag"), "2", String(size), range]);
      }
    }
    expect(outcome(await get(`${path}?partNumber=3`))).toEqual([400, "InvalidPart"]);
    const told = await get(`${path}?attributes`, { "x-amz-object-attributes": "ObjectParts,ObjectSize" });
    expect([elementText(told.text, "PartsCount"), elementText(told.text, "ObjectSize")]).toEqual([
      "2",
      String(partSize + 4),
    ]);
    expect(told.text).toContain("<ObjectParts><PartsCount>2</PartsCount></ObjectParts>");
  });
});

describe("checksums of uploads", () => {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
  const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
  const crc = (bytes: Uint8Array): string => base64(Buffer.from(crc32(bytes).toString(16).padStart(8, "0"), "hex"));
  const pieces = [large(1), large(2), Buffer.from("three")];

  /** Of each part, `sum` where it is given: otherwise the store says it. */
  async function filled(
    path: string,
    headers: Headers,
    element: string,
    header: string,
    sum?: (bytes: Uint8Array) => string,
  ): Promise<[string, NamedPart[]]> {
    const begun = await s3.ask("POST", `${path}?uploads`, headers);
    expect(begun.headers.get("x-amz-checksum-algorithm")).toBe(headers["x-amz-checksum-algorithm"]);
    const id = elementText(begun.text, "UploadId")!;
    const parts: NamedPart[] = [];
    for (const [index, piece] of pieces.entries()) {
      const sent: Headers = sum === undefined ? {} : { [header]: sum(piece) };
      const answer = await s3.ask("PUT", `${path}?uploadId=${id}&partNumber=${index + 1}`, sent, piece);
      const told = answer.headers.get(header);
      parts.push({ number: index + 1, etag: answer.headers.get("etag")!, more: `<${element}>${told}</${element}>` });
    }
    return [id, parts];
  }

  test("composite: of the parts' checksums, which must be named", async () => {
    const path = "/uploads/composite";
    const name = "x-amz-checksum-sha256";
    const wanted = { "x-amz-checksum-algorithm": "SHA256" };
    const [id, parts] = await filled(path, wanted, "ChecksumSHA256", name, (bytes) => base64(sha256(bytes)));
    const whole = base64(sha256(Buffer.concat(pieces.map(sha256))));
    const bare = parts.map(({ number, etag }) => ({ number, etag }));
    const swapped = [{ ...parts[0]!, more: parts[1]!.more! }, ...parts.slice(1)];
    expect(outcome(await complete(path, id, bare))).toEqual([400, "InvalidRequest"]);
    expect(outcome(await complete(path, id, swapped))).toEqual([400, "InvalidPart"]);
    expect(outcome(await complete(path, id, parts, { [name]: "bad checksum" }))).toEqual([400, "InvalidRequest"]);
    expect(outcome(await complete(path, id, parts, { [name]: `${base64(Buffer.alloc(32))}-3` }))).toEqual([
      400,
      "BadDigest",
    ]);
    expect(outcome(await complete(path, id, parts, { "x-amz-checksum-type": "FULL_OBJECT" }))).toEqual([
      400,
      "InvalidRequest",
    ]);
    const made = await complete(path, id, parts, { [name]: `${whole}-3` });
    expect([elementText(made.text, "ChecksumSHA256"), elementText(made.text, "ChecksumType")]).toEqual([
      `${whole}-3`,
      "COMPOSITE",
    ]);
    const asked = { "x-amz-checksum-mode": "ENABLED" };
    expect((await head(path, asked)).headers.get(name)).toBe(`${whole}-3`);
    expect((await get(`${path}?partNumber=3`, asked)).headers.get(name)).toBe(base64(sha256(pieces[2]!)));
    const told = await get(`${path}?attributes`, {
      "x-amz-object-attributes": "ObjectParts",
      "x-amz-max-parts": "1",
      "x-amz-part-number-marker": "1",
    });
    const names = ["PartsCount", "PartNumberMarker", "NextPartNumberMarker", "MaxParts", "IsTruncated", "PartNumber"];
    expect(names.map((each) => elementText(told.text, each))).toEqual(["3", "1", "2", "1", "true", "2"]);
  });

  test("full object: of all its bytes, from those of the parts", async () => {
    const path = "/uploads/full";
    const name = "x-amz-checksum-crc32";
    const wanted = { "x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT" };
    const [id, parts] = await filled(path, wanted, "ChecksumCRC32", name);
    const whole = crc(Buffer.concat(pieces));
    expect(outcome(await complete(path, id, parts, { [name]: "AAAAAA==" }))).toEqual([400, "BadDigest"]);
    const made = await complete(path, id, parts, { [name]: whole, "x-amz-checksum-type": "FULL_OBJECT" });
    expect([elementText(made.text, "ChecksumCRC32"), elementText(made.text, "ChecksumType")]).toEqual([
      whole,
      "FULL_OBJECT",
    ]);
  });

  test("that no algorithm has, or other than the upload's, are refused; of a composite, none at all", async () => {
    const refused = (headers: Headers): Promise<unknown> => s3.refusal("POST", "/uploads/no?uploads", headers);
    expect(await refused({ "x-amz-checksum-algorithm": "MD4" })).toEqual([400, "InvalidRequest"]);
    expect(await refused({ "x-amz-checksum-type": "COMPOSITE" })).toEqual([400, "InvalidRequest"]);
    expect(await refused({ "x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT" })).toEqual([
      400,
      "InvalidRequest",
    ]);
    expect(await refused({ "x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE" })).toEqual([
      400,
      "InvalidRequest",
    ]);
    const id = await begin("/uploads/other", { "x-amz-checksum-algorithm": "SHA256" });
    for (const headers of [{ "x-amz-checksum-crc32": crc(Buffer.from("x")) }, {}]) {
      expect(await s3.refusal("PUT", `/uploads/other?uploadId=${id}&partNumber=1`, headers, "x")).toEqual([
        400,
        "InvalidRequest",
      ]);
    }
  });
});
