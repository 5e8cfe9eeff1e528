/** `Range: bytes=…` (RFC 9110, section 14) as S3 has it: one range, first-last, first- or -suffix. */
import { S3Error } from "../protocol/error.ts";

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** undefined: the whole object, for what is not a single range of bytes is ignored. InvalidRange where none of it is there. */
export function parseRange(text: string | undefined, size: number): ByteRange | undefined {
  if (text === undefined) return undefined;
  const match = /^bytes\s*=\s*(\d*)\s*-\s*(\d*)$/i.exec(text.trim());
  if (match === null || (match[1] === "" && match[2] === "")) return undefined;
  const [, first, last] = match as unknown as [string, string, string];
  if (first === "") {
    const suffix = Math.min(Number(last), size);
    if (suffix === 0) throw unsatisfiable(text, size);
    return { offset: size - suffix, length: suffix };
  }
  const from = Number(first);
  if (last !== "" && Number(last) < from) return undefined;
  if (from >= size) throw unsatisfiable(text, size);
  const to = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  return { offset: from, length: to - from + 1 };
}

function unsatisfiable(text: string, size: number): S3Error {
  return new S3Error("InvalidRange", undefined, {
    elements: { RangeRequested: text, ActualObjectSize: String(size) },
    headers: { "Content-Range": `bytes */${size}` },
  });
}
