import { malformed } from "./malformed.ts";

export type JsonObject = { readonly [name: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function refuseOthers(source: JsonObject, names: readonly string[], what: string): void {
  const other = Object.keys(source).find((name) => !names.includes(name));
  if (other !== undefined) throw malformed(`${what} has an unknown field: ${other}`);
}

/** A string or several. */
export function stringsIn(field: string, source: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(source) ? source : [source];
  if (list.length === 0) throw malformed(`${field} must not be empty`);
  return list.map((each) => {
    if (typeof each !== "string") throw malformed(`${field} must be a string or several strings`);
    return each;
  });
}
