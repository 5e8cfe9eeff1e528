/** Uploads by HTML forms, over HTTP: what is stored, how it is answered, and what a policy does not let through. */
import { createHash, createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FormFile, formBody, signForm, signHeader } from "./support/s3-signer.ts";
import { Belongings } from "./support/store.ts";

type Fields = { readonly [name: string]: string };

const belongings = new Belongings();
const keys = { accessKey: "tester", secretKey: "testers-secret" };
let endpoint: string;

beforeAll(async () => {
  const root = await belongings.directory();
  const running = await belongings.router({ root, s3: { port: 0 }, rootKeys: keys });
  endpoint = `http://127.0.0.1:${running.s3Port}`;
  await ask("PUT", "/bucket");
  await ask("PUT", "/public");
  await ask("DELETE", "/public?publicAccessBlock");
  const statement = { Effect: "Allow", Principal: "*", Action: "s3:PutObject", Resource: "arn:aws:s3:::public/*" };
  const policy = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  await ask("PUT", "/public?policy", {}, policy);
});
afterAll(() => belongings.giveBack());

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly headers: Headers;
  readonly text: string;
}

async function answerOf(sent: Promise<Response>): Promise<Answer> {
  const answer = await sent;
  const text = await answer.text();
  return { status: answer.status, code: /<Code>(.*?)<\/Code>/.exec(text)?.[1], headers: answer.headers, text };
}

function ask(method: string, path: string, headers: Fields = {}, body?: string): Promise<Answer> {
  const url = `${endpoint}${path}`;
  const signed = signHeader(keys, { method, url, headers, ...(body === undefined ? {} : { body }) });
  return answerOf(fetch(url, { method, headers: signed.headers, ...(body === undefined ? {} : { body }) }));
}

function post(fields: Fields, file: FormFile | undefined = { content: "bar" }, path = "/bucket"): Promise<Answer> {
  const { headers, body } = formBody(fields, file);
  return answerOf(fetch(`${endpoint}${path}`, { method: "POST", headers, body, redirect: "manual" }));
}

const later = (): string => new Date(Date.now() + 600_000).toISOString();
const common = [
  { bucket: "bucket" },
  ["starts-with", "$key", "foo"],
  { acl: "private" },
  ["starts-with", "$Content-Type", "text/plain"],
  ["content-length-range", 0, 1024],
];
const usual = { key: "foo.txt", acl: "private", "Content-Type": "text/plain" };

function signed(fields: Fields = usual, conditions: readonly unknown[] = common, more: object = {}): Fields {
  return { ...fields, ...signForm(keys, { expiration: later(), conditions, ...more }) };
}

/** As older clients sign: HMAC-SHA1 over the policy. */
function oldSigned(fields: Fields, policy: object): Fields {
  const encoded = Buffer.from(JSON.stringify(policy)).toString("base64");
  const signature = createHmac("sha1", keys.secretKey).update(encoded).digest("base64");
  return { ...fields, AWSAccessKeyId: keys.accessKey, signature, policy: encoded };
}

