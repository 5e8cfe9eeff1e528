import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bucketOperations } from "../src/gateways/s3/buckets/bucket.ts";
import { checkBucketName } from "../src/gateways/s3/buckets/bucket-name.ts";
import { listBucketsOperations } from "../src/gateways/s3/buckets/list-buckets.ts";
import { versioningOperations } from "../src/gateways/s3/buckets/versioning.ts";
import { bucketOf, plain } from "../src/gateways/s3/model.ts";
import type { Identity } from "../src/gateways/s3/auth/identity.ts";
import { listUploadsOperations } from "../src/gateways/s3/uploads/list-uploads.ts";
import { type Ask, type Answered, nobody, S3Calls } from "./support/s3-calls.ts";
import { elements, outline, text, texts } from "./support/s3-listing.ts";

let s3: S3Calls;
beforeAll(async () => {
  s3 = await S3Calls.open();
});
afterAll(() => s3.close());

const run = (name: string, ask: Ask): Promise<Answered> =>
  s3.run([...bucketOperations, ...versioningOperations], name, ask);
const refusal = async (name: string, ask: Ask): Promise<[number, string]> => {
  const { status, code } = await s3.refused([...bucketOperations, ...versioningOperations], name, ask);
  return [status, code];
};
const located = (name: string): string =>
  `<CreateBucketConfiguration><LocationConstraint>${name}</LocationConstraint></CreateBucketConfiguration>`;
let userCount = 0;
const otherUser = async (): Promise<Identity> => ({
  kind: "user",
  key: await s3.accounts.add({ name: `u${userCount++}` }),
});

test("names are what AWS takes", () => {
  for (const name of ["abc", "a.b-c", "0ab", `a${"b".repeat(62)}`, "foo.bar", "my-s3"]) {
    expect(() => checkBucketName(name)).not.toThrow();
  }
  const bad = ["", "a", "aa", "a".repeat(64), "_foo", "foo_bar", "foo-", "-foo", "foo.", ".foo", "Foo", "foo..bar"];
  const worse = [
    "foo.-bar",
    "foo-.bar",
    "192.168.5.123",
    "xn--foo",
    "sthree-foo",
    "foo-s3alias",
    "foo--ol-s3",
    "foo.mrap",
  ];
  for (const name of [...bad, ...worse, "foo--x-s3", "alpha\u00e9", "a b", "foo\n", "*.foo"]) {
    expect(() => checkBucketName(name), name).toThrow(expect.objectContaining({ code: "InvalidBucketName" }));
  }
  fc.assert(
    fc.property(fc.string({ maxLength: 70 }), (name) => {
      const isLabel = /^[a-z0-9.-]{3,63}$/.test(name);
      if (!isLabel) expect(() => checkBucketName(name)).toThrow();
    }),
  );
});

test("a bucket is made, found, told where it is, and removed", async () => {
  const bucket = "made-1";
  const made = await run("CreateBucket", { bucket });
  expect([made.status, made.headers["Location"]]).toEqual([200, "/made-1"]);
  const head = await run("HeadBucket", { bucket });
  expect(head.headers["x-amz-bucket-region"]).toBe("us-east-1");
  const location = (await run("GetBucketLocation", { bucket })).text;
  expect(location).toContain(
    '<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>',
  );
  expect((await run("DeleteBucket", { bucket })).status).toBe(204);
  expect(await s3.datastore.getBucket(bucket)).toBeUndefined();
});

