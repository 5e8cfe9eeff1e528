import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rawRequest } from "../../../../tests/support/s3-request.ts";
import { S3Error } from "./error.ts";
import { type S3Request, utf8Header, withQueryHeaders } from "./request.ts";

const read = (target: string, host = "localhost", domains: string[] = ["s3.test"]): S3Request =>
  rawRequest({ target, headers: { host } }, domains);
const place = (request: S3Request): (string | undefined)[] => [request.bucket, request.key];

describe("bucket and key", () => {
  it.each([
    ["/", undefined, undefined],
    ["/b", "b", undefined],
    ["/b/", "b", undefined],
    ["/b/k", "b", "k"],
    ["/b//k", "b", "/k"],
    ["/b/a/../k", "b", "a/../k"],
    ["/b/%2e%2E/k%2Fl", "b", "../k/l"],
    ["/b/a+b%20c", "b", "a+b c"],
    ["/b/%C3%A9", "b", "é"],
    ["/b/k?versionId=1", "b", "k"],
    ["/b/%3Fa", "b", "?a"],
  ])("of %s are %s and %s", (target, bucket, key) => {
    expect(place(read(target))).toEqual([bucket, key]);
  });

  it("come from the host where that is below a domain of ours", () => {
    expect(place(read("/k/l", "b.s3.test"))).toEqual(["b", "k/l"]);
    expect(place(read("/k/l", "B.x.S3.TEST:9000"))).toEqual(["b.x", "k/l"]);
    expect(place(read("/", "b.s3.test"))).toEqual(["b", undefined]);
    expect(place(read("/b/k", "s3.test"))).toEqual(["b", "k"]);
    expect(place(read("/b/k", "evils3.test"))).toEqual(["b", "k"]);
  });

  it("any key comes back from its percent-encoding, untouched", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (key) => {
        const path = encodeURIComponent(key);
        expect(read(`/b/${path}`).key).toBe(key);
        expect(read(`/b/${path.replaceAll("%2F", "/")}`).key).toBe(key);
      }),
    );
  });

  it.each([["/b/%zz"], ["/b/%"], ["/b/%f"], ["/b/%ff%fe"], ["/b/%C3"], ["b/k"], ["/b/k?a=%zz"]])(
    "%s is InvalidURI",
    (target) => {
      expect(() => read(target)).toThrow(S3Error);
      expect(() => read(target)).toThrow(expect.objectContaining({ code: "InvalidURI" }));
    },
  );
});

describe("a query", () => {
  it("is decoded; the first of a name counts, and a name may stand alone", () => {
    const { query } = read("/b?uploads&prefix=a%2Fb+c&prefix=d&x=&&=e");
    expect([...query]).toEqual([
      ["uploads", ""],
      ["prefix", "a/b c"],
      ["x", ""],
      ["", "e"],
    ]);
  });

  it("stands for headers in presigned URLs, but for those of the signature and those that are there", () => {
    const request = rawRequest({
      target: "/b/k?x-amz-meta-a=%C3%A9&X-Amz-Acl=private&X-Amz-Date=1&x-amz-tagging=a%3Db&other=1",
      headers: { host: "h", "x-amz-tagging": "from=header" },
    });
    const { header } = withQueryHeaders(request);
    expect(["x-amz-acl", "x-amz-tagging", "x-amz-date", "other"].map(header)).toEqual([
      "private",
      "from=header",
      undefined,
      undefined,
    ]);
    expect(utf8Header(header("x-amz-meta-a")!)).toBe("é");
  });
});
