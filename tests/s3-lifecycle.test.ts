/** Lifecycle rules carried out over a real store, with a clock that is set: what goes, when, and what does not. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { LifecycleStatus } from "../src/gateways/s3/lifecycle/lifecycle-worker.ts";
import { elementText, type Headers, S3Endpoint } from "./support/s3-endpoint.ts";
import { Belongings } from "./support/store.ts";

const belongings = new Belongings();
const day = 86_400_000;
let s3: S3Endpoint;
let bucket: string;
let bucketCount = 0;

beforeAll(async () => {
  s3 = await S3Endpoint.open(belongings);
});
afterAll(() => belongings.giveBack());
beforeEach(() => {
  bucket = `life-${bucketCount++}`;
});

const rule = (inner: string, filter = "<Filter/>"): string => `<Rule><Status>Enabled</Status>${filter}${inner}</Rule>`;
const prefixed = (prefix: string): string => `<Filter><Prefix>${prefix}</Prefix></Filter>`;
const expires = (days: number): string => `<Expiration><Days>${days}</Days></Expiration>`;
const noncurrent = (days: number, keep?: number): string =>
  `<NoncurrentVersionExpiration><NoncurrentDays>${days}</NoncurrentDays>` +
  `${keep === undefined ? "" : `<NewerNoncurrentVersions>${keep}</NewerNoncurrentVersions>`}</NoncurrentVersionExpiration>`;

async function made(rules: string, state?: "Enabled" | "Suspended", headers: Headers = {}): Promise<void> {
  await s3.bucket(bucket, headers);
  if (state !== undefined) await versioning(state);
  await rulesAre(rules);
}
async function rulesAre(rules: string): Promise<void> {
  const answer = await s3.ask(
    "PUT",
    `/${bucket}?lifecycle`,
    {},
    `<LifecycleConfiguration>${rules}</LifecycleConfiguration>`,
  );
  expect(answer.status, answer.text).toBe(200);
}
async function versioning(state: string): Promise<void> {
  const body = `<VersioningConfiguration><Status>${state}</Status></VersioningConfiguration>`;
  expect((await s3.ask("PUT", `/${bucket}?versioning`, {}, body)).status).toBe(200);
}
async function put(key: string, body = "x", headers: Headers = {}): Promise<string> {
  const answer = await s3.ask("PUT", `/${bucket}/${key}`, headers, body);
  expect(answer.status, answer.text).toBe(200);
  return answer.headers.get("x-amz-version-id") ?? "null";
}
async function run(): Promise<LifecycleStatus> {
  const { lifecycle } = s3.running.gateway!;
  await lifecycle.run();
  expect(lifecycle.status.lastError).toBeUndefined();
  return lifecycle.status;
}
async function keys(): Promise<string[]> {
  const { text } = await s3.ask("GET", `/${bucket}?list-type=2`);
  return [...text.matchAll(/<Key>(.*?)<\/Key>/g)].map((match) => match[1]!);
}
/** Version ids of what there is, delete markers as "marker". */
async function versions(): Promise<string[]> {
  const { text } = await s3.ask("GET", `/${bucket}?versions`);
  return [...text.matchAll(/<(Version|DeleteMarker)>.*?<VersionId>(.*?)<\/VersionId>/gs)].map(([, kind, id]) =>
    kind === "Version" ? id! : "marker",
  );
}

