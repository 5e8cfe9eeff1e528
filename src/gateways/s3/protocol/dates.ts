/** The three ways in which S3 writes a time. All are in milliseconds since 1970 here. */

/** `2026-11-22T18:45:21.000Z`: in XML. */
export function isoDate(time: number): string {
  return new Date(time).toISOString();
}

/** `Sun, 22 Nov 2026 18:45:21 GMT`: in headers. Whole seconds. */
export function httpDate(time: number): string {
  // Reckoned here: every answer to a read has one, and Date's own way takes as long as checking a signature does.
  if (!(time >= 0 && time < year10000)) return new Date(time).toUTCString();
  const second = Math.floor(time / 1000);
  const day = Math.floor(second / 86_400);
  const minute = Math.floor((second % 86_400) / 60);
  const clock = `${two(Math.floor(minute / 60))}:${two(minute % 60)}:${two(second % 60)}`;
  return `${weekdays[(day + 4) % 7]}, ${dayText(day)} ${clock} GMT`;
}

const year10000 = 253_402_300_800_000;
const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const months = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];

/** `22 Nov 2026` of a day since 1970: years that begin in March, so that their last day is the one that leaps. */
function dayText(since1970: number): string {
  const day = since1970 + 719_468;
  const era = Math.floor(day / 146_097);
  const ofEra = day % 146_097;
  const leaps = Math.floor(ofEra / 1_460) - Math.floor(ofEra / 36_524) + Math.floor(ofEra / 146_096);
  const yearOfEra = Math.floor((ofEra - leaps) / 365);
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const month = Math.floor((5 * ofYear + 2) / 153);
  const ofMonth = ofYear - Math.floor((153 * month + 2) / 5) + 1;
  const year = era * 400 + yearOfEra + (month >= 10 ? 1 : 0);
  return `${two(ofMonth)} ${months[month]} ${year}`;
}

const digits = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, "0"));

function two(number: number): string {
  return digits[number]!;
}

/** undefined where it is no date; HTTP's three formats, and ISO 8601 as some clients send it. */
export function parseDate(text: string): number | undefined {
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}
