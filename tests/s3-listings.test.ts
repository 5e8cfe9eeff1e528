import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listObjectsOperations } from "../src/gateways/s3/buckets/list-objects.ts";
import { listVersionsOperations } from "../src/gateways/s3/buckets/list-versions.ts";
import { percentEncoded, sparinglyEncoded } from "../src/gateways/s3/buckets/listing-xml.ts";
import { S3Calls } from "./support/s3-calls.ts";
import { elements, outline, text, texts } from "./support/s3-listing.ts";

let s3: S3Calls;
beforeAll(async () => {
  s3 = await S3Calls.open();
});
afterAll(() => s3.close());

let bucketCount = 0;
async function bucketOf(keys: readonly string[]): Promise<string> {
  const bucket = await s3.makeBucket(`bucket-${bucketCount++}`);
  await Promise.all(keys.map((key) => s3.put(bucket, key)));
  return bucket;
}

type Query = { readonly [name: string]: string };
const v1 = async (bucket: string, query: Query = {}): Promise<string> =>
  (await s3.run(listObjectsOperations, "ListObjects", { bucket, query })).text;
const v2 = async (bucket: string, query: Query = {}): Promise<string> =>
  (await s3.run(listObjectsOperations, "ListObjectsV2", { bucket, query: { "list-type": "2", ...query } })).text;
const versions = async (bucket: string, query: Query = {}): Promise<string> =>
  (await s3.run(listVersionsOperations, "ListObjectVersions", { bucket, query: { versions: "", ...query } })).text;
const prefixesOf = (xml: string): string[] => elements(xml, "CommonPrefixes").map((each) => inEncoding(xml, each));
const inEncoding = (xml: string, part: string): string =>
  text(xml.includes("<EncodingType>") ? `<EncodingType>url</EncodingType>${part}` : part, "Prefix")!;

// ── against a model ─────────────────────────────────────────────────────────────────────────────────────────────────

const pieces = [
  "a",
  "b",
  "/",
  "//",
  "-",
  "é",
  "\uFFFD",
  "😀",
  "\u{10FFFF}",
  "\u0001",
  "\u007F",
  "\r",
  " ",
  "+",
  "%",
  "&<",
];
const name = fc.array(fc.constantFrom(...pieces), { maxLength: 5 }).map((parts) => parts.join(""));
const longName = fc.constantFrom("x".repeat(1_024), "😀".repeat(256), `a/${"y".repeat(900)}/${"z".repeat(100)}`);
const key = fc.oneof({ weight: 20, arbitrary: name.filter((text) => text !== "") }, { weight: 1, arbitrary: longName });
const keys = fc.uniqueArray(key, { maxLength: 30 });
const delimiter = fc.constantFrom("", "/", "/", "//", "a", "-", "é", "😀", " ");
const pageSize = fc.integer({ min: 1, max: 8 });
const encoding = fc.constantFrom<Query>({}, { "encoding-type": "url" });

const byBytes = (one: string, other: string): number => Buffer.compare(Buffer.from(one), Buffer.from(other));

/** Keys and common prefixes ("> " before them) in order, after `after`. */
function model(all: readonly string[], prefix: string, by: string, after: string): string[] {
  const entries = new Map<string, string>();
  for (const each of all) {
    if (!each.startsWith(prefix)) continue;
    const index = by === "" ? -1 : each.indexOf(by, prefix.length);
    const entry = index < 0 ? each : each.slice(0, index + by.length);
    const isPassed = after !== "" && (byBytes(entry, after) <= 0 || (index >= 0 && after.startsWith(entry)));
    if (!isPassed) entries.set(entry, index < 0 ? each : `> ${entry}`);
  }
  return [...entries].sort(([one], [other]) => byBytes(one, other)).map(([, shown]) => shown);
}

/** What a page shows, keys first and then prefixes, in the order of the model. */
function shown(xml: string): string[] {
  const entries = [
    ...texts(xml, "Key").map((each) => [each, each]),
    ...prefixesOf(xml).map((each) => [each, `> ${each}`]),
  ];
  return entries.sort(([one], [other]) => byBytes(one!, other!)).map(([, entry]) => entry!);
}

