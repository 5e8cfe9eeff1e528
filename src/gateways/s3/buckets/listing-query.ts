/** The parameters that listings share, read as S3 reads them (docs.aws.amazon.com, "ListObjectsV2" and its like). */
import { pageSizeMax } from "../../../core/limits.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import type { Query, S3Request } from "../protocol/request.ts";

const integerMax = 2_147_483_647;

/**
 * How many entries a page may have: at most `pageSizeMax`, which is also what it is where nothing is said. The words for
 * a number below 0 differ by operation: `negative`.
 */
export function pageSizeOf(query: Query, name: string, negative = betweenText(name)): number {
  const count = countOf(query, name, negative);
  return count === undefined ? pageSizeMax : Math.min(count, pageSizeMax);
}

/** A number from 0 on; undefined where none is given. */
export function countOf(query: Query, name: string, negative = betweenText(name)): number | undefined {
  const text = query.get(name);
  if (text === undefined || text === "") return undefined;
  const count = /^[+-]?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(Math.abs(count) <= integerMax)) {
    throw invalidArgument(name, text, `Provided ${name} not an integer or within integer range`);
  }
  if (count < 0) throw invalidArgument(name, text, negative);
  return count;
}

function betweenText(name: string): string {
  return `Argument ${name} must be an integer between 0 and ${integerMax}`;
}

/** Whether names are to be percent-encoded in the answer. */
export function isEncoded(query: Query): boolean {
  const encoding = query.get("encoding-type");
  if (encoding === undefined) return false;
  if (encoding.toLowerCase() === "url") return true;
  throw invalidArgument("encoding-type", encoding, "Invalid Encoding Method specified in Request");
}

/** A parameter that belongs to another form of the operation. */
export function refuse(query: Query, name: string, message: string): void {
  if (query.has(name)) throw new S3Error("InvalidArgument", message, { elements: { ArgumentName: name } });
}

/** Nothing here is in an archive, so that nobody's RestoreStatus has anything in it; other attributes there are none. */
export function checkOptionalAttributes({ header }: S3Request): void {
  const wanted = header("x-amz-optional-object-attributes");
  if (wanted === undefined) return;
  for (const name of wanted.split(",")) {
    if (name.trim() === "RestoreStatus") continue;
    throw invalidArgument("x-amz-optional-object-attributes", name.trim(), "Invalid attribute name specified");
  }
}
