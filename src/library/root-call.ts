/**
 * Operations of the gateway, called from within the process: as root would over HTTP, but that nothing was signed and
 * nothing travels. So the library stores what S3 stores, by the same code.
 */
import type { HttpBody } from "../env/http.ts";
import type { AccessKey } from "../gateways/s3/auth/accounts.ts";
import type { Authentication } from "../gateways/s3/auth/identity.ts";
import type { RequestBody } from "../gateways/s3/body/request-body.ts";
import { type Bucket, bucketOf } from "../gateways/s3/model.ts";
import type { Operation, S3Call, Services } from "../gateways/s3/operation.ts";
import { S3Error } from "../gateways/s3/protocol/error.ts";
import type { S3Request } from "../gateways/s3/protocol/request.ts";

export interface RootCallOptions {
  readonly bucket: string;
  readonly key?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly query?: ReadonlyMap<string, string>;
  readonly body?: RequestBody;
}

/** There is none: what operations run here look at is their body, not the connection's. */
const noHttpBody: HttpBody = { size: 0, read: async () => undefined };
/** Nobody chose it over another: operations are called by their functions. */
const noOperation = { name: "library", method: "PUT", scope: "object", action: undefined } as unknown as Operation;

/** NoSuchBucket where there is none. */
export async function rootCall(services: Services, root: AccessKey, options: RootCallOptions): Promise<S3Call> {
  const bucket = await requireBucket(services, options.bucket);
  return rootCallTo(services, root, bucket, options);
}

export async function requireBucket({ datastore }: Services, name: string): Promise<Bucket> {
  const record = await datastore.getBucket(name);
  if (record === undefined) throw new S3Error("NoSuchBucket", undefined, { elements: { BucketName: name } });
  return bucketOf(record);
}

export function rootCallTo(
  services: Services,
  root: AccessKey,
  bucket: Bucket,
  { key, headers = {}, query = new Map(), body = emptyBody }: Omit<RootCallOptions, "bucket">,
): S3Call {
  const identity = { kind: "user", key: root } as const;
  const authentication: Authentication = {
    identity,
    payload: { kind: "unsigned" },
    type: "header",
    signedAt: undefined,
  };
  const http = { method: "PUT", target: "/", headers, peer: "127.0.0.1", secure: true, body: noHttpBody };
  const request: S3Request = {
    http,
    id: "library",
    method: http.method,
    rawPath: "/",
    rawQuery: "",
    hosted: false,
    bucket: bucket.name,
    key,
    query,
    header: (name) => headers[name]?.trim(),
  };
  const now = services.host.clock.now();
  return {
    services,
    request,
    operation: noOperation,
    authentication,
    identity,
    body,
    bucket,
    key: key ?? "",
    now,
  };
}

/** A document, for operations that read one. */
export function documentBody(text: string): RequestBody {
  const bytes = Buffer.from(text, "utf8");
  const received = { size: bytes.length, md5: undefined, checksums: {} };
  return {
    size: bytes.length,
    algorithm: undefined,
    collect: async () => bytes,
    receive: async () => ({ ...received, bytes }),
    stream: async (take) => {
      await take(bytes);
      return received;
    },
  };
}

const emptyBody = documentBody("");
