/** Objects over HTTP: metadata, ranges, conditions, copies, checksums and tags as AWS answers them. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Headers, S3Endpoint, type S3Answer, elementText } from "./support/s3-endpoint.ts";
import { Belongings } from "./support/store.ts";

const belongings = new Belongings();
let s3: S3Endpoint;

beforeAll(async () => {
  s3 = await S3Endpoint.open(belongings);
  await s3.bucket("objects");
  await s3.bucket("versioned");
  const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
  await s3.ask("PUT", "/versioned?versioning", {}, enabled);
});
afterAll(() => belongings.giveBack());

const put = (path: string, body: Uint8Array | string, headers: Headers = {}): Promise<S3Answer> =>
  s3.ask("PUT", path, headers, body);
const get = (path: string, headers: Headers = {}): Promise<S3Answer> => s3.ask("GET", path, headers);
const head = (path: string, headers: Headers = {}): Promise<S3Answer> => s3.ask("HEAD", path, headers);
const etagOf = (body: string): string => `"${createHash("md5").update(body).digest("hex")}"`;
const base64 = (algorithm: string, body: string): string => createHash(algorithm).update(body).digest("base64");

describe("what is said of an object is said back", () => {
  test("system headers and user metadata, which a new object replaces", async () => {
    const said = {
      "content-type": "text/bla",
      "cache-control": "max-age=14400",
      "content-disposition": "bla",
      "content-language": "esperanto",
      expires: "Wed, 02 Jan 2030 03:04:05 GMT",
      "x-amz-meta-meta1": "mymeta",
      "x-amz-meta-empty": "",
      "x-amz-meta-CamelCase": "  VaLue ",
      "x-amz-storage-class": "STANDARD_IA",
      "x-amz-website-redirect-location": "/other",
    };
    expect((await put("/objects/described", "x", said)).headers.get("etag")).toBe(etagOf("x"));
    const { headers } = await get("/objects/described");
    for (const [name, value] of Object.entries(said)) expect(headers.get(name), name).toBe(value.trim());
    await put("/objects/described", "x");
    const after = await head("/objects/described");
    expect(after.headers.get("content-type")).toBe("binary/octet-stream");
    for (const name of Object.keys(said).slice(1)) expect(after.headers.get(name), name).toBeNull();
  });

  test("metadata of more than 2 KiB, unknown classes and redirects that lead nowhere are refused", async () => {
    const refused = (headers: Headers): Promise<unknown> => s3.refusal("PUT", "/objects/no", headers, "x");
    expect(await refused({ "x-amz-meta-a": "x".repeat(2048) })).toEqual([400, "MetadataTooLarge"]);
    expect((await put("/objects/much", "x", { "x-amz-meta-a": "x".repeat(2047) })).status).toBe(200);
    expect(await refused({ "x-amz-storage-class": "BOGUS" })).toEqual([400, "InvalidStorageClass"]);
    expect(await refused({ "x-amz-website-redirect-location": "foo" })).toEqual([400, "InvalidRequest"]);
    expect((await head("/objects/no")).status).toBe(404);
  });

  test("aws-chunked is no encoding of the object", async () => {
    const cases: [string, string | null][] = [
      ["gzip", "gzip"],
      ["deflate, gzip", "deflate, gzip"],
      ["gzip, aws-chunked", "gzip"],
      ["aws-chunked, gzip", "gzip"],
      ["aws-chunked", null],
      ["aws-chunked, aws-chunked", null],
    ];
    for (const [said, kept] of cases) {
      await put("/objects/encoded", "", { "content-encoding": said });
      expect((await head("/objects/encoded")).headers.get("content-encoding"), said).toBe(kept);
    }
  });

  test("response-* replace headers, for who has signed", async () => {
    await put("/objects/overridden", "x");
    const query =
      "response-cache-control=no-cache&response-content-disposition=bla&response-content-encoding=aaa" +
      "&response-content-language=esperanto&response-content-type=foo%2Fbar&response-expires=123";
    const { headers } = await get(`/objects/overridden?${query}`);
    const names = ["cache-control", "content-disposition", "content-encoding", "content-language", "content-type"];
    expect(names.map((name) => headers.get(name))).toEqual(["no-cache", "bla", "aaa", "esperanto", "foo/bar"]);
    expect(headers.get("expires")).toBe("123");
    const smuggled = "response-content-type=a%0D%0Ax:y";
    expect(await s3.refusal("GET", `/objects/overridden?${smuggled}`)).toEqual([400, "InvalidArgument"]);
  });
});

describe("keys", () => {
  test.each([
    ["a//b"],
    ["/lead"],
    ["..."],
    ["a/"],
    ["a\u0001b"],
    ["%"],
    ["a?b"],
    ["+"],
    [" "],
    ["é😀"],
    ["a&b<c>\"'"],
    ["\\"],
    ["x".repeat(1024)],
  ])("%j is a key like any other", async (key) => {
    const path = `/objects/${encodeURIComponent(key).replaceAll("%2F", "/")}`;
    await put(path, key);
    expect((await get(path)).text).toBe(key);
  });

  test("too long, or no UTF-8, is refused", async () => {
    expect(await s3.refusal("PUT", `/objects/${"x".repeat(1025)}`, {}, "")).toEqual([400, "KeyTooLongError"]);
    expect(await s3.refusal("GET", "/objects/%ff%fe", {}, undefined, null)).toEqual([400, "InvalidURI"]);
  });
});

describe("ranges", () => {
  beforeAll(async () => {
    await put("/objects/range", "testcontent");
    await put("/objects/empty", "");
  });

  test.each([
    ["bytes=4-7", "cont", "bytes 4-7/11"],
    ["bytes=-7", "content", "bytes 4-10/11"],
    ["bytes=4-", "content", "bytes 4-10/11"],
    ["bytes=-100", "testcontent", "bytes 0-10/11"],
    ["bytes=10-100", "t", "bytes 10-10/11"],
    ["bytes=0-0", "t", "bytes 0-0/11"],
  ])("%s is %j", async (range, wanted, contentRange) => {
    const part = await get("/objects/range", { range });
    expect([part.status, part.text, part.headers.get("content-range")]).toEqual([206, wanted, contentRange]);
    const told = await head("/objects/range", { range });
    expect([told.status, told.headers.get("content-length")]).toEqual([206, String(wanted.length)]);
  });

  test.each([["bytes=5-1"], ["bytes=0-1,3-4"], ["bytes=a-b"], ["foo=0-1"], ["bytes=-"], ["0-3"], ["bytes=1"]])(
    "%s is no range, and the whole object is answered",
    async (range) => {
      const whole = await get("/objects/range", { range });
      expect([whole.status, whole.text]).toEqual([200, "testcontent"]);
    },
  );

  test("of bytes that are not there is InvalidRange, also of an empty object", async () => {
    for (const range of ["bytes=11-", "bytes=40-50", "bytes=-0"]) {
      const answer = await get("/objects/range", { range });
      expect([answer.status, answer.code]).toEqual([416, "InvalidRange"]);
      expect(answer.headers.get("content-range")).toBe("bytes */11");
    }
    for (const range of ["bytes=0-", "bytes=40-50", "bytes=-1"]) {
      expect(await s3.refusal("GET", "/objects/empty", { range })).toEqual([416, "InvalidRange"]);
    }
  });

  test("part 1 is all of an object that was not uploaded in parts", async () => {
    const part = await get("/objects/range?partNumber=1");
    expect([part.status, part.text, part.headers.get("x-amz-mp-parts-count")]).toEqual([206, "testcontent", null]);
    expect(await s3.refusal("GET", "/objects/range?partNumber=2")).toEqual([400, "InvalidPart"]);
    expect(await s3.refusal("GET", "/objects/range?partNumber=0")).toEqual([400, "InvalidArgument"]);
    expect(await s3.refusal("GET", "/objects/range?partNumber=1", { range: "bytes=0-1" })).toEqual([
      400,
      "InvalidRequest",
    ]);
  });
});

