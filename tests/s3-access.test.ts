/** Who may do what, over HTTP, as two accounts and somebody unknown see it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AccessKey } from "../src/gateways/s3/auth/accounts.ts";
import { signHeader } from "./support/s3-signer.ts";
import { Belongings } from "./support/store.ts";

type Headers = { readonly [name: string]: string };
type Who = "root" | "alt" | "reader" | "nobody";

const belongings = new Belongings();
const keys = new Map<Who, { readonly accessKey: string; readonly secretKey: string }>();
const ids = new Map<string, string>();
let endpoint: string;

beforeAll(async () => {
  const rootKeys = { accessKey: "tester", secretKey: "testers-secret" };
  const running = await belongings.router({ root: await belongings.directory(), s3: { port: 0 }, rootKeys });
  endpoint = `http://127.0.0.1:${running.s3Port}`;
  const { accounts } = running.gateway!.services;
  const remember = (who: Who, key: AccessKey): void => {
    keys.set(who, key);
    ids.set(who, key.account.id);
  };
  remember("root", (await accounts.find("tester"))!);
  remember("alt", await accounts.add({ name: "alt", email: "alt@example.com" }));
  remember("reader", await accounts.add({ name: "reader", readOnly: true }));
});
afterAll(() => belongings.giveBack());

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly headers: globalThis.Headers;
  readonly text: string;
  /** What most tests compare: "200", or "403 AccessDenied". */
  readonly told: string;
}

interface Request {
  readonly by?: Who;
  readonly headers?: Headers;
  readonly body?: string | undefined;
}

async function ask(method: string, path: string, { by = "root", headers = {}, body }: Request = {}): Promise<Answer> {
  const url = `${endpoint}${path}`;
  const content = body === undefined ? {} : { body };
  const key = keys.get(by);
  const signed = key === undefined ? { headers } : signHeader(key, { method, url, headers, ...content });
  const { host: _, ...rest } = signed.headers;
  const answer = await fetch(url, { method, headers: rest, ...content });
  const text = await answer.text();
  const code = /<Code>(.*?)<\/Code>/.exec(text)?.[1];
  const told = code === undefined ? String(answer.status) : `${answer.status} ${code}`;
  return { status: answer.status, code, headers: answer.headers, text, told };
}

async function told(method: string, path: string, request: Request = {}): Promise<string> {
  return (await ask(method, path, request)).told;
}

let bucketCount = 0;
/** A bucket of root's. */
async function bucket(headers: Headers = {}): Promise<string> {
  const path = `/access-${bucketCount++}`;
  expect(await told("PUT", path, { headers })).toBe("200");
  return path;
}
const withAcls = { "x-amz-object-ownership": "ObjectWriter" };

function policy(path: string, ...statements: readonly object[]): string {
  const name = path.slice(1);
  const Resource = [`arn:aws:s3:::${name}`, `arn:aws:s3:::${name}/*`];
  const all = { Effect: "Allow", Principal: "*", Action: "s3:*", Resource };
  return JSON.stringify({ Version: "2012-10-17", Statement: statements.map((each) => ({ ...all, ...each })) });
}

function putPolicy(path: string, ...statements: readonly object[]): Promise<string> {
  return told("PUT", `${path}?policy`, { body: policy(path, ...statements) });
}

const block = (...names: readonly string[]): string =>
  `<PublicAccessBlockConfiguration>${names.map((name) => `<${name}>true</${name}>`).join("")}</PublicAccessBlockConfiguration>`;

function aclBody(owner: string, ...grants: readonly (readonly [grantee: string, permission: string])[]): string {
  const list = grants.map(([grantee, permission]) => `<Grant>${grantee}<Permission>${permission}</Permission></Grant>`);
  return `<AccessControlPolicy><Owner><ID>${owner}</ID></Owner><AccessControlList>${list.join("")}</AccessControlList></AccessControlPolicy>`;
}
const grantee = (type: string, inner: string): string =>
  `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}">${inner}</Grantee>`;
const user = (who: Who): string => grantee("CanonicalUser", `<ID>${ids.get(who)}</ID>`);
const group = (name: string): string => grantee("Group", `<URI>http://acs.amazonaws.com/groups/global/${name}</URI>`);

