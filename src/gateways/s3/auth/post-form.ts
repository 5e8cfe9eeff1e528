/**
 * Form uploads from browsers (docs.aws.amazon.com, "Browser-Based Uploads Using POST"): who signed the form's policy,
 * whether the form keeps to it, and the upload as a PUT of the same object would have asked for it.
 *
 * Forms are the one thing that may also be signed by Signature Version 2 (HMAC-SHA1 over the policy): pages with such
 * forms live long, and what is signed is the policy alone in either version.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Digests } from "../../../env/digests.ts";
import type { HttpBody, HttpHeaders, HttpRequest } from "../../../env/http.ts";
import { readForm } from "../body/form-reader.ts";
import { formBoundary } from "../body/multipart-form.ts";
import type { RequestBody } from "../body/request-body.ts";
import { openBody } from "../body/signed-body.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import { parseXml } from "../protocol/xml.ts";
import type { Accounts } from "./accounts.ts";
import { checkFormPolicy, checkFormSize, type FormPolicy, readFormPolicy } from "./form-policy.ts";
import { anonymous, type Authentication, type Identity } from "./identity.ts";
import { readBasicDate } from "./signed-dates.ts";
import { algorithm, readCredential, serviceName, signingKey, terminal } from "./sigv4.ts";

export interface PostForm {
  readonly authentication: Authentication;
  readonly key: string;
  /** By name in lower case. */
  readonly fields: ReadonlyMap<string, string>;
  /** With the fields as the headers that a PUT would have, and the file as its body. */
  readonly request: S3Request;
  readonly file: RequestBody;
}

export interface PostFormOptions {
  readonly accounts: Pick<Accounts, "find">;
  readonly digests: Digests;
  readonly now: number;
}

type Fields = ReadonlyMap<string, string>;

/** Resolves when the fields are there and in order; the client waits with the file until it is read. */
export async function readPostForm(request: S3Request, options: PostFormOptions): Promise<PostForm> {
  const boundary = formBoundary(request.header("content-type"));
  if (boundary === undefined) {
    throw new S3Error("PreconditionFailed", undefined, {
      elements: { Condition: "Bucket POST must be of the enclosure-type multipart/form-data" },
    });
  }
  const start = await readForm(request.http.body, boundary);
  const key = keyOf(start.fields, start.filename);
  const { identity, policy, signedAt } = await authenticated(start.fields, options);
  if (policy !== undefined) {
    const fields = new Map(start.fields).set("key", key).set("bucket", request.bucket ?? "");
    checkFormPolicy(policy, fields, options.now);
  }
  const payload = { kind: "unsigned" } as const;
  const type = identity === anonymous ? "anonymous" : "form";
  const authentication: Authentication = { identity, payload, type, signedAt };
  const asPut = putRequest(request, key, start.fields, limited(start.file, policy));
  return {
    authentication,
    key,
    fields: start.fields,
    request: asPut,
    file: openBody(asPut, authentication, options.digests),
  };
}

function keyOf(fields: Fields, filename: string | undefined): string {
  const key = required(fields, "key", "key");
  if (key === "") throw invalidArgument("key", "", "User key must have a length greater than 0.");
  if (!key.includes("${filename}")) return key;
  // Some browsers send the whole path.
  const name = (filename ?? "").replace(/^.*[/\\]/, "");
  return key.replaceAll("${filename}", () => name);
}

function required(fields: Fields, name: string, written: string): string {
  const value = fields.get(name);
  if (value !== undefined) return value;
  const message = `Bucket POST must contain a field named '${written}'.  If it is specified, please check the order of the fields.`;
  throw invalidArgument(written, "", message);
}

// ── the signature ───────────────────────────────────────────────────────────────────────────────────────────────────

interface Authenticated {
  readonly identity: Identity;
  readonly policy: FormPolicy | undefined;
  readonly signedAt: number | undefined;
}

const version4Names = ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];
const version2Names = ["awsaccesskeyid", "signature"];

async function authenticated(fields: Fields, { accounts }: PostFormOptions): Promise<Authenticated> {
  const is4 = version4Names.some((name) => fields.has(name));
  const is2 = !is4 && version2Names.some((name) => fields.has(name));
  if (!is4 && !is2 && !fields.has("policy")) return { identity: anonymous, policy: undefined, signedAt: undefined };
  const token = fields.get("x-amz-security-token");
  if (token !== undefined) throw new S3Error("InvalidToken", undefined, { elements: { "Token-0": token } });
  const text = required(fields, "policy", "policy");
  const signature = is2 ? version2(fields, text) : version4(fields, text);
  const key = await accounts.find(signature.accessKey);
  if (key === undefined) {
    throw new S3Error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", {
      elements: { AWSAccessKeyId: signature.accessKey },
    });
  }
  if (!isSame(signature.expected(key.secretKey), signature.provided)) {
    throw new S3Error("SignatureDoesNotMatch", undefined, {
      elements: { AWSAccessKeyId: signature.accessKey, StringToSign: text, SignatureProvided: signature.provided },
    });
  }
  return { identity: { kind: "user", key }, policy: readFormPolicy(text), signedAt: signature.signedAt };
}

