/**
 * Conditions of policies (docs.aws.amazon.com, "IAM JSON policy elements: Condition operators"). Several operators, and
 * several keys, must all hold; of several values one must match, or none where the operator is negated.
 */
import { isWithin, parseRange } from "./addresses.ts";
import { conditionKey, conditionValues, needsVersion, type Asked } from "./condition-keys.ts";
import { malformed } from "./malformed.ts";
import { matchesPattern, type Pattern } from "./pattern.ts";
import { isObject } from "./shapes.ts";
import { isFixedText, parseTemplate, textOfPattern, type ValuesOf } from "./template.ts";

export interface Condition {
  holds(asked: Asked): boolean;
  readonly needsVersion: boolean;
  /** Lets in only a set of requests that is known from the policy's text: such an Allow is not public. */
  readonly isRestricting: boolean;
}

type Test = (actual: string, valuesOf: ValuesOf) => boolean;

interface Operator {
  readonly negated: boolean;
  /** MalformedPolicy for a value that it cannot take. */
  test(value: string, variables: Variables): Test;
  /** Whether `value` says exactly what is let in. */
  isFixed(value: string, variables: Variables, key: string): boolean;
}

type Variables = ((name: string) => string) | undefined;

const bool: Operator = {
  negated: false,
  test(value) {
    const wanted = value.toLowerCase();
    if (wanted !== "true" && wanted !== "false") throw malformed(`Bool takes true or false, not ${value}`);
    return (actual) => actual.toLowerCase() === wanted;
  },
  isFixed: () => false,
};

const operators: ReadonlyMap<string, Operator> = new Map([
  ...both(
    "String",
    "Equals",
    strings((wanted, actual) => textOfPattern(wanted) === actual, false),
  ),
  ...both(
    "String",
    "EqualsIgnoreCase",
    strings((wanted, actual) => sameIgnoringCase(textOfPattern(wanted), actual), false),
  ),
  ...both("String", "Like", strings(matchesPattern, true)),
  ...both("Arn", "Equals", strings(matchesArn, true)),
  ...both("Arn", "Like", strings(matchesArn, true)),
  ...compared("Numeric", numberOf),
  ...compared("Date", timeOf),
  ["bool", bool],
  ["ipaddress", addresses(false)],
  ["notipaddress", addresses(true)],
]);

/** All blocks of a statement's Condition. */
export function parseConditions(source: unknown, variables: Variables): Condition[] {
  if (!isObject(source)) throw malformed("Condition must be an object");
  return Object.entries(source).flatMap(([operator, block]) => {
    if (!isObject(block)) throw malformed(`Condition ${operator} must be an object`);
    return Object.entries(block).map(([key, value]) => parseCondition(operator, key, valuesIn(key, value), variables));
  });
}

function parseCondition(name: string, keyName: string, values: readonly string[], variables: Variables): Condition {
  const { set, base, ifExists } = readName(name);
  const key = conditionKey(keyName);
  const isNeedy = needsVersion(key);
  if (base === "null") return nullCondition(name, key, values, isNeedy, set === undefined && !ifExists);
  const operator = operators.get(base);
  if (operator === undefined) throw malformed(`Invalid Condition type : ${name}`);
  const tests = values.map((value) => operator.test(value, variables));
  const { negated } = operator;
  const matches = (actual: string, valuesOf: ValuesOf): boolean =>
    negated ? !tests.some((test) => test(actual, valuesOf)) : tests.some((test) => test(actual, valuesOf));
  return {
    needsVersion: isNeedy,
    isRestricting:
      !negated && !ifExists && set === undefined && values.every((value) => operator.isFixed(value, variables, key)),
    holds(asked) {
      const actual = conditionValues(key, asked);
      const valuesOf: ValuesOf = (variable) => conditionValues(variable, asked);
      if (actual === undefined || actual.length === 0) {
        if (set === "all" || ifExists) return true;
        return set === undefined && negated;
      }
      if (set === "all") return actual.every((each) => matches(each, valuesOf));
      if (set === "any" || !negated) return actual.some((each) => matches(each, valuesOf));
      return actual.every((each) => matches(each, valuesOf));
    },
  };
}

function readName(text: string): { set: "all" | "any" | undefined; base: string; ifExists: boolean } {
  const match = /^(?:(forallvalues|foranyvalue):)?(.*?)(ifexists)?$/.exec(text.toLowerCase())!;
  const quantifier = match[1] === undefined ? undefined : match[1] === "forallvalues" ? "all" : "any";
  return { set: quantifier, base: match[2]!, ifExists: match[3] !== undefined };
}