describe("policies", () => {
  test("are given back byte for byte, and gone when deleted", async () => {
    const path = await bucket();
    expect(await told("GET", `${path}?policy`)).toBe("404 NoSuchBucketPolicy");
    const text = `  ${policy(path, {})}\n`.trimStart();
    expect(await told("PUT", `${path}?policy`, { body: text })).toBe("204");
    const answer = await ask("GET", `${path}?policy`);
    expect([answer.headers.get("content-type"), answer.text]).toEqual(["application/json", text]);
    expect(await told("DELETE", `${path}?policy`)).toBe("204");
    expect(await told("DELETE", `${path}?policy`)).toBe("204");
    expect(await told("GET", `${path}?policy`)).toBe("404 NoSuchBucketPolicy");
  });

  test("let others in at once, and shut them out at once", async () => {
    const path = await bucket();
    expect(await told("PUT", `${path}/a`, { body: "x" })).toBe("200");
    expect(await told("GET", path, { by: "alt" })).toBe("403 AccessDenied");
    expect(await putPolicy(path, { Action: "s3:ListBucket" })).toBe("204");
    for (const by of ["alt", "nobody"] as const) {
      expect(await told("GET", path, { by })).toBe("200");
      expect(await told("GET", `${path}?list-type=2`, { by })).toBe("200");
      expect(await told("GET", `${path}/a`, { by })).toBe("403 AccessDenied");
    }
    expect(await putPolicy(path, {}, { Effect: "Deny", Action: "s3:ListBucket" })).toBe("204");
    expect(await told("GET", path, { by: "alt" })).toBe("403 AccessDenied");
    expect(await told("GET", path)).toBe("403 AccessDenied");
    expect(await told("GET", `${path}/a`, { by: "nobody" })).toBe("200");
    expect(await told("PUT", `${path}/b`, { by: "alt", body: "x" })).toBe("200");
  });

  test("are refused where they are not understood, and the one before stays", async () => {
    const path = await bucket();
    expect(await putPolicy(path, { Action: "s3:GetObject" })).toBe("204");
    const answer = await ask("PUT", `${path}?policy`, {
      body: policy(path, { Condition: { StringEquals: { "aws:Moon": "full" } } }),
    });
    expect(answer.told).toBe("400 MalformedPolicy");
    expect(answer.text).toContain("aws:Moon");
    expect(await putPolicy(path, { Principal: { AWS: "arn:aws:iam::nobody-here:root" } })).toBe("400 MalformedPolicy");
    expect(await putPolicy(path, { Sid: "x".repeat(20_481) })).toBe("400 MalformedPolicy");
    expect(await told("PUT", `${path}?policy`, { body: "" })).toBe("400 MalformedPolicy");
    expect((await ask("GET", `${path}?policy`)).text).toContain("s3:GetObject");
  });

  test("name accounts by name", async () => {
    const path = await bucket();
    expect(await putPolicy(path, { Principal: { AWS: "arn:aws:iam::alt:root" } })).toBe("204");
    expect(await told("GET", path, { by: "alt" })).toBe("200");
    expect(await told("GET", path, { by: "nobody" })).toBe("403 AccessDenied");
  });

  test("look at tags, of the object and of the request", async () => {
    const path = await bucket();
    await ask("PUT", `${path}/open`, { body: "x", headers: { "x-amz-tagging": "security=public" } });
    await ask("PUT", `${path}/shut`, { body: "x", headers: { "x-amz-tagging": "security=private" } });
    await ask("PUT", `${path}/bare`, { body: "x" });
    const existing = { StringEquals: { "s3:ExistingObjectTag/security": "public" } };
    const wanted = { StringEquals: { "s3:RequestObjectTag/team": "red" } };
    expect(
      await putPolicy(
        path,
        { Action: "s3:GetObject", Condition: existing },
        { Action: ["s3:PutObject", "s3:PutObjectTagging"], Condition: wanted },
      ),
    ).toBe("204");
    expect(await told("GET", `${path}/open`, { by: "alt" })).toBe("200");
    expect(await told("GET", `${path}/shut`, { by: "alt" })).toBe("403 AccessDenied");
    expect(await told("GET", `${path}/bare`, { by: "alt" })).toBe("403 AccessDenied");
    const tagging = (team: string): string =>
      `<Tagging><TagSet><Tag><Key>team</Key><Value>${team}</Value></Tag></TagSet></Tagging>`;
    expect(await told("PUT", `${path}/open?tagging`, { by: "alt", body: tagging("red") })).toBe("200");
    expect(await told("PUT", `${path}/open?tagging`, { by: "alt", body: tagging("blue") })).toBe("403 AccessDenied");
    const tagged = (team: string): Headers => ({ "x-amz-tagging": `team=${team}` });
    expect(await told("PUT", `${path}/n`, { by: "alt", body: "x", headers: tagged("red") })).toBe("200");
    expect(await told("PUT", `${path}/n`, { by: "alt", body: "x", headers: tagged("blue") })).toBe("403 AccessDenied");
    expect(await told("PUT", `${path}/n`, { by: "alt", body: "x" })).toBe("403 AccessDenied");
  });

  test("say whether they are public", async () => {
    const path = await bucket();
    const status = async (): Promise<string> => {
      const answer = await ask("GET", `${path}?policyStatus`);
      return /<IsPublic>(.*)<\/IsPublic>/.exec(answer.text)?.[1] ?? answer.told;
    };
    expect(await status()).toBe("404 NoSuchBucketPolicy");
    await putPolicy(path, { Principal: { AWS: ids.get("alt") } });
    expect(await status()).toBe("false");
    await putPolicy(path, {});
    expect(await status()).toBe("true");
    await putPolicy(path, { Condition: { IpAddress: { "aws:SourceIp": "10.0.0.0/32" } } });
    expect(await status()).toBe("false");
  });
});

