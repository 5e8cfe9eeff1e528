/**
 * Cross-origin requests: a bucket's rules, the answer to a preflight request (which is not authenticated), and the
 * headers that other answers get (docs.aws.amazon.com, "Using cross-origin resource sharing (CORS)").
 */
import { xmlSizeMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import type { Bucket, CorsRule } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, noContent, xml } from "../protocol/answer.ts";
import { S3Error } from "../protocol/error.ts";
import type { S3Request } from "../protocol/request.ts";
import { document, element, leaf, parseXml, type XmlNode } from "../protocol/xml.ts";
import { changeBucket, without } from "./change-bucket.ts";

const common = { scope: "bucket", when: "cors" } as const;

export const corsOperations: readonly Operation[] = [
  { ...common, name: "GetBucketCors", method: "GET", action: "s3:GetBucketCORS", run: getCors },
  { ...common, name: "PutBucketCors", method: "PUT", action: "s3:PutBucketCORS", run: putCors },
  { ...common, name: "DeleteBucketCors", method: "DELETE", action: "s3:PutBucketCORS", run: deleteCors },
];

const rulesMax = 100;
const idLengthMax = 255;
const methods = ["GET", "PUT", "HEAD", "POST", "DELETE"];

// ── the configuration ───────────────────────────────────────────────────────────────────────────────────────────────

async function getCors({ bucket }: S3Call): Promise<HttpAnswer> {
  const { cors } = bucket.attributes;
  if (cors === undefined) {
    throw new S3Error("NoSuchCORSConfiguration", undefined, { elements: { BucketName: bucket.name } });
  }
  const rules = cors.map(({ id, origins, methods: allowed, headers, expose, maxAge }) =>
    element(
      "CORSRule",
      leaf("ID", id),
      ...(headers ?? []).map((each) => leaf("AllowedHeader", each)),
      ...allowed.map((each) => leaf("AllowedMethod", each)),
      ...origins.map((each) => leaf("AllowedOrigin", each)),
      ...(expose ?? []).map((each) => leaf("ExposeHeader", each)),
      leaf("MaxAgeSeconds", maxAge),
    ),
  );
  return xml(document("CORSConfiguration", ...rules));
}

async function putCors(call: S3Call): Promise<HttpAnswer> {
  const root = parseXml(await call.body.collect(xmlSizeMax), "CORSConfiguration").only("CORSRule");
  const rules = root.all("CORSRule").map(readRule);
  if (rules.length === 0 || rules.length > rulesMax) throw new S3Error("MalformedXML");
  await changeBucket(call, (attributes) => ({ ...attributes, cors: rules }));
  return empty();
}

function readRule(node: XmlNode): CorsRule {
  node.only("ID", "AllowedHeader", "AllowedMethod", "AllowedOrigin", "ExposeHeader", "MaxAgeSeconds");
  const texts = (name: string): string[] => node.all(name).map((each) => each.text.trim());
  const id = node.value("ID");
  const [origins, allowed, headers, expose] = [
    texts("AllowedOrigin"),
    texts("AllowedMethod"),
    texts("AllowedHeader"),
    texts("ExposeHeader"),
  ];
  if (origins.length === 0 || allowed.length === 0 || (id ?? "").length > idLengthMax)
    throw new S3Error("MalformedXML");
  for (const method of allowed) {
    if (!methods.includes(method)) {
      throw new S3Error(
        "InvalidRequest",
        `Found unsupported HTTP method in CORS config. Unsupported method is ${method}`,
      );
    }
  }
  for (const origin of origins) checkWildcards("AllowedOrigin", origin);
  for (const header of headers) checkWildcards("AllowedHeader", header);
  for (const header of expose) {
    if (/^[!#$%&'+.^_`|~0-9A-Za-z-]+$/.test(header)) continue;
    const why = header.includes("*")
      ? "contains wildcard. We currently do not support wildcard for ExposeHeader."
      : "is not valid.";
    throw new S3Error("InvalidRequest", `ExposeHeader "${header}" ${why}`);
  }
  const maxAge = readMaxAge(node.value("MaxAgeSeconds"));
  return {
    ...(id === undefined ? {} : { id }),
    origins,
    methods: allowed,
    ...(headers.length === 0 ? {} : { headers }),
    ...(expose.length === 0 ? {} : { expose }),
    ...(maxAge === undefined ? {} : { maxAge }),
  };
}

function checkWildcards(name: string, value: string): void {
  if (value.split("*").length <= 2) return;
  throw new S3Error("InvalidRequest", `${name} "${value}" can not have more than one wildcard.`);
}

function readMaxAge(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text) || Number(text) > 0x7fffffff) throw new S3Error("MalformedXML");
  return Number(text);
}