describe("page by page, a listing is what the model says", () => {
  test("ListObjectsV2, by continuation tokens", async () => {
    const property = fc.asyncProperty(
      keys,
      name,
      delimiter,
      name,
      pageSize,
      encoding,
      async (all, prefix, by, start, size, more) => {
        const bucket = await bucketOf(all);
        const query = { prefix, delimiter: by, "start-after": start, "max-keys": String(size), ...more };
        const found: string[] = [];
        let token: string | undefined;
        do {
          const xml = await v2(bucket, token === undefined ? query : { ...query, "continuation-token": token });
          const page = shown(xml);
          expect(text(xml, "KeyCount")).toBe(String(page.length));
          expect(page.length).toBeLessThanOrEqual(size);
          found.push(...page);
          token = text(xml, "NextContinuationToken");
          expect(text(xml, "IsTruncated")).toBe(String(token !== undefined));
        } while (token !== undefined);
        expect(found).toEqual(model(all, prefix, by, start));
      },
    );
    await fc.assert(property, { numRuns: 120 });
  });

  test("ListObjects, by the last key, or NextMarker where there is a delimiter", async () => {
    const property = fc.asyncProperty(
      keys,
      name,
      delimiter,
      name,
      pageSize,
      encoding,
      async (all, prefix, by, start, size, more) => {
        const bucket = await bucketOf(all);
        const found: string[] = [];
        let marker = start;
        for (;;) {
          const xml = await v1(bucket, { prefix, delimiter: by, marker, "max-keys": String(size), ...more });
          expect(text(xml, "Marker")).toBe(marker);
          found.push(...shown(xml));
          const next = text(xml, "NextMarker");
          const isTruncated = text(xml, "IsTruncated") === "true";
          expect(next !== undefined).toBe(isTruncated && by !== "");
          if (!isTruncated) break;
          marker = next ?? texts(xml, "Key").at(-1)!;
        }
        expect(found).toEqual(model(all, prefix, by, start));
      },
    );
    await fc.assert(property, { numRuns: 120 });
  });

  test("ListObjectVersions, by its two markers", async () => {
    const writes = fc.array(fc.tuple(fc.constantFrom("a", "a/b", "a/c", "b", "é/1"), fc.boolean()), { maxLength: 20 });
    const by = fc.constantFrom("", "/");
    const property = fc.asyncProperty(writes, by, pageSize, encoding, async (all, delimiter, size, more) => {
      const bucket = await bucketOf([]);
      await s3.datastore.updateBucket(bucket, { versioning: "enabled" });
      const expected: string[] = [];
      for (const [each, isPut] of all) {
        const id = isPut ? await s3.put(bucket, each) : (await s3.datastore.deleteFile(bucket, each, 0))!.version;
        expected.unshift(`${isPut ? "version" : "marker"} ${each} ${id}`);
      }
      const found: string[] = [];
      const prefixes: string[] = [];
      let after: Query = {};
      for (;;) {
        const xml = await versions(bucket, { delimiter, "max-keys": String(size), ...more, ...after });
        found.push(...versionsIn(xml));
        prefixes.push(...prefixesOf(xml));
        if (text(xml, "IsTruncated") === "false") break;
        const version = text(xml, "NextVersionIdMarker");
        after = {
          "key-marker": text(xml, "NextKeyMarker")!,
          ...(version === undefined ? {} : { "version-id-marker": version }),
        };
      }
      const isRolled = (each: string): boolean => delimiter === "/" && each.includes("/");
      const listed = expected.filter((each) => !isRolled(each.split(" ")[1]!));
      // Newest first within a key; sorting is stable.
      expect(found).toEqual(listed.sort((one, other) => byBytes(one.split(" ")[1]!, other.split(" ")[1]!)));
      const rolled = new Set(
        all
          .map(([each]) => each)
          .filter(isRolled)
          .map((each) => each.slice(0, each.indexOf("/") + 1)),
      );
      expect(prefixes).toEqual([...rolled].sort(byBytes));
    });
    await fc.assert(property, { numRuns: 60 });
  });
});

function versionsIn(xml: string): string[] {
  const encoded = xml.includes("<EncodingType>") ? "<EncodingType>url</EncodingType>" : "";
  return (xml.match(/<(Version|DeleteMarker)>.*?<\/\1>/gs) ?? []).map((each) => {
    const kind = each.startsWith("<Version>") ? "version" : "marker";
    return `${kind} ${text(encoded + each, "Key")} ${text(each, "VersionId")}`;
  });
}

// ── what it looks like ──────────────────────────────────────────────────────────────────────────────────────────────

const owner = (): string => `<Owner><ID>${s3.root.account.id}</ID><DisplayName>root</DisplayName></Owner>`;
const head =
  '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">';

