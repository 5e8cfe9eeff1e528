/** Signatures of version 2, in URLs and in headers: AWS's documented examples, what clients send, what is refused. */
import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { authenticate, keys, known, now, refusal } from "../../../../tests/support/s3-authentication.ts";
import { rawRequest } from "../../../../tests/support/s3-request.ts";
import type { S3Request } from "../protocol/request.ts";

describe("presigned URLs of version 2", () => {
  const expires = now / 1_000 + 60;

  function old(more = "", added = "", method = "GET"): S3Request {
    const text = `${method}\n\n\n${expires}\n/b/k${more === "" ? "" : `?${more}`}`;
    const signature = encodeURIComponent(createHmac("sha1", keys.secretKey).update(text).digest("base64"));
    const query = [`AWSAccessKeyId=${keys.accessKey}&Signature=${signature}&Expires=${expires}`, more, added];
    const target = `/b/k?${query.filter((part) => part !== "").join("&")}`;
    return rawRequest({ method: "GET", target, headers: { host: "h" } });
  }

  it("are taken until they expire", () => {
    expect(authenticate(old())).toMatchObject({ type: "query", identity: { kind: "user", key: known } });
    expect(authenticate(old("versionId=1")).type).toBe("query");
    expect(refusal(old(), expires * 1_000).message).toBe("Request has expired");
    expect(refusal(old("", "", "PUT")).code).toBe("SignatureDoesNotMatch");
  });

  it("are AWS's documented example", () => {
    const signature = "NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D";
    const target = `/photos/puppy.jpg?AWSAccessKeyId=${keys.accessKey}&Signature=${signature}&Expires=1175139620`;
    const headers = { host: "johnsmith.s3.amazonaws.com" };
    const before = Date.UTC(2007, 2, 28);
    expect(authenticate(rawRequest({ target, headers }, ["s3.amazonaws.com"]), before).type).toBe("query");
    expect(refusal(rawRequest({ target: target.replace("puppy", "kitty"), headers }), before).code).toBe(
      "SignatureDoesNotMatch",
    );
  });

  it("have what was signed of headers in the query, as boto3 writes them", () => {
    const lines = `PUT\n\ntext/x\n${expires}\nx-amz-acl:private\nx-amz-meta-a:b\n/b/k`;
    const signature = encodeURIComponent(createHmac("sha1", keys.secretKey).update(lines).digest("base64"));
    const signed = `AWSAccessKeyId=${keys.accessKey}&Signature=${signature}&Expires=${expires}`;
    const request = (query: string, headers = {}): S3Request =>
      rawRequest({ method: "PUT", target: `/b/k?${signed}&${query}`, headers: { host: "h", ...headers } });
    const type = { "content-type": "text/x" };
    const query = "content-type=text%2Fx&x-amz-meta-a=b&x-amz-acl=private";
    expect(authenticate(request(query, type)).type).toBe("query");
    expect(authenticate(request(query, { ...type, "x-amz-meta-a": "b" })).type).toBe("query");
    expect(refusal(request(query)).code).toBe("SignatureDoesNotMatch");
    expect(refusal(request(query, { ...type, "x-amz-meta-a": "c" })).code).toBe("SignatureDoesNotMatch");
    expect(refusal(request(query.replace("private", "public-read"), type)).code).toBe("SignatureDoesNotMatch");
    expect(refusal(request(`${query}&x-amz-tagging=a`, type)).code).toBe("SignatureDoesNotMatch");
  });

  it("sign a bucket with a slash behind it, or as it is asked for", () => {
    const asked = (path: string, signed: string): S3Request => {
      const hmac = createHmac("sha1", keys.secretKey).update(`GET\n\n\n${expires}\n${signed}`);
      const signature = encodeURIComponent(hmac.digest("base64"));
      const target = `${path}?prefix=a&AWSAccessKeyId=${keys.accessKey}&Signature=${signature}&Expires=${expires}`;
      return rawRequest({ target, headers: { host: "h" } });
    };
    for (const [path, signed] of [
      ["/b", "/b/"],
      ["/b/", "/b/"],
      ["/b", "/b"],
    ] as const) {
      expect(authenticate(asked(path, signed)).type).toBe("query");
    }
    for (const [path, signed] of [
      ["/b/", "/b"],
      ["/b", "/c"],
      ["/b/k", "/b"],
    ] as const) {
      expect(refusal(asked(path, signed)).code).toBe("SignatureDoesNotMatch");
    }
  });

  it("let no sub-resource be added", () => {
    expect(refusal(old("", "versionId=1")).code).toBe("SignatureDoesNotMatch");
    expect(refusal(old("", "retention")).code).toBe("AccessDenied");
  });
});

