import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anonymous } from "../auth/identity.ts";
import { account, ask, type Asking, bucket, noon, other, owner, user } from "../../../../tests/support/s3-access.ts";
import { knownActions } from "./actions.ts";
import { parsePolicy } from "./policy.ts";
import { accountNumber } from "./principals.ts";

type Json = { readonly [name: string]: unknown };

const allow: Json = { Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::shop/*" };

function policyText(...statements: readonly Json[]): string {
  return JSON.stringify({ Version: "2012-10-17", Statement: statements });
}

function judged(text: string, asking: Asking = {}, tags?: { [name: string]: string }): string | undefined {
  const request = ask(asking);
  const version = tags === undefined ? undefined : ({ attributes: { etag: "e", tags } } as never);
  return parsePolicy(text, "shop").evaluate({ ask: request, bucket: bucket(), version });
}

function allowing(change: Json, asking: Asking = {}, tags?: { [name: string]: string }): boolean {
  return judged(policyText({ ...allow, ...change }), asking, tags) === "Allow";
}

describe("a statement is about those that it names", () => {
  const byOther = { by: user(other) };
  const otherNumber = accountNumber(other.id);
  test.each<[string, unknown, Asking, boolean]>([
    ["everybody", "*", {}, true],
    ["everybody, in the long form", { AWS: "*" }, {}, true],
    ["everybody among others", { AWS: [other.id, "*"] }, {}, true],
    ["an account by canonical id", { AWS: other.id }, byOther, true],
    ["an account by number", { AWS: otherNumber }, byOther, true],
    ["an account by ARN", { AWS: `arn:aws:iam::${otherNumber}:root` }, byOther, true],
    ["an account by ARN with its name", { AWS: "arn:aws:iam::other:root" }, byOther, true],
    ["an account as CanonicalUser", { CanonicalUser: other.id }, byOther, true],
    ["a user", { AWS: `arn:aws:iam::${otherNumber}:user/other` }, byOther, true],
    ["a user with a path", { AWS: `arn:aws:iam::${otherNumber}:user/some/path/other` }, byOther, true],
    ["another user of that account", { AWS: `arn:aws:iam::${otherNumber}:user/someone` }, byOther, false],
    ["a user, but root asks", { AWS: "arn:aws:iam::owner:user/owner" }, { by: user(owner, { root: true }) }, false],
    ["an account, but nobody known asks", { AWS: other.id }, {}, false],
    ["another account", { AWS: owner.id }, byOther, false],
    ["an account of that number elsewhere", { AWS: "123456789012" }, byOther, false],
  ])("%s", (_, principal, asking, expected) => {
    expect(allowing({ Principal: principal }, asking)).toBe(expected);
  });

  test("a name of twelve digits is not taken for an account's number", () => {
    const named = account(accountNumber(owner.id), "cc");
    expect(allowing({ Principal: { AWS: accountNumber(owner.id) } }, { by: user(named) })).toBe(false);
  });

  test("a name like another account's canonical id is not taken for it", () => {
    expect(allowing({ Principal: { AWS: owner.id } }, { by: user(account(owner.id, "cc")) })).toBe(false);
  });

  test("NotPrincipal means all others", () => {
    const deny = { ...allow, Effect: "Deny", NotPrincipal: { AWS: other.id } } as Json;
    const { Principal: _, ...statement } = deny;
    expect(judged(policyText(statement), byOther)).toBeUndefined();
    expect(judged(policyText(statement), { by: user(owner) })).toBe("Deny");
    expect(judged(policyText(statement))).toBe("Deny");
  });
});

describe("a statement is about actions and resources", () => {
  test.each<[string, Json, Asking, boolean]>([
    ["the action in any case", { Action: "S3:getobject" }, {}, true],
    ["a wildcard", { Action: "s3:Get*" }, {}, true],
    ["one of several", { Action: ["s3:PutObject", "s3:GetObject"] }, {}, true],
    ["everything", { Action: "*" }, {}, true],
    ["another action", { Action: "s3:PutObject" }, {}, false],
    ["a longer action", { Action: "s3:GetObjectAc?" }, {}, false],
    ["an exact key", { Resource: "arn:aws:s3:::shop/cat.jpg" }, {}, true],
    ["one character", { Resource: "arn:aws:s3:::shop/c?t.jpg" }, {}, true],
    ["a wildcard over slashes", { Resource: "arn:aws:s3:::shop/a*/z" }, { key: "a/b/c/z" }, true],
    ["every bucket", { Resource: "arn:aws:s3:::*" }, {}, true],
    ["everything there is", { Resource: "*" }, {}, true],
    ["another key", { Resource: "arn:aws:s3:::shop/dog*" }, {}, false],
    ["keys in another case", { Resource: "arn:aws:s3:::shop/CAT.jpg" }, {}, false],
    ["the bucket but not its keys", { Action: "s3:*", Resource: "arn:aws:s3:::shop" }, {}, false],
    [
      "the bucket",
      { Action: "s3:*", Resource: "arn:aws:s3:::shop" },
      { key: undefined, action: "s3:ListBucket" },
      true,
    ],
    ["keys but not the bucket", { Action: "s3:*" }, { key: undefined, action: "s3:ListBucket" }, false],
  ])("%s", (_, change, asking, expected) => {
    expect(allowing(change, asking)).toBe(expected);
  });

  test("NotAction and NotResource mean all others", () => {
    const { Action: _, ...noAction } = allow;
    expect(judged(policyText({ ...noAction, NotAction: "s3:PutObject" }))).toBe("Allow");
    expect(judged(policyText({ ...noAction, NotAction: "s3:Get*" }))).toBeUndefined();
    const { Resource: __, ...noResource } = allow;
    expect(judged(policyText({ ...noResource, NotResource: "arn:aws:s3:::shop/dog*" }))).toBe("Allow");
    expect(judged(policyText({ ...noResource, NotResource: "arn:aws:s3:::shop/cat*" }))).toBeUndefined();
  });

  test("a variable is text, whatever is in it", () => {
    const Resource = "arn:aws:s3:::shop/home/${aws:username}/*";
    expect(allowing({ Resource }, { by: user(other), key: "home/other/x" })).toBe(true);
    expect(allowing({ Resource }, { by: user(other), key: "home/owner/x" })).toBe(false);
    expect(allowing({ Resource }, { key: "home//x" })).toBe(false);
    expect(allowing({ Resource }, { by: user(other, { user: "*" }), key: "home/owner/x" })).toBe(false);
    expect(allowing({ Resource: "arn:aws:s3:::shop/${aws:username, 'all'}/x" }, { key: "all/x" })).toBe(true);
    expect(allowing({ Resource: "arn:aws:s3:::shop/a${*}b" }, { key: "a*b" })).toBe(true);
    expect(allowing({ Resource: "arn:aws:s3:::shop/a${*}b" }, { key: "axb" })).toBe(false);
  });

  test("version 2008-10-17 has no variables", () => {
    const text = JSON.stringify({ Statement: [{ ...allow, Resource: "arn:aws:s3:::shop/${aws:username}" }] });
    expect(judged(text, { by: user(other), key: "other" })).toBeUndefined();
    expect(judged(text, { by: user(other), key: "${aws:username}" })).toBe("Allow");
  });
});