describe("conditions", () => {
  test("of reads, in the order of RFC 9110", async () => {
    await put("/objects/read", "bar", { "cache-control": "no-cache" });
    const etag = etagOf("bar");
    const past = "Sat, 29 Oct 1994 19:43:31 GMT";
    const future = "Sat, 29 Oct 2100 19:43:31 GMT";
    const cases: [Headers, number][] = [
      [{ "if-match": etag }, 200],
      [{ "if-match": "*" }, 200],
      [{ "if-match": '"ABCORZ"' }, 412],
      [{ "if-match": `"ABCORZ", ${etag}` }, 200],
      [{ "if-none-match": etag }, 304],
      [{ "if-none-match": `W/${etag}` }, 304],
      [{ "if-none-match": "*" }, 304],
      [{ "if-none-match": '"ABCORZ"' }, 200],
      [{ "if-modified-since": past }, 200],
      [{ "if-modified-since": future }, 304],
      [{ "if-unmodified-since": past }, 412],
      [{ "if-unmodified-since": future }, 200],
      [{ "if-match": etag, "if-unmodified-since": past }, 200],
      [{ "if-none-match": etag, "if-modified-since": past }, 304],
      [{ "if-none-match": '"ABCORZ"', "if-modified-since": future }, 200],
      [{ "if-modified-since": "no date" }, 200],
    ];
    for (const [headers, status] of cases) {
      for (const method of ["GET", "HEAD"]) {
        expect((await s3.ask(method, "/objects/read", headers)).status, JSON.stringify(headers)).toBe(status);
      }
    }
    const unchanged = await get("/objects/read", { "if-none-match": etag });
    expect([unchanged.text, unchanged.headers.get("etag"), unchanged.headers.get("cache-control")]).toEqual([
      "",
      etag,
      "no-cache",
    ]);
  });

  test("of writes: 412 where they do not hold, 404 where there is nothing to match", async () => {
    const write = (path: string, headers: Headers): Promise<unknown> => s3.refusal("PUT", path, headers, "new");
    await put("/objects/written", "old");
    expect(await write("/objects/written", { "if-none-match": "*" })).toEqual([412, "PreconditionFailed"]);
    expect(await write("/objects/written", { "if-match": '"ABCORZ"' })).toEqual([412, "PreconditionFailed"]);
    expect(await write("/objects/not-there", { "if-match": '"ABCORZ"' })).toEqual([404, "NoSuchKey"]);
    expect(await write("/objects/not-there", { "if-match": "*" })).toEqual([404, "NoSuchKey"]);
    expect(await write("/objects/written", { "if-none-match": '"ABCORZ"' })).toEqual([501, "NotImplemented"]);
    expect((await get("/objects/written")).text).toBe("old");
    expect(await write("/objects/written", { "if-match": etagOf("old") })).toEqual([200, undefined]);
    expect(await write("/objects/first", { "if-none-match": "*" })).toEqual([200, undefined]);
  });

  test("a delete marker is nothing: what must match finds nothing, what must be new may come", async () => {
    await put("/versioned/gone", "old");
    await s3.ask("DELETE", "/versioned/gone");
    expect(await s3.refusal("PUT", "/versioned/gone", { "if-match": etagOf("old") }, "x")).toEqual([404, "NoSuchKey"]);
    expect((await put("/versioned/gone", "new", { "if-none-match": "*" })).status).toBe(200);
    expect(await s3.refusal("PUT", "/versioned/gone", { "if-none-match": "*" }, "x")).toEqual([
      412,
      "PreconditionFailed",
    ]);
  });

  test("of 50 that want to be the first, and of 50 that want to replace the same, one is taken", async () => {
    const race = async (headers: Headers): Promise<string[]> => {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) => put("/objects/race", `${JSON.stringify(headers)} ${index}`, headers)),
      );
      return answers.filter(({ status }) => status === 200).map((_, index) => String(index));
    };
    expect(await race({ "if-none-match": "*" })).toHaveLength(1);
    const etag = (await head("/objects/race")).headers.get("etag")!;
    expect(await race({ "if-match": etag })).toHaveLength(1);
  });
});

