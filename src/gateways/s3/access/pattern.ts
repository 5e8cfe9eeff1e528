/** `*` and `?` in policies: any characters, and any one character. */

/** One character of a pattern; `*` and `?` that stand for themselves (`${*}`) are text. */
export type Pattern = readonly (string | typeof any | typeof one)[];

export const any = Symbol("*");
export const one = Symbol("?");

export function patternOf(text: string): Pattern {
  return Array.from(text, (character) => (character === "*" ? any : character === "?" ? one : character));
}

export function literal(text: string): Pattern {
  return Array.from(text);
}

const surrogate = /[\ud800-\udfff]/;

/** In time of both lengths multiplied at worst: no pattern is slow by intention. */
export function matchesPattern(pattern: Pattern, text: string): boolean {
  // Most text has nothing but characters of one code unit.
  const characters: ArrayLike<string> = surrogate.test(text) ? Array.from(text) : text;
  let at = 0;
  let seen = 0;
  let star = -1;
  let mark = 0;
  while (seen < characters.length) {
    const wanted = pattern[at];
    if (wanted === any) {
      star = at++;
      mark = seen;
    } else if (wanted !== undefined && (wanted === one || wanted === characters[seen])) {
      at++;
      seen++;
    } else if (star >= 0) {
      at = star + 1;
      seen = ++mark;
    } else {
      return false;
    }
  }
  while (pattern[at] === any) at++;
  return at === pattern.length;
}

/** Whether some text that begins with `start` matches. */
export function canContinue(pattern: Pattern, start: string): boolean {
  let states = new Set([0]);
  const closed = (from: Iterable<number>): Set<number> => {
    const reached = new Set<number>();
    for (let state of from) {
      reached.add(state);
      while (pattern[state] === any) reached.add(++state);
    }
    return reached;
  };
  states = closed(states);
  for (const character of start) {
    const next: number[] = [];
    for (const state of states) {
      const wanted = pattern[state];
      if (wanted === any) next.push(state);
      else if (wanted === one || wanted === character) next.push(state + 1);
    }
    states = closed(next);
  }
  return states.size > 0;
}

export function hasWildcard(pattern: Pattern): boolean {
  return pattern.some((each) => each === any || each === one);
}