describe("a form", () => {
  it("that is signed is stored, with its Content-Type and metadata", async () => {
    const fields = { ...usual, "x-amz-meta-colour": "grün", "x-ignore-this": "x", "Cache-Control": "no-store" };
    const conditions = [...common, ["starts-with", "$x-amz-meta-colour", ""], ["eq", "$cache-control", "no-store"]];
    const answer = await post(signed(fields, conditions), { content: "bar", type: "image/png" });
    expect([answer.status, answer.text]).toEqual([204, ""]);
    expect(answer.headers.get("etag")).toBe(`"${createHash("md5").update("bar").digest("hex")}"`);
    const stored = await ask("GET", "/bucket/foo.txt");
    expect(stored.text).toBe("bar");
    expect(stored.headers.get("content-type")).toBe("text/plain");
    expect(stored.headers.get("cache-control")).toBe("no-store");
    expect(stored.headers.get("x-amz-meta-colour")).toBe("=?UTF-8?B?Z3LDvG4=?=");
  });

  it("signed the old way is taken too", async () => {
    const answer = await post(oldSigned(usual, { expiration: later(), conditions: common }));
    expect(answer.status).toBe(204);
  });

  it("may write operators and fields in any case", async () => {
    const conditions = [
      { bUcKeT: "bucket" },
      ["StArTs-WiTh", "$KeY", "foo"],
      { AcL: "private" },
      ["StArTs-WiTh", "$CoNtEnT-TyPe", "text/plain"],
      ["cOnTeNt-LeNgTh-RaNgE", 0, 1024],
    ];
    const fields = { kEy: "foo.txt", acl: "private", "Content-Type": "text/plain" };
    expect((await post(signed(fields, conditions))).status).toBe(204);
  });

  it("names its key by its file", async () => {
    const fields = { ...usual, key: "foo/${filename}" };
    expect((await post(signed(fields), { content: "named", filename: "C:\\dir\\bar.txt" })).status).toBe(204);
    expect((await ask("GET", "/bucket/foo/bar.txt")).text).toBe("named");
  });

  it("may have a key with what looks like an escape", async () => {
    const conditions = [
      ...common.filter((each) => !Array.isArray(each) || each[1] !== "$key"),
      ["starts-with", "$key", "\\$foo"],
    ];
    expect((await post(signed({ ...usual, key: "\\$foo.txt" }, conditions))).status).toBe(204);
    expect((await ask("GET", "/bucket/%5C%24foo.txt")).text).toBe("bar");
  });

  it("with a large file is stored whole", async () => {
    const content = "0123456789abcdef".repeat(200_000);
    const conditions = [...common.slice(0, -1), ["content-length-range", 0, 5 * 1024 * 1024]];
    expect((await post(signed({ ...usual, key: "foo-large" }, conditions), { content })).status).toBe(204);
    const stored = await ask("GET", "/bucket/foo-large");
    expect(stored.text === content).toBe(true);
  });

  it.each([
    ["200", 200],
    ["201", 201],
    ["204", 204],
    ["404", 204],
  ])("that wants %s is answered %i", async (wanted, status) => {
    const answer = await post(
      signed({ ...usual, success_action_status: wanted }, [...common, ["eq", "$success_action_status", wanted]]),
    );
    expect(answer.status).toBe(status);
    expect(answer.headers.get("location")).toBe(`${endpoint}/bucket/foo.txt`);
    if (status !== 201) expect(answer.text).toBe("");
    else {
      expect(answer.text).toMatch(/<PostResponse.*><Location>http.*<Bucket>bucket<\/Bucket><Key>foo.txt<\/Key><ETag>/);
    }
  });

  it("that wants a redirect is sent there", async () => {
    const target = "http://127.0.0.1:1/done?a=b";
    const conditions = [...common, ["eq", "$success_action_redirect", target]];
    const answer = await post(signed({ ...usual, success_action_redirect: target }, conditions));
    const etag = createHash("md5").update("bar").digest("hex");
    expect(answer.status).toBe(303);
    expect(answer.headers.get("location")).toBe(`${target}&bucket=bucket&key=foo.txt&etag=%22${etag}%22`);
  });

  it("of nobody is taken where the bucket lets anybody write", async () => {
    expect((await post({ key: "foo.txt" }, { content: "bar" }, "/public")).status).toBe(204);
    expect((await ask("GET", "/public/foo.txt")).text).toBe("bar");
    expect((await post({ key: "foo.txt" })).code).toBe("AccessDenied");
  });

  it("says checksums of its file, which are verified", async () => {
    const md5 = createHash("md5").update("bar").digest("base64");
    const sha256 = createHash("sha256").update("bar").digest("base64");
    const conditions = [...common, ["starts-with", "$content-md5", ""], ["starts-with", "$x-amz-checksum-sha256", ""]];
    const right = { ...usual, "Content-MD5": md5, "x-amz-checksum-sha256": sha256 };
    expect((await post(signed(right, conditions))).status).toBe(204);
    expect((await post(signed(right, conditions), { content: "baz" })).code).toBe("BadDigest");
  });
});

