/**
 * Sub-resources of things that this store does not do. Reading one answers as AWS does where it is not configured, which
 * is what consoles and Terraform look for; removing one that is not there is no error; configuring one is refused, unless
 * it asks for what is so anyway: many clients switch off notifications and logging in that way.
 */
import { xmlSizeMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import type { Method, Operation, S3Call, Scope } from "../operation.ts";
import { empty, noContent, xml } from "../protocol/answer.ts";
import { S3Error, type S3Code } from "../protocol/error.ts";
import { document, leaf, parseXml, type XmlNode } from "../protocol/xml.ts";

interface Absent {
  /** The query parameter. */
  readonly when: string;
  /** As operations are called, behind Get, Put and Delete. */
  readonly name: string;
  /** As policies call it, behind s3:Get and s3:Put. */
  readonly policyName: string;
  /** What reading it answers; where that is an error, it can be deleted, too. */
  readonly answer: { readonly xml: string } | { readonly error: S3Code };
  /** A document that asks for nothing else than what is so anyway. */
  readonly asItIs?: { readonly root: string; readonly isMeant: (root: XmlNode) => boolean };
}

const absent: readonly Absent[] = [
  {
    when: "website",
    name: "BucketWebsite",
    policyName: "BucketWebsite",
    answer: { error: "NoSuchWebsiteConfiguration" },
  },
  {
    when: "replication",
    name: "BucketReplication",
    policyName: "ReplicationConfiguration",
    answer: { error: "ReplicationConfigurationNotFoundError" },
  },
  {
    when: "logging",
    name: "BucketLogging",
    policyName: "BucketLogging",
    answer: { xml: document("BucketLoggingStatus") },
    asItIs: { root: "BucketLoggingStatus", isMeant: (root) => root.children.length === 0 },
  },
  {
    when: "accelerate",
    name: "BucketAccelerateConfiguration",
    policyName: "AccelerateConfiguration",
    answer: { xml: document("AccelerateConfiguration") },
  },
  {
    when: "requestPayment",
    name: "BucketRequestPayment",
    policyName: "BucketRequestPayment",
    answer: { xml: document("RequestPaymentConfiguration", leaf("Payer", "BucketOwner")) },
    asItIs: {
      root: "RequestPaymentConfiguration",
      isMeant: (root) => root.only("Payer").requireValue("Payer") === "BucketOwner",
    },
  },
  {
    when: "notification",
    name: "BucketNotificationConfiguration",
    policyName: "BucketNotification",
    answer: { xml: document("NotificationConfiguration") },
    asItIs: { root: "NotificationConfiguration", isMeant: (root) => root.children.length === 0 },
  },
];

/** Those of which a bucket can have several, by id. */
const several = [
  { when: "analytics", name: "Analytics", list: "ListBucketAnalyticsConfigurationResult" },
  { when: "inventory", name: "Inventory", list: "ListInventoryConfigurationsResult" },
  { when: "metrics", name: "Metrics", list: "ListMetricsConfigurationsResult" },
  { when: "intelligent-tiering", name: "IntelligentTiering", list: "ListBucketIntelligentTieringConfigurationsResult" },
] as const;

const listening = ["ping", "prefix", "suffix"];

export const notConfiguredOperations: readonly Operation[] = [
  ...absent.flatMap(operationsOf),
  ...several.flatMap(({ when, name, list }): Operation[] => {
    const common = { scope: "bucket", when, parameters: ["id", "continuation-token"] } as const;
    const get = `s3:Get${name}Configuration`;
    const put = `s3:Put${name}Configuration`;
    return [
      {
        ...common,
        name: `GetBucket${name}Configuration`,
        method: "GET",
        action: get,
        run: (call) => getOne(call, list),
      },
      { ...common, name: `PutBucket${name}Configuration`, method: "PUT", action: put, run: refuse },
      { ...common, name: `DeleteBucket${name}Configuration`, method: "DELETE", action: put, run: notThere },
    ];
  }),
  refused("GetObjectTorrent", "GET", "object", "torrent", "s3:GetObjectTorrent"),
  refused("SelectObjectContent", "POST", "object", "select", "s3:GetObject", ["select-type"]),
  refused("RestoreObject", "POST", "object", "restore", "s3:RestoreObject", ["versionId"]),
  // MinIO's, not AWS's. Its clients would take the listing that is answered instead for events.
  refused("ListenBucketNotification", "GET", "bucket", "events", "s3:ListenBucketNotification", listening),
  refused("ListenNotification", "GET", "service", "events", "s3:ListenNotification", listening),
];

function operationsOf({ when, name, policyName, answer, asItIs }: Absent): Operation[] {
  const common = { scope: "bucket", when } as const;
  const get = `s3:Get${policyName}`;
  const put = `s3:Put${policyName}`;
  const run = asItIs === undefined ? refuse : (call: S3Call): Promise<HttpAnswer> => keep(call, asItIs);
  const putIt: Operation = { ...common, name: `Put${name}`, method: "PUT", action: put, run };
  if ("xml" in answer) {
    return [{ ...common, name: `Get${name}`, method: "GET", action: get, run: async () => xml(answer.xml) }, putIt];
  }
  const fail = async ({ bucket }: S3Call): Promise<HttpAnswer> => {
    throw new S3Error(answer.error, undefined, { elements: { BucketName: bucket.name } });
  };
  const remove = when === "website" ? "s3:DeleteBucketWebsite" : put;
  return [
    { ...common, name: `Get${name}`, method: "GET", action: get, run: fail },
    putIt,
    { ...common, name: `Delete${name}`, method: "DELETE", action: remove, run: async () => noContent() },
  ];
}

async function getOne({ request }: S3Call, list: string): Promise<HttpAnswer> {
  if (request.query.get("id") !== undefined) throw new S3Error("NoSuchConfiguration");
  return xml(document(list, leaf("IsTruncated", false)));
}

async function notThere(): Promise<HttpAnswer> {
  throw new S3Error("NoSuchConfiguration");
}

async function keep(call: S3Call, { root, isMeant }: NonNullable<Absent["asItIs"]>): Promise<HttpAnswer> {
  return isMeant(parseXml(await call.body.collect(xmlSizeMax), root)) ? empty() : refuse(call);
}

async function refuse({ operation }: S3Call): Promise<HttpAnswer> {
  throw new S3Error("NotImplemented", `${operation.name} is not implemented.`);
}

function refused(
  name: string,
  method: Method,
  scope: Scope,
  when: string,
  action: string,
  parameters: readonly string[] = [],
): Operation {
  return { name, method, scope, when, parameters, action, run: refuse };
}
