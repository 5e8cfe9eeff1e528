/** Presigned URLs: for how long they are valid, and what is refused of them. Those of version 2 are in signature-v2.test.ts. */
import { describe, expect, it } from "vitest";
import { authenticate, keys, now, origin, presigned, refusal } from "../../../../tests/support/s3-authentication.ts";
import { receivedRequest } from "../../../../tests/support/s3-request.ts";
import { presign } from "../../../../tests/support/s3-signer.ts";
import type { S3Request } from "../protocol/request.ts";

describe("presigned URLs", () => {
  it("are valid until they expire", () => {
    expect(authenticate(presigned(), now + 299_999)).toBeDefined();
    const error = refusal(presigned(), now + 300_000);
    expect(error).toMatchObject({ code: "AccessDenied", message: "Request has expired", status: 403 });
    expect(error.elements).toEqual({
      "X-Amz-Expires": "300",
      Expires: "2013-05-24T00:05:00Z",
      ServerTime: "2013-05-24T00:05:00Z",
    });
    expect(refusal(presigned({}, 0)).message).toBe("Request has expired");
  });

  it("are not valid before they were made, but for the clock's tolerance", () => {
    expect(authenticate(presigned(), now - 900_000)).toBeDefined();
    expect(refusal(presigned(), now - 900_001).message).toBe("Request is not valid yet");
  });

  it("may be valid for a week", () => {
    expect(authenticate(presigned({}, 604_800))).toBeDefined();
  });

  it.each<[string, S3Request, RegExp]>([
    ["longer", presigned({}, 604_801), /must be less than a week \(in seconds\)/],
    ["a negative time", presigned({}, -7), /must be non-negative/],
    ["a time that is no number", presigned({}, "soon"), /should be a number/],
    [
      "another algorithm",
      presigned({}, 1, (url) => url.replace("AWS4-HMAC-SHA256", "AWS4")),
      /X-Amz-Algorithm only supports/,
    ],
    [
      "another date format",
      presigned({}, 1, (url) => url.replace("X-Amz-Date=20130524T000000Z", "X-Amz-Date=2013")),
      /ISO8601 Long Format/,
    ],
    ["no signature", presigned({}, 1, (url) => url.replace(/&X-Amz-Signature=.*/, "")), /requires the X-Amz-Algorithm/],
    ["half a credential", presigned({}, 1, (url) => url.replace("%2Faws4_request", "")), /Credential is mal-formed/],
    ["another service", presigned({}, 1, (url) => url.replace("%2Fs3%2F", "%2Fsqs%2F")), /incorrect service "sqs"/],
  ])("with %s are refused", (_, request, message) => {
    const error = refusal(request);
    expect(error.code).toBe("AuthorizationQueryParametersError");
    expect(error.message).toMatch(message);
  });

  it.each([
    ["path", (url: string) => url.replace("/b/k", "/b/j")],
    ["parameters", (url: string) => url.replace("&X-Amz-Signature", "&versionId=1&X-Amz-Signature")],
    ["expiry", (url: string) => url.replace("Expires=300", "Expires=301")],
    ["signature", (url: string) => url.slice(0, -1)],
  ])("with another %s do not match", (_, change) => {
    expect(refusal(presigned({}, 300, change)).code).toBe("SignatureDoesNotMatch");
  });

  it("do not let other x-amz headers through", () => {
    const url = presign(keys, { method: "PUT", url: `${origin}/b/k`, now });
    const request = receivedRequest({ method: "PUT", url, headers: { "x-amz-acl": "public-read" } });
    expect(refusal(request)).toMatchObject({ code: "AccessDenied", elements: { HeadersNotSigned: "x-amz-acl" } });
  });
});