describe("what is refused", () => {
  const without = (name: string): readonly unknown[] => common.filter((each) => !JSON.stringify(each).includes(name));
  const changed = (change: (fields: { [name: string]: string }) => void, fields = signed()): Fields => {
    const copy = { ...fields };
    change(copy);
    return copy;
  };
  const policyOf = (policy: object): Fields => oldSigned(usual, policy);

  it.each<[string, () => Fields, number, string]>([
    [
      "another signature",
      () => changed((all) => (all["x-amz-signature"] = "0".repeat(64))),
      403,
      "SignatureDoesNotMatch",
    ],
    [
      "an old signature that is wrong",
      () => ({ ...policyOf({ expiration: later(), conditions: common }), signature: "x" }),
      403,
      "SignatureDoesNotMatch",
    ],
    [
      "a policy changed behind its back",
      () => changed((all) => (all["policy"] = `${all["policy"]}=`)),
      403,
      "SignatureDoesNotMatch",
    ],
    ["a key that is not known", () => ({ ...policyOf({}), AWSAccessKeyId: "nobody" }), 403, "InvalidAccessKeyId"],
    [
      "another service's credential",
      () => changed((all) => (all["x-amz-credential"] = all["x-amz-credential"]!.replace("/s3/", "/ec2/"))),
      400,
      "InvalidArgument",
    ],
    ["no key", () => changed((all) => delete all["key"]), 400, "InvalidArgument"],
    ["no signature", () => changed((all) => delete all["x-amz-signature"]), 400, "InvalidArgument"],
    [
      "no old signature",
      () => changed((all) => delete all["signature"], policyOf({ expiration: later(), conditions: common })),
      400,
      "InvalidArgument",
    ],
    ["no policy", () => changed((all) => delete all["policy"]), 400, "InvalidArgument"],
    ["a policy that no signature covers", () => ({ ...usual, policy: "e30=" }), 400, "InvalidArgument"],
    ["a temporary credential", () => ({ ...signed(), "x-amz-security-token": "x" }), 400, "InvalidToken"],
    ["a key that the policy has not", () => signed({ ...usual, key: "bar.txt" }), 403, "AccessDenied"],
    ["a field that the policy has not", () => signed({ ...usual, "x-amz-meta-a": "b" }), 403, "AccessDenied"],
    [
      "a field with another value",
      () => signed({ ...usual, "x-amz-meta-a": "b" }, [...common, ["eq", "$x-amz-meta-a", ""]]),
      403,
      "AccessDenied",
    ],
    [
      "no field that the policy has",
      () => signed(usual, [...common, ["starts-with", "$x-amz-meta-a", "bar"]]),
      403,
      "AccessDenied",
    ],
    [
      "a policy for another bucket",
      () => signed(usual, [{ bucket: "other" }, ...without("bucket")]),
      403,
      "AccessDenied",
    ],
    ["a policy for no bucket", () => signed(usual, without("bucket")), 403, "AccessDenied"],
    [
      "a policy that has expired",
      () => signed(usual, common, { expiration: "2020-01-01T00:00:00Z" }),
      403,
      "AccessDenied",
    ],
    [
      "a date that is none",
      () => signed(usual, common, { expiration: "2026-11-22 12:00:00+00:00" }),
      400,
      "InvalidPolicyDocument",
    ],
    ["no expiration", () => policyOf({ conditions: common }), 400, "InvalidPolicyDocument"],
    ["EXPIRATION", () => policyOf({ EXPIRATION: later(), conditions: common }), 400, "InvalidPolicyDocument"],
    ["no conditions", () => policyOf({ expiration: later() }), 400, "InvalidPolicyDocument"],
    ["CONDITIONS", () => policyOf({ expiration: later(), CONDITIONS: common }), 400, "InvalidPolicyDocument"],
    ["an empty condition", () => policyOf({ expiration: later(), conditions: [{}] }), 400, "InvalidPolicyDocument"],
    [
      "an unknown condition",
      () => policyOf({ expiration: later(), conditions: [["ends-with", "$key", "a"]] }),
      400,
      "InvalidPolicyDocument",
    ],
    ["half a range", () => signed(usual, [...common, ["content-length-range", 0]]), 400, "InvalidPolicyDocument"],
    [
      "a negative range",
      () => signed(usual, [...common, ["content-length-range", -1, 0]]),
      400,
      "InvalidPolicyDocument",
    ],
    [
      "a file that is too large",
      () => signed(usual, [...common, ["content-length-range", 0, 2]]),
      400,
      "EntityTooLarge",
    ],
    [
      "a file that is too small",
      () => signed(usual, [...common, ["content-length-range", 512, 1000]]),
      400,
      "EntityTooSmall",
    ],
    [
      "a line break in what becomes a header",
      () =>
        signed({ ...usual, "x-amz-meta-a": "b\r\nSet-Cookie: c" }, [...common, ["starts-with", "$x-amz-meta-a", ""]]),
      400,
      "InvalidArgument",
    ],
  ])("%s", async (_, fields, status, code) => {
    const before = await ask("GET", "/bucket?list-type=2");
    const answer = await post(fields());
    expect([answer.status, answer.code]).toEqual([status, code]);
    expect((await ask("GET", "/bucket?list-type=2")).text).toBe(before.text);
  });

  it("a policy that is no JSON", async () => {
    const policy = Buffer.from("{").toString("base64");
    const signature = createHmac("sha1", keys.secretKey).update(policy).digest("base64");
    const answer = await post({ ...usual, AWSAccessKeyId: keys.accessKey, signature, policy });
    expect([answer.status, answer.code]).toEqual([400, "InvalidPolicyDocument"]);
  });

  it("a form without a file, or that is none", async () => {
    const { headers, body } = formBody(signed());
    const send = (init: RequestInit): Promise<Answer> =>
      answerOf(fetch(`${endpoint}/bucket`, { method: "POST", ...init }));
    expect((await send({ headers, body })).code).toBe("InvalidArgument");
    expect((await send({ headers: { "content-type": "multipart/form-data" }, body: "x" })).status).toBe(412);
    expect((await send({ headers, body: "nonsense" })).code).toBe("MalformedPOSTRequest");
    expect((await send({ headers, body: body.subarray(0, -10) })).status).toBe(400);
  });

  it("tags as XML are tags", async () => {
    const tagging = "<Tagging><TagSet><Tag><Key>a b</Key><Value>c+d</Value></Tag></TagSet></Tagging>";
    const conditions = [...common, ["starts-with", "$tagging", ""]];
    expect((await post(signed({ ...usual, key: "foo-tagged", tagging }, conditions))).status).toBe(204);
    expect((await ask("GET", "/bucket/foo-tagged?tagging")).text).toContain("<Key>a b</Key><Value>c+d</Value>");
  });
});
