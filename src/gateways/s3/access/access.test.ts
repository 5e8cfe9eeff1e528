import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  account,
  ask,
  type Asking,
  bucket,
  other,
  owner,
  storeWith,
  user,
} from "../../../../tests/support/s3-access.ts";
import { anonymous, type Identity } from "../auth/identity.ts";
import type { BucketAttributes, Grant, Permission, VersionAttributes } from "../model.ts";
import { S3Error } from "../protocol/error.ts";
import { Access } from "./access.ts";
import { allUsers, authenticatedUsers } from "./grants.ts";

const services = storeWith({});

function grant(to: string, permission: Permission): Grant {
  const grantee = to.startsWith("http")
    ? ({ kind: "group", uri: to } as const)
    : ({ kind: "account", id: to } as const);
  return { grantee, permission };
}

function policy(...statements: readonly object[]): { readonly policy: string } {
  const all = { Principal: "*", Action: "s3:*", Resource: ["arn:aws:s3:::shop", "arn:aws:s3:::shop/*"] };
  return { policy: JSON.stringify({ Statement: statements.map((each) => ({ ...all, ...each })) }) };
}

async function allowed(
  asking: Asking,
  attributes: Partial<BucketAttributes> = {},
  version: Partial<VersionAttributes> | undefined = {},
): Promise<boolean> {
  return new Access().allowed(storeWith(version), ask({ ...asking, bucket: bucket(attributes) }));
}

const list = { action: "s3:ListBucket", key: undefined } as const;
const put = { action: "s3:PutObject", method: "PUT" } as const;

describe("in a bucket without policy or ACLs", () => {
  test("its owner may do everything, and is not kept waiting", () => {
    const access = new Access();
    expect(access.allowed(services, ask({ by: user(owner), action: "s3:DeleteBucket", key: undefined }))).toBe(true);
    expect(access.authorize(services, ask({ by: user(owner) }))).toBeUndefined();
  });

  test("nobody else may do anything", async () => {
    for (const by of [user(other), anonymous]) {
      for (const asking of [{ by }, { by, ...list }, { by, ...put }]) expect(await allowed(asking)).toBe(false);
    }
    expect(() => new Access().authorize(services, ask({ by: user(other) }))).toThrow("Access Denied");
  });

  test("that has no owner, root may", async () => {
    const Bucket = { ...bucket(), attributes: {} as BucketAttributes };
    const access = new Access();
    expect(await access.allowed(services, ask({ by: user(owner, { root: true }), bucket: Bucket }))).toBe(true);
    expect(await access.allowed(services, ask({ by: user(other), bucket: Bucket }))).toBe(false);
  });
});

describe("a limited key", () => {
  const readOnly = user(owner, { readOnly: true });
  const inShop = user(owner, { buckets: ["shop"] });
  const elsewhere = user(owner, { buckets: ["attic"] });
  test.each<[string, Identity, Asking, boolean]>([
    ["reads", readOnly, {}, true],
    ["lists", readOnly, list, true],
    ["does not write", readOnly, put, false],
    ["does not change settings", readOnly, { action: "s3:PutBucketPolicy", key: undefined }, false],
    ["works in its buckets", inShop, put, true],
    ["not in others", elsewhere, {}, false],
    ["lists buckets", elsewhere, { action: "s3:ListAllMyBuckets", key: undefined, bucket: undefined }, true],
    ["makes no other bucket", elsewhere, { action: "s3:CreateBucket", key: undefined, bucket: undefined }, false],
    ["makes its bucket", inShop, { action: "s3:CreateBucket", key: undefined, bucket: undefined }, true],
  ])("%s", async (_, by, asking, expected) => {
    expect(await new Access().allowed(services, ask({ ...asking, by }))).toBe(expected);
  });

  test("is not widened by a policy", async () => {
    const open = policy({ Effect: "Allow" });
    expect(await allowed({ by: readOnly, ...put }, open)).toBe(false);
    expect(await allowed({ by: elsewhere }, open)).toBe(false);
    expect(await allowed({ by: user(other, { readOnly: true }), ...put }, open)).toBe(false);
    expect(await allowed({ by: user(other), ...put }, open)).toBe(true);
  });
});

