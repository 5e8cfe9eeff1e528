/** Object lock over HTTP, with a clock that is set: what a bucket, a retention and a legal hold keep from happening. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { elementText, type Headers, type S3Answer, S3Endpoint } from "./support/s3-endpoint.ts";
import { Belongings } from "./support/store.ts";

const belongings = new Belongings();
const day = 86_400_000;
const bypass = { "x-amz-bypass-governance-retention": "true" };
let s3: S3Endpoint;

beforeAll(async () => {
  s3 = await S3Endpoint.open(belongings);
  await s3.bucket("locked", { "x-amz-bucket-object-lock-enabled": "true" });
  await s3.bucket("plain");
  await s3.ask("PUT", "/plain/k", {}, "x");
});
afterAll(() => belongings.giveBack());

const inDays = (days: number): string => new Date(s3.now + days * day).toISOString();
const retention = (mode: string, until: string): string =>
  `<Retention><Mode>${mode}</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`;
const configuration = (rule: string, enabled = "Enabled"): string =>
  `<ObjectLockConfiguration><ObjectLockEnabled>${enabled}</ObjectLockEnabled>${rule}</ObjectLockConfiguration>`;
const byDefault = (inner: string): string => `<Rule><DefaultRetention>${inner}</DefaultRetention></Rule>`;
const hold = (status: string): string => `<LegalHold><Status>${status}</Status></LegalHold>`;

async function put(key: string, headers: Headers = {}): Promise<{ path: string; version: string }> {
  const { headers: told } = await s3.ask("PUT", `/locked/${key}`, headers, "x");
  const version = told.get("x-amz-version-id")!;
  return { path: `/locked/${key}`, version };
}
const retain = (path: string, mode: string, until: string, headers: Headers = {}): Promise<unknown> =>
  s3.refusal("PUT", `${path}?retention`, headers, retention(mode, until));
const remove = ({ path, version }: { path: string; version: string }, headers: Headers = {}): Promise<S3Answer> =>
  s3.ask("DELETE", `${path}?versionId=${version}`, headers);

describe("a bucket's configuration", () => {
  const set = (body: string, bucket = "locked"): Promise<unknown> =>
    s3.refusal("PUT", `/${bucket}?object-lock`, {}, body);

  test("is told as it was put, and can be taken back to nothing by default", async () => {
    for (const inner of ["<Mode>GOVERNANCE</Mode><Days>1</Days>", "<Mode>COMPLIANCE</Mode><Years>2</Years>"]) {
      expect(await set(configuration(byDefault(inner)))).toEqual([200, undefined]);
      expect((await s3.ask("GET", "/locked?object-lock")).text).toContain(inner);
    }
    expect(await set(configuration(""))).toEqual([200, undefined]);
    expect((await s3.ask("GET", "/locked?object-lock")).text).not.toContain("Rule");
  });

  test.each([
    ["<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>", "MalformedXML"],
    ["<Mode>GOVERNANCE</Mode>", "MalformedXML"],
    ["<Days>1</Days>", "MalformedXML"],
    ["<Mode>governance</Mode><Days>1</Days>", "MalformedXML"],
    ["<Mode>GOVERNANCE</Mode><Days>x</Days>", "MalformedXML"],
    ["<Mode>GOVERNANCE</Mode><Days>0</Days>", "InvalidRetentionPeriod"],
    ["<Mode>GOVERNANCE</Mode><Years>-1</Years>", "InvalidRetentionPeriod"],
    ["<Mode>GOVERNANCE</Mode><Years>101</Years>", "InvalidRetentionPeriod"],
  ])("%s is %s", async (inner, code) => {
    expect(await set(configuration(byDefault(inner)))).toEqual([400, code]);
  });

  test("needs versions, which then cannot be suspended", async () => {
    expect(await set(configuration("", "Disabled"))).toEqual([400, "MalformedXML"]);
    expect(await s3.refusal("GET", "/plain?object-lock")).toEqual([404, "ObjectLockConfigurationNotFoundError"]);
    expect(await set(configuration(""), "plain")).toEqual([409, "InvalidBucketState"]);
    const versioning = (status: string): string =>
      `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`;
    await s3.bucket("later");
    await s3.ask("PUT", "/later?versioning", {}, versioning("Enabled"));
    expect(await set(configuration(""), "later")).toEqual([200, undefined]);
    expect(await s3.refusal("PUT", "/later?versioning", {}, versioning("Suspended"))).toEqual([
      409,
      "InvalidBucketState",
    ]);
  });

  test("retains what is written without a word of its own, for as long as it says", async () => {
    await set(configuration(byDefault("<Mode>COMPLIANCE</Mode><Days>2</Days>")));
    const object = await put("by-default");
    await set(configuration(""));
    expect((await s3.ask("HEAD", object.path)).headers.get("x-amz-object-lock-mode")).toBe("COMPLIANCE");
    s3.pass(1.9 * day);
    expect(await remove(object, bypass)).toMatchObject({ status: 403, code: "AccessDenied" });
    s3.pass(0.2 * day);
    expect((await remove(object)).status).toBe(204);
  });
});

describe("retention", () => {
  test("is told as it was put, in XML and in headers", async () => {
    const { path } = await put("told");
    const until = `${inDays(10).slice(0, 19)}.000Z`;
    expect(await s3.refusal("GET", `${path}?retention`)).toEqual([404, "NoSuchObjectLockConfiguration"]);
    expect(await retain(path, "GOVERNANCE", until)).toEqual([200, undefined]);
    const { text } = await s3.ask("GET", `${path}?retention`);
    expect([elementText(text, "Mode"), elementText(text, "RetainUntilDate")]).toEqual(["GOVERNANCE", until]);
    const { headers } = await s3.ask("HEAD", path);
    expect([headers.get("x-amz-object-lock-mode"), headers.get("x-amz-object-lock-retain-until-date")]).toEqual([
      "GOVERNANCE",
      until,
    ]);
  });

  test("in governance mode yields to who may bypass it and says so", async () => {
    const object = await put("governed");
    await retain(object.path, "GOVERNANCE", inDays(10));
    expect(await retain(object.path, "GOVERNANCE", inDays(20))).toEqual([200, undefined]);
    expect(await retain(object.path, "GOVERNANCE", inDays(5))).toEqual([403, "AccessDenied"]);
    expect(await s3.refusal("PUT", `${object.path}?retention`, {}, "<Retention/>")).toEqual([403, "AccessDenied"]);
    expect(await retain(object.path, "GOVERNANCE", inDays(5), bypass)).toEqual([200, undefined]);
    expect(await remove(object)).toMatchObject({ status: 403, code: "AccessDenied" });
    const several = `<Delete><Object><Key>governed</Key><VersionId>${object.version}</VersionId></Object></Delete>`;
    expect((await s3.ask("POST", "/locked?delete", { "content-md5": md5(several) }, several)).code).toBe(
      "AccessDenied",
    );
    expect((await remove(object, bypass)).status).toBe(204);
  });

  test("in compliance mode yields to nobody, and can only grow", async () => {
    const object = await put("compliant", {
      "x-amz-object-lock-mode": "GOVERNANCE",
      "x-amz-object-lock-retain-until-date": inDays(1),
    });
    expect(await retain(object.path, "COMPLIANCE", inDays(1))).toEqual([403, "AccessDenied"]);
    expect(await retain(object.path, "COMPLIANCE", inDays(3), bypass)).toEqual([200, undefined]);
    expect(await retain(object.path, "GOVERNANCE", inDays(9), bypass)).toEqual([403, "AccessDenied"]);
    expect(await retain(object.path, "COMPLIANCE", inDays(2), bypass)).toEqual([403, "AccessDenied"]);
    expect(await retain(object.path, "COMPLIANCE", inDays(4))).toEqual([200, undefined]);
    expect((await remove(object, bypass)).status).toBe(403);
    s3.pass(4.1 * day);
    expect((await remove(object)).status).toBe(204);
  });

  test("does not keep a delete marker from hiding it, nor that one from going", async () => {
    const object = await put("hidden");
    await retain(object.path, "GOVERNANCE", inDays(1));
    const marker = (await s3.ask("DELETE", object.path)).headers.get("x-amz-version-id")!;
    expect((await s3.ask("HEAD", object.path)).status).toBe(404);
    expect((await remove({ path: object.path, version: marker })).status).toBe(204);
    expect((await s3.ask("HEAD", object.path)).status).toBe(200);
  });

  test("that says nothing sensible is refused", async () => {
    const { path } = await put("sensible");
    for (const mode of ["governance", "abc"])
      expect(await retain(path, mode, inDays(1))).toEqual([400, "MalformedXML"]);
    expect(await retain(path, "GOVERNANCE", "tomorrow")).toEqual([400, "MalformedXML"]);
    expect(await retain(path, "GOVERNANCE", inDays(-1))).toEqual([400, "InvalidArgument"]);
    for (const body of [
      "",
      "<Retention><Mode>GOVERNANCE</Mode></Retention>",
      `<Retention><RetainUntilDate>${inDays(1)}</RetainUntilDate></Retention>`,
    ]) {
      expect(await s3.refusal("PUT", `${path}?retention`, {}, body)).toEqual([400, "MalformedXML"]);
    }
    expect(await retain("/locked/nothing", "GOVERNANCE", inDays(1))).toEqual([404, "NoSuchKey"]);
    expect(await retain("/plain/k", "GOVERNANCE", inDays(1))).toEqual([400, "InvalidRequest"]);
    expect(await s3.refusal("GET", "/plain/k?retention")).toEqual([400, "InvalidRequest"]);
  });
});

describe("a legal hold", () => {
  test("protects until it is taken off, whoever asks", async () => {
    const object = await put("held");
    expect(await s3.refusal("GET", `${object.path}?legal-hold`)).toEqual([404, "NoSuchObjectLockConfiguration"]);
    for (const status of ["ON", "OFF", "ON"]) {
      expect((await s3.ask("PUT", `${object.path}?legal-hold`, {}, hold(status))).status).toBe(200);
      expect(elementText((await s3.ask("GET", `${object.path}?legal-hold`)).text, "Status")).toBe(status);
      expect((await s3.ask("HEAD", object.path)).headers.get("x-amz-object-lock-legal-hold")).toBe(status);
    }
    expect(await remove(object, bypass)).toMatchObject({ status: 403, code: "AccessDenied" });
    await s3.ask("PUT", `${object.path}?legal-hold`, {}, hold("OFF"));
    expect((await remove(object)).status).toBe(204);
  });

  test("that is neither on nor off, or where there is no lock, is refused", async () => {
    const { path } = await put("held-otherwise");
    expect(await s3.refusal("PUT", `${path}?legal-hold`, {}, hold("abc"))).toEqual([400, "MalformedXML"]);
    expect(await s3.refusal("PUT", "/locked/nothing?legal-hold", {}, hold("ON"))).toEqual([404, "NoSuchKey"]);
    expect(await s3.refusal("PUT", "/plain/k?legal-hold", {}, hold("ON"))).toEqual([400, "InvalidRequest"]);
    expect(await s3.refusal("GET", "/plain/k?legal-hold")).toEqual([400, "InvalidRequest"]);
  });
});

describe("a lock that comes with the object", () => {
  const lock = (mode: string, until: string): Headers => ({
    "x-amz-object-lock-mode": mode,
    "x-amz-object-lock-retain-until-date": until,
  });

  test("of a PUT, an upload in parts and a copy, which does not take over its source's", async () => {
    const wanted = { ...lock("GOVERNANCE", inDays(1)), "x-amz-object-lock-legal-hold": "ON" };
    const { path } = await put("with-lock", wanted);
    const locks = async (of: string): Promise<(string | null)[]> => {
      const { headers } = await s3.ask("HEAD", of);
      return ["mode", "legal-hold"].map((name) => headers.get(`x-amz-object-lock-${name}`));
    };
    expect(await locks(path)).toEqual(["GOVERNANCE", "ON"]);
    await put("copy-of-it", { "x-amz-copy-source": path });
    expect(await locks("/locked/copy-of-it")).toEqual([null, null]);
    const id = elementText((await s3.ask("POST", "/locked/parts?uploads", wanted)).text, "UploadId");
    const etag = (await s3.ask("PUT", `/locked/parts?uploadId=${id}&partNumber=1`, {}, "x")).headers.get("etag");
    const parts = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`;
    await s3.ask("POST", `/locked/parts?uploadId=${id}`, {}, parts);
    expect(await locks("/locked/parts")).toEqual(["GOVERNANCE", "ON"]);
  });

  test("is refused where it is half, past, unknown, or the bucket has none", async () => {
    const refused = (headers: Headers, bucket = "locked"): Promise<unknown> =>
      s3.refusal("PUT", `/${bucket}/no`, headers, "x");
    expect(await refused({ "x-amz-object-lock-mode": "GOVERNANCE" })).toEqual([400, "InvalidArgument"]);
    expect(await refused({ "x-amz-object-lock-retain-until-date": inDays(1) })).toEqual([400, "InvalidArgument"]);
    expect(await refused(lock("abc", inDays(1)))).toEqual([400, "InvalidArgument"]);
    expect(await refused(lock("GOVERNANCE", inDays(-1)))).toEqual([400, "InvalidArgument"]);
    expect(await refused(lock("GOVERNANCE", "soon"))).toEqual([400, "InvalidArgument"]);
    expect(await refused({ "x-amz-object-lock-legal-hold": "abc" })).toEqual([400, "InvalidArgument"]);
    expect(await refused(lock("GOVERNANCE", inDays(1)), "plain")).toEqual([400, "InvalidRequest"]);
    expect(await refused({ "x-amz-object-lock-legal-hold": "ON" }, "plain")).toEqual([400, "InvalidRequest"]);
  });
});

function md5(text: string): string {
  return createHash("md5").update(text).digest("base64");
}