describe("conditions", () => {
  const list = { action: "s3:ListBucket", key: undefined } as const;
  const put = { action: "s3:PutObject", method: "PUT" } as const;
  const header = (name: string, value: string): Asking => ({ ...put, headers: { [name]: value } });
  test.each<[Json, Asking, boolean]>([
    [{ StringEquals: { "s3:prefix": ["", "home/"] } }, { ...list, query: "prefix=home/" }, true],
    [{ StringEquals: { "s3:prefix": ["", "home/"] } }, { ...list, query: "prefix=" }, true],
    [{ StringEquals: { "s3:prefix": "home/" } }, { ...list, query: "prefix=hom" }, false],
    [{ StringEquals: { "s3:prefix": "home/" } }, list, false],
    [{ StringEquals: { "s3:prefix": "ho*" } }, { ...list, query: "prefix=home" }, false],
    [{ StringLike: { "S3:Prefix": "ho*" } }, { ...list, query: "prefix=home" }, true],
    [{ StringNotEquals: { "s3:prefix": ["a", "b"] } }, { ...list, query: "prefix=b" }, false],
    [{ StringNotEquals: { "s3:prefix": ["a", "b"] } }, list, true],
    [{ StringNotLike: { "s3:prefix": "a*" } }, { ...list, query: "prefix=abc" }, false],
    [{ StringEqualsIgnoreCase: { "s3:prefix": "HOME" } }, { ...list, query: "prefix=home" }, true],
    [{ StringNotEqualsIgnoreCase: { "s3:prefix": "HOME" } }, { ...list, query: "prefix=home" }, false],
    [{ StringLike: { "s3:prefix": "${aws:username}/*" } }, { ...list, by: user(other), query: "prefix=other/a" }, true],
    [{ StringLike: { "s3:prefix": "${aws:username}/*" } }, { ...list, query: "prefix=other/a" }, false],
    [{ NumericLessThanEquals: { "s3:max-keys": "10" } }, { ...list, query: "max-keys=10" }, true],
    [{ NumericLessThanEquals: { "s3:max-keys": 10 } }, { ...list, query: "max-keys=11" }, false],
    [{ NumericLessThanEquals: { "s3:max-keys": 10 } }, { ...list, query: "max-keys=ten" }, false],
    [{ NumericLessThanEqualsIfExists: { "s3:max-keys": 10 } }, list, true],
    [{ NumericNotEquals: { "s3:max-keys": 10 } }, { ...list, query: "max-keys=10" }, false],
    [{ NumericGreaterThan: { "s3:signatureAge": 500 } }, { by: user(other) }, true],
    [{ NumericLessThan: { "s3:signatureAge": 500 } }, { by: user(other) }, false],
    [{ NumericLessThan: { "s3:signatureAge": 5000 } }, {}, false],
    [{ DateLessThan: { "aws:CurrentTime": "2026-11-22T12:00:01Z" } }, {}, true],
    [{ DateGreaterThan: { "aws:CurrentTime": "2026-11-22T12:00:00Z" } }, {}, false],
    [{ DateGreaterThanEquals: { "aws:EpochTime": String(noon / 1000) } }, {}, true],
    [{ DateLessThan: { "aws:CurrentTime": "2026-01-01" } }, {}, false],
    [{ Bool: { "aws:SecureTransport": "true" } }, { secure: true }, true],
    [{ Bool: { "aws:SecureTransport": true } }, {}, false],
    [{ Bool: { "aws:SecureTransport": "False" } }, {}, true],
    [{ IpAddress: { "aws:SourceIp": "192.0.2.0/24" } }, {}, true],
    [{ IpAddress: { "aws:SourceIp": ["10.0.0.0/8", "192.0.2.7"] } }, { peer: "::ffff:192.0.2.7" }, true],
    [{ IpAddress: { "aws:SourceIp": "192.0.2.0/29" } }, { peer: "192.0.2.8" }, false],
    [{ IpAddress: { "aws:SourceIp": "2001:db8::/32" } }, { peer: "2001:db8:1::1" }, true],
    [{ IpAddress: { "aws:SourceIp": "0.0.0.0/0" } }, { peer: "2001:db8:1::1" }, false],
    [{ NotIpAddress: { "aws:SourceIp": "192.0.2.0/24" } }, {}, false],
    [{ NotIpAddress: { "aws:SourceIp": "10.0.0.0/8" } }, {}, true],
    [{ ArnLike: { "aws:PrincipalArn": "arn:aws:iam::*:user/oth*" } }, { by: user(other) }, true],
    [{ ArnEquals: { "aws:PrincipalArn": "arn:aws:iam::*" } }, { by: user(other) }, false],
    [{ ArnNotLike: { "aws:PrincipalArn": "arn:aws:iam::*:root" } }, { by: user(other) }, true],
    [{ Null: { "s3:x-amz-server-side-encryption": "true" } }, put, true],
    [{ Null: { "s3:x-amz-server-side-encryption": "true" } }, header("x-amz-server-side-encryption", "AES256"), false],
    [{ Null: { "s3:x-amz-server-side-encryption": false } }, header("x-amz-server-side-encryption", "AES256"), true],
    [{ StringEquals: { "s3:x-amz-acl": "public-read" } }, header("x-amz-acl", "public-read"), true],
    [{ StringLike: { "s3:x-amz-acl": "public*" } }, put, false],
    [
      { StringLike: { "s3:x-amz-copy-source": "src/pub/*" } },
      header("x-amz-copy-source", "/src/pub%2Fx?versionId=1"),
      true,
    ],
    [{ StringLike: { "s3:x-amz-copy-source": "src/pub/*" } }, header("x-amz-copy-source", "src/priv/x"), false],
    [{ StringLike: { "s3:x-amz-copy-source": "src/pub/*" } }, header("x-amz-copy-source", "%2Fsrc%2Fpub/x"), true],
    [{ StringEquals: { "s3:RequestObjectTag/team": "red" } }, header("x-amz-tagging", "a=b&team=red"), true],
    [{ StringEquals: { "s3:RequestObjectTag/team": "red" } }, header("x-amz-tagging", "team=blue"), false],
    [
      { "ForAllValues:StringEquals": { "s3:RequestObjectTagKeys": ["a", "b"] } },
      header("x-amz-tagging", "a=1&b=2"),
      true,
    ],
    [
      { "ForAllValues:StringEquals": { "s3:RequestObjectTagKeys": ["a", "b"] } },
      header("x-amz-tagging", "a=1&c=2"),
      false,
    ],
    [{ "ForAllValues:StringEquals": { "s3:RequestObjectTagKeys": ["a", "b"] } }, put, true],
    [{ "ForAnyValue:StringEquals": { "s3:RequestObjectTagKeys": "a" } }, header("x-amz-tagging", "a=1&c=2"), true],
    [{ "ForAnyValue:StringEquals": { "s3:RequestObjectTagKeys": "a" } }, put, false],
    [{ "ForAnyValue:StringNotEquals": { "s3:RequestObjectTagKeys": "a" } }, put, false],
    [{ "ForAnyValue:StringNotEquals": { "s3:RequestObjectTagKeys": "a" } }, header("x-amz-tagging", "a=1&c=2"), true],
    [
      { StringEquals: { "s3:authType": "REST-HEADER", "s3:signatureversion": "AWS4-HMAC-SHA256" } },
      { by: user(other) },
      true,
    ],
    [{ StringEquals: { "s3:authType": "REST-HEADER" } }, {}, false],
    [{ StringEquals: { "aws:PrincipalType": "Anonymous" } }, {}, true],
    [{ StringEquals: { "s3:ResourceAccount": accountNumber(owner.id) } }, {}, true],
    [{ Bool: { "s3:ObjectCreationOperation": true } }, put, true],
    [{ Bool: { "s3:ObjectCreationOperation": true } }, { ...put, query: "partNumber=1&uploadId=u" }, false],
    [{ Bool: { "s3:ObjectCreationOperation": true } }, { ...put, method: "POST", query: "uploadId=u" }, true],
    [{ StringLike: { "aws:Referer": "http://example.com/*" } }, { headers: { referer: "http://example.com/a" } }, true],
    [{ StringLike: { "aws:Referer": "http://example.com/*" } }, {}, false],
    [{ StringLikeIfExists: { "aws:Referer": "http://example.com/*" } }, {}, true],
    [{ StringLikeIfExists: { "aws:Referer": "http://example.com/*" } }, { headers: { referer: "http://x" } }, false],
    // All of several must hold.
    [
      { Bool: { "aws:SecureTransport": false }, StringEquals: { "s3:prefix": "a" } },
      { ...list, query: "prefix=b" },
      false,
    ],
  ])("%j", (condition, asking, expected) => {
    const change = { Action: "s3:*", Resource: ["arn:aws:s3:::shop", "arn:aws:s3:::shop/*"], Condition: condition };
    expect(allowing(change, asking)).toBe(expected);
  });

  test("of tags that the object has", () => {
    const Condition = { StringEquals: { "s3:ExistingObjectTag/Security": "public" } };
    expect(parsePolicy(policyText({ ...allow, Condition }), "shop").needsVersion).toBe(true);
    expect(allowing({ Condition }, {}, { Security: "public" })).toBe(true);
    expect(allowing({ Condition }, {}, { Security: "secret" })).toBe(false);
    expect(allowing({ Condition }, {}, { security: "public" })).toBe(false);
    expect(allowing({ Condition }, {}, {})).toBe(false);
    expect(allowing({ Condition })).toBe(false);
  });

  test("of a tag called as something that every object of JavaScript has", () => {
    expect(allowing({ Condition: { Null: { "s3:ExistingObjectTag/constructor": "true" } } }, {}, {})).toBe(true);
  });
});