describe("a policy", () => {
  test("lets in whom it names", async () => {
    const forOther = policy({ Effect: "Allow", Principal: { AWS: other.id }, Action: "s3:GetObject" });
    expect(await allowed({ by: user(other) }, forOther)).toBe(true);
    expect(await allowed({ by: user(other), ...put }, forOther)).toBe(false);
    expect(await allowed({ by: user(account("third", "cc")) }, forOther)).toBe(false);
    expect(await allowed({}, forOther)).toBe(false);
    expect(await allowed({}, policy({ Effect: "Allow" }))).toBe(true);
  });

  test("shuts out even the owner, who can still see to the policy", async () => {
    const shut = policy({ Effect: "Deny" });
    expect(await allowed({ by: user(owner) }, shut)).toBe(false);
    const settle = { action: "s3:DeleteBucketPolicy", key: undefined };
    expect(await allowed({ by: user(owner), ...settle }, shut)).toBe(true);
    expect(await allowed({ by: user(owner, { buckets: ["shop"] }), ...settle }, shut)).toBe(false);
    expect(await allowed({ by: user(other), ...settle }, policy({ Effect: "Allow" }))).toBe(true);
    expect(await allowed({ by: user(other), ...settle }, shut)).toBe(false);
  });

  test("that is no longer understood lets nobody in but whoever can replace it", async () => {
    const broken = { policy: "{}" };
    await expect(allowed({ by: user(owner) }, broken)).rejects.toThrow();
    expect(await allowed({ by: user(owner), action: "s3:PutBucketPolicy", key: undefined }, broken)).toBe(true);
  });

  test("can look at the tags that the object has", async () => {
    const Condition = { StringEquals: { "s3:ExistingObjectTag/open": "yes" } };
    const open = policy({ Effect: "Allow", Condition });
    expect(await allowed({}, open, { tags: { open: "yes" } })).toBe(true);
    expect(await allowed({}, open, { tags: { open: "no" } })).toBe(false);
    expect(await allowed({}, open, undefined)).toBe(false);
  });

  test("that is public counts for nobody but the owner's account where public buckets are restricted", async () => {
    const publicAccess = {
      blockPublicAcls: false,
      ignorePublicAcls: false,
      blockPublicPolicy: false,
      restrictPublicBuckets: true,
    };
    const open = policy({ Effect: "Allow" });
    expect(await allowed({}, { ...open, publicAccess })).toBe(false);
    expect(await allowed({ by: user(other) }, { ...open, publicAccess })).toBe(false);
    expect(await allowed({ by: user(owner) }, { ...open, publicAccess })).toBe(true);
    const forOther = policy({ Effect: "Allow", Principal: { AWS: other.id } });
    expect(await allowed({ by: user(other) }, { ...forOther, publicAccess })).toBe(true);
  });
});

