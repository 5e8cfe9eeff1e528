/** Server-side encryption over HTTP, as clients ask for it, and what then lies on disk. */
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeRandom } from "../src/env/node-clock.ts";
import { nodeHost } from "../src/env/node-host.ts";
import { silentLog } from "../src/env/node-log.ts";
import { Sealing } from "../src/gateways/s3/auth/sealing.ts";
import { Keyring } from "../src/gateways/s3/encryption/keyring.ts";
import { formBody, signForm, signHeader } from "./support/s3-signer.ts";
import { Belongings, testKey } from "./support/store.ts";

type Headers = { readonly [name: string]: string };

const belongings = new Belongings();
const keys = { accessKey: "tester", secretKey: "testers-secret" };
const host = nodeHost(silentLog);
let root: string;
let endpoint: string;
let keyring: Keyring;

beforeAll(async () => {
  root = await belongings.directory();
  const running = await belongings.router({ root, s3: { port: 0 }, rootKeys: keys });
  endpoint = `http://127.0.0.1:${running.s3Port}`;
  const { datastore } = running.gateway!.services;
  keyring = new Keyring({
    datastore,
    sealing: new Sealing(testKey, nodeRandom),
    random: nodeRandom,
    clock: host.clock,
  });
  await keyring.add("testkey-1");
  await keyring.add("testkey-2");
  await ask("PUT", "/bucket");
});
afterAll(() => belongings.giveBack());

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly headers: globalThis.Headers;
  readonly body: Buffer;
}

