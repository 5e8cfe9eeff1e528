import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { defaultKeyId, keyNameOf } from "./kms-key.ts";
import { type EncryptionRequest, readCustomerKey, readWish } from "./request-encryption.ts";

const key = Buffer.alloc(32, 1);
const customer = (prefix: string) => ({
  [`${prefix}-server-side-encryption-customer-algorithm`]: "AES256",
  [`${prefix}-server-side-encryption-customer-key`]: key.toString("base64"),
  [`${prefix}-server-side-encryption-customer-key-md5`]: createHash("md5").update(key).digest("base64"),
});

function request(headers: { readonly [name: string]: string }, peer = "127.0.0.1", secure = false): EncryptionRequest {
  return { header: (name) => headers[name], http: { peer, secure } };
}

describe("a customer's key", () => {
  test.each(["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])("is taken over plain HTTP from %s", (peer) => {
    expect(readCustomerKey(request(customer("x-amz"), peer), "request", false)?.key.export()).toEqual(key);
  });

  test.each(["10.0.0.1", "1.127.0.0", "::ffff:10.0.0.1", "::2", "localhost.example.com", "127.0.0.1.example.com"])(
    "is not taken over plain HTTP from %s, unless that was chosen",
    (peer) => {
      expect(() => readCustomerKey(request(customer("x-amz"), peer), "request", false)).toThrow(/secure connection/);
      expect(readCustomerKey(request(customer("x-amz"), peer), "request", true)).toBeDefined();
      expect(readCustomerKey(request(customer("x-amz"), peer, true), "request", false)).toBeDefined();
      expect(readCustomerKey(request({}, peer), "request", false)).toBeUndefined();
    },
  );

  test("of the source of a copy is another one", () => {
    const copying = request(customer("x-amz-copy-source"));
    expect(readCustomerKey(copying, "request", false)).toBeUndefined();
    expect(readCustomerKey(copying, "copy-source", false)).toBeDefined();
  });

  test("is not shown in what it is refused with", () => {
    const wrong = { ...customer("x-amz"), "x-amz-server-side-encryption-customer-key-md5": "AAAAAAAAAAAAAAAAAAAAAA==" };
    const refused = (() => {
      try {
        return readCustomerKey(request(wrong), "request", false);
      } catch (error) {
        return error;
      }
    })();
    expect(JSON.stringify([refused, String(refused)])).not.toContain(key.toString("base64"));
  });
});

describe("what is wished for", () => {
  const sse = "x-amz-server-side-encryption";
  test("comes from the request, then from the bucket", () => {
    const bucket = { algorithm: "aws:kms", keyId: "mine", bucketKey: true } as const;
    expect(readWish(request({}), undefined, false)).toBeUndefined();
    expect(readWish(request({}), { blocked: "SSE-C" }, false)).toBeUndefined();
    expect(readWish(request({}), bucket, false)).toEqual({
      mode: "SSE-KMS",
      keyId: "mine",
      bucketKey: true,
      context: undefined,
    });
    expect(readWish(request({ [sse]: "AES256" }), bucket, false)).toEqual({ mode: "SSE-S3" });
    expect(readWish(request({ [sse]: "aws:kms" }), bucket, false)).toEqual({
      mode: "SSE-KMS",
      keyId: undefined,
      bucketKey: true,
      context: undefined,
    });
    const off = { [sse]: "aws:kms", [`${sse}-bucket-key-enabled`]: "false" };
    expect(readWish(request(off), bucket, false)).toMatchObject({ bucketKey: false });
    expect(readWish(request(customer("x-amz")), bucket, false)).toMatchObject({ mode: "SSE-C" });
  });
});

test.each([
  ["payroll", "payroll"],
  ["alias/payroll", "payroll"],
  ["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab", "1234abcd-12ab"],
  ["arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/team/payroll", "team/payroll"],
  ["arn:aws:kms:payroll", "payroll"],
  [defaultKeyId("us-east-1"), "aws/s3"],
  ["alias/aws/s3", "aws/s3"],
])("%s names the key %s", (id, name) => {
  expect(keyNameOf(id)).toBe(name);
});
