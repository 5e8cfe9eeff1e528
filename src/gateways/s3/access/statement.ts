/** One statement of a bucket policy. */
import { knownActions } from "./actions.ts";
import { parseConditions } from "./conditions.ts";
import { malformed } from "./malformed.ts";
import { canContinue, matchesPattern, patternOf, type Pattern } from "./pattern.ts";
import type { Statement } from "./policy.ts";
import { parseCanonicalUser, parsePrincipal, type Principal } from "./principals.ts";
import { isObject, refuseOthers, stringsIn, type JsonObject } from "./shapes.ts";
import { parseTemplate, type Template } from "./template.ts";

const fields = [
  "Sid",
  "Effect",
  "Principal",
  "NotPrincipal",
  "Action",
  "NotAction",
  "Resource",
  "NotResource",
  "Condition",
];

export function parseStatement(
  source: unknown,
  bucket: string,
  variables: ((name: string) => string) | undefined,
): Statement {
  if (!isObject(source)) throw malformed("Statement must be an object");
  refuseOthers(source, fields, "Statement");
  const { Sid: sid, Effect: effect, Condition: condition } = source;
  if (sid !== undefined && typeof sid !== "string") throw malformed("Sid must be a string");
  if (effect === undefined) throw malformed("Missing required field Effect");
  if (effect !== "Allow" && effect !== "Deny") throw malformed(`Invalid effect: ${JSON.stringify(effect)}`);
  const principal = eitherOf(source, "Principal");
  if (principal.isOther && effect === "Allow") throw malformed("Allow with NotPrincipal is not allowed.");
  const action = eitherOf(source, "Action");
  const resource = eitherOf(source, "Resource");
  const actions = stringsIn(action.field, action.value).map(parseAction);
  const resources = stringsIn(resource.field, resource.value).map((text) => parseResource(text, bucket, variables));
  if (!action.isOther && !resource.isOther) {
    for (const each of actions) {
      if (!each.kinds.some((kind) => resources.some(({ kinds }) => kinds.includes(kind)))) {
        throw malformed("Action does not apply to any resource(s) in statement");
      }
    }
  }
  return {
    effect,
    principals: parsePrincipals(principal.field, principal.value),
    otherPrincipals: principal.isOther,
    actions: actions.map(({ pattern }) => pattern),
    otherActions: action.isOther,
    resources: resources.map(({ template }) => template),
    otherResources: resource.isOther,
    conditions: condition === undefined ? [] : parseConditions(condition, variables),
  };
}

function eitherOf(source: JsonObject, field: string): { field: string; value: unknown; isOther: boolean } {
  const other = `Not${field}`;
  if (source[field] !== undefined && source[other] !== undefined) {
    throw malformed(`Statement must not have both ${field} and ${other}`);
  }
  if (source[field] !== undefined) return { field, value: source[field], isOther: false };
  if (source[other] !== undefined) return { field: other, value: source[other], isOther: true };
  throw malformed(`Missing required field ${field}`);
}

function parsePrincipals(field: string, source: unknown): Principal[] {
  if (source === "*") return [{ kind: "all" }];
  if (!isObject(source)) throw malformed(`Invalid policy syntax: ${field}`);
  const kinds = Object.entries(source);
  if (kinds.length === 0) throw malformed("Invalid principal in policy");
  return kinds.flatMap(([kind, value]) => {
    const parse = kind === "AWS" ? parsePrincipal : kind === "CanonicalUser" ? parseCanonicalUser : undefined;
    return stringsIn(field, value).map((text) => {
      const principal = parse?.(text);
      if (principal === undefined) throw malformed(`Invalid principal in policy: "${kind}": ${JSON.stringify(text)}`);
      return principal;
    });
  });
}

type Kind = "bucket" | "object";

function parseAction(text: string): { readonly pattern: Pattern; readonly kinds: readonly Kind[] } {
  const pattern = patternOf(text.toLowerCase());
  const kinds = [...knownActions].filter(([name]) => matchesPattern(pattern, name)).map(([, kind]) => kind);
  if (kinds.length === 0) throw malformed(`Policy has invalid action: ${text}`);
  return { pattern, kinds };
}

/** `arn:aws:s3:::bucket/key`, or `*` for all of that. Buckets have neither region nor account in their names. */
function parseResource(
  text: string,
  bucket: string,
  variables: ((name: string) => string) | undefined,
): { readonly template: Template; readonly kinds: readonly Kind[] } {
  const named = text === "*" ? "*" : /^arn:aws:s3:\*?:\*?:(.+)$/s.exec(text)?.[1];
  if (named === undefined) throw malformed(`Policy has invalid resource: ${text}`);
  const template = parseTemplate(named, variables);
  const { fixed } = template;
  const kinds: Kind[] = [];
  // What variables stand for is not known: then it is the text before them that has to fit.
  const probe = fixed ?? patternOf(`${named.slice(0, named.indexOf("${"))}*`);
  if (matchesPattern(probe, bucket)) kinds.push("bucket");
  if (canContinue(probe, `${bucket}/`)) kinds.push("object");
  if (kinds.length === 0) throw malformed(`Policy has invalid resource: ${text}`);
  return { template, kinds };
}
