/** What a presigned URL says in its query instead of in headers. */
import { expect, test } from "vitest";
import { rawRequest } from "../../../../tests/support/s3-request.ts";
import { type S3Request, withQueryHeaders } from "./request.ts";

function presigned(query: string, headers: { readonly [name: string]: string } = {}): S3Request {
  const target = `/bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&${query}`;
  return withQueryHeaders(rawRequest({ method: "PUT", target, headers }));
}

test("a header that stands in the URL is one of the request, unless the request has its own", () => {
  expect(presigned("x-amz-acl=private").header("x-amz-acl")).toBe("private");
  expect(presigned("X-Amz-Meta-Colour=blue").header("x-amz-meta-colour")).toBe("blue");
  expect(presigned("x-amz-acl=private", { "x-amz-acl": "public-read" }).header("x-amz-acl")).toBe("public-read");
});

test("a checksum that stands in the URL says nothing of the body: the SDK for JavaScript puts that of no bytes there", () => {
  const request = presigned("x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32");
  expect(request.header("x-amz-checksum-crc32")).toBeUndefined();
  expect(request.header("x-amz-sdk-checksum-algorithm")).toBeUndefined();
  const own = { "x-amz-checksum-crc32": "DUoRhQ==" };
  expect(presigned("x-amz-checksum-crc32=AAAAAA%3D%3D", own).header("x-amz-checksum-crc32")).toBe("DUoRhQ==");
});

test("how a checksum is to be answered or made may stand in the URL", () => {
  expect(presigned("x-amz-checksum-mode=ENABLED").header("x-amz-checksum-mode")).toBe("ENABLED");
  expect(presigned("x-amz-checksum-algorithm=SHA256").header("x-amz-checksum-algorithm")).toBe("SHA256");
});

test("the signature's own parameters are no headers", () => {
  expect(presigned("X-Amz-Date=20260101T000000Z").header("x-amz-date")).toBeUndefined();
});