describe("an ACL", () => {
  const ownership = "ObjectWriter";
  const byOther = { by: user(other) };
  const acp = { action: "s3:GetBucketAcl", key: undefined };
  test.each<[string, Grant, Asking, boolean]>([
    ["READ lists", grant(other.id, "READ"), { ...byOther, ...list }, true],
    ["READ does not read objects", grant(other.id, "READ"), byOther, false],
    ["READ does not write", grant(other.id, "READ"), { ...byOther, ...put }, false],
    ["WRITE writes", grant(other.id, "WRITE"), { ...byOther, ...put }, true],
    ["WRITE deletes", grant(other.id, "WRITE"), { ...byOther, action: "s3:DeleteObject" }, true],
    ["WRITE does not list", grant(other.id, "WRITE"), { ...byOther, ...list }, false],
    ["WRITE writes an object with an ACL", grant(other.id, "WRITE"), { ...byOther, action: "s3:PutObjectAcl" }, true],
    [
      "WRITE does not change ACLs of objects",
      grant(other.id, "WRITE"),
      { ...byOther, action: "s3:PutObjectAcl", query: "acl" },
      false,
    ],
    ["READ_ACP reads the ACL", grant(other.id, "READ_ACP"), { ...byOther, ...acp }, true],
    ["WRITE_ACP does not", grant(other.id, "WRITE_ACP"), { ...byOther, ...acp }, false],
    ["FULL_CONTROL lists", grant(other.id, "FULL_CONTROL"), { ...byOther, ...list }, true],
    [
      "FULL_CONTROL does not change policies",
      grant(other.id, "FULL_CONTROL"),
      { ...byOther, action: "s3:PutBucketPolicy", key: undefined },
      false,
    ],
    ["all users: nobody known", grant(allUsers, "READ"), list, true],
    ["all users: others", grant(allUsers, "READ"), { ...byOther, ...list }, true],
    ["authenticated users: nobody known", grant(authenticatedUsers, "READ"), list, false],
    ["authenticated users: others", grant(authenticatedUsers, "READ"), { ...byOther, ...list }, true],
  ])("of a bucket: %s", async (_, given, asking, expected) => {
    expect(await allowed(asking, { ownership, acl: [given] })).toBe(expected);
    expect(await allowed(asking, { ownership: "BucketOwnerEnforced", acl: [given] })).toBe(false);
  });

  test.each<[string, Grant, Asking, boolean]>([
    ["READ reads", grant(other.id, "READ"), byOther, true],
    ["READ reads versions", grant(other.id, "READ"), { ...byOther, action: "s3:GetObjectVersion" }, true],
    ["READ does not read the ACL", grant(other.id, "READ"), { ...byOther, action: "s3:GetObjectAcl" }, false],
    ["READ_ACP reads the ACL", grant(other.id, "READ_ACP"), { ...byOther, action: "s3:GetObjectAcl" }, true],
    [
      "WRITE_ACP writes it",
      grant(other.id, "WRITE_ACP"),
      { ...byOther, action: "s3:PutObjectAcl", query: "acl" },
      true,
    ],
    ["WRITE does not write", grant(other.id, "WRITE"), { ...byOther, ...put }, false],
    ["all users: nobody known", grant(allUsers, "READ"), {}, true],
  ])("of an object: %s", async (_, given, asking, expected) => {
    expect(await allowed(asking, { ownership }, { acl: [given] })).toBe(expected);
  });

  test("that is public is as good as none where public ones are ignored", async () => {
    const publicAccess = {
      blockPublicAcls: false,
      ignorePublicAcls: true,
      blockPublicPolicy: false,
      restrictPublicBuckets: false,
    };
    const acl = [grant(allUsers, "READ"), grant(authenticatedUsers, "READ"), grant(other.id, "READ_ACP")];
    expect(await allowed(list, { ownership, acl, publicAccess })).toBe(false);
    expect(await allowed({ ...byOther, ...list }, { ownership, acl, publicAccess })).toBe(false);
    expect(await allowed({ ...byOther, ...acp }, { ownership, acl, publicAccess })).toBe(true);
    expect(await allowed({}, { ownership, publicAccess }, { acl })).toBe(false);
  });

  test("does not help against a policy that denies", async () => {
    const acl = [grant(allUsers, "READ")];
    expect(await allowed(list, { ownership, acl, ...policy({ Effect: "Deny", Action: "s3:ListBucket" }) })).toBe(false);
  });

  test("of who may list says that a key is not there, and lets nobody read it", async () => {
    const attributes = { ownership, acl: [grant(other.id, "READ")] } as const;
    const access = new Access();
    const request = ask({ ...byOther, bucket: bucket(attributes) });
    await expect(access.allowed(storeWith(undefined), request)).rejects.toMatchObject({ code: "NoSuchKey" });
    expect(await access.allowed(storeWith(undefined), ask({ bucket: bucket(attributes) }))).toBe(false);
  });
});

