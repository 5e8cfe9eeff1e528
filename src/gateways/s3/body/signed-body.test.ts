/** Bodies: AWS's examples of chunked uploads, any splitting, any flipped byte, and each promise that a client can make. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { accessKeyOf, rawRequest, receivedRequest } from "../../../../tests/support/s3-request.ts";
import { type ChunkOptions, type PlainRequest, signChunks, signHeader } from "../../../../tests/support/s3-signer.ts";
import type { Digests } from "../../../env/digests.ts";
import { openNodeDigests } from "../../../env/node-digests.ts";
import { Authenticator } from "../auth/authenticate.ts";
import type { Authentication } from "../auth/identity.ts";
import { S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import type { ReceivedBody, RequestBody } from "./request-body.ts";
import { openBody } from "./signed-body.ts";

const keys = { accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
const known = accessKeyOf(keys.accessKey, keys.secretKey);
const authenticator = new Authenticator({ accounts: { find: () => known } });
const now = Date.UTC(2013, 4, 24);
const url = "http://s3.amazonaws.com/examplebucket/chunkObject.txt";
const content = Buffer.from("hello, world");
const wantMd5 = { md5: true };

let digests: Digests;
beforeAll(async () => {
  digests = await openNodeDigests({ workerCount: 0 });
});
afterAll(() => digests.close());

function bodyOf(request: S3Request): RequestBody {
  return openBody(request, authenticator.authenticate(request, now) as Authentication, digests);
}

function put(plain: Partial<PlainRequest> = {}): S3Request {
  return receivedRequest(signHeader(keys, { method: "PUT", url, now, body: content, ...plain }));
}

function putChunks(options: ChunkOptions, plain: Partial<PlainRequest> = {}): S3Request {
  return receivedRequest(signChunks(keys, { method: "PUT", url, now, body: content, ...plain }, options));
}

/** The same request, its body cut into these pieces. */
function withPieces(request: S3Request, pieces: readonly Uint8Array[]): S3Request {
  const { target, headers } = request.http;
  return rawRequest({ method: "PUT", target, headers: headers as { [name: string]: string }, body: pieces });
}

async function wholeOf(request: S3Request): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  await request.http.body.read((piece) => void pieces.push(piece));
  return Buffer.concat(pieces);
}

/** Both ways in which a body can be had must agree. */
async function receive(make: () => S3Request, wanted = wantMd5): Promise<ReceivedBody & { bytes: Uint8Array }> {
  const gathered = await bodyOf(make()).receive(1_000_000, wanted);
  const pieces: Uint8Array[] = [];
  const streamed = await bodyOf(make()).stream((piece) => void pieces.push(new Uint8Array(piece)), wanted);
  const { bytes, ...rest } = gathered;
  expect(rest).toEqual(streamed);
  expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  return gathered;
}

async function refusal(make: () => S3Request): Promise<S3Error> {
  const ways = [
    (body: RequestBody) => body.receive(1_000_000, wantMd5),
    (body: RequestBody) => body.stream(() => undefined, wantMd5),
  ];
  const errors = await Promise.all(
    ways.map(async (way) =>
      way(bodyOf(make())).then(
        () => undefined,
        (error: unknown) => error,
      ),
    ),
  );
  for (const error of errors) expect(error).toBeInstanceOf(S3Error);
  const [one, other] = errors as [S3Error, S3Error];
  expect(one.code).toBe(other.code);
  return one;
}

function md5(bytes: Uint8Array): Buffer {
  return createHash("md5").update(bytes).digest();
}

function checksum(algorithm: "crc32" | "crc32c" | "crc64nvme" | "sha1" | "sha256", bytes: Uint8Array): string {
  return Buffer.from(digests.once(algorithm, bytes)).toString("base64");
}