describe("expiration", () => {
  test("takes what is old enough and meant, and tells when it will", async () => {
    await made(rule(expires(1), prefixed("one/")) + rule(expires(5), prefixed("five/")));
    for (const key of ["one/a", "one/b", "five/a", "kept"]) await put(key);
    const told = (await s3.ask("HEAD", `/${bucket}/one/a`)).headers.get("x-amz-expiration")!;
    const [, date] = /^expiry-date="(.*)", rule-id=".+"$/.exec(told)!;
    const due = Date.parse(date!);
    expect(due % day).toBe(0);
    expect(due - s3.now).toBeGreaterThan(day - 60_000);
    expect((await s3.ask("HEAD", `/${bucket}/kept`)).headers.get("x-amz-expiration")).toBeNull();
    const copy = await s3.ask("PUT", `/${bucket}/one/b`, { "x-amz-copy-source": `${bucket}/kept` });
    expect(copy.headers.get("x-amz-expiration")).toBe(told);
    const id = elementText((await s3.ask("POST", `/${bucket}/one/a?uploads`)).text, "UploadId")!;
    const etag = (await s3.ask("PUT", `/${bucket}/one/a?uploadId=${id}&partNumber=1`, {}, "x")).headers.get("etag")!;
    const parts = `<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`;
    const body = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`;
    const completed = await s3.ask("POST", `/${bucket}/one/a?uploadId=${id}`, {}, body);
    expect(completed.headers.get("x-amz-expiration")).toBe(told);
    await run();
    expect(await keys()).toHaveLength(4);
    s3.pass(due - s3.now + 1);
    await run();
    expect(await keys()).toEqual(["five/a", "kept"]);
    s3.pass(5 * day);
    await run();
    expect(await keys()).toEqual(["kept"]);
  });

  test("by tags and by size", async () => {
    const tag = (key: string, value: string): string => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`;
    await made(
      rule(expires(1), `<Filter>${tag("a", "b")}</Filter>`) +
        rule(expires(1), "<Filter><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan></Filter>"),
    );
    await put("tagged", "x", { "x-amz-tagging": "a=b&c=d" });
    await put("tagged-otherwise", "x", { "x-amz-tagging": "a=c" });
    await put("large", "x".repeat(11));
    await put("small", "x".repeat(10));
    s3.pass(3 * day);
    await run();
    expect(await keys()).toEqual(["small", "tagged-otherwise"]);
  });

  test("counts from when an object was put, so that one put again stays", async () => {
    await made(rule(expires(2)));
    await put("old");
    await put("again");
    s3.pass(2.5 * day);
    await put("again");
    s3.pass(day);
    await run();
    expect(await keys()).toEqual(["again"]);
  });

  test("of a disabled rule never comes", async () => {
    await made(rule(expires(1)).replace("Enabled", "Disabled"));
    await put("kept");
    s3.pass(9 * day);
    await run();
    expect(await keys()).toEqual(["kept"]);
  });
});

