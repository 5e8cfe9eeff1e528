/**
 * Names and entries of listings. Strings are joined plainly: a page has a thousand entries, and this is all that they
 * cost beside reading them.
 */
import type { VersionRecord } from "../../../datastore/datastore.ts";
import type { Accounts } from "../auth/accounts.ts";
import { checksumAlgorithms, type ChecksumType } from "../body/checksum.ts";
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

/** LastModified, in whole seconds as everywhere else, with what is around it; those of many entries are the same. */
export class SecondWriter {
  readonly #before: string;
  readonly #after: string;
  #second = Number.NaN;
  #text = "";

  constructor(before: string, after: string) {
    this.#before = before;
    this.#after = after;
  }

  write(time: number): string {
    const second = Math.floor(time / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = flat(this.#before, isoDate(second * 1000), this.#after);
    }
    return this.#text;
  }
}

/**
 * Joined into one piece of memory: a text that `+` makes is a tree of its parts, which is walked again each time that it
 * becomes part of another one. So an entry consists of few parts, and those that repeat are flat.
 */
export function flat(...parts: readonly string[]): string {
  return parts.join("");
}

/** From behind an ETag to the number of bytes, for the usual case of one checksum. */
const betweenByChecksum: ReadonlyMap<string, { readonly [Type in ChecksumType]: string }> = new Map(
  checksumAlgorithms.map((name) => [
    name,
    { FULL_OBJECT: between([name], "FULL_OBJECT"), COMPOSITE: between([name], "COMPOSITE") },
  ]),
);
const betweenWithout = between([], "FULL_OBJECT");

export function betweenEtagAndSize({ checksums, checksumType = "FULL_OBJECT" }: VersionAttributes): string {
  if (checksums === undefined) return betweenWithout;
  const names = Object.keys(checksums);
  return names.length === 1 ? betweenByChecksum.get(names[0]!)![checksumType] : between(names, checksumType);
}

function between(names: readonly string[], type: ChecksumType): string {
  const elements = names.map((name) => `<ChecksumAlgorithm>${name}</ChecksumAlgorithm>`);
  return flat("&quot;</ETag>", ...elements, names.length === 0 ? "" : `<ChecksumType>${type}</ChecksumType>`, "<Size>");
}

/** From behind the size to the end of an entry. */
export class EntryEnds {
  readonly #owners: ReadonlyMap<string, Xml> | undefined;
  readonly #element: string;
  readonly #usual = new Map<string, string>();

  /** `owners`: the elements by id; without them entries have none. */
  constructor(element: string, owners: ReadonlyMap<string, Xml> | undefined) {
    this.#element = element;
    this.#owners = owners;
  }

  of(owner: string, storageClass = "STANDARD"): string {
    if (storageClass !== "STANDARD") return this.#make(owner, storageClass);
    let end = this.#usual.get(owner);
    if (end === undefined) {
      end = this.#make(owner, storageClass);
      this.#usual.set(owner, end);
    }
    return end;
  }

  #make(owner: string, storageClass: string): string {
    const ownerElement = this.#owners?.get(owner) ?? "";
    return flat("</Size>", ownerElement, leaf("StorageClass", storageClass), `</${this.#element}>`);
  }
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
