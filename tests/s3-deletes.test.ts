import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Identity } from "../src/gateways/s3/auth/identity.ts";
import type { VersionAttributes } from "../src/gateways/s3/model.ts";
import { deleteObjectOperations } from "../src/gateways/s3/objects/delete-object.ts";
import { deleteObjectsOperations } from "../src/gateways/s3/objects/delete-objects.ts";
import { mayDelete } from "../src/gateways/s3/objects/object-lock-rule.ts";
import { type Answered, type Ask, nobody, S3Calls } from "./support/s3-calls.ts";
import { elements } from "./support/s3-listing.ts";

let s3: S3Calls;
beforeAll(async () => {
  s3 = await S3Calls.open();
});
afterAll(() => s3.close());

let bucketCount = 0;
const newBucket = async (versioning: "off" | "enabled" | "suspended" = "off", more = {}): Promise<string> => {
  const bucket = await s3.makeBucket(`bucket-${bucketCount++}`, more);
  if (versioning !== "off") await s3.datastore.updateBucket(bucket, { versioning });
  return bucket;
};
const remove = (bucket: string, key: string, more: Ask = {}): Promise<Answered> =>
  s3.run(deleteObjectOperations, "DeleteObject", { bucket, key, ...more });
const refusal = async (bucket: string, key: string, more: Ask): Promise<[number, string]> => {
  const { status, code } = await s3.refused(deleteObjectOperations, "DeleteObject", { bucket, key, ...more });
  return [status, code];
};
const isThere = async (bucket: string, key: string, version?: string): Promise<boolean> =>
  (await s3.datastore.getVersion(bucket, key, version)) !== undefined;
const etag = "d41d8cd98f00b204e9800998ecf8427e";
const now = 1_790_000_000_000;

describe("DeleteObject", () => {
  test("without versioning the object is gone, and what is not there is no error", async () => {
    const bucket = await newBucket();
    await s3.put(bucket, "k");
    for (let count = 0; count < 2; count++)
      expect(await remove(bucket, "k")).toEqual({ status: 204, headers: {}, text: "" });
    expect(await isThere(bucket, "k")).toBe(false);
    expect((await remove(bucket, "k", { query: { versionId: "null" } })).headers).toEqual({
      "x-amz-version-id": "null",
    });
  });

  test("with versioning a delete marker is made, and removed by its id", async () => {
    const bucket = await newBucket("enabled");
    const version = await s3.put(bucket, "k");
    const { headers } = await remove(bucket, "k");
    expect(headers["x-amz-delete-marker"]).toBe("true");
    const marker = String(headers["x-amz-version-id"]);
    expect((await s3.datastore.getVersion(bucket, "k"))!.version).toBe(marker);
    const undone = await remove(bucket, "k", { query: { versionId: marker } });
    expect(undone.headers).toEqual({ "x-amz-delete-marker": "true", "x-amz-version-id": marker });
    expect((await s3.datastore.getVersion(bucket, "k"))!.version).toBe(version);
    expect((await remove(bucket, "k", { query: { versionId: version } })).headers).toEqual({
      "x-amz-version-id": version,
    });
    expect((await remove(bucket, "k", { query: { versionId: version } })).status).toBe(204);
  });

  test("suspended, the delete marker is the null version", async () => {
    const bucket = await newBucket("suspended");
    await s3.put(bucket, "k");
    expect((await remove(bucket, "k")).headers).toEqual({ "x-amz-delete-marker": "true", "x-amz-version-id": "null" });
  });

  test("an id that no version can have is refused", async () => {
    const bucket = await newBucket("enabled");
    for (const versionId of ["", "x", "123", "NULL", "-".repeat(16)]) {
      expect(await refusal(bucket, "k", { query: { versionId } })).toEqual([400, "InvalidArgument"]);
    }
  });

  test("If-Match: 412 for another object, 404 for none", async () => {
    const bucket = await newBucket();
    const ifMatch = (value: string): Ask => ({ headers: { "if-match": value } });
    for (const value of ["*", etag]) expect(await refusal(bucket, "k", ifMatch(value))).toEqual([404, "NoSuchKey"]);
    await s3.put(bucket, "k");
    expect(await refusal(bucket, "k", ifMatch("badetag"))).toEqual([412, "PreconditionFailed"]);
    expect(await isThere(bucket, "k")).toBe(true);
    expect((await remove(bucket, "k", ifMatch(`"${etag}"`))).status).toBe(204);
    await s3.put(bucket, "k");
    expect((await remove(bucket, "k", ifMatch("*"))).status).toBe(204);
  });

  test("under a delete marker there is nothing to match", async () => {
    const bucket = await newBucket("enabled");
    await s3.put(bucket, "k");
    await remove(bucket, "k");
    expect(await refusal(bucket, "k", { headers: { "if-match": "*" } })).toEqual([404, "NoSuchKey"]);
  });

  test("conditions that S3 has not are refused, not ignored", async () => {
    const bucket = await newBucket("enabled");
    const version = await s3.put(bucket, "k");
    for (const name of [
      "if-none-match",
      "if-unmodified-since",
      "if-modified-since",
      "x-amz-if-match-size",
      "x-amz-if-match-last-modified-time",
    ]) {
      expect(await refusal(bucket, "k", { headers: { [name]: "*" } })).toEqual([501, "NotImplemented"]);
    }
    const both = { query: { versionId: version }, headers: { "if-match": etag } };
    expect(await refusal(bucket, "k", both)).toEqual([501, "NotImplemented"]);
    expect(await isThere(bucket, "k", version)).toBe(true);
  });
});

