/** XML and JSON that is not what an operation takes: refused in S3's words, and nothing is changed by it. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DocumentCase, documents, spoilings } from "./support/s3-documents.ts";
import { problemOf, S3Session, S3Socket } from "./support/s3-session.ts";
import { signHeader, wireBytes } from "./support/s3-signer.ts";
import { Belongings } from "./support/store.ts";

const belongings = new Belongings();
let session: S3Session;
let upload: string;
let owner: string;
let etag: string;

beforeAll(async () => {
  session = await S3Session.open(belongings);
  await session.ask("PUT", "/bucket");
  await session.ask("PUT", "/acls", { "x-amz-object-ownership": "ObjectWriter" });
  await session.ask("PUT", "/locked", { "x-amz-bucket-object-lock-enabled": "true" });
  for (const bucket of ["bucket", "acls", "locked"]) await session.ask("PUT", `/${bucket}/object`, {}, "some bytes");
  const created = await session.ask("POST", "/bucket/upload?uploads");
  upload = /<UploadId>(.*?)</.exec(created.body.toString())![1]!;
  const part = await session.ask("PUT", `/bucket/upload?uploadId=${upload}&partNumber=1`, {}, "part");
  etag = part.headers.get("etag")!.replaceAll('"', "");
  owner = /<ID>(.*?)</.exec((await session.ask("GET", "/acls?acl")).body.toString())![1]!;
});
afterAll(() => belongings.giveBack());

const bodyOf = ({ body }: DocumentCase): string => body.replaceAll("OWNER", owner).replaceAll("ETAG", etag);
const pathOf = ({ path }: DocumentCase): string => path.replace("UPLOAD", upload);
function headersOf({ digest }: DocumentCase, body: Uint8Array | string): { [name: string]: string } {
  return digest === true ? { "content-md5": createHash("md5").update(body).digest("base64") } : {};
}
const ask = (one: DocumentCase, body: Uint8Array | string) =>
  session.ask(one.method, pathOf(one), headersOf(one, body), body);

const xml = documents.filter(({ isJson }) => isJson !== true);

describe.each(xml.map((one) => [one.name, one] as const))("%s", (_, one) => {
  it.each(spoilings)("%s is refused, and changes nothing", async (name, spoil) => {
    const before = await session.footprint();
    const answer = await ask(one, spoil(bodyOf(one)));
    expect(problemOf(answer)).toBeUndefined();
    const expected = one.code ?? "MalformedXML";
    expect([name, answer.status, [expected, "MalformedXML"].includes(answer.code!) ? expected : answer.code]).toEqual([
      name,
      400,
      expected,
    ]);
    expect(await session.footprint()).toEqual(before);
  });
});

/** An element again behind itself, with all that is in it. */
const twice = (document: string, name: string): string =>
  document.replace(new RegExp(`<${name}>.*?</${name}>`), (whole) => whole + whole);

it.each([
  ["/bucket?versioning", "Status"],
  ["/bucket?ownershipControls", "ObjectOwnership"],
  ["/bucket?ownershipControls", "Rule"],
  ["/bucket?publicAccessBlock", "BlockPublicAcls"],
  ["/bucket?tagging", "TagSet"],
  ["/bucket?tagging", "Key"],
  ["/bucket/object?tagging", "Value"],
  ["/bucket?cors", "MaxAgeSeconds"],
  ["/bucket?encryption", "SSEAlgorithm"],
  ["/bucket?lifecycle", "Expiration"],
  ["/bucket?lifecycle", "Status"],
  ["/bucket?delete", "Key"],
  ["/bucket/upload?uploadId=UPLOAD", "ETag"],
  ["/locked/object?retention", "Mode"],
  ["/locked/object?legal-hold", "Status"],
  ["/locked?object-lock", "ObjectLockEnabled"],
  ["/acls?acl", "Owner"],
  ["/acls?acl", "Permission"],
])("%s with %s twice is refused", async (path, name) => {
  const one = documents.find((each) => each.path === path)!;
  const answer = await ask(one, twice(bodyOf(one), name));
  expect(problemOf(answer)).toBeUndefined();
  expect([answer.status, answer.code]).toEqual([400, one.code ?? "MalformedXML"]);
});

describe.each(documents.map((one) => [one.name, one] as const))("%s", (_, one) => {
  it("nothing at all is refused, but where it may be left out", async () => {
    const answer = await ask(one, "");
    if (one.isOptional === true) {
      expect(answer.status).toBe(200);
      await session.ask("DELETE", one.path);
      return;
    }
    expect(problemOf(answer)).toBeUndefined();
    expect(answer.status).toBe(400);
  });

  it("100 MB of it are refused before they have come", async () => {
    const url = `${session.endpoint}${pathOf(one)}`;
    const headers = headersOf(one, "");
    const head = signHeader(session.keys, { method: one.method, url, headers, payload: "unsigned" });
    const socket = await S3Socket.connect(session.port);
    socket.send(wireBytes(head, { "content-length": String(100 * 1024 * 1024) }));
    socket.send(Buffer.alloc(8_192, "<a>"));
    const answer = await socket.answer();
    socket.close();
    expect(problemOf(answer)).toBeUndefined();
    expect([answer.status, answer.code]).toEqual([400, "MaxMessageLengthExceeded"]);
  });

  // Last: they change something.
  it("a good one is taken", async () => {
    const answer = await ask(one, bodyOf(one));
    expect([answer.status, answer.code]).toEqual([one.status ?? 200, undefined]);
  });
});

describe("PutBucketPolicy", () => {
  const policy = documents.find(({ isJson }) => isJson === true)!;
  const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
  it.each([
    ["truncated", policy.body.slice(0, -9)],
    ["no object", "[]"],
    ["null", "null"],
    ["a number", "1e999"],
    ["XML", "<Policy/>"],
    ["nested deep", nested(9_000)],
    ["nested deep in an object", `{"Version":"2012-10-17","Statement":${nested(9_000)}}`],
    ["nested deep in a condition", policy.body.replace('"10.0.0.0/8"', nested(9_000))],
    ["nested deep in a principal", policy.body.replace('"*"', `{"a":${nested(9_000)}}`)],
    ["nested deep in a resource", policy.body.replace('"arn:aws:s3:::bucket/public/*"', nested(9_000))],
    ["with a member of its prototype", policy.body.replace('"IpAddress"', '"__proto__"')],
    ["with a member of every prototype", policy.body.replace('"IpAddress"', '"constructor"')],
    ["with an effect of its own", policy.body.replace("Allow", "Perhaps")],
    ["of invalid UTF-8", Buffer.from(policy.body.replace("10.0", "\xff\xfe"), "latin1")],
    ["with a NUL", `${policy.body}\0`],
    ["too long", policy.body.replace("public", "p".repeat(21_000))],
  ])("%s is refused, and the one before stays", async (_, body) => {
    const before = await session.ask("GET", "/bucket?policy");
    expect(before.status).toBe(200);
    const answer = await ask(policy, body);
    expect(problemOf(answer)).toBeUndefined();
    expect([answer.status, answer.code]).toEqual([400, "MalformedPolicy"]);
    expect((await session.ask("GET", "/bucket?policy")).body).toEqual(before.body);
  });
});

it("no request failed for a reason of the store's own", () => {
  expect(session.logged.filter((line) => /"level":"(error|warn)"/.test(line))).toEqual([]);
});
