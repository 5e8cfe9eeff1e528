/** What a client says of an object in headers, and how it is said back (docs.aws.amazon.com, "Working with object metadata"). */
import { isUtf8 } from "node:buffer";
import { type SystemHeader, systemHeaders, type VersionAttributes } from "../model.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";

type HeaderOf = (name: string) => string | undefined;

/** All of x-amz-meta-*: names without the prefix and values, in bytes. */
export const metadataSizeMax = 2048;

const metadataPrefix = "x-amz-meta-";
export const defaultContentType = "binary/octet-stream";

export const storageClasses = [
  "STANDARD",
  "REDUCED_REDUNDANCY",
  "STANDARD_IA",
  "ONEZONE_IA",
  "INTELLIGENT_TIERING",
  "GLACIER_IR",
] as const;

export type DescribedObject = Pick<VersionAttributes, "type" | "headers" | "meta">;

/** Content-Type, the other system headers and user metadata. */
export function describedObject(headers: { readonly [name: string]: string | undefined }): DescribedObject {
  let system: { [Name in SystemHeader]?: string } | undefined;
  for (const name of systemHeaders) {
    const value = name === "content-encoding" ? storedEncoding(headers[name]) : headers[name];
    if (value !== undefined && value !== "") (system ??= {})[name] = value;
  }
  const meta = userMetadata(headers);
  const type = headers["content-type"];
  return {
    ...(type === undefined || type === "" ? {} : { type }),
    ...(system === undefined ? {} : { headers: system }),
    ...(meta === undefined ? {} : { meta }),
  };
}

/** aws-chunked is how the body travels, not what the object is. */
function storedEncoding(value: string | undefined): string | undefined {
  if (value === undefined || !value.includes("aws-chunked")) return value;
  const codings = value.split(",").map((coding) => coding.trim());
  return codings.filter((coding) => coding !== "aws-chunked").join(",");
}

function userMetadata(headers: {
  readonly [name: string]: string | undefined;
}): { readonly [name: string]: string } | undefined {
  let meta: { [name: string]: string } | undefined;
  let size = 0;
  for (const name in headers) {
    if (!name.startsWith(metadataPrefix)) continue;
    const value = headers[name]!.trim();
    const bare = name.slice(metadataPrefix.length);
    (meta ??= Object.create(null) as { [name: string]: string })[bare] = value;
    size += bare.length + value.length;
  }
  if (size > metadataSizeMax) {
    throw new S3Error("MetadataTooLarge", undefined, {
      elements: { Size: String(size), MaxSizeAllowed: String(metadataSizeMax) },
    });
  }
  return meta;
}

/** x-amz-storage-class and x-amz-website-redirect-location. All classes are stored alike. */
export function placementAttributes(header: HeaderOf): Pick<VersionAttributes, "class" | "redirect"> {
  const wanted = header("x-amz-storage-class");
  const redirect = header("x-amz-website-redirect-location");
  if (wanted !== undefined && !(storageClasses as readonly string[]).includes(wanted)) {
    throw new S3Error("InvalidStorageClass", undefined, { elements: { StorageClassRequested: wanted } });
  }
  if (redirect !== undefined && !/^(\/|https?:\/\/)/.test(redirect)) {
    const rule = "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.";
    throw new S3Error("InvalidRequest", rule);
  }
  return {
    ...(wanted === undefined || wanted === "STANDARD" ? {} : { class: wanted }),
    ...(redirect === undefined ? {} : { redirect }),
  };
}

const overrides: { readonly [parameter: string]: string } = {
  "response-content-type": "Content-Type",
  "response-content-language": "Content-Language",
  "response-expires": "Expires",
  "response-cache-control": "Cache-Control",
  "response-content-disposition": "Content-Disposition",
  "response-content-encoding": "Content-Encoding",
};
export const overrideParameters: readonly string[] = Object.keys(overrides);

const answerNames: { readonly [Name in SystemHeader]: string } = {
  "cache-control": "Cache-Control",
  "content-disposition": "Content-Disposition",
  "content-encoding": "Content-Encoding",
  "content-language": "Content-Language",
  expires: "Expires",
};

/** The headers that tell what `describedObject` and `placementAttributes` were told. */
export function describingHeaders(attributes: VersionAttributes, into: { [name: string]: string | number }): void {
  into["Content-Type"] = attributes.type ?? defaultContentType;
  const { headers, meta } = attributes;
  if (headers !== undefined) {
    for (const name in headers) into[answerNames[name as SystemHeader]] = headers[name as SystemHeader]!;
  }
  if (meta !== undefined) for (const name in meta) into[metadataPrefix + name] = mailSafe(meta[name]!);
  if (attributes.class !== undefined) into["x-amz-storage-class"] = attributes.class;
  if (attributes.redirect !== undefined) into["x-amz-website-redirect-location"] = attributes.redirect;
}

/** As AWS returns user metadata that is not US-ASCII: encoded by RFC 2047. What is no UTF-8 is taken for Latin-1. */
function mailSafe(value: string): string {
  if (!/[^\t -~]/.test(value)) return value;
  const bytes = Buffer.from(value, "latin1");
  return `=?UTF-8?B?${(isUtf8(bytes) ? bytes : Buffer.from(value)).toString("base64")}?=`;
}

/** `response-content-type` and the like replace headers; only of who has signed. */
export function applyOverrides(
  query: ReadonlyMap<string, string>,
  isSigned: boolean,
  into: { [name: string]: string | number },
): void {
  if (query.size === 0) return;
  for (const [parameter, name] of Object.entries(overrides)) {
    const value = query.get(parameter);
    if (value === undefined) continue;
    if (!isSigned) {
      throw new S3Error(
        "InvalidRequest",
        "Request specific response headers cannot be used for anonymous GET requests.",
      );
    }
    if (/[\r\n\0]/.test(value))
      throw invalidArgument(parameter, value, "Header value cannot contain control characters.");
    into[name] = Buffer.from(value, "utf8").toString("latin1");
  }
}
