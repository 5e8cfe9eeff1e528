/** What an operation is, and what it is given. The table of all of them is operations.ts. */
import type { Soon } from "../../core/soon.ts";
import type { Datastore } from "../../datastore/datastore.ts";
import type { Digests } from "../../env/digests.ts";
import type { Host } from "../../env/host.ts";
import type { HttpAnswer } from "../../env/http.ts";
import type { Router } from "../../router/router.ts";
import type { Access } from "./access/access.ts";
import type { Accounts } from "./auth/accounts.ts";
import type { Authentication, Identity } from "./auth/identity.ts";
import type { RequestBody } from "./body/request-body.ts";
import type { Keyring } from "./encryption/keyring.ts";
import type { Bucket, Ownership } from "./model.ts";
import type { S3Request } from "./protocol/request.ts";

/** What all requests share. */
export interface Services {
  readonly host: Host;
  readonly router: Router;
  readonly datastore: Datastore;
  readonly accounts: Accounts;
  readonly access: Access;
  readonly digests: Digests;
  readonly keyring: Keyring;
  readonly settings: S3Settings;
}

export interface S3Settings {
  /** What GetBucketLocation says of buckets made without one; any region is taken in signatures. */
  readonly region: string;
  /** Host names under which buckets are sub-domains. */
  readonly domains: readonly string[];
  /** Object ownership of new buckets that name none. */
  readonly ownership: Ownership;
  /** How long a day is, in milliseconds, for lifecycle rules. */
  readonly dayMs: number;
  /** Whether SSE-C is also taken over plain HTTP from other machines, where others can read the keys. */
  readonly customerKeysOverHttp?: boolean;
}

/** One request under way. */
export interface S3Call {
  readonly services: Services;
  readonly request: S3Request;
  readonly operation: Operation;
  readonly authentication: Authentication;
  readonly identity: Identity;
  readonly body: RequestBody;
  /** The request's bucket; there for all operations on buckets and objects but CreateBucket. */
  readonly bucket: Bucket;
  /** The request's key, of operations on objects. */
  readonly key: string;
  /** When the request came, in milliseconds since 1970. */
  readonly now: number;
}

export type Scope = "service" | "bucket" | "object";
export type Method = "GET" | "HEAD" | "PUT" | "POST" | "DELETE" | "OPTIONS";

export interface Operation {
  /** As AWS calls it. */
  readonly name: string;
  readonly method: Method;
  readonly scope: Scope;
  /** The query parameter that selects it (`acl`, `uploads`, …), with a value it must have where that matters. */
  readonly when?: string | { readonly parameter: string; readonly value: string };
  /** A header that selects it: x-amz-copy-source. */
  readonly header?: string;
  /** Other query parameters that it knows. */
  readonly parameters?: readonly string[];
  /** What the caller must be allowed to do, as policies call it; by request where it depends. None: it looks itself. */
  readonly action: string | ((request: S3Request) => readonly string[]) | undefined;
  /** x-amz-checksum-* headers speak of the object, not of the request's body: CompleteMultipartUpload. */
  readonly checksumsOf?: "object";
  /** Works where there is no such bucket: CreateBucket. */
  readonly withoutBucket?: true;
  readonly run: (call: S3Call) => Soon<HttpAnswer>;
}
