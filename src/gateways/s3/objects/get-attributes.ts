/** GetObjectAttributes: what is known of an object, without its bytes. */
import type { HttpAnswer } from "../../../env/http.ts";
import { openEncryption } from "../encryption/object-encryption.ts";
import type { ObjectAttributes, PartSummary } from "../model.ts";
import type { Operation, S3Call } from "../operation.ts";
import { xml } from "../protocol/answer.ts";
import { httpDate } from "../protocol/dates.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { document, element, leaf, type Xml } from "../protocol/xml.ts";
import { checkReadConditions } from "./conditions.ts";
import { checksumLeaves } from "./copy-object.ts";
import { checkVersionId, findVersion, type FoundVersion } from "./find-version.ts";
import { versionHeader } from "./new-object.ts";

export const getAttributesOperations: readonly Operation[] = [
  {
    name: "GetObjectAttributes",
    method: "GET",
    scope: "object",
    when: "attributes",
    parameters: ["versionId", "max-parts", "part-number-marker"],
    action: ({ query }) =>
      query.has("versionId")
        ? ["s3:GetObjectVersion", "s3:GetObjectVersionAttributes"]
        : ["s3:GetObject", "s3:GetObjectAttributes"],
    run: getObjectAttributes,
  },
];

const names = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"] as const;
type Name = (typeof names)[number];

const header = "x-amz-object-attributes";
const partsPerPageMax = 1000;

async function getObjectAttributes(call: S3Call): Promise<HttpAnswer> {
  const { services, request, bucket, key } = call;
  const wanted = wantedNames(request.header(header));
  const found = await findVersion(services, bucket, key, checkVersionId(request.query.get("versionId")));
  const { version } = found;
  await openEncryption(services, version.attributes, request);
  checkReadConditions(request.header, version.attributes.etag, version.createdAt);
  const headers: { [name: string]: string | number } = { "Last-Modified": httpDate(version.createdAt) };
  versionHeader(call, version.version, headers);
  const parts = names.filter((name) => wanted.has(name)).map((name) => attributeElement(name, call, found));
  return xml(document("GetObjectAttributesResponse", ...parts), headers);
}

function wantedNames(text: string | undefined): ReadonlySet<Name> {
  if (text === undefined || text === "") {
    const rule =
      "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty";
    throw new S3Error("InvalidRequest", rule);
  }
  const given = text.split(",").map((name) => name.trim());
  const wrong = given.find((name) => !(names as readonly string[]).includes(name));
  if (wrong !== undefined) throw invalidArgument(header, wrong, "Invalid attribute name specified.");
  return new Set(given as Name[]);
}

function attributeElement(name: Name, call: S3Call, { version, object }: FoundVersion): Xml | undefined {
  const { attributes } = version;
  switch (name) {
    case "ETag":
      return leaf("ETag", attributes.etag);
    case "Checksum": {
      if (attributes.checksums === undefined) return undefined;
      const type = leaf("ChecksumType", attributes.checksumType ?? "FULL_OBJECT");
      return element("Checksum", ...checksumLeaves(attributes.checksums), type);
    }
    case "ObjectParts":
      return partsElement(call, (object.attributes as unknown as ObjectAttributes).parts);
    case "StorageClass":
      return leaf("StorageClass", attributes.class ?? "STANDARD");
    case "ObjectSize":
      return leaf("ObjectSize", object.size);
  }
  return undefined;
}

function partsElement({ request }: S3Call, parts: readonly PartSummary[] | undefined): Xml | undefined {
  if (parts === undefined) return undefined;
  const number = (name: string, fallback: number): number => {
    const text = request.header(name) ?? request.query.get(name.replace(/^x-amz-/, "")) ?? String(fallback);
    if (!/^\d{1,9}$/.test(text))
      throw invalidArgument(name, text, "Argument must be an integer between 0 and 2147483647");
    return Number(text);
  };
  const limit = Math.min(number("x-amz-max-parts", partsPerPageMax), partsPerPageMax);
  const after = number("x-amz-part-number-marker", 0);
  // As AWS, which lists parts only where they have checksums of their own.
  if (parts.every(({ checksums }) => checksums === undefined)) {
    return element("ObjectParts", leaf("PartsCount", parts.length));
  }
  // What the parts of a completed object are called is their place in it.
  const page = parts.slice(after, after + limit);
  const isTruncated = after + page.length < parts.length;
  return element(
    "ObjectParts",
    leaf("PartsCount", parts.length),
    leaf("PartNumberMarker", after),
    leaf("NextPartNumberMarker", after + page.length),
    leaf("MaxParts", limit),
    leaf("IsTruncated", isTruncated),
    ...page.map(({ size, checksums }, index) =>
      element("Part", ...checksumLeaves(checksums), leaf("PartNumber", after + index + 1), leaf("Size", size)),
    ),
  );
}
