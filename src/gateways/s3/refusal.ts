/** What the HTTP server refuses before S3 sees it, in S3's words. */
import type { HttpAnswer, HttpRefusal } from "../../env/http.ts";
import { errorDocument } from "./gateway.ts";
import { type S3Code, S3Error } from "./protocol/error.ts";

const codes: { readonly [Reason in HttpRefusal["reason"]]: S3Code } = {
  busy: "SlowDown",
  malformed: "BadRequest",
  "header too large": "RequestHeaderSectionTooLarge",
  "header too slow": "RequestTimeout",
  expectation: "BadRequest",
  "transfer encoding": "NotImplemented",
  method: "MethodNotAllowed",
  failure: "InternalError",
};

export function refuse(refusal: HttpRefusal): HttpAnswer {
  const error = new S3Error(codes[refusal.reason], refusal.message);
  const headers: { [name: string]: string } = { "Content-Type": "application/xml" };
  if (refusal.reason === "busy") headers["Retry-After"] = "1";
  return { status: refusal.status, headers, body: errorDocument(error, "", "") };
}