describe("what is not understood is refused", () => {
  const refused = (text: string): string => {
    try {
      parsePolicy(text, "shop");
    } catch (error) {
      return `${(error as { code?: string }).code}: ${(error as Error).message}`;
    }
    return "taken";
  };
  const { Principal: _, ...nobody } = allow;
  test.each<[Json, string]>([
    [{ ...allow, Foo: 1 }, "Statement has an unknown field: Foo"],
    [nobody, "Missing required field Principal"],
    [{ ...nobody, NotPrincipal: "*" }, "Allow with NotPrincipal is not allowed."],
    [{ ...allow, NotAction: "s3:PutObject" }, "Statement must not have both Action and NotAction"],
    [{ ...allow, Effect: "allow" }, "Invalid effect"],
    [{ ...allow, Principal: { Service: "cloudfront.amazonaws.com" } }, "Invalid principal in policy"],
    [{ ...allow, Principal: { Federated: "x" } }, "Invalid principal in policy"],
    [{ ...allow, Principal: { AWS: "arn:aws:iam::123456789012:role/r" } }, "Invalid principal in policy"],
    [{ ...allow, Principal: { AWS: "somebody" } }, "Invalid principal in policy"],
    [{ ...allow, Principal: { AWS: "arn:aws:iam::123456789012:user/*" } }, "Invalid principal in policy"],
    [{ ...allow, Principal: { AWS: [] } }, "must not be empty"],
    [{ ...allow, Principal: "me" }, "Invalid policy syntax"],
    [{ ...allow, Action: "s3:GetObjekt" }, "Policy has invalid action"],
    [{ ...allow, Action: "ec2:*" }, "Policy has invalid action"],
    [{ ...allow, Action: [] }, "must not be empty"],
    [{ ...allow, Resource: "arn:aws:s3:::other/*" }, "Policy has invalid resource"],
    [{ ...allow, Resource: ["arn:aws:s3:::shop/*", "arn:aws:s3:::shopping/*"] }, "Policy has invalid resource"],
    [{ ...allow, Resource: "arn:aws:s3:eu-west-1::shop/*" }, "Policy has invalid resource"],
    [{ ...allow, Resource: "shop/*" }, "Policy has invalid resource"],
    [{ ...allow, Resource: "arn:aws:s3:::shop" }, "Action does not apply to any resource(s) in statement"],
    [{ ...allow, Action: "s3:ListBucket" }, "Action does not apply to any resource(s) in statement"],
    [{ ...allow, Resource: "arn:aws:s3:::shop/${aws:nobody}" }, "invalid condition key: aws:nobody"],
    [{ ...allow, Resource: "arn:aws:s3:::shop/${aws:username" }, "not closed"],
    [{ ...allow, Condition: { StringIs: { "s3:prefix": "a" } } }, "Invalid Condition type : StringIs"],
    [{ ...allow, Condition: { BinaryEquals: { "s3:prefix": "QQ==" } } }, "Invalid Condition type"],
    [{ ...allow, Condition: { NullIfExists: { "s3:prefix": "true" } } }, "Invalid Condition type"],
    [{ ...allow, Condition: { StringEquals: { "aws:MultiFactorAuthAge": "1" } } }, "invalid condition key"],
    [{ ...allow, Condition: { StringEquals: { "s3:ExistingObjectTag/": "1" } } }, "invalid condition key"],
    [{ ...allow, Condition: { StringEquals: { "s3:prefix": [] } } }, "has no value"],
    [{ ...allow, Condition: { StringEquals: { "s3:prefix": [{}] } } }, "no string"],
    [{ ...allow, Condition: { IpAddress: { "aws:SourceIp": "1.2.3" } } }, "Invalid IP address"],
    [{ ...allow, Condition: { IpAddress: { "aws:SourceIp": "1.2.3.4/33" } } }, "Invalid IP address"],
    [{ ...allow, Condition: { NumericEquals: { "s3:max-keys": "few" } } }, "cannot take few"],
    [{ ...allow, Condition: { DateLessThan: { "aws:CurrentTime": "tomorrow" } } }, "cannot take tomorrow"],
    [{ ...allow, Condition: { Bool: { "aws:SecureTransport": "yes" } } }, "Bool takes true or false"],
    [{ ...allow, Condition: [] }, "Condition must be an object"],
  ])("%j", (statement, why) => {
    expect(refused(policyText(statement))).toContain("MalformedPolicy: ");
    expect(refused(policyText(statement))).toContain(why);
  });

  test.each([
    ["{", "invalid Json"],
    ["[]", "first byte"],
    ["{}", "Missing required field Statement"],
    [JSON.stringify({ Statement: [] }), "Statement is empty"],
    [JSON.stringify({ Version: "2012-10-18", Statement: [allow] }), "valid version string"],
    [JSON.stringify({ Version: "2012-10-17", Extra: 1, Statement: [allow] }), "unknown field: Extra"],
    [policyText({ ...allow, Sid: "a" }, { ...allow, Sid: "a" }), "must be unique"],
    [
      policyText(allow).replace(
        '"Effect"',
        '"Condition":{"Bool":{"aws:SecureTransport":"true"}},"Condition":{},"Effect"',
      ),
      '"Condition" twice',
    ],
    [policyText(allow).replace('"Effect"', '"\\u0045ffect":"Deny","Effect"'), '"Effect" twice'],
  ])("%s", (text, why) => {
    expect(refused(text)).toContain(why);
  });

  test("any name that is not one of the language's", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.jsonValue(), (name, value) => {
        fc.pre(!Object.hasOwn(allow, name) && !["Sid", "Condition"].includes(name) && name !== "__proto__");
        expect(() => parsePolicy(policyText({ ...allow, [name]: value }), "shop")).toThrow();
      }),
    );
  });

  test("an account that is called by its name is told, so that it can be looked up", () => {
    const text = policyText({ ...allow, Principal: { AWS: ["arn:aws:iam::someone:root", other.id, "123456789012"] } });
    expect(parsePolicy(text, "shop").accountNames).toEqual(["someone"]);
  });
});