describe("where versions are kept", () => {
  test("what expires is hidden, then goes as noncurrent, then the marker goes", async () => {
    await made(rule(expires(1) + noncurrent(2)), "Enabled");
    const id = await put("k");
    s3.pass(2 * day);
    await run();
    expect([await keys(), await versions()]).toEqual([[], ["marker", id]]);
    s3.pass(day);
    await run();
    expect(await versions()).toEqual(["marker", id]);
    s3.pass(2 * day);
    await run();
    await run();
    expect(await versions()).toEqual([]);
  });

  test("a number of noncurrent ones is kept", async () => {
    await made(rule(noncurrent(1, 2)), "Enabled");
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) ids.unshift(await put("k", String(index)));
    s3.pass(3 * day);
    await run();
    expect(await versions()).toEqual(ids.slice(0, 3));
  });

  test("markers with nothing below go where that is asked for; others stay", async () => {
    await made(rule("<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), "Enabled");
    await s3.ask("DELETE", `/${bucket}/alone`);
    const id = await put("on-top");
    await s3.ask("DELETE", `/${bucket}/on-top`);
    await run();
    expect(await versions()).toEqual(["marker", id]);
  });

  test("locked versions stay until they are not", async () => {
    await made(rule(noncurrent(1)), undefined, { "x-amz-bucket-object-lock-enabled": "true" });
    const until = new Date(s3.now + 20 * day).toISOString();
    const retained = await put("k", "0", {
      "x-amz-object-lock-mode": "GOVERNANCE",
      "x-amz-object-lock-retain-until-date": until,
    });
    const held = await put("k", "1", { "x-amz-object-lock-legal-hold": "ON" });
    await put("k", "2");
    const newest = await put("k", "3");
    s3.pass(9 * day);
    await run();
    expect(await versions()).toEqual([newest, held, retained]);
    s3.pass(15 * day);
    await run();
    expect(await versions()).toEqual([newest, held]);
  });

  test("a null version that was put again in between is not the one that was due", async () => {
    await made(rule(noncurrent(1)));
    await put("k");
    await versioning("Enabled");
    const above = await put("k");
    await versioning("Suspended");
    s3.pass(5 * day);
    await put("k");
    await run();
    // The null version is the newest now, and what was above it has only just become noncurrent.
    expect(await versions()).toEqual(["null", above]);
  });
});

describe("uploads", () => {
  test("that are not completed are aborted, and say when", async () => {
    const abort =
      "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>";
    await made(rule(abort, prefixed("up/")));
    const begun = await s3.ask("POST", `/${bucket}/up/a?uploads`);
    const id = elementText(begun.text, "UploadId")!;
    expect(Date.parse(begun.headers.get("x-amz-abort-date")!)).toBeGreaterThan(s3.now + 2 * day - 60_000);
    expect(begun.headers.get("x-amz-abort-rule-id")).not.toBeNull();
    const listed = await s3.ask("GET", `/${bucket}/up/a?uploadId=${id}`);
    for (const name of ["x-amz-abort-date", "x-amz-abort-rule-id"]) {
      expect(listed.headers.get(name)).toBe(begun.headers.get(name));
    }
    await s3.ask("PUT", `/${bucket}/up/a?uploadId=${id}&partNumber=1`, {}, "x");
    const other = elementText((await s3.ask("POST", `/${bucket}/other?uploads`)).text, "UploadId")!;
    s3.pass(day);
    await run();
    expect((await s3.ask("GET", `/${bucket}/up/a?uploadId=${id}`)).status).toBe(200);
    s3.pass(2 * day);
    await run();
    expect(await s3.refusal("GET", `/${bucket}/up/a?uploadId=${id}`)).toEqual([404, "NoSuchUpload"]);
    expect((await s3.ask("GET", `/${bucket}/other?uploadId=${other}`)).status).toBe(200);
  });
});

describe("while others write", () => {
  test("whoever puts an object during the run finds it there", async () => {
    await made(rule(expires(1)));
    const names = Array.from({ length: 60 }, (_, index) => `k${index}`);
    await Promise.all(names.map((key) => put(key)));
    s3.pass(3 * day);
    const writing = Promise.all(names.filter((_, index) => index % 2 === 0).map((key) => put(key)));
    await run();
    await writing;
    expect((await keys()).sort()).toEqual(names.filter((_, index) => index % 2 === 0).sort());
  });

  test("more versions of a key than fit on a page of the listing are all seen", async () => {
    await made(rule(noncurrent(1)), "Enabled");
    await put("p");
    const { datastore } = s3.running.gateway!.services;
    const { object, attributes } = (await datastore.getVersion(bucket, "p"))!;
    const target = { kind: "file", bucket, key: "p", attributes } as const;
    await Promise.all(Array.from({ length: 2100 }, () => datastore.copyVersion(object!, target, s3.now)));
    s3.pass(3 * day);
    await run();
    expect(await versions()).toHaveLength(1);
  });

  test("more keys than fit on a page of the listing are all seen", async () => {
    await made(rule(expires(1), prefixed("p")), "Enabled");
    await put("p");
    const { datastore } = s3.running.gateway!.services;
    const { object, attributes } = (await datastore.getVersion(bucket, "p"))!;
    const names = Array.from({ length: 1100 }, (_, index) => `p${index}`);
    await Promise.all(
      names.map((key) => datastore.copyVersion(object!, { kind: "file", bucket, key, attributes }, s3.now)),
    );
    s3.pass(3 * day);
    await run();
    expect(await keys()).toEqual([]);
  });
});