describe("AWS's published examples of chunks", () => {
  const scope = `${keys.accessKey}/20130524/us-east-1/s3/aws4_request`;
  const bytes = Buffer.alloc(66_560, "a");
  const common = {
    host: "s3.amazonaws.com",
    "x-amz-date": "20130524T000000Z",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "content-encoding": "aws-chunked",
    "x-amz-decoded-content-length": "66560",
  };
  const chunks = (signatures: readonly [string, string, string]): Buffer[] => [
    Buffer.from(`10000;chunk-signature=${signatures[0]}\r\n`),
    bytes.subarray(0, 65_536),
    Buffer.from(`\r\n400;chunk-signature=${signatures[1]}\r\n`),
    bytes.subarray(65_536),
    Buffer.from(`\r\n0;chunk-signature=${signatures[2]}\r\n`),
  ];

  it("signed", async () => {
    const names =
      "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class";
    const headers = {
      ...common,
      "content-length": "66824",
      "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
      authorization: `AWS4-HMAC-SHA256 Credential=${scope},SignedHeaders=${names},Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9`,
    };
    const body = [
      ...chunks([
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
      ]),
      Buffer.from("\r\n"),
    ];
    expect(Buffer.concat(body).length).toBe(66_824);
    const found = await receive(() =>
      rawRequest({ method: "PUT", target: "/examplebucket/chunkObject.txt", headers, body }),
    );
    expect(Buffer.from(found.bytes).equals(bytes)).toBe(true);
  });

  it.each(["\r\n", "\n\r\n"])("with a signed trailer whose line ends in %j", async (lineEnd) => {
    const names =
      "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer";
    const headers = {
      ...common,
      "content-length": "1",
      "x-amz-trailer": "x-amz-checksum-crc32c",
      "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
      authorization: `AWS4-HMAC-SHA256 Credential=${scope},SignedHeaders=${names},Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e`,
    };
    const body = [
      ...chunks([
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
      ]),
      Buffer.from(`x-amz-checksum-crc32c:sOO8/Q==${lineEnd}`),
      Buffer.from("x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"),
    ];
    const found = await receive(() =>
      rawRequest({ method: "PUT", target: "/examplebucket/chunkObject.txt", headers, body }),
    );
    expect(found.checksums).toEqual({ CRC32C: "sOO8/Q==" });
  });
});