describe("public is what lets in anybody", () => {
  test.each<[string, Json, boolean]>([
    ["everybody", {}, true],
    ["one account", { Principal: { AWS: other.id } }, false],
    ["one account and everybody", { Principal: { AWS: [other.id, "*"] } }, true],
    ["a denial", { Effect: "Deny" }, false],
    ["a network", { Condition: { IpAddress: { "aws:SourceIp": "10.0.0.0/8" } } }, false],
    ["a network of almost everybody", { Condition: { IpAddress: { "aws:SourceIp": "0.0.0.0/1" } } }, true],
    ["not a network", { Condition: { NotIpAddress: { "aws:SourceIp": "10.0.0.0/8" } } }, true],
    ["a user", { Condition: { StringEquals: { "aws:userid": "bob" } } }, false],
    ["a user by pattern", { Condition: { StringLike: { "aws:userid": "b*" } } }, true],
    ["encrypted transport", { Condition: { Bool: { "aws:SecureTransport": "true" } } }, true],
    ["a referer", { Condition: { StringEquals: { "aws:Referer": "http://example.com" } } }, true],
    ["a tag", { Condition: { StringEquals: { "s3:ExistingObjectTag/public": "yes" } } }, true],
  ])("%s", (_, change, expected) => {
    expect(parsePolicy(policyText({ ...allow, ...change }), "shop").isPublic).toBe(expected);
  });
});

