/** Text in policies with wildcards and policy variables: `home/${aws:username}/*`. */
import { malformed } from "./malformed.ts";
import { any, hasWildcard, literal, one, patternOf, type Pattern } from "./pattern.ts";

/** The values of a condition key at this request; undefined where it has none. `name` in lower case but for tags. */
export type ValuesOf = (name: string) => readonly string[] | undefined;

export interface Template {
  /** The same for every request: no variables in it. */
  readonly fixed: Pattern | undefined;
  /** undefined where a variable has no value, so that nothing matches. */
  pattern(valuesOf: ValuesOf): Pattern | undefined;
}

type Part = Pattern | { readonly name: string; readonly otherwise: string | undefined };

/** `checkName` throws for what is no variable. Without it (version 2008-10-17), there are none. */
export function parseTemplate(text: string, checkName: ((name: string) => string) | undefined): Template {
  if (checkName === undefined || !text.includes("${")) {
    const fixed = patternOf(text);
    return { fixed, pattern: () => fixed };
  }
  const parts = partsOf(text, checkName);
  const isPattern = (part: Part): part is Pattern => Array.isArray(part);
  if (parts.every(isPattern)) {
    const fixed = parts.flat();
    return { fixed, pattern: () => fixed };
  }
  return {
    fixed: undefined,
    pattern(valuesOf) {
      const pattern: Pattern[number][] = [];
      for (const part of parts) {
        if (isPattern(part)) {
          pattern.push(...part);
          continue;
        }
        const value = valuesOf(part.name)?.[0] ?? part.otherwise;
        if (value === undefined) return undefined;
        pattern.push(...literal(value));
      }
      return pattern;
    },
  };
}

function partsOf(text: string, checkName: (name: string) => string): Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (const match of text.matchAll(/\$\{([^}]*)\}?/g)) {
    const [whole, inside] = match;
    if (!whole.endsWith("}")) throw malformed(`Policy variable is not closed: ${whole}`);
    parts.push(patternOf(text.slice(from, match.index)));
    from = match.index + whole.length;
    if (inside === "*" || inside === "?" || inside === "$") {
      parts.push(literal(inside));
      continue;
    }
    const variable = /^\s*([^,\s']+)\s*(?:,\s*'([^']*)'\s*)?$/.exec(inside!);
    if (variable === null) throw malformed(`Invalid policy variable: ${whole}`);
    parts.push({ name: checkName(variable[1]!), otherwise: variable[2] });
  }
  parts.push(patternOf(text.slice(from)));
  return parts;
}

/** Matches only what it says: no wildcard, no variable. */
export function isFixedText(template: Template): boolean {
  return template.fixed !== undefined && !hasWildcard(template.fixed);
}

/** With wildcards taken as characters, as StringEquals does. */
export function textOfPattern(pattern: Pattern): string {
  return pattern.map((each) => (each === any ? "*" : each === one ? "?" : each)).join("");
}
