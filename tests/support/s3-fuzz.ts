/**
 * Requests as no client would send them, by grammar and by mutation, and what has to hold whatever they are: no answer says
 * that the store failed, every error is S3's, and what is listed can be read.
 *
 * Requests are plain JSON, so that one that was found is kept in tests/regressions/s3.json and replayed.
 */
import fc from "fast-check";
import { operations } from "../../src/gateways/s3/operations.ts";
import { documents, spoilings } from "./s3-documents.ts";
import { headerNames, numbers, texts, values } from "./s3-fuzz-words.ts";
import { md5, problemOf, type RawAnswer, S3Session, S3Socket } from "./s3-session.ts";
import {
  formBody,
  presign,
  sha256,
  signChunks,
  signForm,
  signHeader,
  type SignedRequest,
  wireBytes,
} from "./s3-signer.ts";
import { type Belongings } from "./store.ts";

export type Signing =
  | "header"
  | "unsigned payload"
  | "query"
  | "chunks"
  | "signed trailer"
  | "unsigned trailer"
  | "none";

export interface FuzzRequest {
  readonly method: string;
  /** With the query, as sent. UPLOAD and VERSION stand for one that is there. */
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  /** Characters are bytes. */
  readonly body: string | null;
  readonly signing: Signing;
}

/** Nothing of what a body says about itself: it is wrong by chance already. */
const silentBodies: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);

export class S3Target {
  readonly session: S3Session;
  #socket: S3Socket | undefined;
  #upload = "";
  #version = "";

  private constructor(session: S3Session) {
    this.session = session;
  }

