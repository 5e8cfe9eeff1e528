/**
 * Lifecycle rules (docs.aws.amazon.com, "Lifecycle configuration elements"): as they are kept with the bucket, and to
 * and from XML. Transitions between storage classes are refused: there is one class of storage here.
 */
import type { Tags } from "../model.ts";
import { isoDate } from "../protocol/dates.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { element, join, leaf, type Xml, type XmlNode } from "../protocol/xml.ts";

export interface LifecycleFilter {
  readonly prefix?: string;
  readonly tags?: Tags;
  /** Bytes; strictly. */
  readonly largerThan?: number;
  readonly smallerThan?: number;
}

export interface Expiration {
  readonly days?: number;
  /** Milliseconds since 1970, a midnight. */
  readonly date?: number;
  /** Delete markers that are all that is left of a key. */
  readonly markers?: boolean;
}

/** "and" with And around its parts; "prefix", the old way, with a Prefix instead; "none" at all. */
export type FilterForm = "filter" | "and" | "prefix" | "none";

export interface LifecycleRule {
  readonly id: string;
  readonly enabled: boolean;
  readonly filter: LifecycleFilter;
  /** How the filter was written, for tools that compare what they get with what they have put. */
  readonly form: FilterForm;
  readonly expiration?: Expiration;
  readonly noncurrent?: { readonly days: number; readonly keep?: number };
  readonly abortDays?: number;
}

/** What a bucket keeps. */
export interface Lifecycle {
  readonly rules: readonly LifecycleRule[];
  /** x-amz-transition-default-minimum-object-size as given; it is told again, and means nothing without transitions. */
  readonly transitionSize?: string;
}

export const rulesMax = 1000;
const idLengthMax = 255;
const keepMax = 100;

// ── from XML ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** MalformedXML, InvalidArgument, InvalidRequest as AWS; `newId` names rules that have no ID. */
export function readRules(root: XmlNode, newId: () => string): LifecycleRule[] {
  const nodes = root.only("Rule").all("Rule");
  if (nodes.length < 1 || nodes.length > rulesMax) throw new S3Error("MalformedXML");
  const rules = nodes.map((node) => readRule(node, newId));
  if (new Set(rules.map(({ id }) => id)).size < rules.length) {
    throw new S3Error("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule");
  }
  return rules;
}

function readRule(node: XmlNode, newId: () => string): LifecycleRule {
  for (const name of ["Transition", "NoncurrentVersionTransition"]) {
    if (node.all(name).length > 0) throw new S3Error("NotImplemented", `${name}: there is one class of storage here`);
  }
  const parts = ["ID", "Prefix", "Filter", "Status", "Expiration", "NoncurrentVersionExpiration"];
  node.only(...parts, "AbortIncompleteMultipartUpload");
  const given = node.value("ID") ?? "";
  if (given.length > idLengthMax) {
    throw invalidArgument("ID", given, `ID length should not exceed allowed limit of ${idLengthMax}`);
  }
  const status = node.requireValue("Status");
  if (status !== "Enabled" && status !== "Disabled") throw new S3Error("MalformedXML");
  const { filter, form } = readFilter(node);
  const expiration = optional(node.child("Expiration"), readExpiration);
  const noncurrent = optional(node.child("NoncurrentVersionExpiration"), readNoncurrent);
  const abortDays = optional(node.child("AbortIncompleteMultipartUpload"), (abort) =>
    positive(abort.only("DaysAfterInitiation").requireValue("DaysAfterInitiation"), "DaysAfterInitiation"),
  );
  const rule: LifecycleRule = {
    id: given === "" ? newId() : given,
    enabled: status === "Enabled",
    filter,
    form,
    ...(expiration === undefined ? {} : { expiration }),
    ...(noncurrent === undefined ? {} : { noncurrent }),
    ...(abortDays === undefined ? {} : { abortDays }),
  };
  checkRule(rule);
  return rule;
}

function checkRule({ expiration, noncurrent, abortDays, filter }: LifecycleRule): void {
  if (expiration === undefined && noncurrent === undefined && abortDays === undefined) {
    throw new S3Error("InvalidRequest", "At least one action needs to be specified in a rule");
  }
  const isSelective = filter.tags !== undefined || filter.largerThan !== undefined || filter.smallerThan !== undefined;
  if (!isSelective) return;
  if (abortDays !== undefined) {
    throw new S3Error("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes");
  }
  if (expiration?.markers === true && filter.tags !== undefined) {
    throw new S3Error("InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags");
  }
}

function readFilter(rule: XmlNode): { filter: LifecycleFilter; form: LifecycleRule["form"] } {
  const node = rule.child("Filter");
  const prefix = rule.child("Prefix");
  if (node !== undefined && prefix !== undefined) throw new S3Error("MalformedXML");
  if (node === undefined) {
    if (prefix === undefined) return { filter: {}, form: "none" };
    return { filter: { prefix: prefix.text }, form: "prefix" };
  }
  const names = ["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"];
  const and = node.child("And");
  if (and === undefined) {
    node.only(...names);
    if (node.children.length > 1) throw new S3Error("MalformedXML");
    return { filter: readPredicates(node), form: "filter" };
  }
  node.only("And");
  return { filter: readPredicates(and.only(...names)), form: "and" };
}

