/** Requests to be judged, for the tests of access control. */
import type { Datastore } from "../../src/datastore/datastore.ts";
import type { AccessKey } from "../../src/gateways/s3/auth/accounts.ts";
import { anonymous, type Identity } from "../../src/gateways/s3/auth/identity.ts";
import type { Bucket, BucketAttributes, Version, VersionAttributes } from "../../src/gateways/s3/model.ts";
import { readRequest } from "../../src/gateways/s3/protocol/request.ts";
import type { AccessRequest } from "../../src/gateways/s3/access/request.ts";

export const owner = account("owner", "aa");
export const other = account("other", "bb");
export const noon = Date.parse("2026-11-22T12:00:00Z");

export function account(name: string, digits: string): AccessKey["account"] {
  return { id: digits.repeat(32), name, email: `${name}@example.com`, createdAt: 0 };
}

export function user(of: AccessKey["account"], limits: Partial<AccessKey> = {}): Identity {
  const key = { accessKey: `K${of.name}`, secretKey: "secret", user: of.name, account: of, readOnly: false };
  return { kind: "user", key: { ...key, buckets: undefined, root: false, ...limits } };
}

export function bucket(attributes: Partial<BucketAttributes> = {}): Bucket {
  const all = { owner: owner.id, ownership: "BucketOwnerEnforced", ...attributes } as const;
  return { name: "shop", createdAt: 0, versioning: "off", attributes: all };
}

export interface Asking {
  readonly by?: Identity;
  readonly action?: string;
  readonly bucket?: Bucket | undefined;
  readonly key?: string | undefined;
  readonly method?: string;
  readonly query?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly peer?: string;
  readonly secure?: boolean;
}

export function ask(asking: Asking = {}): AccessRequest {
  const { by = anonymous, action = "s3:GetObject", method = "GET", query = "", headers = {} } = asking;
  const key = "key" in asking ? asking.key : "cat.jpg";
  const body = { size: 0, read: async (): Promise<void> => undefined };
  const target = `/shop${key === undefined ? "" : `/${encodeURI(key)}`}${query === "" ? "" : `?${query}`}`;
  const { peer = "192.0.2.7", secure = false } = asking;
  return {
    identity: by,
    authentication: {
      identity: by,
      payload: { kind: "unsigned" },
      type: by.kind === "user" ? "header" : "anonymous",
      signedAt: by.kind === "user" ? noon - 1000 : undefined,
    },
    request: readRequest({ method, target, headers, peer, secure, body }, "0", []),
    action,
    bucket: "bucket" in asking ? asking.bucket : bucket(),
    key,
    now: noon,
  };
}

/** A store in which every key has this version. */
export function storeWith(attributes: Partial<VersionAttributes> | undefined): { readonly datastore: Datastore } {
  const version: Partial<Version> | undefined =
    attributes === undefined ? undefined : { object: 1n as never, attributes: { etag: "e", ...attributes } };
  return { datastore: { getVersion: async () => version } as unknown as Datastore };
}