test("a location constraint is kept, whatever it is, and a name that cannot be one is refused", async () => {
  await run("CreateBucket", { bucket: "located", body: located("eu-central-1") });
  expect((await run("HeadBucket", { bucket: "located" })).headers["x-amz-bucket-region"]).toBe("eu-central-1");
  expect((await run("GetBucketLocation", { bucket: "located" })).text).toContain(">eu-central-1</LocationConstraint>");
  expect(await refusal("CreateBucket", { bucket: "other", body: located("not a region") })).toEqual([
    400,
    "InvalidLocationConstraint",
  ]);
  expect(await refusal("CreateBucket", { bucket: "other", body: "<CreateBucketConfiguration>" })).toEqual([
    400,
    "MalformedXML",
  ]);
  expect(
    await refusal("CreateBucket", {
      bucket: "other",
      body: "<CreateBucketConfiguration><X/></CreateBucketConfiguration>",
    }),
  ).toEqual([400, "MalformedXML"]);
  expect(await refusal("CreateBucket", { bucket: "Other" })).toEqual([400, "InvalidBucketName"]);
  expect(await refusal("CreateBucket", { bucket: "other", as: nobody })).toEqual([403, "AccessDenied"]);
});

test("made again: fine for the owner in us-east-1 where nothing would change, refused otherwise", async () => {
  await run("CreateBucket", { bucket: "again" });
  expect((await run("CreateBucket", { bucket: "again" })).status).toBe(200);
  const lock = { "x-amz-bucket-object-lock-enabled": "true" };
  expect(await refusal("CreateBucket", { bucket: "again", headers: lock })).toEqual([409, "BucketAlreadyExists"]);
  expect(await refusal("CreateBucket", { bucket: "again", as: await otherUser() })).toEqual([
    409,
    "BucketAlreadyExists",
  ]);
  const body = located("eu-west-2");
  await run("CreateBucket", { bucket: "again-2", body });
  expect(await refusal("CreateBucket", { bucket: "again-2", body })).toEqual([409, "BucketAlreadyOwnedByYou"]);
  expect(await refusal("CreateBucket", { bucket: "again-2" })).toEqual([409, "BucketAlreadyOwnedByYou"]);
});

test("a bucket with object lock is versioned and stays so", async () => {
  const bucket = "locked";
  await run("CreateBucket", { bucket, headers: { "x-amz-bucket-object-lock-enabled": "True" } });
  const made = bucketOf((await s3.datastore.getBucket(bucket))!);
  expect([made.versioning, made.attributes.lock]).toEqual(["enabled", {}]);
  const suspend = versioning("Suspended");
  expect(await refusal("PutBucketVersioning", { bucket, body: suspend })).toEqual([409, "InvalidBucketState"]);
});

test("tags and ownership come with the request", async () => {
  const tags = "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>";
  const body = `<CreateBucketConfiguration>${tags}</CreateBucketConfiguration>`;
  await run("CreateBucket", { bucket: "tagged", body, headers: { "x-amz-object-ownership": "ObjectWriter" } });
  const { attributes } = bucketOf((await s3.datastore.getBucket("tagged"))!);
  expect([attributes.tags, attributes.ownership, attributes.owner]).toEqual([
    { a: "b" },
    "ObjectWriter",
    s3.root.account.id,
  ]);
  const headers = { "x-amz-object-ownership": "Nobody" };
  expect(await refusal("CreateBucket", { bucket: "tagged-2", headers })).toEqual([400, "InvalidArgument"]);
});

test("a bucket with a version or a delete marker stays, one with unfinished uploads goes", async () => {
  const bucket = await s3.makeBucket("full");
  await s3.datastore.updateBucket(bucket, { versioning: "enabled" });
  const upload = { upload: "u-1", bucket, key: "k", createdAt: 0, attributes: {} };
  await s3.datastore.createUpload(upload);
  const marker = (await s3.datastore.deleteFile(bucket, "k", 0))!;
  expect(await refusal("DeleteBucket", { bucket })).toEqual([409, "BucketNotEmpty"]);
  expect(await s3.datastore.getUpload("u-1")).toBeDefined();
  await s3.datastore.deleteVersion(bucket, "k", marker.version);
  expect((await run("DeleteBucket", { bucket })).status).toBe(204);
  expect(await s3.datastore.getUpload("u-1")).toBeUndefined();
});