async function ask(method: string, path: string, headers: Headers = {}, body?: Uint8Array | string): Promise<Answer> {
  const url = `${endpoint}${path}`;
  const signed = signHeader(keys, { method, url, headers, ...(body === undefined ? {} : { body }) });
  const { host: _, ...rest } = signed.headers;
  const answer = await fetch(url, {
    method,
    headers: rest,
    ...(signed.body === undefined ? {} : { body: signed.body }),
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  const code = /<Code>(.*?)<\/Code>/.exec(bytes.toString("latin1"))?.[1];
  return { status: answer.status, code, headers: answer.headers, body: bytes };
}

const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");
const text = (size: number): Buffer => Buffer.alloc(size, "to be found on disk if it lies there as it was sent. ");

const customer = (fill: number, prefix = "x-amz"): Headers => {
  const key = Buffer.alloc(32, fill);
  return {
    [`${prefix}-server-side-encryption-customer-algorithm`]: "AES256",
    [`${prefix}-server-side-encryption-customer-key`]: key.toString("base64"),
    [`${prefix}-server-side-encryption-customer-key-md5`]: createHash("md5").update(key).digest("base64"),
  };
};
const sse = "x-amz-server-side-encryption";
const kmsId = `${sse}-aws-kms-key-id`;
const customerMd5 = `${sse}-customer-key-md5`;
const kms = (id?: string, algorithm = "aws:kms"): Headers => ({
  [sse]: algorithm,
  ...(id === undefined ? {} : { [kmsId]: id }),
});

/** Whether some bytes are in a file below the data directory. */
async function isOnDisk(needle: Buffer): Promise<boolean> {
  for (const name of await readdir(root, { recursive: true })) {
    if (!name.endsWith("obj")) continue;
    if ((await readFile(join(root, name))).includes(needle)) return true;
  }
  return false;
}

const modes: readonly (readonly [string, Headers, Headers])[] = [
  ["SSE-C", customer(1), customer(1)],
  ["SSE-S3", { [sse]: "AES256" }, {}],
  ["SSE-KMS", kms("testkey-1"), {}],
  ["SSE-KMS with the default key and a context", { ...kms(), [`${sse}-context`]: "eyJhIjoiYiJ9" }, {}],
  ["DSSE-KMS", kms("testkey-2", "aws:kms:dsse"), {}],
];

describe.each(modes)("%s", (name, write, read) => {
  const key = `/bucket/mode-${encodeURIComponent(name)}`;

  test.each([0, 1, 13, 1_000, 100_000, 700_000])(
    "%i bytes come back, whole and in ranges, and size is theirs",
    async (size) => {
      const plain = randomBytes(size);
      const put = await ask("PUT", key, write, plain);
      expect(put.status).toBe(200);
      const got = await ask("GET", key, read);
      expect(got.body.equals(plain)).toBe(true);
      const etag = got.headers.get("etag");
      expect(put.headers.get("etag")).toBe(etag);
      expect(etag === `"${md5(plain)}"`).toBe(name === "SSE-S3");
      expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
      const head = await ask("HEAD", key, read);
      expect([head.status, head.headers.get("content-length")]).toEqual([200, String(size)]);
      for (const each of [sse, kmsId, customerMd5]) {
        expect(head.headers.get(each)).toBe(put.headers.get(each));
        expect(got.headers.get(each)).toBe(put.headers.get(each));
      }
      if (size < 100) return;
      for (const [first, last] of [
        [0, 0],
        [15, 16],
        [size >> 1, (size >> 1) + 40],
        [size - 17, size - 1],
      ] as const) {
        const range = await ask("GET", key, { ...read, range: `bytes=${first}-${last}` });
        expect(range.status).toBe(206);
        expect(range.body.equals(plain.subarray(first, last + 1))).toBe(true);
      }
    },
  );

  test("on disk lies nothing of the bytes", async () => {
    const secret = randomBytes(64);
    await ask("PUT", key, write, Buffer.concat([secret, text(100_000)]));
    expect(await isOnDisk(secret)).toBe(false);
    expect(await isOnDisk(secret.subarray(32))).toBe(false);
    await ask("PUT", "/bucket/plain", {}, secret);
    expect(await isOnDisk(secret)).toBe(true);
  });
});

test("answers name algorithm and key as AWS does", async () => {
  const put = async (headers: Headers) => {
    const answer = await ask("PUT", "/bucket/named", headers, "x");
    return [answer.headers.get(sse), answer.headers.get(kmsId)];
  };
  expect(await put({ [sse]: "AES256" })).toEqual(["AES256", null]);
  expect(await put(kms("testkey-1"))).toEqual(["aws:kms", "testkey-1"]);
  expect(await put(kms("alias/testkey-1"))).toEqual(["aws:kms", "alias/testkey-1"]);
  const arn = "arn:aws:kms:eu-west-1:123456789012:key/testkey-1";
  expect(await put(kms(arn))).toEqual(["aws:kms", arn]);
  expect(await put(kms())).toEqual(["aws:kms", "arn:aws:kms:us-east-1:000000000000:alias/aws/s3"]);
  expect(await put(kms("testkey-1", "aws:kms:dsse"))).toEqual(["aws:kms:dsse", "testkey-1"]);
  const own = await ask("PUT", "/bucket/named", customer(1), "x");
  expect(own.headers.get(sse)).toBeNull();
  expect(own.headers.get(`${sse}-customer-algorithm`)).toBe("AES256");
  expect(own.headers.get(customerMd5)).toBe(customer(1)[customerMd5]);
  const bucketKey = { ...kms("testkey-1"), [`${sse}-bucket-key-enabled`]: "true" };
  expect((await ask("PUT", "/bucket/named", bucketKey, "x")).headers.get(`${sse}-bucket-key-enabled`)).toBe("true");
  const context = { ...kms("testkey-1"), [`${sse}-context`]: "eyJhIjoiYiJ9" };
  expect((await ask("PUT", "/bucket/named", context, "x")).headers.get(`${sse}-context`)).toBe("eyJhIjoiYiJ9");
  expect((await ask("HEAD", "/bucket/named")).headers.get(`${sse}-context`)).toBeNull();
});

describe("a write is refused", () => {
  const without = (headers: Headers, ...ends: readonly string[]): Headers =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => !ends.some((end) => name.endsWith(end))));
  const short = Buffer.alloc(16, 1);

  test.each<[string, Headers, string]>([
    [
      "algorithm AES192 of SSE-C",
      { ...customer(1), [`${sse}-customer-algorithm`]: "AES192" },
      "InvalidEncryptionAlgorithmError",
    ],
    ["no algorithm of SSE-C", without(customer(1), "-algorithm"), "InvalidArgument"],
    ["no key of SSE-C", without(customer(1), "-key"), "InvalidArgument"],
    ["no MD5 of SSE-C", without(customer(1), "-md5"), "InvalidArgument"],
    ["a wrong MD5 of SSE-C", { ...customer(1), [customerMd5]: "AAAAAAAAAAAAAAAAAAAAAA==" }, "InvalidArgument"],
    [
      "a short key of SSE-C",
      {
        ...customer(1),
        [`${sse}-customer-key`]: short.toString("base64"),
        [customerMd5]: createHash("md5").update(short).digest("base64"),
      },
      "InvalidArgument",
    ],
    ["SSE-C and SSE-S3", { ...customer(1), [sse]: "AES256" }, "InvalidArgument"],
    ["SSE-C and SSE-KMS", { ...customer(1), ...kms("testkey-1") }, "InvalidArgument"],
    ["a KMS key and SSE-S3", kms("testkey-1", "AES256"), "InvalidArgument"],
    ["a KMS key and no algorithm", { [kmsId]: "testkey-1" }, "InvalidArgument"],
    ["an unknown algorithm", kms(undefined, "aes:kms"), "InvalidArgument"],
    ["an empty algorithm", { [sse]: "" }, "InvalidArgument"],
    ["an unknown key", kms("testkey-9"), "KMS.NotFoundException"],
    ["an unknown ARN", kms("arn:aws:kms:us-east-1:123456789012:key/none"), "KMS.NotFoundException"],
    ["a key that cannot be", kms("../é"), "KMS.NotFoundException"],
    ["a context that is no map", { ...kms("testkey-1"), [`${sse}-context`]: "WzFd" }, "InvalidArgument"],
    ["a context that is no base64", { ...kms("testkey-1"), [`${sse}-context`]: "{}" }, "InvalidArgument"],
    [
      "a bucket key that is no boolean",
      { ...kms("testkey-1"), [`${sse}-bucket-key-enabled`]: "yes" },
      "InvalidArgument",
    ],
  ])("with %s", async (_, headers, code) => {
    const answer = await ask("PUT", "/bucket/refused", headers, "x");
    expect([answer.status, answer.code]).toEqual([400, code]);
    expect((await ask("HEAD", "/bucket/refused")).status).toBe(404);
  });
});

