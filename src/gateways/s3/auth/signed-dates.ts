/** Times as signatures have them: `20261122T184521Z`. In milliseconds since 1970 outside. */

const basic = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;
const http = /^[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:GMT|UTC|[+-]0000)$/;

/** Undefined where it is not exactly that, or no such day or hour. */
export function readBasicDate(text: string): number | undefined {
  const match = basic.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match as unknown as [string, ...(readonly string[])];
  const time = Date.UTC(+year!, +month! - 1, +day!, +hour!, +minute!, +second!);
  // What is out of its range moves on to the next day, month or year.
  const isThere =
    +month! <= 12 && new Date(time).getUTCDate() === +day! && +hour! < 24 && +minute! < 60 && +second! < 60;
  return isThere ? time : undefined;
}

/** A Date header. */
export function readHttpDate(text: string): number | undefined {
  if (!http.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

export function basicDate(time: number): string {
  return new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, "");
}

/** `2026-11-22T18:45:21Z`, as errors about signatures have it. */
export function wholeSeconds(time: number): string {
  return new Date(time).toISOString().replace(/\.\d{3}/, "");
}
