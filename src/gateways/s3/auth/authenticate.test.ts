/** Signatures: AWS's published examples, clients' requests, and what is refused with which of AWS's words. */
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  authenticate,
  authenticator,
  authorization,
  changed,
  emptyHash,
  keys,
  known,
  now,
  origin,
  presigned,
  refusal,
  signed,
} from "../../../../tests/support/s3-authentication.ts";
import { rawRequest, receivedRequest } from "../../../../tests/support/s3-request.ts";
import { presign, sha256 } from "../../../../tests/support/s3-signer.ts";
import { S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import { Authenticator } from "./authenticate.ts";
import type { Authentication } from "./identity.ts";
import { canonicalPath, canonicalQuery } from "./sigv4.ts";

describe("AWS's published examples", () => {
  const host = "examplebucket.s3.amazonaws.com";
  const common = { host, "x-amz-content-sha256": emptyHash, "x-amz-date": "20130524T000000Z" };

  it.each([
    [
      "GET object",
      {
        target: "/test.txt",
        headers: {
          ...common,
          range: "bytes=0-9",
          authorization: authorization(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
          ),
        },
      },
    ],
    [
      "PUT object",
      {
        method: "PUT",
        target: "/test$file.text",
        headers: {
          ...common,
          date: "Fri, 24 May 2013 00:00:00 GMT",
          "x-amz-storage-class": "REDUCED_REDUNDANCY",
          "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
          authorization: authorization(
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
          ),
        },
      },
    ],
    [
      "GET bucket lifecycle",
      {
        target: "/?lifecycle",
        headers: {
          ...common,
          authorization: authorization(
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
          ),
        },
      },
    ],
    [
      "list objects",
      {
        target: "/?max-keys=2&prefix=J",
        headers: {
          ...common,
          authorization: authorization(
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
          ),
        },
      },
    ],
    [
      "presigned GET",
      {
        target: `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${keys.accessKey}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404`,
        headers: { host },
      },
    ],
  ])("%s", (_, raw) => {
    expect(authenticate(rawRequest(raw)).identity).toEqual({ kind: "user", key: known });
    const other = { ...raw, method: "DELETE" };
    expect(refusal(rawRequest(other)).code).toBe("SignatureDoesNotMatch");
  });
});

describe("what clients send", () => {
  it.each([
    ["keys with any characters", { url: `${origin}/b/a%20b%2Bc//./..%2F%C3%A4%E2%82%AC%25~'()*!` }],
    ["characters that need no escape, escaped", { url: `${origin}/b/%61%2D%7E` }],
    ["characters that need one, bare", { url: `${origin}/b/a!b'(c)*$&,;=:@` }],
    ["parameters out of order, repeated, empty", { url: `${origin}/b?b=2&a=1&b=1&uploads&a=&prefix=%2F%C3%A4%20` }],
    ["names that are the beginning of others", { url: `${origin}/b?a-b=1&a=2&a.b=3&a%20=4` }],
    ["spaces in values", { headers: { "x-amz-meta-a": "  two   spaces  " } }],
    ["bytes that are no ASCII in values", { headers: { "x-amz-meta-a": "\u00c3\u00a4" } }],
    ["an unsigned payload", { payload: "unsigned" }],
    ["a body", { method: "PUT", body: "hello" }],
  ])("%s, in the header", (_, plain) => {
    expect(authenticate(signed(plain)).type).toBe("header");
  });

  it.each([
    ["keys with any characters", { url: `${origin}/b/a%20b%2Bc//./..%2F%C3%A4%E2%82%AC%25~'()*!` }],
    ["parameters of their own", { url: `${origin}/b/k?partNumber=1&uploadId=x%2By&response-content-type=a%20b` }],
    ["signed headers", { method: "PUT", headers: { "x-amz-acl": "private", "content-type": "a/b" } }],
  ])("%s, presigned", (_, plain) => {
    const found = authenticate(presigned(plain));
    expect(found).toMatchObject({ type: "query", payload: { kind: "unsigned" }, signedAt: now });
  });

  it("any region", () => {
    expect(authenticate(signed({}, { ...keys, region: "eu-nowhere-7" } as typeof keys)).identity.kind).toBe("user");
  });

  it("a plus sign in a query is a space", () => {
    expect(canonicalQuery("prefix=a+b%2Bc")).toBe("prefix=a%20b%2Bc");
  });

  it("a Date header and no x-amz-date", () => {
    // As botocore does where somebody has set Date.
    const date = "Fri, 24 May 2013 00:00:00 GMT";
    const text = `GET\n/b/k\n\ndate:${date}\nhost:h\n\ndate;host\nUNSIGNED-PAYLOAD`;
    const key = ["20130524", "us-east-1", "s3", "aws4_request"].reduce<Buffer>(
      (secret, part) => createHmac("sha256", secret).update(part).digest(),
      Buffer.from(`AWS4${keys.secretKey}`),
    );
    const toSign = `AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n${sha256(text)}`;
    const signature = createHmac("sha256", key).update(toSign).digest("hex");
    const headers = {
      host: "h",
      date,
      "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
      authorization: authorization("date;host", signature),
    };
    expect(authenticate(rawRequest({ target: "/b/k", headers })).signedAt).toBe(now);
  });

  it("nothing at all: nobody", () => {
    const found = authenticate(rawRequest({ target: "/b/k", headers: { host: "h" } }));
    expect(found).toEqual({
      identity: { kind: "anonymous" },
      payload: { kind: "unsigned" },
      type: "anonymous",
      signedAt: undefined,
    });
    expect(authenticate(rawRequest({ target: "/b/k", headers: { host: "h", authorization: "" } })).type).toBe(
      "anonymous",
    );
  });

  it("no promise where the key is known, one where it has to be looked up", async () => {
    const slow = new Authenticator({ accounts: { find: () => Promise.resolve(known) } });
    const found = slow.authenticate(signed(), now);
    expect(found).toBeInstanceOf(Promise);
    expect((await found).identity.kind).toBe("user");
    expect(authenticator.authenticate(signed(), now)).not.toBeInstanceOf(Promise);
  });

  it("a changed secret counts at once", () => {
    let key = known;
    const own = new Authenticator({ accounts: { find: () => key } });
    expect(own.authenticate(signed(), now)).toBeDefined();
    key = { ...known, secretKey: "another secret" };
    expect(() => own.authenticate(signed(), now)).toThrow(/signature/);
    expect(own.authenticate(signed({}, { ...keys, secretKey: "another secret" }), now)).toBeDefined();
  });
});

describe("what is refused", () => {
  it.each<[string, S3Request | (() => S3Request), string, RegExp | undefined]>([
    ["a key that is not known", signed({}, { ...keys, accessKey: "NOBODY" }), "InvalidAccessKeyId", undefined],
    ["another secret", signed({}, { ...keys, secretKey: "wrong" }), "SignatureDoesNotMatch", undefined],
    [
      "a header changed behind its back",
      changed({ "x-amz-meta-a": "2" }, { headers: { "x-amz-meta-a": "1" } }),
      "SignatureDoesNotMatch",
      undefined,
    ],
    [
      "a header added behind its back",
      changed({ "x-amz-acl": "public-read" }),
      "AccessDenied",
      /headers present in the request which were not signed/,
    ],
    [
      "no x-amz-content-sha256",
      changed({ "x-amz-content-sha256": undefined }),
      "InvalidRequest",
      /^Missing required header for this request: x-amz-content-sha256$/,
    ],
    ["a bad x-amz-content-sha256", signed({ payload: "abc" }), "InvalidArgument", /must be UNSIGNED-PAYLOAD/],
    ["SigV4A payloads", signed({ payload: "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" }), "NotImplemented", undefined],
    ["SigV4A", changed({ authorization: "AWS4-ECDSA-P256-SHA256 Credential=x" }), "NotImplemented", undefined],
    [
      "SigV2 with a key that is not known",
      changed({ authorization: "AWS AKIA:abc=" }),
      "InvalidAccessKeyId",
      undefined,
    ],
    ["SigV2 without a colon", changed({ authorization: "AWS HAHAHA" }), "InvalidArgument", undefined],
    ["another scheme", changed({ authorization: "Basic abc" }), "InvalidArgument", /^Unsupported Authorization Type$/],
    [
      "two mechanisms",
      presignedWith({ authorization: "AWS4-HMAC-SHA256 x" }),
      "InvalidArgument",
      /^Only one auth mechanism allowed/,
    ],
    ["temporary credentials", signed({ headers: { "x-amz-security-token": "t" } }), "InvalidToken", undefined],
    ["no date", changed({ "x-amz-date": undefined }), "AccessDenied", /valid Date or x-amz-date header/],
    ["a date that is none", changed({ "x-amz-date": "Bad Date" }), "AccessDenied", /valid Date or x-amz-date header/],
    ["an empty date", changed({ "x-amz-date": "" }), "AccessDenied", /valid Date or x-amz-date header/],
    ["a date before 1970", changed({ "x-amz-date": "19500707T215304Z" }), "AccessDenied", /valid Date or x-amz-date/],
    ["a day that is none", changed({ "x-amz-date": "20130532T000000Z" }), "AccessDenied", undefined],
    [
      "another day than the credential's",
      changed({ "x-amz-date": "20130525T000000Z" }),
      "AuthorizationHeaderMalformed",
      /Invalid credential date "20130524"/,
    ],
    [
      "another service",
      scoped("20130524/us-east-1/ec2/aws4_request"),
      "AuthorizationHeaderMalformed",
      /incorrect service "ec2"/,
    ],
    [
      "another terminal",
      scoped("20130524/us-east-1/s3/aws5"),
      "AuthorizationHeaderMalformed",
      /incorrect terminal "aws5"/,
    ],
    [
      "another date format",
      scoped("2013-05-24/us-east-1/s3/aws4_request"),
      "AuthorizationHeaderMalformed",
      /incorrect date format/,
    ],
    ["no region", scoped("20130524//s3/aws4_request"), "AuthorizationHeaderMalformed", /region/],
    ["half a credential", scoped("20130524/us-east-1"), "AuthorizationHeaderMalformed", /the Credential is mal-formed/],
    [
      "a component that is missing",
      changed({ authorization: "AWS4-HMAC-SHA256 Credential=x, Signature=y" }),
      "AuthorizationHeaderMalformed",
      /requires three components/,
    ],
    [
      "host not signed",
      changed({ authorization: authorization("x-amz-date", "0".repeat(64)) }),
      "AccessDenied",
      undefined,
    ],
    [
      "signed chunks of nobody",
      rawRequest({
        target: "/b/k",
        headers: { host: "h", "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" },
      }),
      "InvalidRequest",
      undefined,
    ],
  ])("%s", (_, request, code, message) => {
    const error = refusal(request);
    expect(error.code).toBe(code);
    if (message !== undefined) expect(error.message).toMatch(message);
  });

  function scoped(scope: string): S3Request {
    const text = `AWS4-HMAC-SHA256 Credential=${keys.accessKey}/${scope}, SignedHeaders=host, Signature=${"0".repeat(64)}`;
    return changed({ authorization: text });
  }

  function presignedWith(headers: { readonly [name: string]: string }): S3Request {
    const url = presign(keys, { method: "GET", url: `${origin}/b/k`, now });
    return receivedRequest({ method: "GET", url, headers: { ...headers } });
  }

  it("a wrong signature, with what was signed", () => {
    const { elements, status } = refusal(signed({}, { ...keys, secretKey: "wrong" }));
    expect(status).toBe(403);
    expect(elements["AWSAccessKeyId"]).toBe(keys.accessKey);
    expect(elements["StringToSign"]).toMatch(/^AWS4-HMAC-SHA256\n20130524T000000Z\n/);
    expect(elements["CanonicalRequest"]).toMatch(/^GET\n\/b\/k\n\nhost:/);
    expect(elements["SignatureProvided"]).toMatch(/^[0-9a-f]{64}$/);
    expect(elements["StringToSignBytes"]).toMatch(/^41 57 53 34 /);
    expect(elements["CanonicalRequestBytes"]).toMatch(/^47 45 54 0a /);
  });

  it("clocks that are more than a quarter of an hour apart", () => {
    const quarter = 15 * 60_000;
    for (const at of [now - quarter, now + quarter]) expect(authenticate(signed(), at)).toBeDefined();
    for (const at of [now - quarter - 1, now + quarter + 1]) {
      const error = refusal(signed(), at);
      expect(error.code).toBe("RequestTimeTooSkewed");
      expect(error.elements).toMatchObject({ RequestTime: "20130524T000000Z", MaxAllowedSkewMilliseconds: "900000" });
      expect(error.elements["ServerTime"]).toMatch(/^2013-05-2[34]T\d\d:\d\d:\d\dZ$/);
    }
  });
});

describe("whatever comes", () => {
  const word = fc.oneof(
    fc.string({ unit: "binary-ascii", maxLength: 20 }),
    fc.constantFrom(
      "AWS4-HMAC-SHA256",
      "Credential=",
      `${keys.accessKey}/20130524/us-east-1/s3/aws4_request`,
      "SignedHeaders=host",
      "SignedHeaders=constructor;host;__proto__",
      "Signature=",
      "0".repeat(64),
      ",",
      ";",
      "/",
    ),
  );

  it("an Authorization header is refused with an S3Error, never taken", () => {
    const texts = fc.array(word, { maxLength: 8 }).map((words) => words.join(""));
    fc.assert(
      fc.property(texts, fc.boolean(), (text, begins) => {
        const value = begins ? `AWS4-HMAC-SHA256 ${text}` : text;
        const request = changed({ authorization: value });
        if (value.trim() === "") expect(authenticate(request).type).toBe("anonymous");
        else expect(refusal(request).status).toBeGreaterThanOrEqual(400);
      }),
      { numRuns: 2_000 },
    );
  });

  it("a query is refused with an S3Error, never taken for a signed one", () => {
    const names = fc.constantFrom(
      "X-Amz-Algorithm",
      "X-Amz-Credential",
      "X-Amz-Signature",
      "X-Amz-Date",
      "X-Amz-SignedHeaders",
      "X-Amz-Expires",
      "AWSAccessKeyId",
      "Signature",
      "a",
    );
    const values = fc.oneof(
      fc.string({ unit: "binary-ascii", maxLength: 10 }),
      fc.constantFrom(
        "AWS4-HMAC-SHA256",
        `${keys.accessKey}/20130524/us-east-1/s3/aws4_request`,
        "20130524T000000Z",
        "host",
        "300",
        "%zz",
        "%",
      ),
    );
    const pairs = fc.array(fc.tuple(names, values), { maxLength: 9 });
    fc.assert(
      fc.property(pairs, fc.boolean(), (list, isEncoded) => {
        const query = list.map(([name, value]) => `${name}=${isEncoded ? encodeURIComponent(value) : value}`).join("&");
        let found: Authentication;
        try {
          found = authenticate(rawRequest({ target: `/b/k?${query}`, headers: { host: "h" } }));
        } catch (error) {
          expect(error).toBeInstanceOf(S3Error);
          return;
        }
        expect(found.identity.kind).toBe("anonymous");
      }),
      { numRuns: 2_000 },
    );
  });

  it("decoding and encoding a path again changes nothing the second time", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), (text) => {
        const once = canonicalPath(`/${text}`);
        expect(canonicalPath(once)).toBe(once);
      }),
    );
  });
});