  static async open(belongings: Belongings): Promise<S3Target> {
    const target = new S3Target(await S3Session.open(belongings));
    belongings.add(() => target.#socket?.close());
    await target.prepare();
    return target;
  }

  /** What the requests of the grammar are about, as far as earlier ones have not left it. */
  async prepare(): Promise<void> {
    const { session } = this;
    for (const bucket of ["bucket", "acls", "versions", "locked"]) {
      await session.ask("DELETE", `/${bucket}?policy`);
      await session.ask("PUT", `/${bucket}`, {
        ...(bucket === "locked" ? { "x-amz-bucket-object-lock-enabled": "true" } : {}),
        ...(bucket === "acls" ? { "x-amz-object-ownership": "ObjectWriter" } : {}),
      });
    }
    await session.ask(
      "PUT",
      "/versions?versioning",
      {},
      "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    );
    for (const path of ["/bucket/object", "/bucket/a/b", "/acls/object", "/locked/object"]) {
      await session.ask("PUT", path, {}, "some bytes");
    }
    await session.ask("PUT", "/bucket/large", {}, Buffer.alloc(300_000, "large "));
    const put = await session.ask("PUT", "/versions/object", {}, "a version");
    this.#version = put.headers.get("x-amz-version-id") ?? "null";
    const created = await session.ask("POST", "/bucket/upload?uploads");
    this.#upload = /<UploadId>(.*?)</.exec(created.body.toString())?.[1] ?? "none";
    await session.ask("PUT", `/bucket/upload?uploadId=${this.#upload}&partNumber=1`, {}, "a part");
  }

  /** What is wrong with how it was answered. */
  async problem(request: FuzzRequest): Promise<string | undefined> {
    const { method } = request;
    const logged = this.session.logged.length;
    const answer = await this.#exchange(this.bytes(request), method);
    const failures = this.session.logged.slice(logged).filter((line) => /"level":"error"|"stack"/.test(line));
    if (failures.length > 0) return `logged: ${failures[0]}`;
    if (answer === undefined) return undefined;
    const { status } = answer;
    if (status === 500 || status === 502 || status === 503) return `${status} ${answer.body.toString()}`;
    if (status < 400 || method === "HEAD") return undefined;
    try {
      return problemOf(answer);
    } catch (error) {
      return `${String(error)}: ${answer.body.toString()}`;
    }
  }

  bytes(request: FuzzRequest): Uint8Array {
    const path = request.path.replace("UPLOAD", this.#upload).replace("VERSION", this.#version);
    const { method, headers, signing } = request;
    const url = `${this.session.endpoint}${path}`;
    const body =
      request.body === null ? undefined : Buffer.from(request.body.replace("UPLOAD", this.#upload), "latin1");
    const plain = { method, url, headers, ...(body === undefined ? {} : { body }) };
    return wireBytes(signedBy(this.session, plain, signing));
  }

  /** Undefined where the connection ended without an answer. */
  async #exchange(bytes: Uint8Array, method: string): Promise<RawAnswer | undefined> {
    this.#socket ??= await S3Socket.connect(this.session.port);
    const socket = this.#socket;
    socket.send(bytes);
    const answer = await socket.answer(method).catch(() => undefined);
    if (answer === undefined || answer.headers.get("connection") === "close") {
      socket.close();
      this.#socket = undefined;
    }
    return answer;
  }

  /** Every version that is listed can be read, and is what its ETag says. */
  async inconsistency(): Promise<string | undefined> {
    const { datastore, router } = this.session.running.gateway!.services;
    for (const { name } of await datastore.listBuckets()) {
      const page = await datastore.listVersions({
        bucket: name,
        prefix: "",
        delimiter: undefined,
        after: undefined,
        limit: 1000,
      });
      for (const { key, object, attributes } of page.items) {
        if (object === undefined) continue;
        const record = await datastore.getObject(object);
        if (record?.status !== "saved") return `${name}/${key} is listed, its object is ${record?.status}`;
        const etag = JSON.stringify(attributes["etag"]).slice(1, -1);
        const bytes = await router.get(record);
        const isHash = attributes["encryption"] === undefined && !etag.includes("-") && record.content.kind === "runs";
        if (isHash && md5(bytes) !== etag) return `${name}/${key} has the ETag ${etag}, and is ${md5(bytes)}`;
      }
    }
    return undefined;
  }
}

function signedBy(session: S3Session, plain: Parameters<typeof signHeader>[1], signing: Signing): SignedRequest {
  const unsigned = { method: plain.method, url: plain.url, headers: { ...plain.headers }, ...bodyOf(plain) };
  try {
    switch (signing) {
      case "header":
        return signHeader(session.keys, plain);
      case "unsigned payload":
        return signHeader(session.keys, { ...plain, payload: "unsigned" });
      case "query":
        return { ...unsigned, url: presign(session.keys, plain) };
      case "chunks":
        return signChunks(session.keys, plain, { signed: true, chunkSize: 8_192 });
      case "signed trailer":
        return signChunks(session.keys, plain, {
          signed: true,
          chunkSize: 8_192,
          trailer: ["x-amz-checksum-crc32", "AAAAAA=="],
        });
      case "unsigned trailer":
        return signChunks(session.keys, plain, { signed: false, trailer: ["x-amz-checksum-crc32", "AAAAAA=="] });
      case "none":
      default:
        return unsigned;
    }
  } catch {
    // A path that cannot be decoded cannot be signed either.
    return unsigned;
  }
}

function bodyOf({ body }: { readonly body?: Uint8Array | string }): { readonly body?: Uint8Array<ArrayBuffer> } {
  return body === undefined ? {} : { body: new Uint8Array(Buffer.from(body)) };
}

// ── the grammar ─────────────────────────────────────────────────────────────────────────────────────────────────────

const buckets = weighted(
  ["bucket", "versions", "acls", "locked"],
  ["missing", "new-one", "Bad_Bucket", "a", "..", "%00", "%FF"],
);
const keys = weighted(
  ["object", "object", "large", "a/b", "upload", "new"],
  [
    "%00",
    "%ff",
    "%",
    "%zz",
    "%C3%28",
    "..",
    "../x",
    "a//b",
    "/",
    "%2F",
    "%F0%9F%92%A9",
    "x".repeat(1_025),
    "a%01b",
    "%EF%BF%BF",
    "+",
    "%20",
    "null",
    "__proto__",
  ],
);

/** The first ones six times as often. */
function weighted(usual: readonly string[], odd: readonly string[]): readonly string[] {
  const times = Math.ceil((6 * odd.length) / usual.length);
  return [...Array.from({ length: times }, () => usual).flat(), ...odd];
}

const parameterNames = [
  ...new Set(
    operations.flatMap(({ when, parameters }) => [
      ...(when === undefined ? [] : [typeof when === "string" ? when : when.parameter]),
      ...(parameters ?? []),
    ]),
  ),
  "unknown",
  "X-Amz-Expires",
  "x-id",
  "x-amz-acl",
  "x-amz-checksum-mode",
  "__proto__",
];

const methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"];

const pick = <Value>(list: readonly Value[]): fc.Arbitrary<Value> => fc.constantFrom(...list);

const value = fc.oneof(
  { weight: 8, arbitrary: pick(values) },
  { weight: 1, arbitrary: fc.string({ maxLength: 30 }).map(headerSafe) },
);
const headers = fc
  .array(
    fc.tuple(
      fc.oneof(
        { weight: 4, arbitrary: pick(headerNames) },
        { weight: 1, arbitrary: pick(["x-amz-meta-x", "x-amz-unknown", "x-unknown"]) },
      ),
      value,
    ),
    { maxLength: 4 },
  )
  .map((list) => Object.fromEntries(list));

function headerSafe(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[^\t\x20-\x7e\x80-\xff]/g, "?").trim();
}

const parameter = fc
  .tuple(pick(parameterNames), fc.oneof(pick(texts), pick(numbers)))
  .map(([name, text]) => `${name}=${text}`);
const moreParameters = fc.array(parameter, { maxLength: 3 });

/** Bytes cut, put in, doubled, changed. */
export function mutated(text: string): fc.Arbitrary<string> {
  const change = fc.tuple(fc.nat(), fc.nat(40), pick(["cut", "put", "double", "change"]), pick([...mutants]));
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    let now = text;
    for (const [where, size, how, what] of changes) {
      const at = now.length === 0 ? 0 : where % now.length;
      const [head, middle, tail] = [now.slice(0, at), now.slice(at, at + size), now.slice(at + size)];
      if (how === "cut") now = head + tail;
      else if (how === "put") now = head + what + middle + tail;
      else if (how === "double") now = head + middle + middle + tail;
      else now = head + what + tail;
    }
    return now;
  });
}

const mutants = [
  "\0",
  "\xff",
  "<",
  ">",
  "&",
  "&amp;",
  "&#x0;",
  "&#65;",
  "<!--",
  "]]>",
  "<![CDATA[",
  '"',
  "'",
  "-1",
  "0",
  "99999999999999999999",
  "1e9",
  "\r\n",
  "\n\n",
  "%00",
  "null",
  "true",
  "{}",
  "[]",
  " ",
  "<a/>",
  "<Key></Key>",
  "<Status>Enabled</Status>",
  "x".repeat(1_100),
  "\xc3\x28",
  "__proto__",
];

const bodies: fc.Arbitrary<string | null> = fc.oneof(
  { weight: 2, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.constant("") },
  { weight: 1, arbitrary: fc.constant("some bytes") },
  { weight: 1, arbitrary: fc.nat(30_000).map((size) => "b".repeat(size)) },
);
const documentOf = (index: number): string => documents[index]!.body;
const document = fc.nat(documents.length - 1).chain((index) =>
  fc.oneof(
    fc.constant(documentOf(index)),
    mutated(documentOf(index)),
    fc.nat(spoilings.length - 1).map((way) => {
      const spoiled = spoilings[way]![1](documentOf(index));
      // Those nested deep have their own test; here they would be most of the time.
      return Buffer.from(spoiled).toString("latin1").slice(0, 20_000);
    }),
  ),
);

const signing = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Signing>("header") },
  {
    weight: 2,
    arbitrary: pick<Signing>(["unsigned payload", "query", "chunks", "signed trailer", "unsigned trailer", "none"]),
  },
);