const versioning = (status: string, more = ""): string =>
  `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>${status}</Status>${more}</VersioningConfiguration>`;

test("versioning is off, then enabled or suspended", async () => {
  const bucket = await s3.makeBucket("versioned");
  const status = async (): Promise<string | undefined> =>
    text((await run("GetBucketVersioning", { bucket })).text, "Status");
  expect(await status()).toBeUndefined();
  for (const wanted of ["Enabled", "Suspended", "Enabled"]) {
    expect((await run("PutBucketVersioning", { bucket, body: versioning(wanted) })).status).toBe(200);
    expect(await status()).toBe(wanted);
  }
  const put = (body: string): Promise<[number, string]> => refusal("PutBucketVersioning", { bucket, body });
  expect(await put(versioning("Disabled"))).toEqual([400, "MalformedXML"]);
  expect(await put("<VersioningConfiguration/>")).toEqual([400, "IllegalVersioningConfigurationException"]);
  expect(await put(versioning("Enabled", "<MfaDelete>Enabled</MfaDelete>"))).toEqual([501, "NotImplemented"]);
  expect(
    (await run("PutBucketVersioning", { bucket, body: versioning("Enabled", "<MfaDelete>Disabled</MfaDelete>") }))
      .status,
  ).toBe(200);
});

test("ListBuckets has the account's own buckets, page by page where asked", async () => {
  const as = await otherUser();
  for (const bucket of ["list-b", "list-a", "list-c"])
    await run("CreateBucket", { bucket, as, now: 1_790_000_000_999 });
  await run("CreateBucket", { bucket: "list-far", as, body: located("eu-west-1") });
  const list = async (query: { [name: string]: string } = {}): Promise<string> =>
    (await s3.run(listBucketsOperations, "ListBuckets", { as, query })).text;
  const all = await list();
  expect(texts(all, "Name")).toEqual(["list-a", "list-b", "list-c", "list-far"]);
  expect(elements(all, "Bucket")[0]).toBe(
    "<Bucket><Name>list-a</Name><CreationDate>2026-09-21T14:13:20.000Z</CreationDate></Bucket>",
  );
  expect(outline(all)).toEqual(["Owner", "Buckets"]);
  const first = await list({ "max-buckets": "2", prefix: "list-" });
  expect([texts(first, "Name"), texts(first, "Prefix")]).toEqual([["list-a", "list-b"], ["list-"]]);
  const rest = await list({ "max-buckets": "2", "continuation-token": text(first, "ContinuationToken")! });
  expect([texts(rest, "Name"), text(rest, "ContinuationToken")]).toEqual([["list-c", "list-far"], undefined]);
  const far = await list({ "bucket-region": "eu-west-1" });
  expect([texts(far, "Name"), texts(far, "BucketRegion")]).toEqual([["list-far"], ["eu-west-1"]]);
  if (as.kind !== "user") throw new Error("a user was made");
  const limited: Identity = { kind: "user", key: { ...as.key, buckets: ["list-b", "full"] } };
  expect(texts((await s3.run(listBucketsOperations, "ListBuckets", { as: limited })).text, "Name")).toEqual(["list-b"]);
  const bad = await s3.refused(listBucketsOperations, "ListBuckets", { as, query: { "max-buckets": "0" } });
  expect(bad.code).toBe("InvalidArgument");
  expect((await s3.refused(listBucketsOperations, "ListBuckets", { as: nobody })).code).toBe("AccessDenied");
});

