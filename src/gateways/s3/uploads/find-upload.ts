/** The upload that a request names: it must be one of this bucket and key. */
import { StoreError } from "../../../core/errors.ts";
import { partsMax } from "../../../core/limits.ts";
import { type Upload, uploadOf } from "../model.ts";
import type { S3Call } from "../operation.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";

export async function findUpload({ services, request, bucket, key }: S3Call): Promise<Upload> {
  const id = request.query.get("uploadId")!;
  // Ids are made by createUpload: what looks otherwise is none, and may not even be a name for the datastore.
  const record = /^[\w.-]{1,128}$/.test(id) ? await services.datastore.getUpload(id) : undefined;
  if (record === undefined || record.bucket !== bucket.name || record.key !== key) throw noSuchUpload(id);
  return uploadOf(record);
}

export function noSuchUpload(id: string): S3Error {
  return new S3Error("NoSuchUpload", undefined, { elements: { UploadId: id } });
}

/** What the datastore says of an upload that was completed or aborted meanwhile, in S3's words; other errors as they are. */
export function uploadError(id: string, error: unknown): unknown {
  const isGone = error instanceof StoreError && error.code === "NOT_FOUND" && error.message.startsWith("upload ");
  return isGone ? noSuchUpload(id) : error;
}

export function partNumberOf({ request }: S3Call): number {
  const text = request.query.get("partNumber");
  if (text === undefined) {
    // To the upload as such one cannot put.
    throw new S3Error("MethodNotAllowed", undefined, {
      elements: { Method: "PUT", ResourceType: "UPLOAD" },
      headers: { Allow: "DELETE, GET, POST" },
    });
  }
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= partsMax) return number;
  throw invalidArgument("partNumber", text, `Part number must be an integer between 1 and ${partsMax}, inclusive`);
}