describe("a read is refused", () => {
  beforeAll(async () => {
    await ask("PUT", "/bucket/own", customer(1), "secret");
    await ask("PUT", "/bucket/kms", kms("testkey-1"), "secret");
    await ask("PUT", "/bucket/open", {}, "open");
  });

  test.each<[string, string, Headers, number, string]>([
    ["without the customer's key", "/bucket/own", {}, 400, "InvalidRequest"],
    ["with another customer's key", "/bucket/own", customer(2), 403, "AccessDenied"],
    [
      "with a broken customer's key",
      "/bucket/own",
      { ...customer(1), [customerMd5]: "AAAAAAAAAAAAAAAAAAAAAA==" },
      400,
      "InvalidArgument",
    ],
    ["with a customer's key for a plain object", "/bucket/open", customer(1), 400, "InvalidRequest"],
    ["with a customer's key for a KMS object", "/bucket/kms", customer(1), 400, "InvalidRequest"],
    ["with headers of a write", "/bucket/kms", kms("testkey-1"), 400, "InvalidArgument"],
    ["with headers of a write, of a plain object", "/bucket/open", kms("testkey-1"), 400, "InvalidArgument"],
    ["with SSE-S3's header", "/bucket/open", { [sse]: "AES256" }, 400, "InvalidArgument"],
  ])("%s", async (_, path, headers, status, code) => {
    const answer = await ask("GET", path, headers);
    expect([answer.status, answer.code]).toEqual([status, code]);
    expect((await ask("HEAD", path, headers)).status).toBe(status);
  });

  test("but not for deleting: that needs no key", async () => {
    await ask("PUT", "/bucket/own-gone", customer(1), "secret");
    expect((await ask("DELETE", "/bucket/own-gone")).status).toBe(204);
  });
});

