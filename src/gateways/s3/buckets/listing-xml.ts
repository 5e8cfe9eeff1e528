/**
 * Names and entries of listings. Strings are joined plainly: a page has a thousand entries, and this is all that they
 * cost beside reading them.
 */
import type { VersionRecord } from "../../../datastore/datastore.ts";
import type { Accounts } from "../auth/accounts.ts";
import type { VersionAttributes } from "../model.ts";
import { isoDate } from "../protocol/dates.ts";
import { escapeText, leaf, type Xml } from "../protocol/xml.ts";
import { accountElements } from "./owner.ts";

/** What writes a name: as it is, or percent-encoded (encoding-type=url). */
export type NameWriter = (name: string) => Xml;

export function nameWriter(isEncoded: boolean): NameWriter {
  return isEncoded ? percentEncoded : escapeText;
}

const plainName = /^[\w.*/-]*$/;

/**
 * As AWS encodes: UTF-8, all but letters, digits and `- _ . * /`. But a space is `%20`, not `+`: those who decode a form
 * and those who decode a URI both understand it.
 */
export function percentEncoded(name: string): Xml {
  if (plainName.test(name)) return name as Xml;
  return encodeURIComponent(name).replace(/%2F|[!'()~]/g, escaped) as Xml;
}

function escaped(character: string): string {
  return character === "%2F" ? "/" : `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/**
 * The Prefix of ListObjects: botocore does not decode it although all others do, so that only what decoding would change
 * is encoded, and what XML cannot say.
 */
export function sparinglyEncoded(name: string): Xml {
  const isSayable = (character: string): boolean => character === "\n" || character === "\t";
  return escapeText(
    name.replace(/[%+\p{Cc}\ufffe\uffff]/gu, (each) => (isSayable(each) ? each : encodeURIComponent(each))),
  );
}

export function commonPrefixes(prefixes: readonly string[], write: NameWriter): Xml {
  let text = "";
  for (const prefix of prefixes) text += `<CommonPrefixes><Prefix>${write(prefix)}</Prefix></CommonPrefixes>`;
  return text as Xml;
}

/** LastModified, in whole seconds as everywhere else; those of many entries are the same. */
export class SecondWriter {
  #second = Number.NaN;
  #text = "";

  write(time: number): string {
    const second = Math.floor(time / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = isoDate(second * 1000);
    }
    return this.#text;
  }
}

/** ETag to Size, as objects and versions both have them. */
export function bytesElements(attributes: VersionAttributes, size: number): string {
  return `<ETag>&quot;${attributes.etag}&quot;</ETag>${checksumElements(attributes)}<Size>${size}</Size>`;
}

function checksumElements({ checksums, checksumType }: VersionAttributes): string {
  if (checksums === undefined) return "";
  let text = "";
  for (const name in checksums) text += `<ChecksumAlgorithm>${name}</ChecksumAlgorithm>`;
  return text === "" ? "" : `${text}<ChecksumType>${checksumType ?? "FULL_OBJECT"}</ChecksumType>`;
}

export function storageClassElement({ class: storageClass }: { readonly class?: string }): string {
  return storageClass === undefined ? "<StorageClass>STANDARD</StorageClass>" : leaf("StorageClass", storageClass);
}

/** Names in the order of their UTF-8 bytes; the greater one. */
export function laterName(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Buffer.compare(Buffer.from(one), Buffer.from(other)) > 0 ? one : other;
}

/** An element with a name in it; nothing where there is none. */
export function named(element: string, name: string | undefined, write: NameWriter): Xml | undefined {
  return name === undefined ? undefined : (`<${element}>${write(name)}</${element}>` as Xml);
}

/** The Owner elements of all who own one of these versions, by id. */
export async function ownersOf(
  bucketOwner: string,
  items: readonly VersionRecord[],
  accounts: Pick<Accounts, "accountById">,
): Promise<ReadonlyMap<string, Xml>> {
  const ids = new Set([bucketOwner]);
  for (const { attributes } of items) {
    const { owner } = attributes;
    if (owner !== undefined) ids.add(owner as string);
  }
  return accountElements("Owner", ids, accounts);
}
