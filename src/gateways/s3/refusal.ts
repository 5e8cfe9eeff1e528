/** What the HTTP server refuses before S3 sees it, in S3's words. */
import type { HttpRefusal } from "../../env/http.ts";
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

export function errorOfRefusal({ reason, status, message }: HttpRefusal): S3Error {
  const headers: { [name: string]: string } = reason === "busy" ? { "Retry-After": "1" } : {};
  return new S3Error(codes[reason], message, { status, headers });
}
