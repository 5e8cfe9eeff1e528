/**
 * Bucket policies (docs.aws.amazon.com, "IAM JSON policy reference"): read whole and strictly, so that nothing in a
 * policy that is kept is without effect, and evaluated.
 */
import { conditionKey, conditionValues, isMultiValued, needsVersion, type Asked } from "./condition-keys.ts";
import type { Condition } from "./conditions.ts";
import { refuseRepeatedNames } from "./json-names.ts";
import { malformed } from "./malformed.ts";
import { matchesPattern, type Pattern } from "./pattern.ts";
import { isAccountName, isPrincipal, type Principal } from "./principals.ts";
import { isObject, refuseOthers } from "./shapes.ts";
import { parseStatement } from "./statement.ts";
import type { Template } from "./template.ts";

export type Effect = "Allow" | "Deny";

export interface Statement {
  readonly effect: Effect;
  readonly principals: readonly Principal[];
  /** NotPrincipal: all but these. */
  readonly otherPrincipals: boolean;
  readonly actions: readonly Pattern[];
  readonly otherActions: boolean;
  /** Of `bucket` or `bucket/key`. */
  readonly resources: readonly Template[];
  readonly otherResources: boolean;
  readonly conditions: readonly Condition[];
}

/** The largest policy, in bytes. */
export const policySizeMax = 20 * 1024;

const versions = ["2012-10-17", "2008-10-17"];

export class Policy {
  /** Whether the version that is asked for has to be known. */
  readonly needsVersion: boolean;
  /** As AWS defines it ("The meaning of public"): lets in anybody, under no condition that says who or from where. */
  readonly isPublic: boolean;
  /** Accounts that are given by name. */
  readonly accountNames: readonly string[];
  readonly #statements: readonly Statement[];

  constructor(statements: readonly Statement[], needsVersionForVariables: boolean) {
    this.#statements = statements;
    const conditions = statements.flatMap((statement) => statement.conditions);
    this.needsVersion = needsVersionForVariables || conditions.some((condition) => condition.needsVersion);
    this.isPublic = statements.some(isPublicStatement);
    this.accountNames = statements
      .flatMap(({ principals }) => principals)
      .flatMap((principal) =>
        principal.kind !== "all" && isAccountName(principal.account) ? [principal.account] : [],
      );
  }

  /** undefined where it says nothing. A Deny always wins. */
  evaluate(asked: Asked): Effect | undefined {
    let effect: Effect | undefined;
    for (const statement of this.#statements) {
      if (statement.effect === effect || !applies(statement, asked)) continue;
      if (statement.effect === "Deny") return "Deny";
      effect = "Allow";
    }
    return effect;
  }
}

/** MalformedPolicy, saying what, where there is anything in it that is not understood. */
export function parsePolicy(text: string, bucket: string): Policy {
  const source = parseJson(text);
  if (!isObject(source)) throw malformed("Policies must be valid JSON and the first byte must be '{'");
  refuseOthers(source, ["Version", "Id", "Statement"], "Policy");
  const version = source["Version"] ?? "2008-10-17";
  if (typeof version !== "string" || !versions.includes(version)) {
    throw malformed(`The policy must contain a valid version string: ${JSON.stringify(version)}`);
  }
  if (source["Id"] !== undefined && typeof source["Id"] !== "string") throw malformed("Id must be a string");
  const list = source["Statement"];
  if (list === undefined) throw malformed("Missing required field Statement");
  const statements: readonly unknown[] = Array.isArray(list) ? list : [list];
  if (statements.length === 0) throw malformed("Could not parse the policy: Statement is empty!");
  let variableNeedsVersion = false;
  const checkVariable = (name: string): string => {
    const key = conditionKey(name);
    if (isMultiValued(key)) throw malformed(`Invalid policy variable: ${name}`);
    variableNeedsVersion ||= needsVersion(key);
    return key;
  };
  const variables = version === "2012-10-17" ? checkVariable : undefined;
  const parsed = statements.map((statement) => parseStatement(statement, bucket, variables));
  refuseRepeatedIds(statements);
  return new Policy(parsed, variableNeedsVersion);
}

function parseJson(text: string): unknown {
  try {
    const source: unknown = JSON.parse(text);
    refuseRepeatedNames(text);
    return source;
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed("This policy contains invalid Json");
    throw error;
  }
}

function refuseRepeatedIds(statements: readonly unknown[]): void {
  const seen = new Set<unknown>();
  for (const statement of statements) {
    const sid = isObject(statement) ? statement["Sid"] : undefined;
    if (sid !== undefined && sid !== "" && seen.has(sid))
      throw malformed(`Statement IDs (SID) must be unique: ${JSON.stringify(sid)}`);
    seen.add(sid);
  }
}

function applies(statement: Statement, asked: Asked): boolean {
  const { ask, bucket } = asked;
  const action = ask.action.toLowerCase();
  if (statement.actions.some((pattern) => matchesPattern(pattern, action)) === statement.otherActions) return false;
  if (statement.principals.some((principal) => isPrincipal(principal, ask.identity)) === statement.otherPrincipals) {
    return false;
  }
  const resource = ask.key === undefined ? bucket.name : `${bucket.name}/${ask.key}`;
  const named = statement.resources.some((template) => {
    const pattern = template.pattern((name) => conditionValues(name, asked));
    return pattern !== undefined && matchesPattern(pattern, resource);
  });
  return named !== statement.otherResources && statement.conditions.every((condition) => condition.holds(asked));
}

function isPublicStatement({ effect, principals, conditions }: Statement): boolean {
  return (
    effect === "Allow" &&
    principals.some(({ kind }) => kind === "all") &&
    !conditions.some(({ isRestricting }) => isRestricting)
  );
}
