/**
 * DeleteObjects: up to `deleteObjectsMax` objects in one request. All of them are begun at once, so that they share
 * commits, and each has its own result.
 */
import type { HttpAnswer } from "../../../env/http.ts";
import { deleteObjectsMax, deleteObjectsSizeMax } from "../../../core/limits.ts";
import type { Condition } from "../../../datastore/datastore.ts";
import type { Operation, S3Call } from "../operation.ts";
import { xml } from "../protocol/answer.ts";
import { S3Error, s3ErrorOf } from "../protocol/error.ts";
import { document, escapeText, parseXml, type Xml, type XmlNode } from "../protocol/xml.ts";
import { bareEtag } from "./conditions.ts";
import { deleteActions, deleteOne, mayBypass, unknownCondition, wantsBypass, type Deleted } from "./delete-object.ts";
import { isVersionId } from "./version-id.ts";

export const deleteObjectsOperations: readonly Operation[] = [
  { name: "DeleteObjects", method: "POST", scope: "bucket", when: "delete", action: undefined, run: deleteObjects },
];

/** An Object element as it was sent. */
export interface NamedObject {
  readonly key: string;
  readonly versionId: string | undefined;
  readonly etag: string | undefined;
  /** A condition of directory buckets. */
  readonly unknown: string | undefined;
}

async function deleteObjects(call: S3Call): Promise<HttpAnswer> {
  const { request, body } = call;
  // So that no flipped bit deletes what was not meant.
  if (request.header("content-md5") === undefined && body.algorithm === undefined) {
    throw new S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
  }
  const { objects, isQuiet } = readDelete(await body.collect(deleteObjectsSizeMax));
  const bypass = wantsBypass(request);
  const results = await Promise.all(objects.map((object) => deleteNamed(call, object, bypass, isQuiet)));
  return xml(document("DeleteResult", results.join("") as Xml));
}

/** The element that says what became of it. */
async function deleteNamed(call: S3Call, object: NamedObject, bypass: boolean, isQuiet: boolean): Promise<Xml> {
  const { key, etag } = object;
  try {
    const versionId = object.versionId === "" ? undefined : object.versionId;
    // Here AWS does not tell an id that can be none from one that is not there.
    if (versionId !== undefined && !isVersionId(versionId)) throw new S3Error("NoSuchVersion");
    if (object.unknown !== undefined) throw unknownCondition(object.unknown);
    for (const action of deleteActions(versionId, etag)) {
      const allowed = isAllowed(call, action, key, versionId);
      if (allowed === false || (allowed !== true && !(await allowed))) throw new S3Error("AccessDenied");
    }
    const bypassesGovernance = bypass && (await mayBypass(call, key, versionId));
    const condition = conditionOf(etag);
    if (condition !== undefined && versionId !== undefined) throw unknownCondition("ETag");
    const deleted = await deleteOne(call, { key, versionId, condition, bypassesGovernance });
    return isQuiet ? ("" as Xml) : deletedElement(key, versionId, deleted);
  } catch (thrown) {
    return errorElement(object, s3ErrorOf(thrown));
  }
}

function isAllowed(
  { services, identity, authentication, request, bucket, now }: S3Call,
  action: string,
  key: string,
  versionId: string | undefined,
): boolean | Promise<boolean> {
  return services.access.allowed(services, { identity, authentication, request, action, bucket, key, versionId, now });
}

function conditionOf(etag: string | undefined): Condition | undefined {
  if (etag === undefined) return undefined;
  return etag === "*" ? { kind: "present" } : { kind: "attribute", name: "etag", value: bareEtag(etag) };
}

function deletedElement(key: string, versionId: string | undefined, { marker, version }: Deleted): Xml {
  const id = versionId === undefined ? "" : `<VersionId>${versionId}</VersionId>`;
  const made = marker
    ? `<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>${version!}</DeleteMarkerVersionId>`
    : "";
  return `<Deleted><Key>${escapeText(key)}</Key>${id}${made}</Deleted>` as Xml;
}

function errorElement({ key, versionId }: NamedObject, { code, message }: S3Error): Xml {
  const id = versionId === undefined ? "" : `<VersionId>${escapeText(versionId)}</VersionId>`;
  return `<Error><Key>${escapeText(key)}</Key>${id}<Code>${code}</Code><Message>${escapeText(message)}</Message></Error>` as Xml;
}

// ── the request ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** MalformedXML where it names nothing, or too much. */
export function readDelete(body: Uint8Array): { objects: NamedObject[]; isQuiet: boolean } {
  const root = parseXml(body, "Delete");
  const objects: NamedObject[] = [];
  let quiet = "false";
  for (const child of root.children) {
    if (child.name === "Object") objects.push(readObject(child));
    else if (child.name === "Quiet") quiet = child.text.trim().toLowerCase();
    else throw new S3Error("MalformedXML");
  }
  if (objects.length === 0 || objects.length > deleteObjectsMax) throw new S3Error("MalformedXML");
  if (quiet !== "true" && quiet !== "false") throw new S3Error("MalformedXML");
  return { objects, isQuiet: quiet === "true" };
}

function readObject(node: XmlNode): NamedObject {
  let key: string | undefined;
  let versionId: string | undefined;
  let etag: string | undefined;
  let unknown: string | undefined;
  for (const child of node.children) {
    // A key's white space is its own.
    if (child.name === "Key" && key === undefined) key = child.text;
    else if (child.name === "VersionId" && versionId === undefined) versionId = child.text.trim();
    else if (child.name === "ETag" && etag === undefined) etag = child.text.trim();
    else if (child.name === "LastModifiedTime" || child.name === "Size") unknown = child.name;
    else throw new S3Error("MalformedXML");
  }
  if (key === undefined || key === "") throw new S3Error("MalformedXML");
  return { key, versionId, etag, unknown };
}
