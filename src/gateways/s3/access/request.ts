/** What is asked of access control: who wants to do what to which bucket or object. */
import type { Authentication, Identity } from "../auth/identity.ts";
import type { Bucket } from "../model.ts";
import type { S3Request } from "../protocol/request.ts";

export interface AccessRequest {
  readonly identity: Identity;
  readonly authentication: Authentication;
  readonly request: S3Request;
  /** As policies call it: "s3:GetObject". */
  readonly action: string;
  readonly bucket: Bucket | undefined;
  readonly key?: string | undefined;
  /** Without it, the newest version is the one that is asked for. */
  readonly versionId?: string | undefined;
  readonly now: number;
  /** Where what conditions look at is not in the request's headers: the fields of a form. Names in lower case. */
  readonly header?: ((name: string) => string | undefined) | undefined;
  /** What only the body says, by condition key in lower case: `s3:requestobjecttag/colour`, `s3:object-lock-mode`. */
  readonly facts?: ReadonlyMap<string, readonly string[]> | undefined;
}
