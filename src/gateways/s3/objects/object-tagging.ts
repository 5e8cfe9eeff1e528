/**
 * GetObjectTagging, PutObjectTagging, DeleteObjectTagging. Policies can look at the tags that are to be put, which the
 * body has: so PutObjectTagging reads it before it asks for permission.
 */
import { xmlSizeMax } from "../../../core/limits.ts";
import type { HttpAnswer } from "../../../env/http.ts";
import type { Tags } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { empty, noContent, xml } from "../protocol/answer.ts";
import type { S3Request } from "../protocol/request.ts";
import { objectTagsMax, parseTagging, tagCount, taggingDocument } from "../protocol/tags.ts";
import { changeVersion } from "./change-version.ts";
import { checkVersionId, findVersion } from "./find-version.ts";
import { versionHeader } from "./new-object.ts";

const common = { scope: "object", when: "tagging", parameters: ["versionId"] } as const;

export const objectTaggingOperations: readonly Operation[] = [
  { ...common, name: "GetObjectTagging", method: "GET", action: actionsOf("Get"), run: getTagging },
  { ...common, name: "PutObjectTagging", method: "PUT", action: undefined, run: putTagging },
  { ...common, name: "DeleteObjectTagging", method: "DELETE", action: actionsOf("Delete"), run: deleteTagging },
];

function actionsOf(verb: string): (request: S3Request) => readonly string[] {
  return ({ query }) => [query.has("versionId") ? `s3:${verb}ObjectVersionTagging` : `s3:${verb}ObjectTagging`];
}

async function getTagging(call: S3Call): Promise<HttpAnswer> {
  const { services, bucket, key, request } = call;
  const { version } = await findVersion(services, bucket, key, checkVersionId(request.query.get("versionId")));
  return xml(taggingDocument(version.attributes.tags ?? {}), versionHeaders(call, version.version));
}

async function putTagging(call: S3Call): Promise<HttpAnswer> {
  const tags = parseTagging(await call.body.collect(xmlSizeMax), objectTagsMax);
  await authorizePut(call, tags);
  const changed = await changeVersion(call, (attributes) => {
    const { tags: _, ...rest } = attributes;
    return tagCount(tags) === 0 ? rest : { ...attributes, tags };
  });
  return empty(versionHeaders(call, changed.version));
}

async function authorizePut(call: S3Call, tags: Tags): Promise<void> {
  const { services, identity, authentication, request, bucket, key, now } = call;
  const [action] = actionsOf("Put")(request);
  const versionId = request.query.get("versionId");
  const facts = new Map<string, readonly string[]>([["s3:requestobjecttagkeys", Object.keys(tags)]]);
  for (const [name, value] of Object.entries(tags)) facts.set(`s3:requestobjecttag/${name}`, [value]);
  await services.access.authorize(services, {
    identity,
    authentication,
    request,
    action: action!,
    bucket,
    key,
    versionId,
    now,
    facts,
  });
}

async function deleteTagging(call: S3Call): Promise<HttpAnswer> {
  const changed = await changeVersion(call, (attributes) => {
    const { tags: _, ...rest } = attributes;
    return rest;
  });
  return noContent(versionHeaders(call, changed.version));
}

function versionHeaders(call: S3Call, version: string): { [name: string]: string | number } {
  const headers: { [name: string]: string | number } = {};
  versionHeader(call, version, headers);
  return headers;
}