async function deleteCors(call: S3Call): Promise<HttpAnswer> {
  await changeBucket(call, (attributes) => without(attributes, "cors"));
  return noContent();
}

// ── what follows from it ────────────────────────────────────────────────────────────────────────────────────────────

type Headers = { readonly [name: string]: string | number };

const none: Headers = {};
const vary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/** The answer to OPTIONS. `bucket` is undefined where there is none: who may not see it learns nothing of it. */
export function answerPreflight(bucket: Bucket | undefined, request: S3Request): HttpAnswer {
  const origin = request.header("origin");
  const method = request.header("access-control-request-method");
  if (origin === undefined || origin === "") {
    throw new S3Error("BadRequest", "Insufficient information. Origin request header needed.");
  }
  if (method === undefined || !methods.includes(method)) {
    throw new S3Error("BadRequest", `Invalid Access-Control-Request-Method: ${method ?? "null"}`);
  }
  const elements = { Method: method, ResourceType: request.key === undefined ? "BUCKET" : "OBJECT" };
  const rules = bucket?.attributes.cors;
  if (rules === undefined)
    throw new S3Error("AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.", { elements });
  const wanted = namesIn(request.header("access-control-request-headers"));
  const rule = rules.find(
    (each) => allowsOrigin(each, origin, method) && wanted.every((name) => allowsHeader(each, name)),
  );
  if (rule === undefined) {
    const why =
      "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";
    throw new S3Error("AccessForbidden", why, { elements });
  }
  const allowed = wanted.length === 0 ? none : { "Access-Control-Allow-Headers": wanted.join(", ") };
  const age = rule.maxAge === undefined ? none : { "Access-Control-Max-Age": rule.maxAge };
  return { status: 200, headers: { ...ruleHeaders(rule, origin), ...allowed, ...age }, body: "" };
}

/** What the answer to any other request gets; nothing where no rule is for it. */
export function corsHeaders(bucket: Bucket, request: S3Request): Headers {
  const origin = request.header("origin");
  const rules = bucket.attributes.cors;
  // A preflight request has its headers from `answerPreflight`.
  if (rules === undefined || origin === undefined || request.method === "OPTIONS") return none;
  const method = request.header("access-control-request-method") ?? request.method;
  const rule = rules.find((each) => allowsOrigin(each, origin, method));
  return rule === undefined ? none : ruleHeaders(rule, origin);
}

function ruleHeaders(rule: CorsRule, origin: string): Headers {
  const expose = rule.expose === undefined ? none : { "Access-Control-Expose-Headers": rule.expose.join(", ") };
  const common: Headers = { "Access-Control-Allow-Methods": rule.methods.join(", "), ...expose, Vary: vary };
  // With "*" the browser sends no cookies; so it must not be told that it may.
  const matched = rule.origins.find((each) => matchesWildcard(each, origin));
  if (matched === "*") return { "Access-Control-Allow-Origin": "*", ...common };
  return { "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", ...common };
}

function namesIn(header: string | undefined): string[] {
  if (header === undefined) return [];
  return header
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
}

function allowsOrigin(rule: CorsRule, origin: string, method: string): boolean {
  return rule.methods.includes(method) && rule.origins.some((each) => matchesWildcard(each, origin));
}

function allowsHeader(rule: CorsRule, name: string): boolean {
  return rule.headers?.some((each) => matchesWildcard(each.toLowerCase(), name)) ?? false;
}

/** With one `*` at most. */
function matchesWildcard(pattern: string, text: string): boolean {
  const star = pattern.indexOf("*");
  if (star < 0) return pattern === text;
  const [start, end] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return text.length >= start.length + end.length && text.startsWith(start) && text.endsWith(end);
}
