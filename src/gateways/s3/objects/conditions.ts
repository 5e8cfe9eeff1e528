/**
 * Conditions of requests: those of reads (RFC 9110, section 13, as S3 documents them for GetObject), and those of
 * writes, which the datastore checks in the same transaction.
 */
import type { Condition } from "../../../datastore/datastore.ts";
import { S3Error } from "../protocol/error.ts";
import { parseDate } from "../protocol/dates.ts";

type HeaderOf = (name: string) => string | undefined;

/** PreconditionFailed, or NotModified (304), where the object is not as the request wants it. */
export function checkReadConditions(header: HeaderOf, etag: string, modifiedAt: number, prefix = ""): void {
  const ifMatch = header(`${prefix}if-match`);
  const ifNoneMatch = header(`${prefix}if-none-match`);
  const since = header(`${prefix}if-modified-since`);
  const unmodified = header(`${prefix}if-unmodified-since`);
  if (ifMatch === undefined && ifNoneMatch === undefined && since === undefined && unmodified === undefined) return;
  // Dates have whole seconds.
  const modified = Math.floor(modifiedAt / 1000) * 1000;
  if (ifMatch !== undefined) {
    if (!etagMatches(ifMatch, etag)) throw failed("If-Match");
  } else if (unmodified !== undefined) {
    const time = parseDate(unmodified);
    if (time !== undefined && modified > time) throw failed("If-Unmodified-Since");
  }
  if (ifNoneMatch !== undefined) {
    if (etagMatches(ifNoneMatch, etag)) throw prefix === "" ? new S3Error("NotModified") : failed("If-None-Match");
  } else if (since !== undefined) {
    const time = parseDate(since);
    if (time !== undefined && modified <= time) {
      throw prefix === "" ? new S3Error("NotModified") : failed("If-Modified-Since");
    }
  }
}

function failed(condition: string): S3Error {
  return new S3Error("PreconditionFailed", undefined, { elements: { Condition: condition } });
}

/** A list of ETags, quoted or not, weak or not; or "*". */
export function etagMatches(list: string, etag: string): boolean {
  return list.split(",").some((item) => {
    const wanted = bareEtag(item);
    return wanted === "*" || wanted === etag;
  });
}

export function bareEtag(text: string): string {
  return text
    .trim()
    .replace(/^W\//, "")
    .replace(/^"(.*)"$/, "$1");
}

/** What must hold of the key's newest version for a write. NotImplemented for conditions that S3 has no meaning for. */
export function writeCondition(header: HeaderOf): Condition | undefined {
  const ifMatch = header("if-match");
  const ifNoneMatch = header("if-none-match");
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
  if (ifMatch !== undefined && ifNoneMatch !== undefined) throw unknownCondition("If-Match with If-None-Match");
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch !== "*") throw unknownCondition("If-None-Match");
    return { kind: "absent" };
  }
  if (ifMatch === "*") return { kind: "present" };
  return { kind: "attribute", name: "etag", value: bareEtag(ifMatch!) };
}

function unknownCondition(header: string): S3Error {
  return new S3Error("NotImplemented", undefined, { elements: { Header: header } });
}

/** What the datastore says of a write whose condition did not hold, in S3's words. */
export function conditionError(condition: Condition | undefined, error: unknown): unknown {
  if (condition === undefined) return error;
  const code = (error as { code?: unknown }).code;
  if (code === "CONFLICT") return failed(condition.kind === "absent" ? "If-None-Match" : "If-Match");
  return error;
}
