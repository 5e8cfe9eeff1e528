/**
 * Text that others made, for people to read: a terminal obeys control characters (those of C1 too, where it takes them
 * from UTF-8), a line break makes a line of its own, and marks of direction show what is not there.
 */
const unprintable = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** On one line, with `?` for each character that is obeyed instead of shown; no more than `sizeMax` characters. */
export function printable(text: string, sizeMax = text.length): string {
  const shown = text.length > sizeMax ? `${text.slice(0, sizeMax)}…` : text;
  return shown.replace(unprintable, "?");
}

/** JSON in which all such characters are escaped: the same value to whoever parses it. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(
    unprintable,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
