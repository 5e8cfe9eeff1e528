/**
 * Object lock (docs.aws.amazon.com, "How S3 Object Lock works"): what a bucket retains by default, and retention and legal
 * hold of versions. What they keep from happening is in object-lock-rule.ts.
 */
import { xmlSizeMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import { changeBucket } from "../buckets/change-bucket.ts";
import type { Bucket, BucketLock, DefaultRetention, LockMode, Retention, VersionAttributes } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, xml } from "../protocol/answer.ts";
import { isoDate, parseDate } from "../protocol/dates.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { document, element, leaf, parseXml, type XmlNode } from "../protocol/xml.ts";
import { changeVersion } from "./change-version.ts";
import { mayBypass, wantsBypass } from "./delete-object.ts";
import { checkVersionId, findVersion } from "./find-version.ts";

export const objectLockOperations: readonly Operation[] = [
  {
    name: "PutObjectLockConfiguration",
    method: "PUT",
    scope: "bucket",
    when: "object-lock",
    action: "s3:PutBucketObjectLockConfiguration",
    run: putConfiguration,
  },
  {
    name: "GetObjectLockConfiguration",
    method: "GET",
    scope: "bucket",
    when: "object-lock",
    action: "s3:GetBucketObjectLockConfiguration",
    run: getConfiguration,
  },
  {
    name: "PutObjectRetention",
    method: "PUT",
    scope: "object",
    when: "retention",
    parameters: ["versionId"],
    action: undefined,
    run: putRetention,
  },
  {
    name: "GetObjectRetention",
    method: "GET",
    scope: "object",
    when: "retention",
    parameters: ["versionId"],
    action: "s3:GetObjectRetention",
    run: getRetention,
  },
  {
    name: "PutObjectLegalHold",
    method: "PUT",
    scope: "object",
    when: "legal-hold",
    parameters: ["versionId"],
    action: undefined,
    run: putLegalHold,
  },
  {
    name: "GetObjectLegalHold",
    method: "GET",
    scope: "object",
    when: "legal-hold",
    parameters: ["versionId"],
    action: "s3:GetObjectLegalHold",
    run: getLegalHold,
  },
];

const dayMs = 86_400_000;
const daysPerYear = 365;
const daysMax = 36_500;
const yearsMax = 100;

// ── of buckets ──────────────────────────────────────────────────────────────────────────────────────────────────────

async function putConfiguration(call: S3Call): Promise<HttpAnswer> {
  const root = parseXml(await call.body.collect(xmlSizeMax), "ObjectLockConfiguration");
  const lock = readConfiguration(root.only("ObjectLockEnabled", "Rule"));
  if (call.bucket.versioning !== "enabled") {
    throw new S3Error(
      "InvalidBucketState",
      "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
    );
  }
  await changeBucket(call, (attributes) => ({ ...attributes, lock }));
  return empty();
}

function readConfiguration(root: XmlNode): BucketLock {
  if (root.value("ObjectLockEnabled") !== "Enabled") throw new S3Error("MalformedXML");
  const rule = root.child("Rule");
  if (rule === undefined) return {};
  const retention = rule.only("DefaultRetention").require("DefaultRetention").only("Mode", "Days", "Years");
  const mode = lockMode(retention.value("Mode"));
  const [days, years] = [retention.value("Days"), retention.value("Years")];
  if ((days === undefined) === (years === undefined)) throw new S3Error("MalformedXML");
  const period: Omit<DefaultRetention, "mode"> =
    days === undefined ? { years: readPeriod(years!, yearsMax) } : { days: readPeriod(days, daysMax) };
  return { default: { mode, ...period } };
}

function readPeriod(text: string, max: number): number {
  if (!/^-?\d{1,12}$/.test(text)) throw new S3Error("MalformedXML");
  const period = Number(text);
  if (period < 1) {
    throw new S3Error("InvalidRetentionPeriod", undefined, { elements: { ArgumentValue: text } });
  }
  if (period <= max) return period;
  throw new S3Error("InvalidRetentionPeriod", "The retention period specified is too large", {
    elements: { ArgumentValue: text },
  });
}