describe("public access blocks", () => {
  test("are not there until they are put", async () => {
    const path = await bucket();
    expect(await told("GET", `${path}?publicAccessBlock`)).toBe("404 NoSuchPublicAccessBlockConfiguration");
    expect(await told("PUT", `${path}?publicAccessBlock`, { body: block("BlockPublicAcls") })).toBe("200");
    const { text } = await ask("GET", `${path}?publicAccessBlock`);
    expect(text).toContain("<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls>");
    expect(await told("DELETE", `${path}?publicAccessBlock`)).toBe("204");
    expect(await told("GET", `${path}?publicAccessBlock`)).toBe("404 NoSuchPublicAccessBlockConfiguration");
    expect(await told("PUT", `${path}?publicAccessBlock`, { body: "<PublicAccessBlockConfiguration>" })).toBe(
      "400 MalformedXML",
    );
  });

  test("refuse public policies", async () => {
    const path = await bucket();
    await ask("PUT", `${path}?publicAccessBlock`, { body: block("BlockPublicPolicy") });
    expect(await putPolicy(path, {})).toBe("403 AccessDenied");
    expect(await putPolicy(path, { Principal: { AWS: ids.get("alt") } })).toBe("204");
  });

  test("refuse public ACLs", async () => {
    const path = await bucket(withAcls);
    await ask("PUT", `${path}?publicAccessBlock`, { body: block("BlockPublicAcls") });
    for (const acl of ["public-read", "public-read-write", "authenticated-read"]) {
      const headers = { "x-amz-acl": acl };
      expect(await told("PUT", `${path}?acl`, { headers })).toBe("403 AccessDenied");
      expect(await told("PUT", `${path}/a`, { headers, body: "x" })).toBe("403 AccessDenied");
    }
    expect(await told("PUT", `${path}/a`, { headers: { "x-amz-acl": "private" }, body: "x" })).toBe("200");
    expect(await told("PUT", `${path}/a?acl`, { headers: { "x-amz-acl": "public-read" } })).toBe("403 AccessDenied");
  });

  test("ignore public ACLs", async () => {
    const path = await bucket({ ...withAcls, "x-amz-acl": "public-read" });
    await ask("PUT", `${path}/a`, { headers: { "x-amz-acl": "public-read" }, body: "x" });
    expect([await told("GET", path, { by: "nobody" }), await told("GET", `${path}/a`, { by: "alt" })]).toEqual([
      "200",
      "200",
    ]);
    await ask("PUT", `${path}?publicAccessBlock`, { body: block("IgnorePublicAcls") });
    expect(await told("GET", path, { by: "nobody" })).toBe("403 AccessDenied");
    expect(await told("GET", `${path}/a`, { by: "alt" })).toBe("403 AccessDenied");
  });
});