test("uploads are listed page by page, several of one key too", async () => {
  const bucket = await s3.makeBucket("uploads");
  const attributes = plain({
    version: { class: "GLACIER" },
    initiator: s3.root.account.id,
    algorithm: "CRC32",
    checksumType: "COMPOSITE",
  });
  const keys = ["a", "a", "b b", "c/1", "c/2"];
  for (const [index, key] of keys.entries()) {
    await s3.datastore.createUpload({ upload: `up-${index}`, bucket, key, createdAt: index, attributes });
  }
  const list = async (query: { [name: string]: string }): Promise<string> =>
    (await s3.run(listUploadsOperations, "ListMultipartUploads", { bucket, query: { uploads: "", ...query } })).text;
  const found: string[] = [];
  for (let query: { [name: string]: string } = { "max-uploads": "1", delimiter: "/", "encoding-type": "url" }; ;) {
    const xml = await list(query);
    found.push(...texts(xml, "UploadId"), ...elements(xml, "CommonPrefixes").map((each) => text(each, "Prefix")!));
    if (text(xml, "IsTruncated") === "false") break;
    query = {
      ...query,
      "key-marker": text(xml, "NextKeyMarker")!,
      "upload-id-marker": text(xml, "NextUploadIdMarker")!,
    };
  }
  expect(found).toEqual(["up-0", "up-1", "up-2", "c/"]);
  const xml = await list({ prefix: "b" });
  expect(elements(xml, "Upload")).toEqual([
    `<Upload><Key>b b</Key><UploadId>up-2</UploadId><Initiator><ID>${s3.root.account.id}</ID><DisplayName>root</DisplayName>` +
      `</Initiator><Owner><ID>${s3.root.account.id}</ID><DisplayName>root</DisplayName></Owner>` +
      "<StorageClass>GLACIER</StorageClass><Initiated>1970-01-01T00:00:00.000Z</Initiated>" +
      "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType></Upload>",
  ]);
  expect(texts(await list({ "upload-id-marker": "up-1" }), "UploadId")).toHaveLength(5);
  expect(texts(await list({ "max-uploads": "0" }), "UploadId")).toEqual([]);
});

test("parts are listed page by page; an upload of another key is none", async () => {
  const bucket = await s3.makeBucket("parts");
  const attributes = plain({ version: {}, initiator: s3.root.account.id });
  await s3.datastore.createUpload({ upload: "parts-1", bucket, key: "k", createdAt: 0, attributes });
  for (const part of [1, 3, 10]) {
    const target = {
      kind: "part",
      upload: "parts-1",
      part,
      attributes: plain({ etag: `e${part}`, checksums: { CRC32: "AAAAAA==" } }),
    } as const;
    await s3.writer.save(target, 5);
  }
  const ask = (query: { [name: string]: string }, key = "k"): Ask => ({
    bucket,
    key,
    query: { uploadId: "parts-1", ...query },
  });
  const list = async (query: { [name: string]: string }): Promise<string> =>
    (await s3.run(listUploadsOperations, "ListParts", ask(query))).text;
  const first = await list({ "max-parts": "2" });
  expect(texts(first, "PartNumber")).toEqual(["1", "3"]);
  expect([text(first, "IsTruncated"), text(first, "NextPartNumberMarker"), text(first, "MaxParts")]).toEqual([
    "true",
    "3",
    "2",
  ]);
  expect(elements(first, "Part")[0]).toBe(
    "<Part><PartNumber>1</PartNumber><LastModified>2026-09-21T14:13:20.000Z</LastModified><ETag>&quot;e1&quot;</ETag>" +
      "<Size>5</Size><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>",
  );
  const rest = await list({ "part-number-marker": "3" });
  expect([texts(rest, "PartNumber"), text(rest, "IsTruncated")]).toEqual([["10"], "false"]);
  const refused = await s3.refused(listUploadsOperations, "ListParts", ask({}, "other"));
  expect([refused.status, refused.code, refused.elements["UploadId"]]).toEqual([404, "NoSuchUpload", "parts-1"]);
  expect((await s3.refused(listUploadsOperations, "ListParts", ask({ uploadId: "x".repeat(999) }))).code).toBe(
    "NoSuchUpload",
  );
  expect((await s3.refused(listUploadsOperations, "ListParts", ask({ "max-parts": "x" }))).code).toBe(
    "InvalidArgument",
  );
});
