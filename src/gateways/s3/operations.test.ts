import { describe, expect, it } from "vitest";
import { rawRequest } from "../../../tests/support/s3-request.ts";
import { operations, OperationTable } from "./operations.ts";
import { S3Error } from "./protocol/error.ts";

const table = new OperationTable(operations);

function found(method: string, target: string, headers: { readonly [name: string]: string } = {}): string {
  try {
    return table.find(rawRequest({ method, target, headers: { host: "h", ...headers } })).name;
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
}

function thrownBy(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

const copy = { "x-amz-copy-source": "/b/k" };

describe("a request means", () => {
  it.each([
    ["GET", "/", {}, "ListBuckets"],
    ["PUT", "/b", {}, "CreateBucket"],
    ["GET", "/b", {}, "ListObjects"],
    ["GET", "/b?list-type=2", {}, "ListObjectsV2"],
    ["GET", "/b?versions", {}, "ListObjectVersions"],
    ["GET", "/b?uploads", {}, "ListMultipartUploads"],
    ["POST", "/b?delete", {}, "DeleteObjects"],
    ["POST", "/b", {}, "PostObject"],
    ["PUT", "/b/k", {}, "PutObject"],
    ["PUT", "/b/k", copy, "CopyObject"],
    ["PUT", "/b/k?uploadId=1&partNumber=2", {}, "UploadPart"],
    ["PUT", "/b/k?uploadId=1&partNumber=2", copy, "UploadPartCopy"],
    ["POST", "/b/k?uploads", {}, "CreateMultipartUpload"],
    ["POST", "/b/k?uploadId=1", {}, "CompleteMultipartUpload"],
    ["DELETE", "/b/k?uploadId=1", {}, "AbortMultipartUpload"],
    ["GET", "/b/k?uploadId=1", {}, "ListParts"],
    ["GET", "/b/k?attributes", {}, "GetObjectAttributes"],
    ["PUT", "/b/k?retention", {}, "PutObjectRetention"],
    ["DELETE", "/b/k?versionId=1", {}, "DeleteObject"],
    ["GET", "/b/k?x-id=GetObject&response-expires=1", {}, "GetObject"],
    ["GET", "/b/k?X-Amz-Signature=1&X-Amz-Expires=2", {}, "GetObject"],
  ])("%s %s %j: %s", (method, target, headers, name) => {
    expect(found(method, target, headers)).toBe(name);
  });
});

describe("what is not understood", () => {
  it("is refused where it would change something or select something else", () => {
    expect(found("DELETE", "/b/k?versionsId=1")).toBe("NotImplemented");
    expect(found("PUT", "/b/k?unheard-of")).toBe("NotImplemented");
    expect(found("GET", "/b/k?unheard-of")).toBe("NotImplemented");
    expect(found("DELETE", "/b/k?acl")).not.toBe("DeleteObject");
    expect(found("PUT", "/b/k?lifecycle")).not.toBe("PutObject");
  });

  it("is ignored where nothing depends on it", () => {
    expect(found("GET", "/b/k?foo=bar")).toBe("GetObject");
  });

  it("methods that a place does not have are MethodNotAllowed", () => {
    expect(found("PATCH", "/b/k")).toBe("MethodNotAllowed");
    expect(found("POST", "/b/k")).toBe("MethodNotAllowed");
    expect(found("PUT", "/")).toBe("MethodNotAllowed");
  });

  it.each([
    ["PATCH", "/b/k", "DELETE, GET, HEAD, PUT"],
    ["PATCH", "/b", "DELETE, GET, HEAD, POST, PUT"],
    ["PUT", "/", "GET"],
  ])("%s %s is told what there is: %s", (method, target, allowed) => {
    const refusal = thrownBy(() => table.find(rawRequest({ method, target, headers: { host: "h" } })));
    expect(refusal).toMatchObject({ code: "MethodNotAllowed", headers: { Allow: allowed } });
  });
});

it("no two operations are selected in the same way", () => {
  const places = operations.map(({ scope, method, when, header }) => JSON.stringify([scope, method, when, header]));
  expect(new Set(places).size).toBe(places.length);
});