test("ListObjects has AWS's elements in AWS's order", async () => {
  const bucket = await s3.makeBucket("shape-1");
  await s3.put(bucket, "a&b", { checksums: { CRC32: "AAAAAA==" } }, 1_790_000_000_123);
  await s3.put(bucket, "z/1");
  const contents =
    "<Contents><Key>a&amp;b</Key><LastModified>2026-09-21T14:13:20.000Z</LastModified>" +
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>" +
    `<ChecksumType>FULL_OBJECT</ChecksumType><Size>0</Size>${owner()}<StorageClass>STANDARD</StorageClass></Contents>`;
  expect(await v1(bucket, { delimiter: "/" })).toBe(
    `${head}<Name>shape-1</Name><Prefix></Prefix><Marker></Marker><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter>` +
      `<IsTruncated>false</IsTruncated>${contents}<CommonPrefixes><Prefix>z/</Prefix></CommonPrefixes></ListBucketResult>`,
  );
  expect(outline(await v1(bucket, { delimiter: "/", "max-keys": "1", "encoding-type": "url" }))).toEqual([
    "Name",
    "Prefix",
    "Marker",
    "NextMarker",
    "MaxKeys",
    "Delimiter",
    "EncodingType",
    "IsTruncated",
    "Contents",
  ]);
});

test("ListObjectsV2 tells owners only where asked, and echoes start-after also beside a token", async () => {
  const bucket = await bucketOf(["bar", "baz", "foo", "quxx"]);
  const first = await v2(bucket, { "start-after": "bar", "max-keys": "1" });
  expect(outline(first)).toEqual([
    "Name",
    "Prefix",
    "StartAfter",
    "NextContinuationToken",
    "KeyCount",
    "MaxKeys",
    "IsTruncated",
    "Contents",
  ]);
  expect(first).not.toContain("<Owner>");
  const token = text(first, "NextContinuationToken")!;
  const second = await v2(bucket, { "start-after": "bar", "continuation-token": token, "fetch-owner": "true" });
  expect(texts(second, "Key")).toEqual(["foo", "quxx"]);
  expect([text(second, "StartAfter"), text(second, "ContinuationToken")]).toEqual(["bar", token]);
  expect(elements(second, "Owner")).toEqual([owner(), owner()]);
});

test("a storage class, several checksums and an owner of its own are told", async () => {
  const other = await s3.accounts.add({ name: `other-${bucketCount++}` });
  const bucket = await s3.makeBucket("shape-2", { ownership: "ObjectWriter" });
  const checksums = { CRC32: "AAAAAA==-2", SHA256: "x" };
  await s3.put(bucket, "k", { class: "GLACIER_IR", checksums, checksumType: "COMPOSITE", owner: other.account.id });
  const xml = await v1(bucket);
  expect(texts(xml, "ChecksumAlgorithm")).toEqual(["CRC32", "SHA256"]);
  expect([text(xml, "ChecksumType"), text(xml, "StorageClass")]).toEqual(["COMPOSITE", "GLACIER_IR"]);
  expect([text(xml, "ID"), text(xml, "DisplayName")]).toEqual([other.account.id, other.account.name]);
});

test("ListObjectVersions has versions and delete markers in one order", async () => {
  const bucket = await bucketOf([]);
  await s3.datastore.updateBucket(bucket, { versioning: "enabled" });
  const version = await s3.put(bucket, "k", {}, 1_790_000_000_000);
  const marker = (await s3.datastore.deleteFile(bucket, "k", 1_790_000_000_000))!.version;
  const xml = await versions(bucket);
  const when = "<LastModified>2026-09-21T14:13:20.000Z</LastModified>";
  expect(xml.slice(xml.indexOf("<IsTruncated>"))).toBe(
    `<IsTruncated>false</IsTruncated><DeleteMarker><Key>k</Key><VersionId>${marker}</VersionId><IsLatest>true</IsLatest>` +
      `${when}${owner()}</DeleteMarker><Version><Key>k</Key><VersionId>${version}</VersionId><IsLatest>false</IsLatest>` +
      `${when}<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>0</Size>${owner()}` +
      "<StorageClass>STANDARD</StorageClass></Version></ListVersionsResult>",
  );
  expect(outline(await versions(bucket, { "max-keys": "1", delimiter: "/", "encoding-type": "url" }))).toEqual(
    // prettier-ignore
    ["Name", "Prefix", "KeyMarker", "VersionIdMarker", "NextKeyMarker", "NextVersionIdMarker", "MaxKeys", "Delimiter",
      "EncodingType", "IsTruncated", "DeleteMarker"],
  );
});

test("the versions of one key go on in the middle", async () => {
  const bucket = await bucketOf([]);
  await s3.datastore.updateBucket(bucket, { versioning: "enabled" });
  for (let count = 0; count < 3; count++) await s3.put(bucket, "k");
  const all = texts(await versions(bucket), "VersionId");
  const rest = await versions(bucket, { "key-marker": "k", "version-id-marker": all[0]! });
  expect(texts(rest, "VersionId")).toEqual(all.slice(1));
  expect(texts(rest, "IsLatest")).toEqual(["false", "false"]);
});

