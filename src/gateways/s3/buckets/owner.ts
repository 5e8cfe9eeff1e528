/** Accounts as answers name them: `<Owner>` and `<Initiator>`. */
import type { Accounts } from "../auth/accounts.ts";
import { element, leaf, type Xml } from "../protocol/xml.ts";

/** The elements of these accounts under this name, by their id. */
export async function accountElements(
  name: "Owner" | "Initiator",
  ids: Iterable<string>,
  accounts: Pick<Accounts, "accountById">,
): Promise<ReadonlyMap<string, Xml>> {
  const elements = new Map<string, Xml>();
  for (const id of new Set(ids)) elements.set(id, await accountElement(name, id, accounts));
  return elements;
}

export async function accountElement(
  name: "Owner" | "Initiator",
  id: string,
  accounts: Pick<Accounts, "accountById">,
): Promise<Xml> {
  const account = await accounts.accountById(id);
  // An account that is gone has its id only.
  return element(name, leaf("ID", id), leaf("DisplayName", account?.name));
}