/** `Null: {key: "true"}`: the request has no such thing. */
function nullCondition(
  name: string,
  key: string,
  values: readonly string[],
  isNeedy: boolean,
  isPlain: boolean,
): Condition {
  if (!isPlain) throw malformed(`Invalid Condition type : ${name}`);
  for (const value of values)
    if (!/^(true|false)$/i.test(value)) throw malformed(`Null takes true or false, not ${value}`);
  return {
    needsVersion: isNeedy,
    isRestricting: false,
    holds: (asked) => {
      const isNull = (conditionValues(key, asked)?.length ?? 0) === 0;
      return values.some((value) => (value.toLowerCase() === "true") === isNull);
    },
  };
}

function valuesIn(key: string, source: unknown): string[] {
  const list = Array.isArray(source) ? source : [source];
  if (list.length === 0) throw malformed(`Condition ${key} has no value`);
  return list.map((value: unknown) => {
    if (typeof value === "string") return value;
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    throw malformed(`Condition ${key} has a value that is no string`);
  });
}

// ── operators ───────────────────────────────────────────────────────────────────────────────────────────────────────

function both(type: string, relation: string, make: (negated: boolean) => Operator): [string, Operator][] {
  return [
    [`${type}${relation}`.toLowerCase(), make(false)],
    [`${type}Not${relation}`.toLowerCase(), make(true)],
  ];
}

const restrictingKeys = new Set([
  "aws:userid",
  "aws:username",
  "aws:principalarn",
  "aws:principalaccount",
  "s3:x-amz-server-side-encryption-aws-kms-key-id",
]);

function strings(
  matches: (wanted: Pattern, actual: string) => boolean,
  hasWildcards: boolean,
): (negated: boolean) => Operator {
  return (negated) => ({
    negated,
    test(value, variables) {
      const template = parseTemplate(value, variables);
      return (actual, valuesOf) => {
        const wanted = template.pattern(valuesOf);
        return wanted !== undefined && matches(wanted, actual);
      };
    },
    isFixed(value, variables, key) {
      if (!restrictingKeys.has(key)) return false;
      const template = parseTemplate(value, variables);
      return hasWildcards ? isFixedText(template) : template.fixed !== undefined;
    },
  });
}

function sameIgnoringCase(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Wildcards do not reach over the colons that divide the first five parts. */
function matchesArn(wanted: Pattern, actual: string): boolean {
  const parts: Pattern[number][][] = [[]];
  for (const each of wanted) {
    if (each === ":" && parts.length < 6) parts.push([]);
    else parts.at(-1)!.push(each);
  }
  const found = actual.split(":");
  if (parts.length !== 6 || found.length < 6) return false;
  const actualParts = [...found.slice(0, 5), found.slice(5).join(":")];
  return parts.every((part, index) => matchesPattern(part, actualParts[index]!));
}

function compared(type: string, read: (text: string) => number | undefined): [string, Operator][] {
  const relations: [string, boolean, (actual: number, wanted: number) => boolean][] = [
    ["Equals", false, (actual, wanted) => actual === wanted],
    ["NotEquals", true, (actual, wanted) => actual === wanted],
    ["LessThan", false, (actual, wanted) => actual < wanted],
    ["LessThanEquals", false, (actual, wanted) => actual <= wanted],
    ["GreaterThan", false, (actual, wanted) => actual > wanted],
    ["GreaterThanEquals", false, (actual, wanted) => actual >= wanted],
  ];
  return relations.map(([relation, negated, compare]) => [
    `${type}${relation}`.toLowerCase(),
    {
      negated,
      test(value) {
        const wanted = read(value);
        if (wanted === undefined) throw malformed(`${type}${relation} cannot take ${value}`);
        return (text) => {
          const actual = read(text);
          return actual !== undefined && compare(actual, wanted);
        };
      },
      isFixed: () => false,
    },
  ]);
}

function numberOf(text: string): number | undefined {
  return /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

/** ISO 8601 or seconds since 1970. */
function timeOf(text: string): number | undefined {
  if (/^\d{1,11}$/.test(text) && text.length > 4) return Number(text) * 1000;
  if (!/^\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?)?)?$/.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

/** AWS takes larger ranges for public. */
const ipv4BitsMin = 8;
const ipv6BitsMin = 32;

function addresses(negated: boolean): Operator {
  return {
    negated,
    test(value) {
      const range = parseRange(value);
      if (range === undefined) throw malformed(`Invalid IP address or range: ${value}`);
      return (actual) => isWithin(range, actual);
    },
    isFixed(value, _variables, key) {
      const range = parseRange(value)!;
      return key === "aws:sourceip" && range.bits >= (range.isIpv4 ? 96 + ipv4BitsMin : ipv6BitsMin);
    },
  };
}