// ── parameters ──────────────────────────────────────────────────────────────────────────────────────────────────────

test("names are percent-encoded so that every decoder understands them", () => {
  expect(percentEncoded("asdf+b")).toBe("asdf%2Bb");
  expect(percentEncoded("quux ab/")).toBe("quux%20ab/");
  expect(percentEncoded("test_file(3).png")).toBe("test_file%283%29.png");
  expect(percentEncoded("~!'*-_.é\u0001\r")).toBe("%7E%21%27*-_.%C3%A9%01%0D");
  expect(sparinglyEncoded("a b/%+\u0001\n&é")).toBe("a b/%25%2B%01\n&amp;é");
  const property = fc.property(fc.string({ unit: "binary" }), (each) => {
    expect(decodeURIComponent(percentEncoded(each))).toBe(each);
    expect(percentEncoded(each)).toMatch(/^[\w.*/%-]*$/);
  });
  fc.assert(property);
});

test("max-keys: nothing is a page of nothing, and there is a most", async () => {
  const bucket = await bucketOf(["a", "b"]);
  for (const list of [v1, v2, versions]) {
    const none = await list(bucket, { "max-keys": "0" });
    expect([text(none, "IsTruncated"), text(none, "MaxKeys"), texts(none, "Key")]).toEqual(["false", "0", []]);
    expect(text(await list(bucket, { "max-keys": "5000" }), "MaxKeys")).toBe("1000");
    expect(text(await list(bucket, { "max-keys": "" }), "MaxKeys")).toBe("1000");
  }
});

test("an empty delimiter is none", async () => {
  const bucket = await bucketOf(["a/b"]);
  for (const list of [v1, v2, versions]) {
    const xml = await list(bucket, { delimiter: "" });
    expect([text(xml, "Delimiter"), texts(xml, "Key")]).toEqual([undefined, ["a/b"]]);
  }
});

test("the empty token is the beginning", async () => {
  const xml = await v2(await bucketOf(["a"]), { "continuation-token": "" });
  expect([text(xml, "ContinuationToken"), texts(xml, "Key")]).toEqual(["", ["a"]]);
});

test("parameters that cannot be are refused in S3's words", async () => {
  const bucket = await bucketOf([]);
  const refusal = async (operation: string, query: Query): Promise<unknown[]> => {
    const all = [...listObjectsOperations, ...listVersionsOperations];
    const { code, message, elements: more } = await s3.refused(all, operation, { bucket, query });
    expect(code).toBe("InvalidArgument");
    return [message, ...Object.values(more)];
  };
  const notNumber = "Provided max-keys not an integer or within integer range";
  expect(await refusal("ListObjects", { "max-keys": "blah" })).toEqual([notNumber, "max-keys", "blah"]);
  expect(await refusal("ListObjectVersions", { "max-keys": "99999999999" })).toEqual([
    notNumber,
    "max-keys",
    "99999999999",
  ]);
  const negative = "Argument maxKeys must be an integer between 0 and 2147483647";
  expect((await refusal("ListObjectsV2", { "max-keys": "-1" }))[0]).toBe(negative);
  expect((await refusal("ListObjectVersions", { "max-keys": "-1" }))[0]).toBe("max-keys cannot be negative");
  const encoding = "Invalid Encoding Method specified in Request";
  for (const operation of ["ListObjects", "ListObjectsV2", "ListObjectVersions"]) {
    expect(await refusal(operation, { "encoding-type": "base64" })).toEqual([encoding, "encoding-type", "base64"]);
  }
  const badToken = "The continuation token provided is incorrect";
  for (const token of ["x", "MQ==", "!", "1", Buffer.from("1\xff", "latin1").toString("base64url")]) {
    expect(await refusal("ListObjectsV2", { "continuation-token": token })).toEqual([badToken, "continuation-token"]);
  }
  expect(await refusal("ListObjectsV2", { marker: "x" })).toEqual([
    "Marker unsupported with REST.GET.BUCKET in list-type=2",
    "marker",
  ]);
  expect((await refusal("ListObjects", { "start-after": "x" }))[1]).toBe("start-after");
  expect((await refusal("ListObjects", { "continuation-token": "x" }))[1]).toBe("continuation-token");
  const alone = "A version-id marker cannot be specified without a key marker.";
  expect((await refusal("ListObjectVersions", { "version-id-marker": "null" }))[0]).toBe(alone);
  const marked = (id: string): Query => ({ "key-marker": "k", "version-id-marker": id });
  expect((await refusal("ListObjectVersions", marked("")))[0]).toBe("A version-id marker cannot be empty.");
  expect((await refusal("ListObjectVersions", marked("NULL")))[0]).toBe("Invalid version id specified");
});