describe("object lock", () => {
  const until = now + 1_000;
  const bypass = { "x-amz-bypass-governance-retention": "true" };
  const bypassing = { now, bypassesGovernance: true };
  const plainly = { now, bypassesGovernance: false };
  const rule = (attributes: Partial<VersionAttributes>, remover: typeof plainly) => () =>
    mayDelete({ attributes: { etag, ...attributes } }, remover);
  const denied = expect.objectContaining({ code: "AccessDenied" });

  test("the rule", () => {
    expect(rule({}, plainly)).not.toThrow();
    expect(rule({ hold: true }, bypassing)).toThrow(denied);
    expect(rule({ retention: { mode: "COMPLIANCE", until } }, bypassing)).toThrow(denied);
    expect(rule({ retention: { mode: "GOVERNANCE", until } }, plainly)).toThrow(denied);
    expect(rule({ retention: { mode: "GOVERNANCE", until } }, bypassing)).not.toThrow();
    expect(rule({ retention: { mode: "COMPLIANCE", until: now } }, plainly)).not.toThrow();
  });

  test("keeps a version, but takes a delete marker over it", async () => {
    const bucket = await newBucket("enabled", { lock: {} });
    const version = await s3.put(bucket, "k", { retention: { mode: "GOVERNANCE", until } });
    const query = { versionId: version };
    expect(await refusal(bucket, "k", { query })).toEqual([403, "AccessDenied"]);
    expect(
      await refusal(bucket, "k", { query, headers: { ...bypass, "x-amz-bypass-governance-retention": "false" } }),
    ).toEqual([403, "AccessDenied"]);
    expect((await remove(bucket, "k")).headers["x-amz-delete-marker"]).toBe("true");
    expect((await remove(bucket, "k", { query, headers: bypass })).status).toBe(204);
    expect(await isThere(bucket, "k", version)).toBe(false);
  });

  test("who has no permission for it bypasses nothing", async () => {
    const bucket = await newBucket("enabled", { lock: {} });
    const version = await s3.put(bucket, "k", { retention: { mode: "GOVERNANCE", until } });
    const as: Identity = { kind: "user", key: await s3.accounts.add({ name: "stranger" }) };
    expect(await refusal(bucket, "k", { as, query: { versionId: version }, headers: bypass })).toEqual([
      403,
      "AccessDenied",
    ]);
  });
});

