/**
 * The policy of a form upload (docs.aws.amazon.com, "POST policy"): until when, and what each field may be. Every field
 * must be covered by a condition, so that who was given a signed policy cannot add anything to it.
 */
import * as limits from "../../../core/limits.ts";
import { S3Error } from "../protocol/error.ts";

export interface FormPolicy {
  /** Milliseconds since 1970. */
  readonly expiration: number;
  readonly conditions: readonly FieldCondition[];
  readonly sizeMin: number;
  readonly sizeMax: number;
}

interface FieldCondition {
  readonly operator: "eq" | "starts-with";
  /** In lower case. */
  readonly field: string;
  readonly value: string;
}

/** `text`: base64. InvalidPolicyDocument where it is not one. */
export function readFormPolicy(text: string): FormPolicy {
  const document = parse(text);
  const { expiration, conditions } = document;
  if (expiration === undefined) throw invalid("Policy missing expiration.");
  if (
    typeof expiration !== "string" ||
    !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$/.test(expiration)
  ) {
    throw invalid(`Invalid 'expiration' value: '${JSON.stringify(expiration)}'`);
  }
  const time = Date.parse(expiration);
  if (Number.isNaN(time)) throw invalid(`Invalid 'expiration' value: '${expiration}'`);
  if (conditions === undefined) throw invalid("Policy missing conditions.");
  if (!Array.isArray(conditions)) throw invalid("Invalid 'conditions' value: must be a List.");
  if (conditions.length > limits.formConditionsMax) throw invalid("Too many conditions.");
  return { expiration: time, ...readConditions(conditions) };
}

function parse(text: string): { readonly [name: string]: unknown } {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(text, "base64").toString("utf8"));
  } catch (cause) {
    throw new S3Error("InvalidPolicyDocument", "Invalid Policy: Invalid JSON.", { cause });
  }
  if (!isObject(document)) throw invalid("Invalid JSON: not an object.");
  return document;
}

function isObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readConditions(list: readonly unknown[]): Omit<FormPolicy, "expiration"> {
  const conditions: FieldCondition[] = [];
  let sizeMin = 0;
  let sizeMax = Number.MAX_SAFE_INTEGER;
  for (const each of list) {
    if (isObject(each)) conditions.push(simpleCondition(each));
    else if (!Array.isArray(each)) throw invalid("Invalid Condition: must be a List or an Object.");
    else if (typeof each[0] === "string" && each[0].toLowerCase() === "content-length-range") {
      const [min, max] = sizeRange(each);
      sizeMin = Math.max(sizeMin, min);
      sizeMax = Math.min(sizeMax, max);
    } else conditions.push(matchCondition(each));
  }
  return { conditions, sizeMin, sizeMax };
}

function simpleCondition(condition: { readonly [name: string]: unknown }): FieldCondition {
  const entries = Object.entries(condition);
  const [entry] = entries;
  if (entry === undefined || entries.length > 1) {
    throw invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.");
  }
  const [name, value] = entry;
  if (typeof value !== "string") throw invalid("Invalid Simple-Condition: value must be a string.");
  return { operator: "eq", field: name.toLowerCase(), value };
}

function matchCondition(condition: readonly unknown[]): FieldCondition {
  const [name, field, value] = condition;
  const operator = typeof name === "string" ? name.toLowerCase() : undefined;
  if (operator !== "eq" && operator !== "starts-with") throw invalid("Invalid Condition: unknown operation.");
  if (condition.length !== 3 || typeof field !== "string" || !field.startsWith("$") || typeof value !== "string") {
    throw invalid(`Invalid Condition: ${operator} takes a field that begins with '$', and a string.`);
  }
  return { operator, field: field.slice(1).toLowerCase(), value };
}

function sizeRange(condition: readonly unknown[]): readonly [number, number] {
  const [, min, max] = condition.map(Number);
  const isRange = min !== undefined && max !== undefined && condition.length === 3;
  if (!isRange || !Number.isSafeInteger(min) || !Number.isSafeInteger(max) || min < 0 || max < 0) {
    throw invalid("Invalid Content-Length-Range: two numbers that are not negative are needed.");
  }
  return [min, max];
}

function invalid(why: string): S3Error {
  return new S3Error("InvalidPolicyDocument", `Invalid Policy: ${why}`);
}

/** What need not be covered, being no input or the signature itself. */
const exempt: ReadonlySet<string> = new Set(["x-amz-signature", "signature", "awsaccesskeyid", "policy", "file"]);

/** AccessDenied where a field is not as a condition says, or is in none. `fields`: with bucket and key as they are. */
export function checkFormPolicy(policy: FormPolicy, fields: ReadonlyMap<string, string>, now: number): void {
  if (now >= policy.expiration) throw denied("Policy expired.");
  const covered = new Set<string>();
  for (const { operator, field, value } of policy.conditions) {
    covered.add(field);
    const given = fields.get(field) ?? "";
    const holds = operator === "eq" ? given === value : given.startsWith(value);
    if (!holds) throw denied(`Policy Condition failed: ${JSON.stringify([operator, `$${field}`, value])}`);
  }
  const extra = [...fields.keys()].filter(
    (name) => !covered.has(name) && !exempt.has(name) && !name.startsWith("x-ignore-"),
  );
  if (extra.length > 0) throw denied(`Extra input fields: ${extra.join(", ")}`);
}

function denied(why: string): S3Error {
  return new S3Error("AccessDenied", `Invalid according to Policy: ${why}`);
}

export function checkFormSize(policy: FormPolicy | undefined, size: number, isAll: boolean): void {
  if (policy === undefined) return;
  if (size > policy.sizeMax) {
    throw new S3Error("EntityTooLarge", undefined, {
      elements: { ProposedSize: String(size), MaxSizeAllowed: String(policy.sizeMax) },
    });
  }
  if (isAll && size < policy.sizeMin) {
    throw new S3Error("EntityTooSmall", undefined, {
      elements: { ProposedSize: String(size), MinSizeAllowed: String(policy.sizeMin) },
    });
  }
}