test("rotating a key leaves what was written before readable", async () => {
  await keyring.add("turning");
  const written: Buffer[] = [];
  for (let version = 1; version <= 3; version++) {
    written.push(randomBytes(100));
    expect((await ask("PUT", `/bucket/turning-${version}`, kms("turning"), written.at(-1))).status).toBe(200);
    expect((await keyring.rotate("turning")).version).toBe(version + 1);
  }
  for (let version = 1; version <= 3; version++) {
    expect((await ask("GET", `/bucket/turning-${version}`)).body.equals(written[version - 1]!)).toBe(true);
  }
});

describe("a bucket's default", () => {
  const configuration = (rule: string): string =>
    `<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>${rule}</Rule></ServerSideEncryptionConfiguration>`;
  const byDefault = (algorithm: string, id = ""): string =>
    `<ApplyServerSideEncryptionByDefault><SSEAlgorithm>${algorithm}</SSEAlgorithm>${id === "" ? "" : `<KMSMasterKeyID>${id}</KMSMasterKeyID>`}</ApplyServerSideEncryptionByDefault>`;
  const set = (rule: string): Promise<Answer> => ask("PUT", "/default?encryption", {}, configuration(rule));
  beforeAll(() => ask("PUT", "/default"));

  test("is none at first, and none again when it was deleted", async () => {
    const missing = [404, "ServerSideEncryptionConfigurationNotFoundError"];
    const before = await ask("GET", "/default?encryption");
    expect([before.status, before.code]).toEqual(missing);
    expect((await set(byDefault("AES256"))).status).toBe(200);
    expect((await ask("DELETE", "/default?encryption")).status).toBe(204);
    expect((await ask("DELETE", "/default?encryption")).status).toBe(204);
    const after = await ask("GET", "/default?encryption");
    expect([after.status, after.code]).toEqual(missing);
    expect((await ask("PUT", "/default/plain", {}, "x")).headers.get(sse)).toBeNull();
  });

  test("is answered as it was put, and holds for what asks for nothing else", async () => {
    await set(`${byDefault("aws:kms", "testkey-2")}<BucketKeyEnabled>true</BucketKeyEnabled>`);
    const got = (await ask("GET", "/default?encryption")).body.toString();
    expect(got).toContain(
      "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>testkey-2</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule>",
    );
    const put = await ask("PUT", "/default/k", {}, "kms by default");
    expect([put.headers.get(sse), put.headers.get(kmsId)]).toEqual(["aws:kms", "testkey-2"]);
    expect(put.headers.get(`${sse}-bucket-key-enabled`)).toBe("true");
    expect((await ask("GET", "/default/k")).body.toString()).toBe("kms by default");
    expect((await ask("PUT", "/default/s3", { [sse]: "AES256" }, "x")).headers.get(sse)).toBe("AES256");
    expect((await ask("PUT", "/default/own", customer(1), "x")).headers.get(sse)).toBeNull();
    await set(byDefault("AES256"));
    expect((await ask("PUT", "/default/s3", {}, "x")).headers.get(sse)).toBe("AES256");
    expect((await ask("GET", "/default/k")).headers.get(kmsId)).toBe("testkey-2");
  });

  test("can be a key that is not there; then what is written is refused", async () => {
    expect((await set(byDefault("aws:kms", "none"))).status).toBe(200);
    expect((await ask("PUT", "/default/k", {}, "x")).code).toBe("KMS.NotFoundException");
  });

  test("can refuse customers' keys, and goes on to when it says nothing of them", async () => {
    await ask("PUT", "/default/before", customer(1), "x");
    await set("<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>");
    await set(byDefault("AES256"));
    const put = await ask("PUT", "/default/own", customer(1), "x");
    expect([put.status, put.code]).toEqual([403, "AccessDenied"]);
    expect((await ask("GET", "/default/before", customer(1))).status).toBe(200);
    await set("<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>");
    expect((await ask("PUT", "/default/own", customer(1), "x")).status).toBe(200);
    await ask("DELETE", "/default?encryption");
  });

  test.each([
    ["nothing", ""],
    ["an unknown algorithm", byDefault("AES512")],
    ["an unknown element", `${byDefault("AES256")}<Other/>`],
    ["an unknown type", "<BlockedEncryptionTypes><EncryptionType>SSE-D</EncryptionType></BlockedEncryptionTypes>"],
    ["two rules", `${byDefault("AES256")}</Rule><Rule>${byDefault("AES256")}`],
  ])("that says %s is malformed", async (_, rule) => {
    const answer = await set(rule);
    expect([answer.status, answer.code]).toEqual([400, "MalformedXML"]);
  });

  test("with a key has to be KMS", async () => {
    expect((await set(byDefault("AES256", "testkey-1"))).code).toBe("InvalidArgument");
  });
});