describe("a body in chunks", () => {
  const trailer = (): readonly [string, string] => ["x-amz-checksum-crc32", checksum("crc32", content)];
  const kinds: readonly [string, () => ChunkOptions][] = [
    ["signed", () => ({ signed: true, chunkSize: 5 })],
    ["signed, with a trailer", () => ({ signed: true, chunkSize: 5, trailer: trailer() })],
    ["unsigned, with a trailer", () => ({ signed: false, chunkSize: 5, trailer: trailer() })],
    ["unsigned, without one", () => ({ signed: false, chunkSize: 5 })],
  ];

  it.each(kinds)("%s is decoded alike however it is cut", async (_, options) => {
    const request = putChunks(options());
    const whole = await wholeOf(request);
    const cuts = fc.array(fc.integer({ min: 0, max: whole.length }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(cuts, async (at) => {
        const edges = [0, ...at.sort((one, other) => one - other), whole.length];
        const pieces = edges.slice(1).map((end, index) => whole.subarray(edges[index], end));
        const found = await receive(() => withPieces(request, pieces));
        expect(Buffer.from(found.bytes).equals(content)).toBe(true);
        expect(found.size).toBe(content.length);
      }),
      { numRuns: 50 },
    );
    const found = await receive(() =>
      withPieces(
        request,
        [...whole].map((byte) => Uint8Array.of(byte)),
      ),
    );
    expect(Buffer.from(found.md5!)).toEqual(md5(content));
  });

  it.each(kinds.slice(0, 2))("%s is refused with any byte flipped", async (_, options) => {
    const request = putChunks(options());
    const whole = await wholeOf(request);
    for (let at = 0; at < whole.length; at++) {
      const flipped = new Uint8Array(whole);
      flipped[at]! ^= 0x04;
      // What a line ends in, and the case of a size, is nobody's promise.
      const outcome = bodyOf(withPieces(request, [flipped])).receive(1_000, wantMd5);
      const error = await outcome.then(
        ({ bytes }) => `taken: ${Buffer.from(bytes).toString()}`,
        (thrown: unknown) => thrown,
      );
      if (!(error instanceof S3Error)) {
        expect([at, error]).toEqual([at, "taken: hello, world"]);
        expect(whole.subarray(at - 3, at + 3).includes(0x0d)).toBe(true);
      }
    }
  });

  it.each(kinds)("%s is refused wherever it is cut off", async (_, options) => {
    const request = putChunks(options());
    const whole = await wholeOf(request);
    const needed = whole.length - 4;
    for (let size = 0; size < needed; size++) {
      const error = await refusal(() => withPieces(request, [whole.subarray(0, size)]));
      expect(error.status).toBeLessThan(500);
    }
  });

  it("of somebody else's secret is refused at its first chunk", async () => {
    const request = putChunks({ signed: true });
    const whole = Buffer.from(await wholeOf(request))
      .toString("latin1")
      .replace(/chunk-signature=..../, "chunk-signature=0000");
    const error = await refusal(() => withPieces(request, [Buffer.from(whole, "latin1")]));
    expect(error.code).toBe("SignatureDoesNotMatch");
  });

  it.each<[string, { readonly [name: string]: string }, (body: string) => string, string]>([
    ["no decoded length", { "x-amz-decoded-content-length": "" }, (body) => body, "MissingContentLength"],
    ["a decoded length that is none", { "x-amz-decoded-content-length": "-1" }, (body) => body, "InvalidArgument"],
    ["a decoded length that is too large", { "x-amz-decoded-content-length": "13" }, (body) => body, "IncompleteBody"],
    ["a decoded length that is too small", { "x-amz-decoded-content-length": "11" }, (body) => body, "IncompleteBody"],
    ["a size that is no number", {}, (body) => `z${body}`, "InvalidRequest"],
    ["a size that is far too large", {}, (body) => `fffffffffff${body}`, "IncompleteBody"],
    ["a line that does not end", {}, () => "0".repeat(2_000), "InvalidRequest"],
    ["a trailer that does not end", {}, (body) => body + "a:b\r\n".repeat(4_000), "InvalidRequest"],
    [
      "a trailer that was not announced",
      {},
      (body) => body.replace(/\r\n$/, "x-amz-checksum-sha1:a\r\n\r\n"),
      "MalformedTrailerError",
    ],
    ["a trailer twice", {}, (body) => body.replace(/(x-amz.*\r\n)/, "$1$1"), "MalformedTrailerError"],
    ["no trailer that was announced", {}, (body) => body.replace(/x-amz.*\r\n/, ""), "MalformedTrailerError"],
    ["a trailer that is no checksum", {}, (body) => body.replace(/crc32:.*/, "crc32:abc"), "InvalidRequest"],
    ["another checksum in the trailer", {}, (body) => body.replace(/crc32:.*/, "crc32:AAAAAA=="), "BadDigest"],
    ["a name that no trailer has", { "x-amz-trailer": "x-amz-meta-a" }, (body) => body, "InvalidRequest"],
  ])("with %s is refused", async (_, headers, change, code) => {
    const request = signChunks(keys, { method: "PUT", url, now, body: content }, { signed: false, trailer: trailer() });
    const body = Buffer.from(change(Buffer.from(request.body!).toString("latin1")), "latin1");
    const all = { host: "h", "content-length": String(body.length), ...request.headers, ...headers };
    const { authorization: _signature, ...unsigned } = all as { [name: string]: string };
    const error = await refusal(() => rawRequest({ method: "PUT", target: "/b/k", headers: unsigned, body }));
    expect(error.code).toBe(code);
  });

  it("that only Content-Encoding speaks of is decoded, too", async () => {
    const request = signChunks(keys, { method: "PUT", url, now, body: content }, { signed: false, trailer: trailer() });
    const { authorization: _signature, "x-amz-content-sha256": _hash, ...headers } = request.headers;
    const found = await receive(() =>
      rawRequest({
        target: "/b/k",
        method: "PUT",
        headers: { "transfer-encoding": "chunked", ...headers },
        body: request.body!,
        size: undefined,
      }),
    );
    expect(Buffer.from(found.bytes).toString()).toBe("hello, world");
  });
});

describe("what a client promises of its body", () => {
  it("is verified, and told", async () => {
    for (const name of ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"] as const) {
      const value = checksum(name, content);
      const headers = { [`x-amz-checksum-${name}`]: value, "content-md5": md5(content).toString("base64") };
      const found = await receive(() => put({ headers }));
      expect(found.checksums).toEqual({ [name.toUpperCase()]: value });
      expect(Buffer.from(found.md5!)).toEqual(md5(content));
      const wrong = await refusal(() => put({ headers, body: "hello, World" }));
      expect(wrong.code).toBe("BadDigest");
      const other = await refusal(() =>
        put({ headers: { [`x-amz-checksum-${name}`]: checksum(name, Buffer.from("other")) } }),
      );
      expect(other.code).toBe("BadDigest");
      expect(other.message).toBe(`The ${name.toUpperCase()} you specified did not match the calculated checksum.`);
    }
  });

  it("is computed where it is wanted and not promised", async () => {
    const found = await receive(put, { md5: false, algorithm: "CRC64NVME" } as never);
    expect(found.checksums).toEqual({ CRC64NVME: checksum("crc64nvme", content) });
    expect(found.md5).toBeUndefined();
  });

  it.each<[string, Partial<PlainRequest>, string, RegExp | undefined]>([
    ["another hash than in the signature", { payload: "0".repeat(64) }, "XAmzContentSHA256Mismatch", undefined],
    ["a Content-MD5 that is too short", { headers: { "content-md5": "YWJyYWNhZGFicmE=" } }, "InvalidDigest", undefined],
    ["an empty Content-MD5", { headers: { "content-md5": "" } }, "InvalidDigest", undefined],
    ["another Content-MD5", { headers: { "content-md5": "rL0Y20xC+Fzt72VPzMSk2A==" } }, "BadDigest", undefined],
    [
      "a checksum that is none",
      { headers: { "x-amz-checksum-crc32": "abc" } },
      "InvalidRequest",
      /^Value for x-amz-checksum-crc32 header is invalid.$/,
    ],
    [
      "two checksums",
      { headers: { "x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA==" } },
      "InvalidRequest",
      /^Expecting a single x-amz-checksum- header/,
    ],
    [
      "a checksum that nobody knows",
      { headers: { "x-amz-checksum-md4": "AAAAAA==" } },
      "InvalidRequest",
      /algorithm type/,
    ],
    [
      "an algorithm that nobody knows",
      { headers: { "x-amz-sdk-checksum-algorithm": "MD4" } },
      "InvalidRequest",
      /unsupported/,
    ],
    [
      "an algorithm without a checksum",
      { headers: { "x-amz-sdk-checksum-algorithm": "CRC32" } },
      "InvalidRequest",
      /^x-amz-sdk-checksum-algorithm specified, but no corresponding/,
    ],
    [
      "an algorithm with another's checksum",
      { headers: { "x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": "AAAAAA==" } },
      "InvalidRequest",
      /x-amz-sdk-checksum-algorithm/,
    ],
    [
      "a trailer without chunks",
      { headers: { "x-amz-trailer": "x-amz-checksum-crc32" } },
      "InvalidRequest",
      /x-amz-trailer/,
    ],
  ])("%s is refused", async (_, plain, code, message) => {
    const error = await refusal(() => put(plain));
    expect(error.code).toBe(code);
    expect(error.status).toBe(400);
    if (message !== undefined) expect(error.message).toMatch(message);
  });

  it("is not taken for the body's where it is the object's", async () => {
    const request = put({ headers: { "x-amz-checksum-crc32": "AAAAAA==" } });
    const authentication = authenticator.authenticate(request, now) as Authentication;
    const body = openBody(request, authentication, digests, { checksumsDescribeBody: false });
    expect(Buffer.from(await body.collect(100)).toString()).toBe("hello, world");
    expect(body.algorithm).toBeUndefined();
    await expect(bodyOf(put({ headers: { "x-amz-checksum-crc32": "AAAAAA==" } })).collect(100)).rejects.toThrow(
      /CRC32/,
    );
  });
});

describe("sizes", () => {
  it("a body that is stored says how long it is; others need not", async () => {
    const request = signHeader(keys, { method: "PUT", url, now });
    const make = (): S3Request => receivedRequest(request);
    expect((await refusal(make)).code).toBe("MissingContentLength");
    expect((await bodyOf(make()).collect(10)).length).toBe(0);
  });

  it("what is longer than an operation takes is refused", async () => {
    await expect(bodyOf(put()).collect(11)).rejects.toMatchObject({ code: "MaxMessageLengthExceeded" });
    expect((await bodyOf(put()).collect(12)).length).toBe(12);
    const anonymous = rawRequest({
      method: "PUT",
      target: "/b/k",
      headers: { host: "h", "transfer-encoding": "chunked" },
      body: [content, content],
      size: undefined,
    });
    await expect(bodyOf(anonymous).collect(20)).rejects.toMatchObject({ code: "MaxMessageLengthExceeded" });
  });

  it("what is larger than any object is refused unread", async () => {
    const request = put();
    const size = 2 ** 50;
    const { target, headers } = request.http;
    const large = rawRequest({
      method: "PUT",
      target,
      headers: headers as { [name: string]: string },
      body: content,
      size,
    });
    await expect(bodyOf(large).stream(() => undefined, wantMd5)).rejects.toMatchObject({ code: "EntityTooLarge" });
  });
});

describe("who takes the bytes", () => {
  it("is given the next ones when it is done with those before", async () => {
    const request = putChunks({ signed: true, chunkSize: 1 });
    let busy = false;
    const taken: number[] = [];
    await bodyOf(request).stream(async (piece) => {
      expect(busy).toBe(false);
      busy = true;
      await Promise.resolve();
      taken.push(...piece);
      busy = false;
    }, wantMd5);
    expect(Buffer.from(taken).toString()).toBe("hello, world");
  });

  it("ends the body by throwing, and the digest is given up", async () => {
    let aborted = 0;
    const counting: Digests = {
      once: (algorithm, bytes) => digests.once(algorithm, bytes),
      close: () => Promise.resolve(),
      open: (algorithms, size) => {
        const digest = digests.open(algorithms, size);
        return {
          update: (bytes) => digest.update(bytes),
          finish: () => digest.finish(),
          abort: () => {
            aborted++;
            digest.abort();
          },
        };
      },
    };
    const request = put();
    const body = openBody(request, authenticator.authenticate(request, now) as Authentication, counting);
    const full = (): never => {
      throw new Error("no room");
    };
    await expect(body.stream(full, wantMd5)).rejects.toThrow("no room");
    expect(aborted).toBe(1);
  });
});
