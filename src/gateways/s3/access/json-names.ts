import { malformed } from "./malformed.ts";

/**
 * Refuses valid JSON in which an object has a name twice: parsers keep the last of them, and a Condition that went that
 * way would be one that is ignored.
 */
export function refuseRepeatedNames(json: string): void {
  const open: (Set<string> | undefined)[] = [];
  let last: string | undefined;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (token === ":") addName(open.at(-1), JSON.parse(last!) as string);
    else last = token;
  }
}

function addName(names: Set<string> | undefined, name: string): void {
  if (names?.has(name) === true) throw malformed(`This policy contains ${JSON.stringify(name)} twice in one place`);
  names?.add(name);
}
