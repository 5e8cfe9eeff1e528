/**
 * ACLs as requests ask for them: canned ones and grants in headers (or form fields), and XML (docs.aws.amazon.com,
 * "Access control list (ACL) overview").
 */
import type { Accounts } from "../auth/accounts.ts";
import type { Grant, Grantee, Permission } from "../model.ts";
import { invalidArgument, S3Error } from "../protocol/error.ts";
import { parseXml, type XmlNode } from "../protocol/xml.ts";
import { allUsers, authenticatedUsers, groups, logDelivery, permissions } from "./grants.ts";

export type HeaderOf = (name: string) => string | undefined;

const cannedAcls = [
  "private",
  "public-read",
  "public-read-write",
  "authenticated-read",
  "bucket-owner-read",
  "bucket-owner-full-control",
  "log-delivery-write",
] as const;
export type CannedAcl = (typeof cannedAcls)[number];

/** A grantee as it was named; an account still has to be looked up. */
type NamedGrantee =
  | { readonly kind: "id" | "email"; readonly text: string }
  | { readonly kind: "group"; readonly uri: string };

interface NamedGrant {
  readonly grantee: NamedGrantee;
  readonly permission: Permission;
}

export type AclRequest =
  | { readonly kind: "canned"; readonly name: CannedAcl }
  | { readonly kind: "grants"; readonly grants: readonly NamedGrant[] };

/** The most that an ACL can have. */
const grantsMax = 100;

const grantHeaders: readonly (readonly [string, Permission])[] = [
  ["x-amz-grant-full-control", "FULL_CONTROL"],
  ["x-amz-grant-read", "READ"],
  ["x-amz-grant-write", "WRITE"],
  ["x-amz-grant-read-acp", "READ_ACP"],
  ["x-amz-grant-write-acp", "WRITE_ACP"],
];

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** undefined where the headers ask for none. */
export function aclOfHeaders(header: HeaderOf): AclRequest | undefined {
  const canned = header("x-amz-acl");
  let grants: NamedGrant[] | undefined;
  for (const [name, permission] of grantHeaders) {
    const value = header(name);
    if (value !== undefined)
      (grants ??= []).push(...granteesIn(name, value).map((grantee) => ({ grantee, permission })));
  }
  if (canned === undefined) return grants === undefined ? undefined : checkedGrants(grants);
  if (grants !== undefined) {
    throw new S3Error("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed");
  }
  // It is for Amazon's EC2, which nobody is here.
  if (canned === "aws-exec-read")
    throw new S3Error("NotImplemented", "There is no EC2 that aws-exec-read could let in.");
  const name = cannedAcls.find((each) => each === canned);
  if (name === undefined) throw invalidArgument("x-amz-acl", canned, "");
  return { kind: "canned", name };
}

/** `id="…", uri="…", emailAddress="…"`, with quotes or without. */
function granteesIn(name: string, value: string): NamedGrantee[] {
  return value.split(",").map((part) => {
    const match = /^\s*(id|uri|emailAddress)\s*=\s*(?:"([^"]*)"|([^"\s]*))\s*$/i.exec(part);
    if (match === null) throw invalidArgument(name, value, "Argument format not recognized");
    const text = match[2] ?? match[3]!;
    const kind = match[1]!.toLowerCase();
    return kind === "uri" ? groupGrantee(text) : { kind: kind === "id" ? "id" : "email", text };
  });
}

/** The body of PutBucketAcl and PutObjectAcl, which names the owner that is there already. */
export function aclOfBody(body: Uint8Array, owner: string): AclRequest {
  try {
    const root = parseXml(body, "AccessControlPolicy").only("Owner", "AccessControlList");
    const ownerId = root.require("Owner").only("ID", "DisplayName").requireValue("ID");
    if (ownerId !== owner) throw new S3Error("AccessDenied");
    const list = root.require("AccessControlList").only("Grant");
    return checkedGrants(list.all("Grant").map(grantOf));
  } catch (error) {
    if (!(error instanceof S3Error) || error.code !== "MalformedXML") throw error;
    throw new S3Error("MalformedACLError", undefined, { cause: error });
  }
}

function grantOf(grant: XmlNode): NamedGrant {
  grant.only("Grantee", "Permission");
  const named = grant.requireValue("Permission");
  const permission = permissions.find((each) => each === named);
  if (permission === undefined) throw new S3Error("MalformedACLError");
  return { grantee: granteeOf(grant.require("Grantee")), permission };
}