const path = fc.tuple(pick(buckets), fc.option(pick(keys), { nil: undefined, freq: 3 }));

function pathOf(bucket: string, key: string | undefined, query: readonly string[]): string {
  return `/${bucket}${key === undefined ? "" : `/${key}`}${query.length === 0 ? "" : `?${query.join("&")}`}`;
}

/** An operation as it is, with arguments that it may or may not know. */
const operation: fc.Arbitrary<FuzzRequest> = pick(operations).chain((one) => {
  const selector =
    one.when === undefined
      ? []
      : typeof one.when === "string"
        ? [one.when]
        : [`${one.when.parameter}=${one.when.value}`];
  const own = fc.array(
    fc.tuple(pick(one.parameters?.length ? one.parameters : ["x-id"]), fc.oneof(pick(texts), pick(numbers))),
    { maxLength: 3 },
  );
  const isUpload = one.when === "uploadId";
  return fc
    .record({
      bucket: pick(buckets),
      key: pick(keys),
      own,
      headers,
      document,
      plain: bodies,
      asDocument: fc.boolean(),
      copy: value,
      signing,
    })
    .map(({ bucket, key, own: added, headers: some, document: xml, plain, asDocument, copy, signing: how }) => ({
      method: one.method,
      path: pathOf(
        one.scope === "service" ? "" : isUpload ? "bucket" : bucket,
        one.scope === "object" ? (isUpload ? "upload" : key) : undefined,
        [
          ...selector.map((name) => (isUpload ? "uploadId=UPLOAD" : name)),
          ...added.map(([name, text]) => `${name}=${text}`),
        ],
      ),
      headers: one.header === undefined ? some : { ...some, [one.header]: copy },
      body: silentBodies.has(one.method) ? null : asDocument ? xml : plain,
      signing: how,
    }));
});

