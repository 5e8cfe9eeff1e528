/**
 * Tags of objects and buckets, as XML and as the header x-amz-tagging (docs.aws.amazon.com, "Categorizing your storage
 * using tags").
 */
import type { Tags } from "../model.ts";
import { invalidArgument, S3Error } from "./error.ts";
import { utf8Header } from "./request.ts";
import { document, element, leaf, parseXml } from "./xml.ts";

/** Of an object and of a bucket. */
export const objectTagsMax = 10;
export const bucketTagsMax = 50;

const keyLengthMax = 128;
const valueLengthMax = 256;
const allowed = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** The body of PutObjectTagging and PutBucketTagging. */
export function parseTagging(body: Uint8Array, countMax: number): Tags {
  const root = parseXml(body, "Tagging").only("TagSet");
  const pairs = root
    .require("TagSet")
    .only("Tag")
    .all("Tag")
    .map((tag): [string, string] => {
      tag.only("Key", "Value");
      return [tag.require("Key").text, tag.require("Value").text];
    });
  return checkedTags(pairs, countMax);
}

/** x-amz-tagging: `key=value&…`, form-encoded; undefined where there is no such header. */
export function parseTaggingHeader(header: string | undefined, countMax: number = objectTagsMax): Tags | undefined {
  if (header === undefined) return undefined;
  const pairs: [string, string][] = [];
  for (const part of utf8Header(header).split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    pairs.push([
      decodedForm(equals < 0 ? part : part.slice(0, equals), header),
      equals < 0 ? "" : decodedForm(part.slice(equals + 1), header),
    ]);
  }
  return checkedTags(pairs, countMax);
}

function decodedForm(text: string, header: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    const why =
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.";
    throw invalidArgument("x-amz-tagging", header, why);
  }
}

export function checkedTags(pairs: readonly (readonly [string, string])[], countMax: number): Tags {
  if (pairs.length > countMax) {
    // The one code that AWS documents for tags; what it answers itself was seen to be BadRequest, which clients do not ask for.
    if (countMax === objectTagsMax) throw new S3Error("InvalidTag", `Object tags cannot be greater than ${countMax}`);
    throw new S3Error("BadRequest", `Bucket tag count cannot be greater than ${countMax}`);
  }
  const tags = Object.create(null) as { [key: string]: string };
  for (const [key, value] of pairs) {
    if (key === "" || key.length > keyLengthMax || !allowed.test(key)) {
      throw invalidTag("The TagKey you have provided is invalid", key);
    }
    if (value.length > valueLengthMax || !allowed.test(value)) {
      throw invalidTag("The TagValue you have provided is invalid", key, value);
    }
    if (/^aws:/i.test(key)) throw invalidTag("System tags cannot be added/updated by requester", key);
    if (Object.hasOwn(tags, key)) throw invalidTag("Cannot provide multiple Tags with the same key", key);
    tags[key] = value;
  }
  return { ...tags };
}

function invalidTag(message: string, key: string, value?: string): S3Error {
  return new S3Error("InvalidTag", message, {
    elements: { TagKey: key, ...(value === undefined ? {} : { TagValue: value }) },
  });
}

/** The answer of GetObjectTagging and GetBucketTagging. */
export function taggingDocument(tags: Tags): string {
  const each = Object.entries(tags).map(([key, value]) => element("Tag", leaf("Key", key), leaf("Value", value)));
  return document("Tagging", element("TagSet", ...each));
}

export function tagCount(tags: Tags | undefined): number {
  return tags === undefined ? 0 : Object.keys(tags).length;
}