function granteeOf(grantee: XmlNode): NamedGrantee {
  switch (grantee.attribute("type") ?? "") {
    case "CanonicalUser":
      return { kind: "id", text: grantee.only("ID", "DisplayName").requireValue("ID") };
    case "AmazonCustomerByEmail":
      return { kind: "email", text: grantee.only("EmailAddress", "DisplayName").requireValue("EmailAddress") };
    case "Group":
      return groupGrantee(grantee.only("URI", "DisplayName").requireValue("URI"));
    default:
      throw new S3Error("MalformedACLError");
  }
}

function groupGrantee(uri: string): NamedGrantee {
  if (!groups.includes(uri)) throw invalidArgument("uri", uri, "Invalid group uri");
  return { kind: "group", uri };
}

function checkedGrants(grants: readonly NamedGrant[]): AclRequest {
  if (grants.length > grantsMax) throw new S3Error("MalformedACLError", `An ACL can have ${grantsMax} grants`);
  return { kind: "grants", grants };
}

// ── what they mean ──────────────────────────────────────────────────────────────────────────────────────────────────

/** Who can be meant by "owner" in a canned ACL. */
export interface Owners {
  /** Of the bucket or object that gets the ACL. */
  readonly owner: string;
  /** Of the bucket, where it is an object that gets it. */
  readonly bucketOwner: string | undefined;
}

/** undefined: nothing but FULL_CONTROL for the owner. Without a promise unless accounts have to be looked up. */
export function grantsOf(
  asked: AclRequest | undefined,
  owners: Owners,
  accounts: Pick<Accounts, "accountById" | "accountByEmail">,
): readonly Grant[] | undefined | Promise<readonly Grant[] | undefined> {
  if (asked === undefined) return undefined;
  if (asked.kind === "canned") return cannedGrants(asked.name, owners);
  return resolved(asked.grants, owners, accounts);
}

function cannedGrants(name: CannedAcl, { owner, bucketOwner }: Owners): readonly Grant[] | undefined {
  const own: Grant = { grantee: { kind: "account", id: owner }, permission: "FULL_CONTROL" };
  const toGroup = (uri: string, ...given: readonly Permission[]): Grant[] =>
    given.map((permission) => ({ grantee: { kind: "group", uri }, permission }));
  const toBucketOwner = (permission: Permission): Grant[] | undefined =>
    bucketOwner === undefined || bucketOwner === owner
      ? undefined
      : [own, { grantee: { kind: "account", id: bucketOwner }, permission }];
  switch (name) {
    case "private":
      return undefined;
    case "public-read":
      return [own, ...toGroup(allUsers, "READ")];
    case "public-read-write":
      return [own, ...toGroup(allUsers, "READ", "WRITE")];
    case "authenticated-read":
      return [own, ...toGroup(authenticatedUsers, "READ")];
    case "bucket-owner-read":
      return toBucketOwner("READ");
    case "bucket-owner-full-control":
      return toBucketOwner("FULL_CONTROL");
    case "log-delivery-write":
      return [own, ...toGroup(logDelivery, "WRITE", "READ_ACP")];
    default:
      return name satisfies never;
  }
}

async function resolved(
  named: readonly NamedGrant[],
  owners: Owners,
  accounts: Pick<Accounts, "accountById" | "accountByEmail">,
): Promise<readonly Grant[] | undefined> {
  const grants: Grant[] = [];
  for (const { grantee, permission } of named) grants.push({ grantee: await found(grantee, accounts), permission });
  return isOwnerOnly(grants, owners.owner) ? undefined : grants;
}

async function found(
  grantee: NamedGrantee,
  accounts: Pick<Accounts, "accountById" | "accountByEmail">,
): Promise<Grantee> {
  if (grantee.kind === "group") return grantee;
  const { kind, text } = grantee;
  const account = await (kind === "id" ? accounts.accountById(text) : accounts.accountByEmail(text));
  if (account !== undefined) return { kind: "account", id: account.id };
  if (kind === "id") throw invalidArgument("CanonicalUser/ID", text, "Invalid id");
  throw new S3Error("UnresolvableGrantByEmailAddress");
}

/** The ACL that a bucket or an object has anyway. */
export function isOwnerOnly(grants: readonly Grant[], owner: string): boolean {
  return (
    grants.length === 1 &&
    grants[0]!.permission === "FULL_CONTROL" &&
    grants[0]!.grantee.kind === "account" &&
    grants[0]!.grantee.id === owner
  );
}
