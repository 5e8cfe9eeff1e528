/** The three ways in which S3 writes a time. All are in milliseconds since 1970 here. */

/** `2026-11-22T18:45:21.000Z`: in XML. */
export function isoDate(time: number): string {
  return new Date(time).toISOString();
}

/** `Sun, 22 Nov 2026 18:45:21 GMT`: in headers. Whole seconds. */
export function httpDate(time: number): string {
  return new Date(time).toUTCString();
}

/** undefined where it is no date; HTTP's three formats, and ISO 8601 as some clients send it. */
export function parseDate(text: string): number | undefined {
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}