describe("version 2 in a header", () => {
  const day = "Tue, 27 Mar 2007";
  const host = { host: "johnsmith.s3.amazonaws.com" };
  const photo = { "content-type": "image/jpeg", "content-length": "94328" };

  it.each([
    ["GET", "/photos/puppy.jpg", { ...host, date: `${day} 19:36:42 +0000` }, "bWq2s1WEIj+Ydj0vQ697zp+IXMU="],
    ["PUT", "/photos/puppy.jpg", { ...host, ...photo, date: `${day} 21:15:45 +0000` }, "MyyxeRY7whkBe+bq8fHCL/2kKUg="],
    [
      "GET",
      "/?prefix=photos&max-keys=50&marker=puppy",
      { ...host, date: `${day} 19:42:41 +0000` },
      "htDYFYduRNen8P9ZfE/s9SuKy0U=",
    ],
    ["GET", "/?acl", { ...host, date: `${day} 19:44:46 +0000` }, "c2WLPFtWHVgbEmeEG93a4cG37dM="],
  ])("is AWS's documented example: %s %s", (method, target, headers, signature) => {
    const authorization = `AWS ${keys.accessKey}:${signature}`;
    const request = rawRequest({ method, target, headers: { ...headers, authorization } }, ["s3.amazonaws.com"]);
    const time = Date.parse(headers.date);
    expect(authenticate(request, time + 1000)).toMatchObject({ type: "header", signedAt: time });
    expect(refusal(request, time + 901_000).code).toBe("RequestTimeTooSkewed");
    const other = rawRequest({ method: "DELETE", target, headers: { ...headers, authorization } }, [
      "s3.amazonaws.com",
    ]);
    expect(refusal(other, time).code).toBe("SignatureDoesNotMatch");
  });

  function old(headers: { readonly [name: string]: string }, target = "/b/k"): S3Request {
    const amz = Object.keys(headers).filter((name) => name.startsWith("x-amz-"));
    const lines = amz.sort().map((name) => `${name}:${headers[name]}\n`);
    const date = "x-amz-date" in headers ? "" : (headers["date"] ?? "");
    const text = `GET\n\n\n${date}\n${lines.join("")}${target}`;
    const signature = createHmac("sha1", keys.secretKey).update(text).digest("base64");
    return rawRequest({
      target,
      headers: { host: "h", ...headers, authorization: `AWS ${keys.accessKey}:${signature}` },
    });
  }
  const date = new Date(now).toUTCString();

  it("takes an x-amz-date in place of a Date, and holds the body to a hash that was signed", () => {
    expect(authenticate(old({ date })).payload).toEqual({ kind: "unsigned" });
    const sha256 = "0".repeat(64);
    expect(authenticate(old({ "x-amz-date": date, "x-amz-content-sha256": sha256 })).payload).toEqual({
      kind: "hash",
      sha256,
    });
  });

  it.each([
    ["no date", {}, "AccessDenied"],
    ["a date that is none", { "x-amz-date": "Bad Date" }, "AccessDenied"],
    ["a date before 1970", { "x-amz-date": "Tue, 07 Jul 1950 21:53:04 GMT" }, "AccessDenied"],
    ["a date in the past", { "x-amz-date": "Wed, 07 Jul 2010 21:53:04 GMT" }, "RequestTimeTooSkewed"],
    ["a date in the future", { "x-amz-date": "Tue, 07 Jul 9999 21:53:04 GMT" }, "RequestTimeTooSkewed"],
    ["signed chunks", { date, "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" }, "InvalidRequest"],
  ])("refuses %s", (_, headers, code) => {
    expect(refusal(old(headers)).code).toBe(code);
  });

  it("refuses what it does not cover, and a second mechanism", () => {
    expect(refusal(old({ date }, "/b/k?retention")).code).toBe("AccessDenied");
    expect(refusal(old({ date }, "/b/k?X-Amz-Signature=a")).message).toMatch(/^Only one auth mechanism allowed/);
  });
});