describe("copies", () => {
  const copy = (path: string, source: string, headers: Headers = {}): Promise<S3Answer> =>
    s3.ask("PUT", path, { "x-amz-copy-source": source, ...headers });
  const source = "/objects/source";
  beforeAll(async () => {
    const said = { "content-type": "text/bla", "x-amz-meta-key1": "value1", "cache-control": "max-age=1" };
    await put(source, "foo", { ...said, "x-amz-tagging": "a=b", "x-amz-storage-class": "STANDARD_IA" });
  });

  test("keep what is said of the source but its class, or have it new", async () => {
    const copied = await copy("/objects/copied", source, { "x-amz-meta-other": "ignored" });
    expect(elementText(copied.text, "ETag")).toBe(`&quot;${etagOf("foo").slice(1, -1)}&quot;`);
    const kept = (await get("/objects/copied")).headers;
    expect([kept.get("content-type"), kept.get("x-amz-meta-key1"), kept.get("x-amz-tagging-count")]).toEqual([
      "text/bla",
      "value1",
      "1",
    ]);
    expect([kept.get("x-amz-meta-other"), kept.get("x-amz-storage-class")]).toEqual([null, null]);
    await copy("/objects/copied", source, {
      "x-amz-metadata-directive": "REPLACE",
      "x-amz-tagging-directive": "REPLACE",
      "x-amz-tagging": "c=d&e=f",
      "x-amz-meta-new": "1",
      "content-type": "audio/ogg",
    });
    const replaced = (await get("/objects/copied")).headers;
    expect([replaced.get("content-type"), replaced.get("x-amz-meta-new"), replaced.get("x-amz-tagging-count")]).toEqual(
      ["audio/ogg", "1", "2"],
    );
    expect([replaced.get("x-amz-meta-key1"), replaced.get("cache-control")]).toEqual([null, null]);
  });

  test("onto itself must change something", async () => {
    expect(await copy(source, source)).toMatchObject({ status: 400, code: "InvalidRequest" });
    expect((await copy(source, source, { "x-amz-storage-class": "STANDARD" })).status).toBe(200);
    expect(
      (await copy(source, source, { "x-amz-metadata-directive": "REPLACE", "content-type": "text/bla" })).status,
    ).toBe(200);
  });

  test("of what is not there, or badly named, are refused", async () => {
    const cases: [string, Headers, number, string][] = [
      ["/nobodys-bucket/k", {}, 404, "NoSuchBucket"],
      ["/objects/nothing", {}, 404, "NoSuchKey"],
      ["no-key", {}, 400, "InvalidArgument"],
      ["/objects/", {}, 400, "InvalidArgument"],
      [`${source}?versionId=zz`, {}, 400, "InvalidArgument"],
      [source, { "x-amz-metadata-directive": "OTHER" }, 400, "InvalidArgument"],
      [source, { "x-amz-tagging-directive": "OTHER" }, 400, "InvalidArgument"],
      [source, { "x-amz-storage-class": "BOGUS" }, 400, "InvalidStorageClass"],
      [source, { "x-amz-copy-source-if-match": '"x"' }, 412, "PreconditionFailed"],
      [source, { "x-amz-copy-source-if-none-match": etagOf("foo") }, 412, "PreconditionFailed"],
      [source, { "x-amz-copy-source-if-modified-since": "Sat, 29 Oct 2100 19:43:31 GMT" }, 412, "PreconditionFailed"],
      [source, { "x-amz-copy-source-if-unmodified-since": "Sat, 29 Oct 1994 19:43:31 GMT" }, 412, "PreconditionFailed"],
      [source, { "if-match": '"x"' }, 404, "NoSuchKey"],
    ];
    for (const [from, headers, status, code] of cases) {
      const answer = await copy("/objects/not-made", from, headers);
      expect([answer.status, answer.code], `${from} ${JSON.stringify(headers)}`).toEqual([status, code]);
    }
    expect((await head("/objects/not-made")).status).toBe(404);
  });

  test("of one version, of a key with any letters; a delete marker cannot be copied", async () => {
    const path = "/versioned/foo%3Fbar%20%2B%26";
    const first = (await put(path, "1")).headers.get("x-amz-version-id")!;
    await put(path, "2");
    const copied = await copy("/versioned/copy", `${path}?versionId=${first}`);
    expect(copied.headers.get("x-amz-copy-source-version-id")).toBe(first);
    expect((await get("/versioned/copy")).text).toBe("1");
    expect((await copy(path, `${path}?versionId=${first}`)).status).toBe(200);
    expect((await get(path)).text).toBe("1");
    const marker = (await s3.ask("DELETE", path)).headers.get("x-amz-version-id")!;
    expect(await copy("/versioned/copy", path)).toMatchObject({ status: 404, code: "NoSuchKey" });
    expect(await copy("/versioned/copy", `${path}?versionId=${marker}`)).toMatchObject({
      status: 400,
      code: "InvalidRequest",
    });
  });

  test("from another owner's bucket than was meant are refused, as all requests are", async () => {
    const other = "123456789012";
    const from = (owner: string): Promise<S3Answer> =>
      copy("/objects/not-made", source, { "x-amz-source-expected-bucket-owner": owner });
    expect(await from(other)).toMatchObject({ status: 403, code: "AccessDenied" });
    expect(await from("abc")).toMatchObject({ status: 400, code: "InvalidBucketOwnerAWSAccountID" });
    const meant = (owner: string): Promise<unknown> =>
      s3.refusal("GET", source, { "x-amz-expected-bucket-owner": owner });
    expect(await meant(other)).toEqual([403, "AccessDenied"]);
    expect(await meant("abc")).toEqual([400, "InvalidBucketOwnerAWSAccountID"]);
    const { owner } = (await s3.running.gateway!.services.datastore.getBucket("objects"))!.attributes;
    expect(await meant(owner as string)).toEqual([200, undefined]);
  });

  test("get a checksum where one is asked for", async () => {
    const made = await copy("/objects/summed", source, { "x-amz-checksum-algorithm": "SHA256" });
    expect(elementText(made.text, "ChecksumSHA256")).toBe(base64("sha256", "foo"));
    expect(await copy("/objects/summed", source, { "x-amz-checksum-algorithm": "SHA3" })).toMatchObject({
      status: 400,
      code: "InvalidRequest",
    });
  });
});