function readPredicates(node: XmlNode): LifecycleFilter {
  const prefix = node.child("Prefix")?.text;
  const tags: { [key: string]: string } = {};
  for (const tag of node.all("Tag")) {
    const key = tag.only("Key", "Value").require("Key").text;
    if (Object.hasOwn(tags, key)) throw new S3Error("InvalidRequest", "Duplicate Tag Keys are not allowed.");
    tags[key] = tag.require("Value").text;
  }
  const largerThan = optional(node.value("ObjectSizeGreaterThan"), (text) =>
    wholeNumber(text, "ObjectSizeGreaterThan"),
  );
  const smallerThan = optional(node.value("ObjectSizeLessThan"), (text) => wholeNumber(text, "ObjectSizeLessThan"));
  if (largerThan !== undefined && smallerThan !== undefined && smallerThan <= largerThan) {
    throw new S3Error("InvalidRequest", "ObjectSizeLessThan should be greater than ObjectSizeGreaterThan");
  }
  return {
    ...(prefix === undefined ? {} : { prefix }),
    ...(Object.keys(tags).length === 0 ? {} : { tags }),
    ...(largerThan === undefined ? {} : { largerThan }),
    ...(smallerThan === undefined ? {} : { smallerThan }),
  };
}

function readExpiration(node: XmlNode): Expiration {
  node.only("Days", "Date", "ExpiredObjectDeleteMarker");
  if (node.children.length !== 1) throw new S3Error("MalformedXML");
  const days = node.value("Days");
  if (days !== undefined) return { days: positive(days, "Days") };
  const date = node.value("Date");
  if (date !== undefined) return { date: midnight(date) };
  const markers = node.requireValue("ExpiredObjectDeleteMarker");
  if (markers !== "true" && markers !== "false") throw new S3Error("MalformedXML");
  return { markers: markers === "true" };
}

function readNoncurrent(node: XmlNode): { days: number; keep?: number } {
  node.only("NoncurrentDays", "NewerNoncurrentVersions");
  const days = positive(node.requireValue("NoncurrentDays"), "NoncurrentDays");
  const text = node.value("NewerNoncurrentVersions");
  if (text === undefined) return { days };
  const keep = positive(text, "NewerNoncurrentVersions");
  if (keep > keepMax) {
    throw invalidArgument("NewerNoncurrentVersions", text, `'NewerNoncurrentVersions' must be at most ${keepMax}`);
  }
  return { days, keep };
}

function positive(text: string, name: string): number {
  if (!/^-?\d{1,10}$/.test(text)) throw new S3Error("MalformedXML");
  const value = Number(text);
  if (value >= 1 && value <= 2_147_483_647) return value;
  throw invalidArgument(name, text, `'${name}' must be a positive integer`);
}

function wholeNumber(text: string, name: string): number {
  if (!/^\d{1,15}$/.test(text)) throw invalidArgument(name, text, `'${name}' must be a whole number`);
  return Number(text);
}

function midnight(text: string): number {
  const time = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:?\d{2})?)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw new S3Error("MalformedXML");
  if (time % 86_400_000 !== 0) throw invalidArgument("Date", text, "'Date' must be at midnight GMT");
  return time;
}

function optional<From, To>(value: From | undefined, read: (value: From) => To): To | undefined {
  return value === undefined ? undefined : read(value);
}

// ── to XML ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export function ruleElement(rule: LifecycleRule): Xml {
  const { id, enabled, expiration, noncurrent, abortDays } = rule;
  return element(
    "Rule",
    leaf("ID", id),
    filterElement(rule),
    leaf("Status", enabled ? "Enabled" : "Disabled"),
    expiration === undefined
      ? undefined
      : element(
          "Expiration",
          leaf("Days", expiration.days),
          leaf("Date", expiration.date === undefined ? undefined : isoDate(expiration.date)),
          leaf("ExpiredObjectDeleteMarker", expiration.markers),
        ),
    noncurrent === undefined
      ? undefined
      : element(
          "NoncurrentVersionExpiration",
          leaf("NoncurrentDays", noncurrent.days),
          leaf("NewerNoncurrentVersions", noncurrent.keep),
        ),
    abortDays === undefined
      ? undefined
      : element("AbortIncompleteMultipartUpload", leaf("DaysAfterInitiation", abortDays)),
  );
}

function filterElement({ filter, form }: LifecycleRule): Xml | undefined {
  if (form === "none") return undefined;
  if (form === "prefix") return leaf("Prefix", filter.prefix ?? "");
  const parts = [
    ...(filter.prefix === undefined ? [] : [leaf("Prefix", filter.prefix)]),
    ...Object.entries(filter.tags ?? {}).map(([key, value]) => element("Tag", leaf("Key", key), leaf("Value", value))),
    ...(filter.largerThan === undefined ? [] : [leaf("ObjectSizeGreaterThan", filter.largerThan)]),
    ...(filter.smallerThan === undefined ? [] : [leaf("ObjectSizeLessThan", filter.smallerThan)]),
  ];
  return element("Filter", form === "and" ? element("And", join(parts)) : join(parts));
}