test("who may not list the bucket does not learn that a key is not there", async () => {
  const access = new Access();
  const error = new S3Error("NoSuchKey");
  const told = async (by: Identity, ...statements: readonly object[]): Promise<string> =>
    (await access.absence(services, ask({ by, bucket: bucket(policy(...statements)) }), error)).code;
  const read = { Effect: "Allow", Action: "s3:GetObject" };
  expect(await told(user(other), read)).toBe("AccessDenied");
  expect(await told(user(other), read, { Effect: "Allow", Action: "s3:ListBucket" })).toBe("NoSuchKey");
  expect(await told(user(owner), read)).toBe("NoSuchKey");
});

describe("an object of another account", () => {
  const ownership = "ObjectWriter";
  const theirs = { owner: other.id };
  const change = { action: "s3:PutObjectAcl", query: "acl" };

  test("is that account's to read, and its ACL to change", async () => {
    expect(await allowed({ by: user(other) }, { ownership }, theirs)).toBe(true);
    expect(await allowed({ by: user(other), ...change }, { ownership }, theirs)).toBe(true);
    expect(await allowed({ by: user(other), action: "s3:DeleteObject" }, { ownership }, theirs)).toBe(false);
  });

  test("is not the bucket owner's to read without a grant; but to delete", async () => {
    expect(await allowed({ by: user(owner) }, { ownership }, theirs)).toBe(false);
    expect(await allowed({ by: user(owner), ...change }, { ownership }, theirs)).toBe(false);
    expect(await allowed({ by: user(owner), action: "s3:DeleteObject" }, { ownership }, theirs)).toBe(true);
    const acl = [grant(other.id, "FULL_CONTROL"), grant(owner.id, "READ")];
    expect(await allowed({ by: user(owner) }, { ownership }, { ...theirs, acl })).toBe(true);
    expect(await allowed({ by: user(owner), ...put }, { ownership }, theirs)).toBe(true);
  });

  test("is not the policy's to open", async () => {
    expect(await allowed({}, { ownership, ...policy({ Effect: "Allow" }) }, theirs)).toBe(false);
    expect(await allowed({ by: user(other) }, { ownership, ...policy({ Effect: "Deny" }) }, theirs)).toBe(false);
  });

  test("belongs to the bucket's owner where that is enforced", async () => {
    expect(await allowed({ by: user(owner) }, {}, theirs)).toBe(true);
    expect(await allowed({ by: user(other) }, {}, theirs)).toBe(false);
  });
});

test("whatever the ACLs and policies: who is not named and nobody public is, gets nothing", () => {
  const stranger = user(account("stranger", "dd"));
  const grants = fc.array(
    fc.tuple(fc.constantFrom(owner.id, other.id), fc.constantFrom<Permission>("READ", "WRITE", "FULL_CONTROL")),
  );
  return fc.assert(
    fc.asyncProperty(
      grants,
      grants,
      fc.constantFrom<BucketAttributes["ownership"]>("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"),
      fc.constantFrom("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectAcl"),
      fc.boolean(),
      async (ofBucket, ofObject, ownership, action, hasPolicy) => {
        const asGrants = (list: readonly [string, Permission][]): Grant[] => list.map(([to, what]) => grant(to, what));
        const text = policy({ Effect: "Allow", Principal: { AWS: other.id } });
        const attributes = { ownership: ownership!, acl: asGrants(ofBucket), ...(hasPolicy ? text : {}) };
        for (const by of [stranger, anonymous]) {
          expect(await allowed({ by, action }, attributes, { acl: asGrants(ofObject) })).toBe(false);
        }
      },
    ),
  );
});
