/**
 * Clients that send what they should not, or stop in the middle: an answer in S3's words, nothing stored in part, nothing
 * left open, and the next request works. Documents are in s3-bad-documents.test.ts; below HTTP it is http.contract.ts.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Footprint, openFiles, problemOf, type RawAnswer, S3Session, S3Socket } from "./support/s3-session.ts";
import {
  formBody,
  presign,
  sha256,
  signChunks,
  type SignedRequest,
  signForm,
  signHeader,
  wireBytes,
} from "./support/s3-signer.ts";
import { Belongings, eventually } from "./support/store.ts";

type Headers = { readonly [name: string]: string };

const belongings = new Belongings();
let session: S3Session;
let upload: string;
let before: Footprint;
let filesBefore: readonly string[];
const megabyte = 1024 * 1024;

beforeAll(async () => {
  session = await S3Session.open(belongings);
  await session.ask("PUT", "/bucket");
  await session.ask("PUT", "/bucket/object", {}, "some bytes");
  await session.ask("PUT", "/bucket/large", {}, Buffer.alloc(16 * megabyte, "large "));
  const created = await session.ask("POST", "/bucket/upload?uploads");
  upload = /<UploadId>(.*?)</.exec(created.body.toString())![1]!;
  for (const part of [1, 2])
    await session.ask("PUT", `/bucket/upload?partNumber=${part}&uploadId=${upload}`, {}, "part");
  before = await session.footprint();
  filesBefore = openFiles();
});
afterEach(async () => {
  // The last buffers of a client that is gone come back a moment after its connection.
  await eventually(async () => isDeepStrictEqual(await session.footprint(), before));
  assert(await session.works());
  // Files of volumes may have been opened for good; sockets may not.
  await eventually(() => sockets(openFiles()) <= sockets(filesBefore));
  const left = openFiles().filter((name) => /tmp|deleted|part$/.test(name.replace(session.root, "")));
  assert.deepEqual(left, []);
});
afterAll(() => belongings.giveBack());

const sockets = (files: readonly string[]): number => files.filter((name) => name === "socket").length;

const refusalOf = (answer: RawAnswer): unknown => problemOf(answer) ?? [answer.status, answer.code];

/** As it stands, without a signature: what is wrong with it comes first. */
const unsigned = (method: string, target: string, headers: Headers = {}): Promise<RawAnswer> => {
  const lines = Object.entries({ Host: "a", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return session.send(Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1"), method);
};

describe("names", () => {
  it.each([
    ["ab", 400, "InvalidBucketName"],
    ["a".repeat(64), 400, "InvalidBucketName"],
    ["a".repeat(5_000), 400, "InvalidBucketName"],
    ["Upper", 400, "InvalidBucketName"],
    ["under_score", 400, "InvalidBucketName"],
    ["a..b", 400, "InvalidBucketName"],
    ["192.168.1.1", 400, "InvalidBucketName"],
    ["xn--abc", 400, "InvalidBucketName"],
    ["a%00b", 400, "InvalidBucketName"],
    ["a%20b", 400, "InvalidBucketName"],
    ["..", 400, "InvalidBucketName"],
    ["%2e%2e", 400, "InvalidBucketName"],
    ["caf%C3%A9", 400, "InvalidBucketName"],
  ])("no bucket is called %s", async (name, status, code) => {
    expect(refusalOf(await session.ask("PUT", `/${name}`))).toEqual([status, code]);
  });

  it.each([
    ["/bucket/%00", 400, "InvalidArgument"],
    ["/bucket/a%00b", 400, "InvalidArgument"],
    [`/bucket/${"a".repeat(1_025)}`, 400, "KeyTooLongError"],
    [`/bucket/${"%C3%A9".repeat(513)}`, 400, "KeyTooLongError"],
  ])("no key is %s", async (path, status, code) => {
    expect(refusalOf(await session.ask("PUT", path, {}, "bytes"))).toEqual([status, code]);
    for (const query of ["", "?acl", "?tagging"]) {
      expect(refusalOf(await session.ask("GET", path + query))).toEqual([status, code]);
    }
  });

  it("a path without a bucket's name is of none", async () => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      expect(refusalOf(await session.ask(method, "//key"))).toEqual([404, "NoSuchBucket"]);
    }
    expect(refusalOf(await session.ask("PUT", "//"))).toEqual([400, "InvalidBucketName"]);
  });

  it.each(["%", "%4", "%zz", "%C3", "%FF", "%C0%AF", "%ED%A0%80", "a%F5%80%80%80b", "\u00ff"])(
    "no path has %s in it",
    async (text) => {
      expect(refusalOf(await unsigned("GET", `/bucket/${text}`))).toEqual([400, "InvalidURI"]);
    },
  );

  it.each(["prefix=%", "prefix=%FF", "%zz=1", "prefix=%C3"])("no query has %s in it", async (query) => {
    expect(refusalOf(await unsigned("GET", `/bucket?${query}`))).toEqual([400, "InvalidURI"]);
  });
});

describe("parameters", () => {
  const long = "9".repeat(40);
  it.each([
    ["GET", "/bucket/object?versionId=odd", 400, "InvalidArgument"],
    ["GET", `/bucket/object?versionId=${"x".repeat(5_000)}`, 400, "InvalidArgument"],
    ["GET", "/bucket/object?versionId=", 400, "InvalidArgument"],
    ["DELETE", "/bucket/object?versionId=%2e%2e%2fetc", 400, "InvalidArgument"],
    ["GET", "/bucket/upload?uploadId=%00", 404, "NoSuchUpload"],
    ["GET", "/bucket/upload?uploadId=..%2F..%2Fx", 404, "NoSuchUpload"],
    ["DELETE", `/bucket/upload?uploadId=${"x".repeat(5_000)}`, 404, "NoSuchUpload"],
    ["POST", "/bucket/upload?uploadId=%27%22%3Cx%3E", 404, "NoSuchUpload"],
    ["PUT", "/bucket/upload?uploadId=nothing&partNumber=1", 404, "NoSuchUpload"],
    ["PUT", "/bucket/upload?uploadId=UPLOAD", 405, "MethodNotAllowed"],
    ["PUT", "/bucket/upload?partNumber=1", 400, "InvalidArgument"],
    ["PUT", "/bucket/upload?uploadId=UPLOAD&partNumber=0", 400, "InvalidArgument"],
    ["PUT", "/bucket/upload?uploadId=UPLOAD&partNumber=10001", 400, "InvalidArgument"],
    ["PUT", `/bucket/upload?uploadId=UPLOAD&partNumber=${long}`, 400, "InvalidArgument"],
    ["PUT", "/bucket/upload?uploadId=UPLOAD&partNumber=1e1", 400, "InvalidArgument"],
    ["PUT", "/bucket/upload?uploadId=UPLOAD&partNumber=-1", 400, "InvalidArgument"],
    ["GET", "/bucket?max-keys=-1", 400, "InvalidArgument"],
    ["GET", "/bucket?max-keys=x", 400, "InvalidArgument"],
    ["GET", `/bucket?list-type=2&max-keys=${long}`, 400, "InvalidArgument"],
    ["GET", "/bucket?list-type=2&continuation-token=odd", 400, "InvalidArgument"],
    ["GET", "/bucket?encoding-type=base64", 400, "InvalidArgument"],
    ["GET", "/bucket/object?partNumber=0", 400, "InvalidArgument"],
    ["GET", "/bucket/object?partNumber=2", 400, "InvalidPart"],
    ["DELETE", "/bucket/object?versionsId=null", 501, "NotImplemented"],
  ])("%s %s", async (method, path, status, code) => {
    const target = path.replace("UPLOAD", upload);
    const parts = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>";
    const bodies: { readonly [name: string]: string } = {
      POST: `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`,
      PUT: "",
    };
    expect(refusalOf(await session.ask(method, target, {}, bodies[method]))).toEqual([status, code]);
  });

  it("in thousands are taken or refused", async () => {
    const flood = Array.from({ length: 3_000 }, (_, index) => `a${index}=`).join("&");
    const answer = await session.ask("GET", `/bucket?${flood}`);
    expect(problemOf(answer)).toBeUndefined();
    expect([400, 431, 501]).toContain(answer.status);
  });
});

describe("headers", () => {
  it.each([
    ["GET", { range: "bytes=99-" }, 416, "InvalidRange"],
    ["GET", { range: "bytes=-0" }, 416, "InvalidRange"],
    ["GET", { range: `bytes=${"9".repeat(400)}-` }, 416, "InvalidRange"],
    ["PUT", { "content-md5": "nonsense" }, 400, "InvalidDigest"],
    ["PUT", { "content-md5": "AAAAAAAAAAAAAAAAAAAAAA==" }, 400, "BadDigest"],
    ["PUT", { "x-amz-checksum-crc32": "AAAAAA==" }, 400, "BadDigest"],
    ["PUT", { "x-amz-checksum-crc32": "!" }, 400, "InvalidRequest"],
    ["PUT", { "x-amz-sdk-checksum-algorithm": "MD17" }, 400, "InvalidRequest"],
    ["PUT", { "x-amz-meta-a": "a".repeat(2_100) }, 400, "MetadataTooLarge"],
    ["PUT", { "x-amz-storage-class": "COLD" }, 400, "InvalidStorageClass"],
    ["PUT", { "x-amz-tagging": "a=b&a=c" }, 400, "InvalidTag"],
    ["PUT", { "x-amz-server-side-encryption": "ROT13" }, 400, "InvalidArgument"],
    ["PUT", { "x-amz-copy-source": "bucket/%00" }, 400, "InvalidArgument"],
    ["PUT", { "x-amz-copy-source": "nothing" }, 400, "InvalidArgument"],
    ["PUT", { "x-amz-copy-source": "/bucket/object?versionId=odd" }, 400, "InvalidArgument"],
    ["PUT", { "x-amz-object-lock-mode": "FOREVER", "x-amz-object-lock-retain-until-date": "now" }, 400, undefined],
  ])("%s %o", async (method, headers, status, code) => {
    const answer = await session.ask(method, "/bucket/object", headers, method === "PUT" ? "bytes" : undefined);
    expect(refusalOf(answer)).toEqual([status, code ?? answer.code!]);
  });

  it.each(["bytes=", "bytes=a-b", "bytes=5-1", "bytes=0-0,2-3", "lines=1-2", "-", "bytes=--1"])(
    "a range that is none is passed over: %s",
    async (range) => {
      const answer = await session.ask("GET", "/bucket/object", { range });
      expect([answer.status, answer.body.toString()]).toEqual([200, "some bytes"]);
    },
  );

  it.each(["if-modified-since", "if-unmodified-since"])("%s that is no date is passed over", async (name) => {
    for (const value of ["yesterday", "99999999999999", "Fri, 99 Foo 20xx 00:00:00 GMT"]) {
      expect((await session.ask("GET", "/bucket/object", { [name]: value })).status).toBe(200);
    }
  });

  it("that are too large in all are refused", async () => {
    const headers = Object.fromEntries(
      Array.from({ length: 40 }, (_, index) => [`x-amz-meta-${index}`, "a".repeat(1_000)]),
    );
    const answer = await session.ask("PUT", "/bucket/object", headers, "bytes");
    expect(problemOf(answer)).toBeUndefined();
    expect([answer.status, answer.code]).toEqual([431, "RequestHeaderSectionTooLarge"]);
  });
});

describe("signatures", () => {
  const hour = 3_600_000;
  const get = (now: number): SignedRequest =>
    signHeader(session.keys, { method: "GET", url: `${session.endpoint}/bucket/object`, now });

  it.each([
    ["an hour ago", -hour],
    ["in an hour", hour],
    ["in 1970", -Date.now()],
    ["in 9999", 7_000 * 365 * 24 * hour],
  ])("of a clock that is elsewhere are refused: %s", async (_, ahead) => {
    const answer = await session.send(wireBytes(get(Date.now() + ahead)));
    expect(refusalOf(answer)).toEqual([403, "RequestTimeTooSkewed"]);
  });

  it("of URLs that have expired, or are not valid yet, are refused", async () => {
    const url = (now: number): string =>
      presign(session.keys, { method: "GET", url: `${session.endpoint}/bucket/object`, now }, 60).slice(
        session.endpoint.length,
      );
    expect(refusalOf(await unsigned("GET", url(Date.now() - hour), { Host: `127.0.0.1:${session.port}` }))).toEqual([
      403,
      "AccessDenied",
    ]);
  });

  const chunked = (path: string): SignedRequest =>
    signChunks(
      session.keys,
      { method: "PUT", url: `${session.endpoint}${path}`, body: Buffer.alloc(400_000, "c") },
      { signed: true },
    );

  it.each([
    ["in the first chunk's signature", (text: string) => text.replace(/chunk-signature=./, "chunk-signature=g")],
    ["in the last chunk's signature", (text: string) => text.replace(/(.*chunk-signature=)./s, "$1g")],
    ["in the bytes of the last chunk", (text: string) => text.replace(/(.*)cc/s, "$1cd")],
    ["in the order of chunks", (text: string) => swapChunks(text)],
    ["in the signatures: there are none", (text: string) => text.replaceAll(/;chunk-signature=[0-9a-f]+/g, "")],
  ])("of chunks that were tampered with are refused: %s", async (_, change) => {
    for (const path of ["/bucket/chunked", `/bucket/upload?partNumber=3&uploadId=${upload}`]) {
      const request = chunked(path);
      const body = Buffer.from(change(Buffer.from(request.body!).toString("latin1")), "latin1");
      const answer = await session.send(wireBytes({ ...request, body: new Uint8Array(body) }), "PUT");
      expect(refusalOf(answer)).toEqual([403, "SignatureDoesNotMatch"]);
    }
  });

  it.each([
    ["a size that is none", (text: string) => `zz${text}`, 400],
    ["a size that is larger than the body", (text: string) => text.replace(/^\w+/, "fffffffff"), 400],
    ["no last chunk", (text: string) => text.replace(/\r\n0;chunk-signature.*$/s, "\r\n"), 400],
    ["a line without end", () => "1".repeat(5_000), 400],
  ])("chunks with %s are refused", async (_, change, status) => {
    const request = chunked("/bucket/chunked");
    const body = Buffer.from(change(Buffer.from(request.body!).toString("latin1")), "latin1");
    const answer = await session.send(wireBytes({ ...request, body: new Uint8Array(body) }), "PUT");
    expect(refusalOf(answer)).toEqual([status, answer.code!]);
  });

  it("of another body are refused, small and large", async () => {
    for (const size of [10, 700_000]) {
      const headers = { "x-amz-content-sha256": sha256("another") };
      const plain = {
        method: "PUT",
        url: `${session.endpoint}/bucket/new`,
        headers,
        body: Buffer.alloc(size),
        payload: sha256("another"),
      };
      expect(refusalOf(await session.send(wireBytes(signHeader(session.keys, plain)), "PUT"))).toEqual([
        400,
        "XAmzContentSHA256Mismatch",
      ]);
    }
  });
});

/** The first two, each of 64 KiB, change places. */
function swapChunks(text: string): string {
  const size = text.indexOf("\r\n") + 2 + 65_536 + 2;
  return text.slice(size, 2 * size) + text.slice(0, size) + text.slice(2 * size);
}

describe("parts", () => {
  const complete = (...parts: readonly (readonly [number, string])[]): Promise<RawAnswer> => {
    const list = parts.map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`);
    const body = `<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`;
    return session.ask("POST", `/bucket/upload?uploadId=${upload}`, {}, body);
  };
  const etag = "d7b21d13e83c2b1c4b4ac9ea5d4b5e52";

  it("that are not there, have another ETag, are out of order or too small: refused, and the upload goes on", async () => {
    const listed = (await session.ask("GET", `/bucket/upload?uploadId=${upload}`)).body.toString();
    const [first, second] = [...listed.matchAll(/<ETag>(?:&quot;|")?([0-9a-f]{32})/g)].map((match) => match[1]!) as [
      string,
      string,
    ];
    expect(refusalOf(await complete([7, first]))).toEqual([400, "InvalidPart"]);
    expect(refusalOf(await complete([1, etag]))).toEqual([400, "InvalidPart"]);
    expect(refusalOf(await complete([1, "nonsense"]))).toEqual([400, "InvalidPart"]);
    expect(refusalOf(await complete([2, second], [1, first]))).toEqual([400, "InvalidPartOrder"]);
    expect(refusalOf(await complete([1, first], [1, first]))).toEqual([400, "InvalidPartOrder"]);
    expect(refusalOf(await complete([1, first], [2, second]))).toEqual([400, "EntityTooSmall"]);
    expect((await session.ask("GET", `/bucket/upload?uploadId=${upload}`)).status).toBe(200);
  });
});

describe("a client that vanishes", () => {
  const putOf = (path: string, size: number): Uint8Array =>
    wireBytes(signHeader(session.keys, { method: "PUT", url: `${session.endpoint}${path}`, payload: "unsigned" }), {
      "content-length": String(size),
    });

  it.each([
    ["in a small PUT", "/bucket/vanished", 1_000, 500],
    ["in a PUT of a block", "/bucket/vanished", 100_000, 99_999],
    ["in a large PUT", "/bucket/vanished", 20 * megabyte, 5 * megabyte],
    ["before the first byte of a large PUT", "/bucket/vanished", 20 * megabyte, 0],
    ["in a part", "/bucket/upload?partNumber=5&uploadId=UPLOAD", 6 * megabyte, 3 * megabyte],
    ["in overwriting an object", "/bucket/object", 1_000, 999],
  ])("%s leaves nothing, cut off or ended", async (_, path, size, sent) => {
    for (const way of ["destroy", "end", "reset"] as const) {
      const socket = await S3Socket.connect(session.port);
      socket.send(putOf(path.replace("UPLOAD", upload), size));
      await socket.tcp.write(Buffer.alloc(sent, "v")).catch(() => undefined);
      if (way === "end") {
        socket.tcp.end();
        const said = (await socket.tcp.rest()).toString("latin1");
        expect(said === "" || said.startsWith("HTTP/1.1 400 ")).toBe(true);
      }
      if (way === "reset") socket.tcp.socket.resetAndDestroy();
      else socket.close();
    }
    expect((await session.ask("GET", "/bucket/object")).body.toString()).toBe("some bytes");
  });

  it("in a GET of a large object leaves nothing", async () => {
    for (let count = 0; count < 10; count++) {
      const socket = await S3Socket.connect(session.port);
      socket.send(wireBytes(session.sign("GET", "/bucket/large")));
      await socket.tcp.take(1 + count * 100_000);
      if (count % 2 === 0) socket.tcp.socket.resetAndDestroy();
      else socket.close();
    }
    expect(await session.works()).toBe(true);
  });

  it("in a document, or behind a request whose answer it does not wait for, leaves nothing", async () => {
    const body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>";
    const request = wireBytes(session.sign("POST", `/bucket/upload?uploadId=${upload}`, {}, body));
    for (const size of [request.length - 10, request.length]) {
      const socket = await S3Socket.connect(session.port);
      await socket.tcp.write(request.subarray(0, size));
      socket.close();
    }
    expect(await session.works()).toBe(true);
  });
});

describe("a body's size", () => {
  it.each(["-1", "1e3", "0x10", "99999999999999999999", "5, 6", "a"])("cannot be %s", async (size) => {
    const answer = await unsigned("PUT", "/bucket/sized", { "Content-Length": size });
    expect(problemOf(answer)).toBeUndefined();
    expect(answer.status).toBe(400);
  });

  it("cannot be more than an object may have", async () => {
    const head = signHeader(session.keys, {
      method: "PUT",
      url: `${session.endpoint}/bucket/huge`,
      payload: "unsigned",
    });
    const answer = await session.send(wireBytes(head, { "content-length": String(2 ** 52) }), "PUT");
    expect(refusalOf(answer)).toEqual([400, "EntityTooLarge"]);
  });

  it("has to be said", async () => {
    expect(refusalOf(await session.ask("PUT", "/bucket/sized"))).toEqual([411, "MissingContentLength"]);
  });

  it("that is not what aws-chunked decodes to is refused", async () => {
    for (const wrong of ["9", "11", "0", "-1", "ten"]) {
      const headers = { "x-amz-decoded-content-length": wrong, "content-encoding": "aws-chunked" };
      const plain = {
        method: "PUT",
        url: `${session.endpoint}/bucket/new`,
        headers,
        payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
      };
      const head = signHeader(session.keys, plain);
      const body = new Uint8Array(Buffer.from("a\r\nsome bytes\r\n0\r\n\r\n"));
      const answer = await session.send(wireBytes({ ...head, body }), "PUT");
      expect(problemOf(answer)).toBeUndefined();
      expect(answer.status).toBe(400);
    }
  });
});

describe("secrets", () => {
  const customerKey = Buffer.alloc(32, "customer key ").toString("base64");
  const customer = {
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": customerKey,
    "x-amz-server-side-encryption-customer-key-md5": createHash("md5")
      .update(Buffer.from(customerKey, "base64"))
      .digest("base64"),
  };
  const policyOf = (): { readonly [name: string]: string } =>
    signForm(session.keys, {
      expiration: new Date(Date.now() + 600_000).toISOString(),
      conditions: [{ bucket: "bucket" }, { key: "secret-of-the-policy" }],
    });

  it("are in no error that is told, and nowhere in the log of all that was asked here", async () => {
    const url = presign(session.keys, { method: "GET", url: `${session.endpoint}/bucket/nothing` });
    const form = formBody({ key: "another", ...policyOf() }, { content: "bytes" });
    const answers = [
      await session.ask("GET", "/bucket/object", customer),
      await session.ask("PUT", "/bucket/object", { ...customer, "content-md5": "AAAAAAAAAAAAAAAAAAAAAA==" }, "bytes"),
      await session.ask("PUT", "/bucket/object", { ...customer, "x-amz-server-side-encryption": "AES256" }, "bytes"),
      await session.ask(
        "PUT",
        "/bucket/object",
        { ...customer, "x-amz-server-side-encryption-customer-key-md5": "AAAA" },
        "bytes",
      ),
      await session.send(wireBytes({ method: "GET", url, headers: {} })),
      await session.send(wireBytes({ method: "GET", url: url.replace(/.$/, "g"), headers: {} })),
      await session.send(
        wireBytes({ method: "POST", url: `${session.endpoint}/bucket`, headers: form.headers, body: form.body }),
      ),
    ];
    const { secretKey } = session.keys;
    for (const answer of answers) expect(problemOf(answer)).toBeUndefined();
    const told = answers.map(({ body }) => body.toString("latin1")).join("\n");
    const log = session.logged.join("\n");
    expect(session.logged.length).toBeGreaterThan(100);
    for (const text of [told, log]) {
      expect(text).not.toContain(secretKey);
      expect(text).not.toContain(customerKey);
    }
    // Who sent the policy is told which of its conditions did not hold, as AWS does; the log is not.
    expect(log).not.toContain("secret-of-the-policy");
    expect(log).not.toMatch(/signature=|Credential=|policy=/i);
    expect(log).not.toContain(session.root);
  });

  it("and nothing failed for a reason of the store's own", () => {
    expect(session.logged.filter((line) => /"level":"error"|"stack"/.test(line))).toEqual([]);
  });
});