describe("checksums", () => {
  const body = "a body to be summed";
  const sums: Headers = {
    "x-amz-checksum-sha256": base64("sha256", body),
    "x-amz-checksum-sha1": base64("sha1", body),
    "x-amz-checksum-crc32": Buffer.from(crc32(body).toString(16).padStart(8, "0"), "hex").toString("base64"),
  };

  test("are verified, kept, and told where asked for", async () => {
    for (const [name, value] of Object.entries(sums)) {
      const made = await put("/objects/sum", body, { [name]: value });
      expect([made.headers.get(name), made.headers.get("x-amz-checksum-type")]).toEqual([value, "FULL_OBJECT"]);
      expect((await get("/objects/sum")).headers.get(name)).toBeNull();
      const asked = { "x-amz-checksum-mode": "ENABLED" };
      expect((await head("/objects/sum", asked)).headers.get(name)).toBe(value);
      expect((await get("/objects/sum", { ...asked, range: "bytes=0-3" })).headers.get(name)).toBeNull();
      expect(await s3.refusal("PUT", "/objects/wrong", { [name]: value }, `${body}!`)).toEqual([400, "BadDigest"]);
      expect(await s3.refusal("PUT", "/objects/wrong", { [name]: "bad" }, body)).toEqual([400, "InvalidRequest"]);
    }
    expect((await head("/objects/wrong")).status).toBe(404);
  });

  test("that contradict each other are refused", async () => {
    const cases: Headers[] = [
      sums,
      { "x-amz-sdk-checksum-algorithm": "SHA256" },
      { "x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-crc32": sums["x-amz-checksum-crc32"]! },
      { "x-amz-sdk-checksum-algorithm": "MD4" },
      { "x-amz-checksum-md4": "AAAA" },
    ];
    for (const headers of cases) {
      expect(await s3.refusal("PUT", "/objects/wrong", headers, body)).toEqual([400, "InvalidRequest"]);
    }
  });

  test("Content-MD5 that is none, and one of other bytes", async () => {
    const md5 = (value: string): Promise<unknown> =>
      s3.refusal("PUT", "/objects/wrong", { "content-md5": value }, body);
    expect(await md5("YWJyYWNhZGFicmE=")).toEqual([400, "InvalidDigest"]);
    expect(await md5("")).toEqual([400, "InvalidDigest"]);
    expect(await md5("rL0Y20xC+Fzt72VPzMSk2A==")).toEqual([400, "BadDigest"]);
    expect(await md5(base64("md5", body))).toEqual([200, undefined]);
  });
});