describe("whatever the statements", () => {
  const statement = fc.record({
    Effect: fc.constantFrom("Allow", "Deny"),
    Principal: fc.constantFrom("*", { AWS: owner.id }, { AWS: other.id }, { AWS: "arn:aws:iam::other:user/other" }),
    Action: fc.constantFrom("s3:*", "s3:GetObject", "s3:Get*", "s3:PutObject"),
    Resource: fc.constantFrom("arn:aws:s3:::shop/*", "arn:aws:s3:::shop/cat*", "arn:aws:s3:::shop/d?g"),
    Condition: fc.constantFrom({}, { Bool: { "aws:SecureTransport": "true" } }, { Null: { "aws:Referer": "true" } }),
  });
  const asking = fc.record({
    by: fc.constantFrom(anonymous, user(owner), user(other)),
    action: fc.constantFrom("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
    key: fc.constantFrom("cat", "dog", "bird"),
    secure: fc.boolean(),
  });
  const rank = (effect: string | undefined): number => (effect === "Deny" ? 0 : effect === "Allow" ? 2 : 1);

  test("a denial wins, in any order", () => {
    fc.assert(
      fc.property(fc.array(statement, { minLength: 1 }), asking, (statements, request) => {
        const single = statements.map((each) => judged(policyText(each), request));
        const expected = single.includes("Deny") ? "Deny" : single.includes("Allow") ? "Allow" : undefined;
        expect(judged(policyText(...statements), request)).toBe(expected);
        expect(judged(policyText(...statements.toReversed()), request)).toBe(expected);
      }),
    );
  });

  test("to allow more never takes anything away", () => {
    fc.assert(
      fc.property(fc.array(statement, { minLength: 1 }), statement, asking, (statements, more, request) => {
        const before = rank(judged(policyText(...statements), request));
        const after = rank(judged(policyText(...statements, { ...more, Effect: "Allow" }), request));
        expect(after).toBeGreaterThanOrEqual(before);
      }),
    );
  });
});

test("an action that is asked for is one that policies can name", () => {
  for (const action of ["s3:getobject", "s3:listbucket", "s3:bypassgovernanceretention"]) {
    expect(knownActions.has(action)).toBe(true);
  }
});
