/**
 * Signs S3 requests for tests, written from AWS's documentation and sharing nothing with src/gateways/s3/auth: where the
 * two disagree one of them is wrong.
 *
 *     const keys = { accessKey, secretKey };                                    // region: us-east-1 where none is given
 *     const request = signHeader(keys, { method: "PUT", url: "http://127.0.0.1:9000/b/k%20ey", body });
 *     await fetch(request.url, { method: request.method, headers: request.headers, body: request.body });
 *     socket.write(wireBytes(request));                                          // the same on a raw socket, with Host
 *
 * - `signHeader`   Authorization header; `payload`: "hash" (as a rule), "unsigned", or the text of x-amz-content-sha256
 * - `presign`      a URL that is valid for `expiresSeconds`
 * - `signChunks`   aws-chunked: signed or unsigned chunks, with or without a trailer; gives headers and the encoded body
 * - `signForm`     the fields of a POST form for a policy; `formBody` makes multipart/form-data of fields and a file
 *
 * `url` has path and query as they are to be sent: percent-encode a key with `encodeKey`. `now` is in milliseconds and
 * is the machine's where it is not given.
 */
import { createHash, createHmac } from "node:crypto";

export interface SignerKeys {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region?: string;
}

export interface PlainRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: Uint8Array | string;
  readonly now?: number;
  readonly payload?: "hash" | "unsigned" | (string & {});
}

export interface SignedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: { [name: string]: string };
  readonly body?: Uint8Array<ArrayBuffer>;
}

export function signHeader(keys: SignerKeys, plain: PlainRequest): SignedRequest {
  const body = plain.body === undefined ? undefined : bytesOf(plain.body);
  return signWith(keys, plain, payloadHash(plain.payload ?? "hash", body), body).request;
}

export function presign(keys: SignerKeys, plain: PlainRequest, expiresSeconds: number | string = 300): string {
  const url = new URL(plain.url);
  const date = basicDate(plain.now ?? Date.now());
  const headers: { [name: string]: string } = { ...lowerCase(plain.headers ?? {}), host: url.host };
  const signedHeaders = Object.keys(headers).sort().join(";");
  const parameters = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": `${keys.accessKey}/${scopeOf(keys, date)}`,
    "X-Amz-Date": date,
    "X-Amz-Expires": String(expiresSeconds),
    "X-Amz-SignedHeaders": signedHeaders,
  };
  const added = Object.entries(parameters).map(([name, value]) => `${name}=${encode(value)}`);
  const query = [...(url.search === "" ? [] : [url.search.slice(1)]), ...added].join("&");
  const whole = `${url.origin}${rawPath(plain.url)}?${query}`;
  const signature = signatureOf(
    keys,
    date,
    canonical(plain.method, whole, headers, headers["x-amz-content-sha256"] ?? "UNSIGNED-PAYLOAD"),
  );
  return `${whole}&X-Amz-Signature=${signature}`;
}

export interface ChunkOptions {
  readonly signed: boolean;
  readonly chunkSize?: number;
  /** One header, sent behind the body: `["x-amz-checksum-crc32", "…"]`. */
  readonly trailer?: readonly [name: string, value: string];
}

/** Content-Length is that of the encoded body; x-amz-decoded-content-length that of `plain.body`. */
export function signChunks(keys: SignerKeys, plain: PlainRequest, options: ChunkOptions): SignedRequest {
  const { signed, chunkSize = 65_536, trailer } = options;
  const content = bytesOf(plain.body ?? "");
  const headers = {
    "content-encoding": "aws-chunked",
    ...plain.headers,
    "x-amz-decoded-content-length": String(content.length),
    ...(trailer === undefined ? {} : { "x-amz-trailer": trailer[0] }),
  };
  const kind = signed
    ? `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${trailer === undefined ? "" : "-TRAILER"}`
    : "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
  const { request, date, signature } = signWith(keys, { ...plain, headers }, kind, undefined);
  let previous = signature;
  const sign = (type: string, ...hashes: string[]): string => {
    const text = [`AWS4-HMAC-SHA256-${type}`, date, scopeOf(keys, date), previous, ...hashes].join("\n");
    previous = hmac(signingKey(keys, date), text).toString("hex");
    return previous;
  };
  const pieces: Uint8Array[] = [];
  for (let at = 0; ; at += chunkSize) {
    const chunk = content.subarray(at, at + chunkSize);
    const extension = signed ? `;chunk-signature=${sign("PAYLOAD", sha256(""), sha256(chunk))}` : "";
    pieces.push(bytesOf(`${chunk.length.toString(16)}${extension}\r\n`), chunk);
    if (chunk.length === 0) break;
    pieces.push(bytesOf("\r\n"));
  }
  if (trailer !== undefined) {
    pieces.push(bytesOf(`${trailer[0]}:${trailer[1]}\r\n`));
    if (signed) {
      const trailerSignature = sign("TRAILER", sha256(`${trailer[0]}:${trailer[1]}\n`));
      pieces.push(bytesOf(`x-amz-trailer-signature:${trailerSignature}\r\n`));
    }
  }
  pieces.push(bytesOf("\r\n"));
  return { ...request, body: joined(pieces) };
}

/** The fields that a form with this policy must have, the policy's own conditions included. */
export function signForm(
  keys: SignerKeys,
  policy: { readonly expiration: string; readonly conditions: readonly unknown[] },
  now = Date.now(),
): { [name: string]: string } {
  const date = basicDate(now);
  const fields = {
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": `${keys.accessKey}/${scopeOf(keys, date)}`,
    "x-amz-date": date,
  };
  const own = Object.entries(fields).map(([name, value]) => ({ [name]: value }));
  const text = JSON.stringify({ ...policy, conditions: [...policy.conditions, ...own] });
  const encoded = Buffer.from(text).toString("base64");
  return { ...fields, policy: encoded, "x-amz-signature": hmac(signingKey(keys, date), encoded).toString("hex") };
}