describe("ownership", () => {
  const controls = (ownership: string): string =>
    `<OwnershipControls><Rule><ObjectOwnership>${ownership}</ObjectOwnership></Rule></OwnershipControls>`;

  test("is enforced where nothing else was asked for, and can be changed and taken away", async () => {
    const path = await bucket();
    expect((await ask("GET", `${path}?ownershipControls`)).text).toContain("<ObjectOwnership>BucketOwnerEnforced<");
    expect(await told("PUT", `${path}?ownershipControls`, { body: controls("ObjectWriter") })).toBe("200");
    expect((await ask("GET", `${path}?ownershipControls`)).text).toContain("<ObjectOwnership>ObjectWriter<");
    expect(await told("PUT", `${path}?ownershipControls`, { body: controls("Nobody") })).toBe("400 MalformedXML");
    expect(await told("DELETE", `${path}?ownershipControls`)).toBe("204");
    expect(await told("GET", `${path}?ownershipControls`)).toBe("404 OwnershipControlsNotFoundError");
  });

  test("where it is enforced, there are no ACLs but what is so anyway", async () => {
    const path = await bucket();
    expect(await told("PUT", `${path}/a`, { body: "x" })).toBe("200");
    for (const at of [`${path}?acl`, `${path}/a?acl`, `${path}/b`]) {
      const put = (headers: Headers): Promise<string> => told("PUT", at, { headers });
      expect(await put({ "x-amz-acl": "public-read" })).toBe("400 AccessControlListNotSupported");
      expect(await put({ "x-amz-grant-read": `id=${ids.get("alt")}` })).toBe("400 AccessControlListNotSupported");
      expect(await put({ "x-amz-acl": "private" })).toBe("200");
      expect(await put({ "x-amz-acl": "bucket-owner-full-control" })).toBe("200");
    }
    for (const at of [`${path}?acl`, `${path}/a?acl`]) {
      const { text } = await ask("GET", at);
      expect(text.match(/<Grant>/g)).toHaveLength(1);
      expect(text).toContain(`<Owner><ID>${ids.get("root")}</ID><DisplayName>root</DisplayName></Owner>`);
      expect(text).toContain("<Permission>FULL_CONTROL</Permission>");
    }
    expect(await told("PUT", "/access-new", { headers: { "x-amz-acl": "public-read" } })).toBe(
      "400 InvalidBucketAclWithObjectOwnership",
    );
    expect(await told("HEAD", "/access-new")).toBe("404");
  });

  test("cannot be enforced on a bucket that others were let into by its ACL", async () => {
    const path = await bucket({ ...withAcls, "x-amz-acl": "public-read" });
    const put = (): Promise<string> =>
      told("PUT", `${path}?ownershipControls`, { body: controls("BucketOwnerEnforced") });
    expect(await put()).toBe("400 InvalidBucketAclWithObjectOwnership");
    expect(await told("PUT", `${path}?acl`, { headers: { "x-amz-acl": "private" } })).toBe("200");
    expect(await put()).toBe("200");
  });

  test("of what others write: theirs, or given away", async () => {
    const shared = { "x-amz-acl": "public-read-write" };
    const whose = async (path: string): Promise<string | undefined> =>
      /<Owner><ID>(.*?)<\/ID>/.exec((await ask("GET", `${path}/a?acl`, { by: "alt" })).text)?.[1];
    const writer = await bucket({ ...withAcls, ...shared });
    const given = { by: "alt", headers: { "x-amz-acl": "bucket-owner-full-control" }, body: "x" } as const;
    expect(await told("PUT", `${writer}/a`, given)).toBe("200");
    expect(await whose(writer)).toBe(ids.get("alt"));
    expect(await told("GET", `${writer}/a`)).toBe("200");
    expect(await told("PUT", `${writer}/a`, { by: "alt", body: "x" })).toBe("200");
    expect(await told("GET", `${writer}/a`)).toBe("403 AccessDenied");
    expect(await told("GET", `${writer}/a`, { by: "alt" })).toBe("200");
    expect(await told("DELETE", `${writer}/a`)).toBe("204");

    const preferred = await bucket({ "x-amz-object-ownership": "BucketOwnerPreferred", ...shared });
    expect(await told("PUT", `${preferred}/a`, { by: "alt", body: "x" })).toBe("200");
    expect(await whose(preferred)).toBe(ids.get("alt"));
    expect(await told("PUT", `${preferred}/a`, given)).toBe("200");
    expect(await whose(preferred)).toBeUndefined();
    expect((await ask("GET", `${preferred}/a?acl`)).text).toContain(`<Owner><ID>${ids.get("root")}</ID>`);
  });
});