describe("GetObjectAttributes", () => {
  const attributes = (path: string, wanted: Headers): Promise<S3Answer> => s3.ask("GET", path, wanted);
  const named = (names: string): Headers => ({ "x-amz-object-attributes": names });

  test("tells what is asked for, and nothing else", async () => {
    await put("/objects/told", "hello", { "x-amz-checksum-sha256": base64("sha256", "hello") });
    const all = await attributes(
      "/objects/told?attributes",
      named("ETag,Checksum,ObjectParts,StorageClass,ObjectSize"),
    );
    expect(elementText(all.text, "ETag")).toBe(etagOf("hello").slice(1, -1));
    expect(elementText(all.text, "ChecksumSHA256")).toBe(base64("sha256", "hello"));
    expect(elementText(all.text, "StorageClass")).toBe("STANDARD");
    expect(elementText(all.text, "ObjectSize")).toBe("5");
    expect(all.text).not.toContain("ObjectParts");
    const size = await attributes("/objects/told?attributes", named("ObjectSize"));
    expect(size.text).toMatch(/Response xmlns="[^"]*"><ObjectSize>5<\/ObjectSize><\/GetObjectAttributesResponse>$/);
  });

  test("refuses names it does not know, and none at all", async () => {
    expect(await attributes("/objects/told?attributes", named("Bogus"))).toMatchObject({
      status: 400,
      code: "InvalidArgument",
    });
    expect(await attributes("/objects/told?attributes", {})).toMatchObject({ status: 400, code: "InvalidRequest" });
    expect(await attributes("/objects/nothing?attributes", named("ETag"))).toMatchObject({
      status: 404,
      code: "NoSuchKey",
    });
  });
});

