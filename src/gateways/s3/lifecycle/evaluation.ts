/**
 * What lifecycle rules say of a key's versions at a time: pure, so that a test can ask about any day.
 *
 * A rule of so many days is due at the midnight after they have passed (docs.aws.amazon.com, "Lifecycle rules: based on
 * an object's age"); where a day is shorter, for tests, there are no midnights.
 */
import type { Version } from "../model.ts";
import type { Lifecycle, LifecycleFilter, LifecycleRule } from "./rules.ts";

export interface Due {
  readonly at: number;
  readonly rule: string;
}

export type LifecycleAction =
  /** The newest version expires: as a DELETE without version id. */
  | { readonly kind: "expire"; readonly version: Version; readonly rule: string }
  /** A version is removed for good: a noncurrent one, or a delete marker that stands alone. */
  | { readonly kind: "remove"; readonly version: Version; readonly rule: string };

const realDayMs = 86_400_000;

export function dueAfter(from: number, days: number, dayMs: number): number {
  const at = from + days * dayMs;
  return dayMs === realDayMs ? Math.ceil(at / realDayMs) * realDayMs : at;
}

/** When the newest version of a key expires, if any rule says so: the earliest. */
export function expirationOf(lifecycle: Lifecycle, version: Version, dayMs: number): Due | undefined {
  let due: Due | undefined;
  for (const { id, enabled, filter, expiration } of lifecycle.rules) {
    if (!enabled || expiration === undefined || !matches(filter, version)) continue;
    const { days, date } = expiration;
    const at = days === undefined ? date : dueAfter(version.createdAt, days, dayMs);
    if (at !== undefined && (due === undefined || at < due.at)) due = { at, rule: id };
  }
  return due;
}

/** When an upload is aborted, if any rule says so. */
export function abortionOf(
  lifecycle: Lifecycle,
  upload: { readonly key: string; readonly createdAt: number },
  dayMs: number,
): Due | undefined {
  let due: Due | undefined;
  for (const { id, enabled, filter, abortDays } of lifecycle.rules) {
    if (!enabled || abortDays === undefined || !upload.key.startsWith(filter.prefix ?? "")) continue;
    const at = dueAfter(upload.createdAt, abortDays, dayMs);
    if (due === undefined || at < due.at) due = { at, rule: id };
  }
  return due;
}

/** What is due of one key now. `versions`: all of them, newest first. */
export function actionsFor(
  lifecycle: Lifecycle,
  versions: readonly Version[],
  now: number,
  dayMs: number,
): LifecycleAction[] {
  const [newest, ...older] = versions;
  if (newest === undefined) return [];
  const actions: LifecycleAction[] = [];
  if (newest.object !== undefined) {
    const due = expirationOf(lifecycle, newest, dayMs);
    if (due !== undefined && due.at <= now) actions.push({ kind: "expire", version: newest, rule: due.rule });
  } else if (older.length === 0) {
    const rule = lifecycle.rules.find((each) => removesMarker(each, newest, now, dayMs));
    if (rule !== undefined) actions.push({ kind: "remove", version: newest, rule: rule.id });
  }
  for (const [index, version] of older.entries()) {
    // It is noncurrent since the one after it came.
    const since = versions[index]!.createdAt;
    const rule = lifecycle.rules.find((each) => removesNoncurrent(each, version, index, since, now, dayMs));
    if (rule !== undefined) actions.push({ kind: "remove", version, rule: rule.id });
  }
  return actions;
}

/** A delete marker with nothing below it: removed where asked for, and where an object of its age would expire. */
function removesMarker(rule: LifecycleRule, marker: Version, now: number, dayMs: number): boolean {
  const { enabled, filter, expiration } = rule;
  if (!enabled || expiration === undefined || filter.tags !== undefined) return false;
  if (!marker.key.startsWith(filter.prefix ?? "")) return false;
  if (expiration.markers === true) return true;
  const { days, date } = expiration;
  const at = days === undefined ? date : dueAfter(marker.createdAt, days, dayMs);
  return at !== undefined && at <= now;
}

/** `newerCount`: noncurrent versions of the key that are newer than this one. */
function removesNoncurrent(
  { enabled, filter, noncurrent }: LifecycleRule,
  version: Version,
  newerCount: number,
  since: number,
  now: number,
  dayMs: number,
): boolean {
  if (!enabled || noncurrent === undefined || !matches(filter, version)) return false;
  return newerCount >= (noncurrent.keep ?? 0) && dueAfter(since, noncurrent.days, dayMs) <= now;
}

function matches({ prefix, tags, largerThan, smallerThan }: LifecycleFilter, version: Version): boolean {
  if (prefix !== undefined && !version.key.startsWith(prefix)) return false;
  if (largerThan !== undefined && !(version.size > largerThan)) return false;
  if (smallerThan !== undefined && !(version.size < smallerThan)) return false;
  if (tags === undefined) return true;
  const own = version.attributes.tags ?? {};
  return Object.entries(tags).every(([key, value]) => Object.hasOwn(own, key) && own[key] === value);
}
