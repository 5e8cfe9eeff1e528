/** Keys, ranges and sources of copies as they are given to the library. */
import { StoreError } from "../core/errors.ts";
import { checkKey } from "../gateways/s3/protocol/key.ts";
import type { ByteRange } from "../gateways/s3/objects/range.ts";
import type { CopySource, GetOptions } from "./store.ts";

/** INVALID where it is not 1 to 1024 bytes of UTF-8. */
export function checkedKey(key: string): string {
  if (typeof key !== "string" || key === "") throw new StoreError("INVALID", "key: it must be a text, and not empty");
  // Half a pair would be stored as another character.
  if (/\p{Surrogate}/u.test(key))
    throw new StoreError("INVALID", `key: ${JSON.stringify(key)} is not well-formed Unicode`);
  checkKey(key);
  return key;
}

export function copySourceHeader({ bucket, key, versionId }: CopySource): string {
  const version = versionId === undefined ? "" : `?versionId=${encodeURIComponent(versionId)}`;
  return `${encodeURIComponent(bucket)}/${encodeURIComponent(checkedKey(key))}${version}`;
}

/** INVALID where none of it is there. */
export function rangeOf(range: GetOptions["range"], size: number): ByteRange {
  if (range === undefined) return { offset: 0, length: size };
  if ("suffix" in range) {
    const length = Math.min(checkedCount("range.suffix", range.suffix), size);
    return { offset: size - length, length };
  }
  const offset = checkedCount("range.offset", range.offset);
  const length = range.length === undefined ? size : checkedCount("range.length", range.length);
  if (offset > 0 && offset >= size) {
    throw new StoreError("INVALID", `range.offset: ${offset} is beyond the object's ${size} bytes`);
  }
  return { offset, length: Math.min(length, size - offset) };
}

function checkedCount(field: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new StoreError("INVALID", `${field}: a whole number from 0 on, not ${value}`);
}