describe("tags of an object", () => {
  const tagging = (pairs: readonly (readonly [string, string])[]): string =>
    `<Tagging><TagSet>${pairs.map(([key, value]) => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`).join("")}</TagSet></Tagging>`;
  const many = (count: number): [string, string][] => Array.from({ length: count }, (_, index) => [`k${index}`, "v"]);

  test("at most ten, with keys and values that AWS takes", async () => {
    await put("/objects/tagged", "x");
    const set = (pairs: [string, string][]): Promise<unknown> =>
      s3.refusal("PUT", "/objects/tagged?tagging", {}, tagging(pairs));
    expect(await set(many(10))).toEqual([200, undefined]);
    expect(await set(many(11))).toEqual([400, "InvalidTag"]);
    expect(await set([["k".repeat(129), "v"]])).toEqual([400, "InvalidTag"]);
    expect(await set([["k", "v".repeat(257)]])).toEqual([400, "InvalidTag"]);
    expect(
      await set([
        ["k", "v"],
        ["k", "w"],
      ]),
    ).toEqual([400, "InvalidTag"]);
    expect(await set([["", "v"]])).toEqual([400, "InvalidTag"]);
    expect(await set([["a$b", "v"]])).toEqual([400, "InvalidTag"]);
    expect(await set([["k".repeat(128), "v".repeat(256)]])).toEqual([200, undefined]);
    expect((await head("/objects/tagged")).headers.get("x-amz-tagging-count")).toBe("1");
    expect((await s3.ask("DELETE", "/objects/tagged?tagging")).status).toBe(204);
    expect((await get("/objects/tagged?tagging")).text).toContain("<TagSet></TagSet>");
    expect(await s3.refusal("GET", "/objects/nothing?tagging")).toEqual([404, "NoSuchKey"]);
  });

  test("come with the object in a header", async () => {
    await put("/objects/tagged", "x", { "x-amz-tagging": "foo=%C3%A9+b&bar" });
    const { text } = await get("/objects/tagged?tagging");
    expect(text).toContain("<Tag><Key>foo</Key><Value>é b</Value></Tag><Tag><Key>bar</Key><Value></Value></Tag>");
    const refused = (value: string): Promise<unknown> =>
      s3.refusal("PUT", "/objects/no", { "x-amz-tagging": value }, "");
    expect(
      await refused(
        many(11)
          .map((pair) => pair.join("="))
          .join("&"),
      ),
    ).toEqual([400, "InvalidTag"]);
    expect(await refused("%zz=b")).toEqual([400, "InvalidArgument"]);
  });
});

describe("who may not read", () => {
  test("is told no, whether it is there or not", async () => {
    await put("/objects/secret", "x");
    for (const path of ["/objects/secret", "/objects/no-secret"]) {
      expect(await s3.refusal("GET", path, {}, undefined, null)).toEqual([403, "AccessDenied"]);
      expect((await s3.ask("HEAD", path, {}, undefined, null)).status).toBe(403);
    }
    expect(await s3.refusal("PUT", "/objects/mine", {}, "x", null)).toEqual([403, "AccessDenied"]);
    expect(await s3.refusal("GET", "/nobodys-bucket/k", {}, undefined, null)).toEqual([404, "NoSuchBucket"]);
  });

  test("an error's id is its answer's", async () => {
    const answer = await get("/objects/nothing");
    expect(elementText(answer.text, "RequestId")).toBe(answer.headers.get("x-amz-request-id"));
    expect(elementText(answer.text, "HostId")).toBe(answer.headers.get("x-amz-id-2"));
    expect(answer.headers.get("content-type")).toBe("application/xml");
  });
});