export interface FormFile {
  readonly content: Uint8Array | string;
  readonly filename?: string;
  readonly type?: string;
}

export function formBody(
  fields: { readonly [name: string]: string } | readonly (readonly [string, string])[],
  file?: FormFile,
  boundary = "----boundary7MA4YWxkTrZu0gW",
): { readonly headers: { "content-type": string }; readonly body: Uint8Array<ArrayBuffer> } {
  const list = Array.isArray(fields) ? (fields as [string, string][]) : Object.entries(fields);
  const pieces = list.map(([name, value]) =>
    bytesOf(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`),
  );
  if (file !== undefined) {
    const filename = file.filename ?? "file.txt";
    const type = file.type === undefined ? "" : `Content-Type: ${file.type}\r\n`;
    const disposition = `Content-Disposition: form-data; name="file"; filename="${filename}"`;
    pieces.push(bytesOf(`--${boundary}\r\n${disposition}\r\n${type}\r\n`), bytesOf(file.content), bytesOf("\r\n"));
  }
  pieces.push(bytesOf(`--${boundary}--\r\n`));
  return { headers: { "content-type": `multipart/form-data; boundary=${boundary}` }, body: joined(pieces) };
}

/** A request as bytes, for sockets. Adds Host, Content-Length (where there is a body) and `extra`. */
export function wireBytes(request: SignedRequest, extra: { readonly [name: string]: string } = {}): Uint8Array {
  const url = new URL(request.url);
  const target = `${rawPath(request.url)}${url.search}`;
  const length = request.body === undefined ? {} : { "content-length": String(request.body.length) };
  const headers = { host: url.host, ...length, ...request.headers, ...extra };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`${request.method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1");
  return joined([head, request.body ?? new Uint8Array(0)]);
}

/** A key as it stands in a path. */
export function encodeKey(key: string): string {
  return key.split("/").map(encode).join("/");
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

// ── the signature ───────────────────────────────────────────────────────────────────────────────────────────────────

function signWith(
  keys: SignerKeys,
  plain: PlainRequest,
  contentHash: string,
  body: Uint8Array<ArrayBuffer> | undefined,
): { readonly request: SignedRequest; readonly date: string; readonly signature: string } {
  const date = basicDate(plain.now ?? Date.now());
  const headers: { [name: string]: string } = {
    ...lowerCase(plain.headers ?? {}),
    "x-amz-content-sha256": contentHash,
    "x-amz-date": date,
  };
  const signed = { ...headers, host: new URL(plain.url).host };
  const signature = signatureOf(keys, date, canonical(plain.method, plain.url, signed, contentHash));
  const credential = `${keys.accessKey}/${scopeOf(keys, date)}`;
  const signedHeaders = Object.keys(signed).sort().join(";");
  headers["authorization"] =
    `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
  const request = { method: plain.method, url: plain.url, headers, ...(body === undefined ? {} : { body }) };
  return { request, date, signature };
}

function payloadHash(payload: string, body: Uint8Array | undefined): string {
  if (payload === "hash") return sha256(body ?? "");
  return payload === "unsigned" ? "UNSIGNED-PAYLOAD" : payload;
}

function canonical(method: string, url: string, headers: { readonly [name: string]: string }, hash: string): string {
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name]!.trim().replace(/ +/g, " ")}\n`).join("");
  const path = rawPath(url)
    .split("/")
    .map((segment) => encode(decodeURIComponent(segment)))
    .join("/");
  const search = new URL(url).search.slice(1);
  const pairs = search === "" ? [] : search.split("&").map((pair) => pair.split("=", 2) as [string, string?]);
  const query = pairs
    .map(([name, value]) => [encode(decodeURIComponent(name)), encode(decodeURIComponent(value ?? ""))] as const)
    .sort((one, other) => compare(one[0], other[0]) || compare(one[1], other[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
  return [method, path, query, lines, names.join(";"), hash].join("\n");
}

/** URL would resolve "." and "..", which are keys like any other. */
function rawPath(url: string): string {
  return /^[a-z]+:\/\/[^/?]*([^?]*)/.exec(url)?.[1] || "/";
}

function signatureOf(keys: SignerKeys, date: string, canonicalRequest: string): string {
  const text = ["AWS4-HMAC-SHA256", date, scopeOf(keys, date), sha256(Buffer.from(canonicalRequest, "latin1"))].join(
    "\n",
  );
  return hmac(signingKey(keys, date), text).toString("hex");
}

function signingKey({ secretKey, region }: SignerKeys, date: string): Buffer {
  const parts = [date.slice(0, 8), region ?? "us-east-1", "s3", "aws4_request"];
  return parts.reduce<Buffer>((key, part) => hmac(key, part), Buffer.from(`AWS4${secretKey}`));
}

function scopeOf({ region }: SignerKeys, date: string): string {
  return `${date.slice(0, 8)}/${region ?? "us-east-1"}/s3/aws4_request`;
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function basicDate(time: number): string {
  return new Date(time).toISOString().replace(/[-:]|\.\d+/g, "");
}

function lowerCase(headers: { readonly [name: string]: string }): { [name: string]: string } {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function bytesOf(value: Uint8Array | string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(value));
}

function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(pieces));
}
