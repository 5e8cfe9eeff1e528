/** ACLs as they are told. */
import type { Accounts } from "../auth/accounts.ts";
import type { Grant } from "../model.ts";
import { document, element, escapeText, join, leaf, type Xml } from "../protocol/xml.ts";

const schema = "http://www.w3.org/2001/XMLSchema-instance";

/** The answer of GetBucketAcl and GetObjectAcl. Without `acl`, the owner may do everything, and nobody else anything. */
export async function aclDocument(
  owner: string,
  acl: readonly Grant[] | undefined,
  accounts: Pick<Accounts, "accountById">,
): Promise<string> {
  const nameOf = async (id: string): Promise<Xml> =>
    join([leaf("ID", id), leaf("DisplayName", (await accounts.accountById(id))?.name)]);
  const grants: readonly Grant[] = acl ?? [{ grantee: { kind: "account", id: owner }, permission: "FULL_CONTROL" }];
  const elements: Xml[] = [];
  for (const { grantee, permission } of grants) {
    const named =
      grantee.kind === "group"
        ? granteeElement("Group", leaf("URI", grantee.uri))
        : granteeElement("CanonicalUser", await nameOf(grantee.id));
    elements.push(element("Grant", named, leaf("Permission", permission)));
  }
  return document(
    "AccessControlPolicy",
    element("Owner", await nameOf(owner)),
    element("AccessControlList", ...elements),
  );
}

function granteeElement(type: string, inner: Xml): Xml {
  return `<Grantee xmlns:xsi="${escapeText(schema)}" xsi:type="${type}">${inner}</Grantee>` as Xml;
}