interface FormSignature {
  readonly accessKey: string;
  readonly provided: string;
  readonly signedAt: number | undefined;
  expected(secretKey: string): string;
}

function version2(fields: Fields, policy: string): FormSignature {
  return {
    accessKey: required(fields, "awsaccesskeyid", "AWSAccessKeyId"),
    provided: required(fields, "signature", "signature"),
    signedAt: undefined,
    expected: (secretKey) => createHmac("sha1", secretKey).update(policy, "utf8").digest("base64"),
  };
}

function version4(fields: Fields, policy: string): FormSignature {
  const named = required(fields, "x-amz-algorithm", "x-amz-algorithm");
  if (named !== algorithm) throw invalidArgument("x-amz-algorithm", named, `x-amz-algorithm must be ${algorithm}`);
  const text = required(fields, "x-amz-credential", "x-amz-credential");
  const date = required(fields, "x-amz-date", "x-amz-date");
  const provided = required(fields, "x-amz-signature", "x-amz-signature");
  const signedAt = readBasicDate(date);
  if (signedAt === undefined) {
    throw invalidArgument("x-amz-date", date, "x-amz-date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  }
  const credential = readCredential(text);
  if (
    credential === undefined ||
    credential.terminal !== terminal ||
    credential.service !== serviceName ||
    credential.date !== date.slice(0, 8) ||
    credential.region === ""
  ) {
    const rule = 'expecting "<YOUR-AKID>/YYYYMMDD/REGION/s3/aws4_request"';
    throw invalidArgument("x-amz-credential", text, `the Credential is mal-formed; ${rule}`);
  }
  return {
    accessKey: credential.accessKey,
    provided,
    signedAt,
    expected: (secretKey) =>
      createHmac("sha256", signingKey(secretKey, credential)).update(policy, "utf8").digest("hex"),
  };
}

function isSame(expected: string, provided: string): boolean {
  const [one, other] = [Buffer.from(expected), Buffer.from(provided)];
  return one.length === other.length && timingSafeEqual(one, other);
}

// ── the upload ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Headers of the request itself that conditions of policies, and the places that make addresses, look at. */
const keptHeaders = ["host", "referer", "user-agent", "origin"];
/** Fields that are headers of the same name, beside x-amz-*. */
const headerFields: ReadonlySet<string> = new Set([
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-md5",
  "content-type",
  "expires",
]);
/** What says how a request travels and is signed, which a form's fields cannot. */
const otherFields =
  /^x-amz-(algorithm|credential|date|signature|security-token|content-sha256|decoded-content-length|trailer|acl|tagging|copy-source.*)$/;

function putRequest(request: S3Request, key: string, fields: Fields, body: HttpBody): S3Request {
  const headers = headersOf(request.http.headers, fields);
  // Field by field: some of a request's are getters, which spreading would lose.
  const { method, target, peer, secure } = request.http;
  const http: HttpRequest = { method, target, peer, secure, headers, body };
  return { ...request, http, key, header: (name) => headers[name]?.trim() };
}

function headersOf(sent: HttpHeaders, fields: Fields): HttpHeaders {
  // How long the file is, is known at its end: as with this.
  const headers: { [name: string]: string } = { "transfer-encoding": "chunked" };
  for (const name of keptHeaders) if (sent[name] !== undefined) headers[name] = sent[name];
  for (const [name, value] of fields) {
    const isHeader = headerFields.has(name) || (name.startsWith("x-amz-") && !otherFields.test(name));
    if (isHeader) headers[name] = headerValue(name, value);
  }
  const acl = fields.get("acl") ?? fields.get("x-amz-acl");
  if (acl !== undefined) headers["x-amz-acl"] = headerValue("acl", acl);
  const tagging = fields.get("tagging");
  if (tagging !== undefined) headers["x-amz-tagging"] = taggingHeader(tagging);
  return headers;
}

/** Fields are UTF-8 and may have lines; headers are bytes and have none. */
function headerValue(name: string, value: string): string {
  if (/[\r\n\0]/.test(value)) throw invalidArgument(name, value, "A field cannot contain line breaks here.");
  return Buffer.from(value, "utf8").toString("latin1");
}

/** Forms have tags as XML, headers as a query. */
function taggingHeader(text: string): string {
  const tags = parseXml(Buffer.from(text), "Tagging").require("TagSet").all("Tag");
  const parts = tags.map((tag) =>
    [tag.requireValue("Key"), tag.requireValue("Value")].map(encodeURIComponent).join("="),
  );
  return parts.join("&");
}

/** Held to the policy's range: too much as soon as it is, too little at the end. */
function limited(file: HttpBody, policy: FormPolicy | undefined): HttpBody {
  return {
    size: undefined,
    read: async (take) => {
      let size = 0;
      await file.read((piece) => {
        size += piece.length;
        checkFormSize(policy, size, false);
        return take(piece);
      });
      checkFormSize(policy, size, true);
    },
  };
}