function lockMode(text: string | undefined): LockMode {
  if (text === "GOVERNANCE" || text === "COMPLIANCE") return text;
  throw new S3Error("MalformedXML");
}

async function getConfiguration({ bucket }: S3Call): Promise<HttpAnswer> {
  const { lock } = bucket.attributes;
  if (lock === undefined) {
    throw new S3Error("ObjectLockConfigurationNotFoundError", undefined, { elements: { BucketName: bucket.name } });
  }
  const retention = lock.default;
  const rule =
    retention === undefined
      ? undefined
      : element(
          "Rule",
          element(
            "DefaultRetention",
            leaf("Mode", retention.mode),
            leaf("Days", retention.days),
            leaf("Years", retention.years),
          ),
        );
  return xml(document("ObjectLockConfiguration", leaf("ObjectLockEnabled", "Enabled"), rule));
}

// ── of versions ─────────────────────────────────────────────────────────────────────────────────────────────────────

async function putRetention(call: S3Call): Promise<HttpAnswer> {
  await requireLockFor(call, "s3:PutObjectRetention");
  const { now, request, key } = call;
  const wanted = readRetention(parseXml(await call.body.collect(xmlSizeMax), "Retention"), now);
  await authorize(call, "s3:PutObjectRetention", wanted === undefined ? [] : retentionFacts(wanted, now));
  const isBypassing = wantsBypass(request) && (await mayBypass(call, key, request.query.get("versionId") ?? "null"));
  await changeVersion(call, (attributes) => {
    if (isWeaker(attributes.retention, wanted, now) && !(isBypassing && attributes.retention!.mode === "GOVERNANCE")) {
      throw new S3Error("AccessDenied", "Access Denied because object protected by object lock.");
    }
    const { retention: _, ...rest } = attributes;
    return wanted === undefined ? rest : { ...rest, retention: wanted };
  });
  return empty();
}

/** An empty element takes the retention off. */
function readRetention(root: XmlNode, now: number): Retention | undefined {
  root.only("Mode", "RetainUntilDate");
  const date = root.value("RetainUntilDate");
  if (root.value("Mode") === undefined && date === undefined) return undefined;
  const mode = lockMode(root.value("Mode"));
  const until = date === undefined ? undefined : parseDate(date);
  if (until === undefined) throw new S3Error("MalformedXML");
  checkFuture(until, date!, now);
  return { mode, until };
}

function checkFuture(until: number, text: string, now: number): void {
  if (until > now) return;
  throw invalidArgument("RetainUntilDate", text, "The retain until date must be in the future!");
}

/** Whether it takes away of what lasts. */
function isWeaker(existing: Retention | undefined, wanted: Retention | undefined, now: number): boolean {
  if (existing === undefined || existing.until <= now) return false;
  if (wanted === undefined || wanted.until < existing.until) return true;
  return wanted.mode !== existing.mode;
}

async function getRetention(call: S3Call): Promise<HttpAnswer> {
  requireLock(call.bucket);
  const { retention } = await attributesOf(call);
  if (retention === undefined) throw new S3Error("NoSuchObjectLockConfiguration");
  return xml(document("Retention", leaf("Mode", retention.mode), leaf("RetainUntilDate", isoDate(retention.until))));
}

async function putLegalHold(call: S3Call): Promise<HttpAnswer> {
  await requireLockFor(call, "s3:PutObjectLegalHold");
  const root = parseXml(await call.body.collect(xmlSizeMax), "LegalHold").only("Status");
  const status = root.value("Status");
  if (status !== "ON" && status !== "OFF") throw new S3Error("MalformedXML");
  await authorize(call, "s3:PutObjectLegalHold", [["s3:object-lock-legal-hold", [status]]]);
  await changeVersion(call, (attributes) => ({ ...attributes, hold: status === "ON" }));
  return empty();
}

/** Policies can look at what is to be put, which the body has: so permission is asked for when it was read. */
async function authorize(call: S3Call, action: string, facts: readonly [string, readonly string[]][]): Promise<void> {
  const { services, identity, authentication, request, bucket, key, now } = call;
  const versionId = request.query.get("versionId");
  const ask = { identity, authentication, request, action, bucket, key, versionId, now, facts: new Map(facts) };
  await services.access.authorize(services, ask);
}

