/** What is remembered of a header changes nothing about what is read of the next one. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { S3Request } from "../protocol/request.ts";
import { readClaim } from "./claim.ts";
import { KnownHeads } from "./known-heads.ts";

function requestWith(authorization: string, date: string): S3Request {
  const headers: { readonly [name: string]: string } = {
    authorization,
    "x-amz-date": date,
    "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
  };
  return { query: new Map(), header: (name: string) => headers[name] } as unknown as S3Request;
}

function outcomeOf(request: S3Request, known: KnownHeads): unknown {
  try {
    return readClaim(request, known);
  } catch (error) {
    return String(error);
  }
}

const signature = fc.constantFrom("a".repeat(64), "b".repeat(64), `${"c".repeat(63)},`, "d".repeat(63), "");
const component = fc.oneof(
  fc.constantFrom("AK", "AK/x", "BK").map((key) => `Credential=${key}/20261122/us-east-1/s3/aws4_request`),
  fc.constantFrom("host", "host;x-amz-date", "x-amz-date").map((names) => `SignedHeaders=${names}`),
  signature.map((text) => `Signature=${text}`),
  signature.map((text) => `XSignature=${text}`),
);
const usual = fc
  .tuple(fc.constantFrom("AK", "BK"), fc.constantFrom(",", ", ", " ,"), signature)
  .map(
    ([key, comma, text]) =>
      `AWS4-HMAC-SHA256 Credential=${key}/20261122/us-east-1/s3/aws4_request${comma}SignedHeaders=host${comma}Signature=${text}`,
  );
const odd = fc
  .tuple(fc.array(component, { maxLength: 5 }), fc.constantFrom(",", ", "))
  .map(([parts, comma]) => `AWS4-HMAC-SHA256 ${parts.join(comma)}`);
const date = fc.constantFrom(
  "20261122T101112Z",
  "20261123T101112Z",
  "20261122T101199Z",
  "Sun, 22 Nov 2026 10:11:12 GMT",
);

describe("heads of signatures that are known", () => {
  it("are read as they were read at first", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.oneof(usual, odd), date), { minLength: 2, maxLength: 12 }), (requests) => {
        const used = new KnownHeads();
        for (const [authorization, at] of requests) {
          const request = requestWith(authorization, at);
          expect(outcomeOf(request, used)).toEqual(outcomeOf(request, new KnownHeads()));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("are found again", () => {
    const known = new KnownHeads();
    const [first, second] = ["a", "b"].map(
      (digit) =>
        `AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=${digit.repeat(64)}`,
    ) as [string, string];
    expect(known.find(first)).toBeUndefined();
    const claim = readClaim(requestWith(first, "20261122T101112Z"), known);
    expect(known.find(second)?.credential).toBe(claim?.credential);
  });
});