describe("uploads in parts", () => {
  const part = (fill: number, size: number): Buffer => Buffer.concat([randomBytes(size - 1), Buffer.of(fill)]);

  async function upload(key: string, write: Headers, each: Headers, parts: readonly Buffer[]): Promise<Answer> {
    const begun = await ask("POST", `${key}?uploads`, write);
    expect(begun.status).toBe(200);
    const id = /<UploadId>(.*?)<\/UploadId>/.exec(begun.body.toString())![1]!;
    let list = "";
    for (const [index, bytes] of parts.entries()) {
      const put = await ask("PUT", `${key}?partNumber=${index + 1}&uploadId=${id}`, each, bytes);
      expect(put.status).toBe(200);
      list += `<Part><PartNumber>${index + 1}</PartNumber><ETag>${put.headers.get("etag")!}</ETag></Part>`;
    }
    const xml = `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`;
    return ask("POST", `${key}?uploadId=${id}`, each, xml);
  }

  test.each(modes)("%s: any range comes back, across parts", async (name, write, read) => {
    const key = `/bucket/parts-${encodeURIComponent(name)}`;
    const size = 5 * 1024 * 1024;
    const parts = [part(1, size + 1), part(2, size + 7), part(3, 100)];
    const done = await upload(key, write, name === "SSE-C" ? read : {}, parts);
    expect([done.status, done.code]).toEqual([200, undefined]);
    const plain = Buffer.concat(parts);
    const got = await ask("GET", key, read);
    expect(got.body.equals(plain)).toBe(true);
    expect(got.headers.get("etag")).toMatch(/^"[0-9a-f]{32}-3"$/);
    for (const [first, last] of [
      [0, 40],
      [size - 3, size + 30],
      [size + 1, 2 * size + 20],
      [plain.length - 130, plain.length - 1],
    ] as const) {
      const range = await ask("GET", key, { ...read, range: `bytes=${first}-${last}` });
      expect(range.body.equals(plain.subarray(first, last + 1))).toBe(true);
    }
    const second = await ask("GET", `${key}?partNumber=2`, read);
    expect(second.body.equals(parts[1]!)).toBe(true);
    expect(await isOnDisk(parts[0]!.subarray(1000, 1064))).toBe(false);
  });

  test("parts must come with the upload's customer key, and with none where it has none", async () => {
    const begin = async (headers: Headers): Promise<string> => {
      const begun = await ask("POST", "/bucket/sse-c-parts?uploads", headers);
      return /<UploadId>(.*?)<\/UploadId>/.exec(begun.body.toString())![1]!;
    };
    const put = async (id: string, headers: Headers) => {
      const answer = await ask("PUT", `/bucket/sse-c-parts?partNumber=1&uploadId=${id}`, headers, "x");
      return [answer.status, answer.code];
    };
    const id = await begin(customer(1));
    expect(await put(id, {})).toEqual([400, "InvalidRequest"]);
    expect(await put(id, customer(2))).toEqual([400, "InvalidRequest"]);
    expect(await put(id, { ...customer(1), [customerMd5]: "AAAAAAAAAAAAAAAAAAAAAA==" })).toEqual([
      400,
      "InvalidArgument",
    ]);
    expect(await put(id, customer(1))).toEqual([200, undefined]);
    const open = await begin({});
    expect(await put(open, customer(1))).toEqual([400, "InvalidRequest"]);
    expect(await put(await begin(kms("testkey-1")), kms("testkey-1"))).toEqual([200, undefined]);
    const xml = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>`;
    expect((await ask("POST", `/bucket/sse-c-parts?uploadId=${id}`, customer(2), xml)).status).toBe(400);
  });
});

describe("copies", () => {
  const sources: readonly (readonly [string, Headers, Headers])[] = [
    ["plain", {}, {}],
    ["SSE-C", customer(1), customer(1, "x-amz-copy-source")],
    ...modes.slice(1).map(([name, write]) => [name, write, {}] as const),
  ];
  const targets: readonly (readonly [string, Headers, Headers])[] = [
    ["plain", {}, {}],
    ["SSE-C", customer(2), customer(2)],
    ...modes.slice(1),
  ];
  const plain = randomBytes(70_000);
  beforeAll(async () => {
    for (const [name, write] of sources) await ask("PUT", `/bucket/from-${encodeURIComponent(name)}`, write, plain);
  });

  test.each(
    sources.flatMap(([from, , open]) => targets.map(([to, write, read]) => [from, to, open, write, read] as const)),
  )("from %s to %s have the same bytes, and are encrypted as asked for", async (from, to, open, write, read) => {
    const source = { "x-amz-copy-source": `/bucket/from-${encodeURIComponent(from)}` };
    const copied = await ask("PUT", "/bucket/copied", { ...source, ...open, ...write });
    expect([copied.status, copied.code]).toEqual([200, undefined]);
    const got = await ask("GET", "/bucket/copied", read);
    expect(got.body.equals(plain)).toBe(true);
    expect(got.headers.get(sse)).toBe(write[sse] ?? null);
    expect(got.headers.get(customerMd5)).toBe(write[customerMd5] ?? null);
    const isMd5 = got.headers.get("etag") === `"${md5(plain)}"`;
    expect(isMd5).toBe(to === "plain" || to === "SSE-S3");
    const range = await ask("GET", "/bucket/copied", { ...read, range: "bytes=69000-69099" });
    expect(range.body.equals(plain.subarray(69_000, 69_100))).toBe(true);
  });

  test("of a customer's object need its key", async () => {
    const source = { "x-amz-copy-source": "/bucket/from-SSE-C" };
    const without = await ask("PUT", "/bucket/copied", source);
    expect([without.status, without.code]).toEqual([400, "InvalidRequest"]);
    const wrong = await ask("PUT", "/bucket/copied", { ...source, ...customer(2, "x-amz-copy-source") });
    expect([wrong.status, wrong.code]).toEqual([403, "AccessDenied"]);
    const none = await ask("PUT", "/bucket/copied", {
      "x-amz-copy-source": "/bucket/from-plain",
      ...customer(2, "x-amz-copy-source"),
    });
    expect([none.status, none.code]).toEqual([400, "InvalidRequest"]);
  });
});

test.each(modes)("a form can ask for %s", async (name, write, read) => {
  const key = `form-${encodeURIComponent(name)}`;
  const fields = { bucket: "bucket", key, ...write };
  const conditions = Object.entries(fields).map(([field, value]) => ["eq", `$${field}`, value]);
  const expiration = new Date(host.clock.now() + 60_000).toISOString();
  const signed = signForm(keys, { expiration, conditions });
  const { headers, body } = formBody({ ...fields, ...signed }, { content: "what the form brings" });
  const posted = await fetch(`${endpoint}/bucket`, { method: "POST", headers, body });
  expect([posted.status, await posted.text()]).toEqual([204, ""]);
  const got = await ask("GET", `/bucket/${encodeURIComponent(key)}`, read);
  expect(got.body.toString()).toBe("what the form brings");
  expect(got.headers.get(sse)).toBe(write[sse] ?? null);
});