function retentionFacts({ mode, until }: Retention, now: number): [string, readonly string[]][] {
  return [
    ["s3:object-lock-mode", [mode]],
    ["s3:object-lock-retain-until-date", [isoDate(until)]],
    ["s3:object-lock-remaining-retention-days", [String(Math.ceil((until - now) / dayMs))]],
  ];
}

async function getLegalHold(call: S3Call): Promise<HttpAnswer> {
  requireLock(call.bucket);
  const { hold } = await attributesOf(call);
  if (hold === undefined) throw new S3Error("NoSuchObjectLockConfiguration");
  return xml(document("LegalHold", leaf("Status", hold ? "ON" : "OFF")));
}

async function attributesOf({ services, bucket, key, request }: S3Call): Promise<VersionAttributes> {
  const found = await findVersion(services, bucket, key, checkVersionId(request.query.get("versionId")));
  return found.version.attributes;
}

/** That a bucket has none is told only to who may do it. */
async function requireLockFor(call: S3Call, action: string): Promise<void> {
  if (call.bucket.attributes.lock === undefined) await authorize(call, action, []);
  requireLock(call.bucket);
}

function requireLock({ attributes }: Bucket): void {
  if (attributes.lock === undefined) throw new S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration");
}

// ── of what is written ──────────────────────────────────────────────────────────────────────────────────────────────

/** What a new version is retained by: as its headers say, or by the bucket's default. */
export function lockForNewObject(
  { attributes }: Bucket,
  header: (name: string) => string | undefined,
  now: number,
): Pick<VersionAttributes, "retention" | "hold"> {
  const mode = header("x-amz-object-lock-mode");
  const date = header("x-amz-object-lock-retain-until-date");
  const hold = header("x-amz-object-lock-legal-hold");
  const isAsked = mode !== undefined || date !== undefined || hold !== undefined;
  if (attributes.lock === undefined) {
    if (isAsked) throw new S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration");
    return {};
  }
  if ((mode === undefined) !== (date === undefined)) {
    const message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
    throw invalidArgument(
      mode === undefined ? "x-amz-object-lock-mode" : "x-amz-object-lock-retain-until-date",
      "null",
      message,
    );
  }
  if (hold !== undefined && hold !== "ON" && hold !== "OFF") {
    throw invalidArgument("x-amz-object-lock-legal-hold", hold, "Legal Hold must be either of 'ON' or 'OFF'");
  }
  const retention = mode === undefined ? defaultRetention(attributes.lock, now) : namedRetention(mode, date!, now);
  return {
    ...(retention === undefined ? {} : { retention }),
    ...(hold === undefined ? {} : { hold: hold === "ON" }),
  };
}

function namedRetention(mode: string, date: string, now: number): Retention {
  if (mode !== "GOVERNANCE" && mode !== "COMPLIANCE") {
    throw invalidArgument("x-amz-object-lock-mode", mode, "Unknown wormMode directive.");
  }
  const until = parseDate(date);
  if (until === undefined) {
    throw invalidArgument(
      "x-amz-object-lock-retain-until-date",
      date,
      "The retain until date must be provided in ISO 8601 format",
    );
  }
  checkFuture(until, date, now);
  return { mode, until };
}

function defaultRetention(lock: BucketLock, now: number): Retention | undefined {
  if (lock.default === undefined) return undefined;
  const { mode, days, years } = lock.default;
  return { mode, until: now + (days ?? (years ?? 0) * daysPerYear) * dayMs };
}

/** What answers to reads say of it. */
export function lockHeaders({ retention, hold }: VersionAttributes, into: { [name: string]: string | number }): void {
  if (retention !== undefined) {
    into["x-amz-object-lock-mode"] = retention.mode;
    into["x-amz-object-lock-retain-until-date"] = isoDate(retention.until);
  }
  if (hold !== undefined) into["x-amz-object-lock-legal-hold"] = hold ? "ON" : "OFF";
}