/** An operation's own document at its own place, spoiled. */
const submission: fc.Arbitrary<FuzzRequest> = pick(documents).chain((one) =>
  fc.record({
    method: fc.constant(one.method),
    path: fc.constant(one.path),
    headers: one.digest === true ? fc.constant({ "x-amz-checksum-algorithm": "CRC32" }) : headers,
    body: fc.oneof(mutated(one.body), mutated(one.body), document),
    signing: pick<Signing>(["header", "unsigned payload"]),
  }),
);

const anything: fc.Arbitrary<FuzzRequest> = fc
  .record({ method: pick(methods), path, query: moreParameters, headers, body: fc.oneof(bodies, document), signing })
  .map(({ method, path: [bucket, key], query, ...rest }) => ({ method, path: pathOf(bucket, key, query), ...rest }));

export const fuzzRequest: fc.Arbitrary<FuzzRequest> = fc.oneof(
  { weight: 5, arbitrary: operation },
  { weight: 3, arbitrary: submission },
  { weight: 2, arbitrary: anything },
);

// ── bytes of good requests, changed ─────────────────────────────────────────────────────────────────────────────────

/** A session's requests as they are on the wire. */
export function traffic(session: S3Session): readonly Uint8Array[] {
  const url = (path: string): string => `${session.endpoint}${path}`;
  const content = Buffer.alloc(20_000, "content ");
  const signed = [
    session.sign("GET", "/"),
    session.sign("PUT", "/bucket"),
    session.sign("PUT", "/bucket/object", { "x-amz-meta-a": "b" }, "some bytes"),
    session.sign("GET", "/bucket/object", { range: "bytes=1-3" }),
    session.sign("HEAD", "/bucket/object"),
    session.sign("GET", "/bucket?list-type=2&prefix=o&max-keys=2"),
    session.sign("POST", "/bucket/up?uploads"),
    session.sign("PUT", "/bucket?versioning", {}, documents.find(({ name }) => name === "PutBucketVersioning")!.body),
    session.sign("PUT", "/bucket/copy", { "x-amz-copy-source": "/bucket/object" }),
    session.sign("DELETE", "/bucket/copy"),
    { method: "GET", url: presign(session.keys, { method: "GET", url: url("/bucket/object") }), headers: {} },
    ...chunked(session, content),
    form(session),
  ];
  return signed.map((request) => wireBytes(request));
}

export function chunked(session: S3Session, body: Uint8Array): readonly SignedRequest[] {
  const plain = { method: "PUT", url: `${session.endpoint}/bucket/chunked`, body };
  const trailer = ["x-amz-checksum-sha256", Buffer.from(sha256(body), "hex").toString("base64")] as const;
  return [
    signChunks(session.keys, plain, { signed: true, chunkSize: 8_192 }),
    signChunks(session.keys, plain, { signed: true, chunkSize: 8_192, trailer }),
    signChunks(session.keys, plain, { signed: false, chunkSize: 8_192, trailer }),
  ];
}

export function form(session: S3Session): SignedRequest {
  const conditions = [{ bucket: "bucket" }, ["starts-with", "$key", ""], ["content-length-range", 0, 100_000]];
  const expiration = new Date(Date.now() + 600_000).toISOString();
  const fields = { key: "form/${filename}", ...signForm(session.keys, { expiration, conditions }) };
  const made = formBody(fields, { content: "the file", filename: "f.txt", type: "text/plain" });
  return { method: "POST", url: `${session.endpoint}/bucket`, headers: made.headers, body: made.body };
}
