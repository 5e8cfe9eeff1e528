/** PutBucketLifecycleConfiguration and its like; and what answers about objects say of the rules. */
import { xmlSizeMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import { abortionOf, expirationOf } from "../lifecycle/evaluation.ts";
import { type Lifecycle, readRules, ruleElement } from "../lifecycle/rules.ts";
import type { Bucket, Version } from "../model.ts";
import { hex } from "../objects/new-object.ts";
import type { Operation, S3Call, Services } from "../operation.ts";
import { empty, noContent, xml } from "../protocol/answer.ts";
import { httpDate } from "../protocol/dates.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { document, parseXml } from "../protocol/xml.ts";
import { changeBucket, without } from "./change-bucket.ts";

export const lifecycleOperations: readonly Operation[] = [
  {
    name: "PutBucketLifecycleConfiguration",
    method: "PUT",
    scope: "bucket",
    when: "lifecycle",
    action: "s3:PutLifecycleConfiguration",
    run: putLifecycle,
  },
  {
    name: "GetBucketLifecycleConfiguration",
    method: "GET",
    scope: "bucket",
    when: "lifecycle",
    action: "s3:GetLifecycleConfiguration",
    run: getLifecycle,
  },
  {
    name: "DeleteBucketLifecycle",
    method: "DELETE",
    scope: "bucket",
    when: "lifecycle",
    action: "s3:PutLifecycleConfiguration",
    run: deleteLifecycle,
  },
];

/** Clients of infrastructure tools wait until they read what they have put. */
const transitionHeader = "x-amz-transition-default-minimum-object-size";
const transitionSizes = ["all_storage_classes_128K", "varies_by_storage_class"];

async function putLifecycle(call: S3Call): Promise<HttpAnswer> {
  const { body, request, services } = call;
  const root = parseXml(await body.collect(xmlSizeMax), "LifecycleConfiguration");
  const rules = readRules(root, () => hex(services.host.random.bytes(24)));
  const transitionSize = request.header(transitionHeader);
  if (transitionSize !== undefined && !transitionSizes.includes(transitionSize)) {
    throw invalidArgument(
      transitionHeader,
      transitionSize,
      `${transitionHeader} must be ${transitionSizes.join(" or ")}`,
    );
  }
  const lifecycle: Lifecycle = { rules, ...(transitionSize === undefined ? {} : { transitionSize }) };
  await changeBucket(call, (attributes) => ({ ...attributes, lifecycle }));
  return empty({ [transitionHeader]: transitionSize ?? transitionSizes[0]! });
}

async function getLifecycle({ bucket }: S3Call): Promise<HttpAnswer> {
  const lifecycle = lifecycleOf(bucket);
  if (lifecycle === undefined) {
    throw new S3Error("NoSuchLifecycleConfiguration", undefined, { elements: { BucketName: bucket.name } });
  }
  const headers = { [transitionHeader]: lifecycle.transitionSize ?? transitionSizes[0]! };
  return xml(document("LifecycleConfiguration", ...lifecycle.rules.map(ruleElement)), headers);
}

async function deleteLifecycle(call: S3Call): Promise<HttpAnswer> {
  await changeBucket(call, (attributes) => without(attributes, "lifecycle"));
  return noContent();
}

function lifecycleOf({ attributes }: Bucket): Lifecycle | undefined {
  return attributes.lifecycle as Lifecycle | undefined;
}

type Headers = { [name: string]: string | number };

/** x-amz-expiration: when the newest version of a key will expire. */
export function expirationHeader({ settings }: Services, bucket: Bucket, version: Version, into: Headers): void {
  const lifecycle = lifecycleOf(bucket);
  if (lifecycle === undefined || !version.latest) return;
  const due = expirationOf(lifecycle, version, settings.dayMs);
  if (due === undefined) return;
  into["x-amz-expiration"] = `expiry-date="${httpDate(due.at)}", rule-id="${encodeURIComponent(due.rule)}"`;
}

/** x-amz-abort-date and x-amz-abort-rule-id of an upload. */
export function abortHeaders(
  { settings }: Services,
  bucket: Bucket,
  upload: { readonly key: string; readonly createdAt: number },
  into: Headers,
): void {
  const lifecycle = lifecycleOf(bucket);
  const due = lifecycle === undefined ? undefined : abortionOf(lifecycle, upload, settings.dayMs);
  if (due === undefined) return;
  into["x-amz-abort-date"] = httpDate(due.at);
  into["x-amz-abort-rule-id"] = encodeURIComponent(due.rule);
}