describe("ACLs", () => {
  const grants = (text: string): string[] =>
    [...text.matchAll(/xsi:type="(\w+)">(?:<ID>(.*?)<\/ID>|<URI>[^<]*\/(.*?)<\/URI>).*?<Permission>(.*?)</g)].map(
      ([, , id, uri, permission]) => `${uri ?? [...ids].find(([, each]) => each === id)?.[0]} ${permission}`,
    );

  test.each([
    ["private", ["root FULL_CONTROL"]],
    ["public-read", ["root FULL_CONTROL", "AllUsers READ"]],
    ["public-read-write", ["root FULL_CONTROL", "AllUsers READ", "AllUsers WRITE"]],
    ["authenticated-read", ["root FULL_CONTROL", "AuthenticatedUsers READ"]],
    ["log-delivery-write", ["root FULL_CONTROL", "LogDelivery WRITE", "LogDelivery READ_ACP"]],
  ])("canned: %s", async (acl, expected) => {
    const path = await bucket({ ...withAcls, "x-amz-acl": acl });
    expect(grants((await ask("GET", `${path}?acl`)).text)).toEqual(expected);
    await ask("PUT", `${path}/a`, { headers: { "x-amz-acl": acl }, body: "x" });
    expect(grants((await ask("GET", `${path}/a?acl`)).text)).toEqual(expected);
    expect(await told("PUT", `${path}/a?acl`, { headers: { "x-amz-acl": "private" } })).toBe("200");
    expect(grants((await ask("GET", `${path}/a?acl`)).text)).toEqual(["root FULL_CONTROL"]);
  });

  test("granted in headers: by id, group and e-mail address", async () => {
    const path = await bucket(withAcls);
    const headers = {
      "x-amz-grant-full-control": `id="${ids.get("root")}", id=${ids.get("alt")}`,
      "x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"',
      "x-amz-grant-write-acp": "emailAddress=alt@example.com",
    };
    const expected = ["root FULL_CONTROL", "alt FULL_CONTROL", "AllUsers READ", "alt WRITE_ACP"];
    expect(await told("PUT", `${path}?acl`, { headers })).toBe("200");
    expect(grants((await ask("GET", `${path}?acl`)).text)).toEqual(expected);
    expect(await told("PUT", `${path}/a`, { headers, body: "x" })).toBe("200");
    expect(grants((await ask("GET", `${path}/a?acl`)).text)).toEqual(expected);
  });

  test("granted in XML, and given back as XML", async () => {
    const path = await bucket(withAcls);
    const owner = ids.get("root")!;
    const body = aclBody(
      owner,
      [user("root"), "FULL_CONTROL"],
      [user("alt"), "READ"],
      [group("AuthenticatedUsers"), "READ_ACP"],
      [grantee("AmazonCustomerByEmail", "<EmailAddress>alt@example.com</EmailAddress>"), "WRITE"],
    );
    expect(await told("PUT", `${path}?acl`, { body })).toBe("200");
    const { text } = await ask("GET", `${path}?acl`);
    expect(grants(text)).toEqual(["root FULL_CONTROL", "alt READ", "AuthenticatedUsers READ_ACP", "alt WRITE"]);
    expect(text).toContain(
      `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>${ids.get("alt")}</ID><DisplayName>alt</DisplayName></Grantee>`,
    );
    // What was given back can be put again.
    expect(await told("PUT", `${path}?acl`, { body: text })).toBe("200");
    expect((await ask("GET", `${path}?acl`)).text).toBe(text);
    expect(await told("GET", path, { by: "alt" })).toBe("200");
    expect(await told("PUT", `${path}/b`, { by: "alt", body: "x" })).toBe("200");
    expect(await told("GET", path, { by: "nobody" })).toBe("403 AccessDenied");
  });

  test("that make no sense are refused", async () => {
    const path = await bucket(withAcls);
    const owner = ids.get("root")!;
    const put = (request: Request): Promise<string> => told("PUT", `${path}?acl`, request);
    expect(await put({})).toBe("400 MissingSecurityHeader");
    expect(await put({ headers: { "x-amz-acl": "public" } })).toBe("400 InvalidArgument");
    expect(await put({ headers: { "x-amz-acl": "private", "x-amz-grant-read": `id=${owner}` } })).toBe(
      "400 InvalidRequest",
    );
    expect(await put({ headers: { "x-amz-grant-read": "id=_foo" } })).toBe("400 InvalidArgument");
    expect(await put({ headers: { "x-amz-grant-read": "someone" } })).toBe("400 InvalidArgument");
    expect(await put({ headers: { "x-amz-grant-read": "uri=http://example.com" } })).toBe("400 InvalidArgument");
    expect(await put({ headers: { "x-amz-grant-read": "emailAddress=doesnotexist@example.com" } })).toBe(
      "400 UnresolvableGrantByEmailAddress",
    );
    expect(await put({ body: "<AccessControlPolicy/>" })).toBe("400 MalformedACLError");
    expect(await put({ body: aclBody(owner, [user("alt"), "ALL"]) })).toBe("400 MalformedACLError");
    expect(await put({ body: aclBody(owner, ["<Grantee><ID>x</ID></Grantee>", "READ"]) })).toBe(
      "400 MalformedACLError",
    );
    expect(await put({ body: aclBody(owner, [grantee("CanonicalUser", "<ID>_foo</ID>"), "READ"]) })).toBe(
      "400 InvalidArgument",
    );
    expect(await put({ body: aclBody(ids.get("alt")!, [user("alt"), "READ"]) })).toBe("403 AccessDenied");
    expect(await told("PUT", `${path}/nothing?acl`, { headers: { "x-amz-acl": "private" } })).toBe("404 NoSuchKey");
  });

  test("of objects let others read and change just what they say", async () => {
    const path = await bucket(withAcls);
    const put = (permission: string): Promise<string> =>
      told("PUT", `${path}/a`, { headers: { [`x-amz-grant-${permission}`]: `id=${ids.get("alt")}` }, body: "x" });
    const tried = async (): Promise<string[]> => [
      await told("GET", `${path}/a`, { by: "alt" }),
      await told("GET", `${path}/a?acl`, { by: "alt" }),
      await told("PUT", `${path}/a?acl`, { by: "alt", headers: { "x-amz-acl": "private" } }),
    ];
    const no = "403 AccessDenied";
    expect([await put("read"), ...(await tried())]).toEqual(["200", "200", no, no]);
    expect([await put("read-acp"), ...(await tried())]).toEqual(["200", no, "200", no]);
    expect([await put("write-acp"), ...(await tried())]).toEqual(["200", no, no, "200"]);
    expect([await put("full-control"), ...(await tried())]).toEqual(["200", "200", "200", "200"]);
    expect(await told("GET", `${path}/a`, { by: "alt" })).toBe(no);
  });

  test("of a bucket: who may write to it gives new objects tags, and changes none", async () => {
    const path = await bucket({ ...withAcls, "x-amz-acl": "public-read-write" });
    const tagged = { by: "alt", headers: { "x-amz-tagging": "a=b" }, body: "x" } as const;
    expect(await told("PUT", `${path}/a`, tagged)).toBe("200");
    const tags = "<Tagging><TagSet/></Tagging>";
    for (const by of ["alt", "nobody"] as const) {
      expect(await told("PUT", `${path}/a?tagging`, { by, body: tags })).toBe("403 AccessDenied");
      expect(await told("DELETE", `${path}/a?tagging`, { by })).toBe("403 AccessDenied");
    }
    expect(await told("PUT", `${await bucket(withAcls)}/a`, tagged)).toBe("403 AccessDenied");
  });

  test("of a bucket: a copy by another account has the source's tags only where that may read them", async () => {
    const [source, target] = [await bucket(), await bucket(withAcls)];
    const allow = (action: string, of: string): object => ({
      Action: action,
      Resource: `arn:aws:s3:::${of.slice(1)}/*`,
    });
    await ask("PUT", `${source}/a`, { body: "x", headers: { "x-amz-tagging": "a=b" } });
    await ask("PUT", `${source}/plain`, { body: "x" });
    await ask("PUT", `${target}?acl`, { headers: { "x-amz-grant-write": `id=${ids.get("alt")}` } });
    const copy = (key: string, more: object = {}): Promise<string> =>
      told("PUT", `${target}/c`, { by: "alt", headers: { "x-amz-copy-source": `${source}/${key}`, ...more } });
    await ask("PUT", `${source}?policy`, { body: policy(source, allow("s3:GetObject", source)) });
    expect([await copy("plain"), await copy("a")]).toEqual(["200", "403 AccessDenied"]);
    expect(await copy("a", { "x-amz-tagging-directive": "REPLACE" })).toBe("200");
    await ask("PUT", `${source}?policy`, { body: policy(source, allow("s3:GetObject*", source)) });
    expect(await copy("a")).toBe("200");
  });

  test("a key that is too long is that, whoever asks", async () => {
    const path = `${await bucket({ ...withAcls, "x-amz-acl": "public-read-write" })}/${"x".repeat(1025)}`;
    for (const by of ["root", "alt", "nobody"] as const) {
      expect(await told("PUT", path, { by, body: "x" })).toBe("400 KeyTooLongError");
      expect(await told("GET", path, { by })).toBe("400 KeyTooLongError");
    }
  });

  test("for Amazon's EC2 are not there", async () => {
    const path = await bucket(withAcls);
    const headers = { "x-amz-acl": "aws-exec-read" };
    expect(await told("PUT", `${path}/a`, { headers, body: "x" })).toBe("501 NotImplemented");
  });

  test("of a bucket: bucket-owner-read lets its owner read what another account wrote", async () => {
    const path = await bucket({ ...withAcls, "x-amz-acl": "public-read-write" });
    await ask("PUT", `${path}/a`, { by: "alt", headers: { "x-amz-acl": "bucket-owner-read" }, body: "x" });
    expect(grants((await ask("GET", `${path}/a?acl`, { by: "alt" })).text)).toEqual(["alt FULL_CONTROL", "root READ"]);
    expect(await told("GET", `${path}/a`)).toBe("200");
    expect(await told("GET", `${path}/a?acl`)).toBe("403 AccessDenied");
  });
});

describe("limited keys", () => {
  test("that may only read do so", async () => {
    const path = await bucket();
    await ask("PUT", `${path}/a`, { body: "x" });
    expect(await told("GET", `${path}/a`, { by: "reader" })).toBe("200");
    expect(await told("GET", path, { by: "reader" })).toBe("200");
    expect(await told("PUT", `${path}/b`, { by: "reader", body: "x" })).toBe("403 AccessDenied");
    expect(await told("DELETE", `${path}/a`, { by: "reader" })).toBe("403 AccessDenied");
    expect(await told("PUT", `${path}?policy`, { by: "reader", body: policy(path, {}) })).toBe("403 AccessDenied");
  });
});

test("somebody else's bucket cannot be made again", async () => {
  const path = await bucket();
  expect(await told("PUT", path, { by: "alt" })).toBe("409 BucketAlreadyExists");
});