describe("DeleteObjects", () => {
  const many = (bucket: string, body: string, more: Ask = {}): Promise<Answered> =>
    s3.run(deleteObjectsOperations, "DeleteObjects", {
      bucket,
      body,
      query: { delete: "" },
      headers: { "content-md5": "checked before" },
      ...more,
    });
  const xml = (objects: string, more = ""): string =>
    `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${objects}${more}</Delete>`;
  const object = (key: string, more = ""): string => `<Object><Key>${key}</Key>${more}</Object>`;
  const result = (inner: string): string =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</DeleteResult>`;
  const failed = async (bucket: string, body: string, more: Ask = {}): Promise<string> =>
    (
      await s3.refused(deleteObjectsOperations, "DeleteObjects", {
        bucket,
        body,
        headers: { "content-md5": "x" },
        ...more,
      })
    ).code;

  test("deletes what is there and what is not, in the order asked", async () => {
    const bucket = await newBucket();
    await Promise.all(["a", " b&", "c"].map((key) => s3.put(bucket, key)));
    const { text } = await many(bucket, xml(object("a") + object(" b&amp;") + object("none")));
    expect(text).toBe(
      result("<Deleted><Key>a</Key></Deleted><Deleted><Key> b&amp;</Key></Deleted><Deleted><Key>none</Key></Deleted>"),
    );
    expect(await Promise.all(["a", " b&", "c"].map((key) => isThere(bucket, key)))).toEqual([false, false, true]);
    const again = await many(bucket, xml(object("a"), "<Quiet>true</Quiet>"));
    expect(again.text).toBe(result(""));
  });

  test("tells of versions and delete markers", async () => {
    const bucket = await newBucket("enabled");
    const version = await s3.put(bucket, "k");
    const made = (await many(bucket, xml(object("k")))).text;
    const marker = (await s3.datastore.getVersion(bucket, "k"))!.version;
    const markerElements = `<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>${marker}</DeleteMarkerVersionId>`;
    expect(made).toBe(result(`<Deleted><Key>k</Key>${markerElements}</Deleted>`));
    const both = [marker, version].map((id) => object("k", `<VersionId>${id}</VersionId>`)).join("");
    const removed = (await many(bucket, xml(both))).text;
    expect(removed).toBe(
      result(
        `<Deleted><Key>k</Key><VersionId>${marker}</VersionId>${markerElements}</Deleted>` +
          `<Deleted><Key>k</Key><VersionId>${version}</VersionId></Deleted>`,
      ),
    );
    expect(await isThere(bucket, "k")).toBe(false);
  });

  test("each object has its own error, told in quiet too", async () => {
    const bucket = await newBucket();
    await s3.put(bucket, "k");
    const objects = [
      object("k", "<ETag>bad</ETag>"),
      object("none", "<ETag>*</ETag>"),
      object("v", "<VersionId>x</VersionId>"),
      object("k", "<Size>5</Size>"),
      object("x".repeat(1_025)),
      object("k", `<ETag>"${etag}"</ETag>`),
    ];
    const { text } = await many(bucket, xml(objects.join(""), "<Quiet>true</Quiet>"));
    const codes = elements(text, "Error").map((each) => /<Code>(.*)<\/Code>/.exec(each)![1]);
    expect(codes).toEqual(["PreconditionFailed", "NoSuchKey", "NoSuchVersion", "NotImplemented", "KeyTooLongError"]);
    expect(text).not.toContain("<Deleted>");
    expect(await isThere(bucket, "k")).toBe(false);
  });

  test("nobody deletes what he may not, key by key", async () => {
    const bucket = await newBucket();
    const statement = {
      Effect: "Allow",
      Principal: "*",
      Action: "s3:DeleteObject",
      Resource: `arn:aws:s3:::${bucket}/open/*`,
    };
    const policy = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
    const record = (await s3.datastore.getBucket(bucket))!;
    await s3.datastore.updateBucket(bucket, { attributes: { ...record.attributes, policy } });
    await Promise.all(["open/k", "closed/k"].map((key) => s3.put(bucket, key)));
    const { text } = await many(bucket, xml(object("open/k") + object("closed/k")), { as: nobody });
    expect(text).toBe(
      result(
        "<Deleted><Key>open/k</Key></Deleted><Error><Key>closed/k</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
      ),
    );
    expect(await isThere(bucket, "closed/k")).toBe(true);
  });

  test("a body without digest, or that names nothing or too much, is refused", async () => {
    const bucket = await newBucket();
    await s3.put(bucket, "k");
    expect(await failed(bucket, xml(object("k")), { headers: {} })).toBe("InvalidRequest");
    expect((await many(bucket, xml(object("other")), { headers: { "x-amz-checksum-crc32": "AAAAAA==" } })).status).toBe(
      200,
    );
    const bad = [
      "",
      "x",
      xml(""),
      xml("<Object></Object>"),
      xml(object("")),
      xml(object("k") + "<Other/>"),
      xml(object("k", "<Other/>")),
      xml(object("k", "<Key>k2</Key>")),
      xml(object("k"), "<Quiet>maybe</Quiet>"),
      xml(object("k").repeat(1_001)),
      "<Wrong/>",
    ];
    for (const body of bad) expect(await failed(bucket, body), body.slice(0, 80)).toBe("MalformedXML");
    expect(await isThere(bucket, "k")).toBe(true);
    expect((await many(bucket, xml(object("k").repeat(1_000)))).text.match(/<Deleted>/g)).toHaveLength(1_000);
  });
});
