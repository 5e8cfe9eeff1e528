/**
 * XML out and in. Out: strings, because a page of a listing is a thousand elements and nothing else is as fast. In: a
 * strict parser that knows no entities but the five of XML itself, so that there is nothing to expand.
 */
import { parseXml as parseDocument, XmlDocumentType, XmlElement, XmlText, XmlCdata, XmlError } from "@rgrove/parse-xml";
import { completeUploadTagsMax, xmlTagsMax } from "../../../core/limits.ts";
import { S3Error } from "./error.ts";

/** Text that is XML already. */
export type Xml = string & { readonly isXml: true };

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n';

export const nothing = "" as Xml;

/** An element with elements in it; those that are undefined are left out. */
export function element(name: string, ...children: readonly (Xml | undefined)[]): Xml {
  return `<${name}>${joined(children)}</${name}>` as Xml;
}

/** An element with text in it; nothing at all where the value is undefined. */
export function leaf(name: string, value: string | number | boolean | undefined): Xml {
  if (value === undefined) return nothing;
  return `<${name}>${typeof value === "string" ? escapeText(value) : String(value)}</${name}>` as Xml;
}

export function join(parts: readonly Xml[]): Xml {
  return parts.join("") as Xml;
}

/** A whole answer: declaration and root element in S3's namespace. */
export function document(root: string, ...children: readonly (Xml | undefined)[]): string {
  return `${declaration}<${root} xmlns="${namespace}">${joined(children)}</${root}>`;
}

/** One by one: `join` would copy a page of a listing that is copied again when it becomes part of the document. */
function joined(children: readonly (Xml | undefined)[]): string {
  let text = "";
  for (const child of children) if (child !== undefined) text += child;
  return text;
}

/** Without the namespace: errors. */
export function plainDocument(root: string, ...children: readonly (Xml | undefined)[]): string {
  return `${declaration}<${root}>${children.join("")}</${root}>`;
}

// oxlint-disable-next-line no-control-regex
const special = /[&<>"'\u0000-\u0008\u000b\u000c\u000d\u000e-\u001f\ufffe\uffff]/;
const specials = new RegExp(special, "g");

export function escapeText(text: string): Xml {
  if (!special.test(text)) return text as Xml;
  return text.replace(specials, escapeCharacter) as Xml;
}

/** What XML 1.0 has no characters for, replaced: in errors, which every client has to be able to read. */
export function legalText(text: string): string {
  return text.replace(illegal, "\ufffd");
}

// oxlint-disable-next-line no-control-regex
const illegal = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

function escapeCharacter(character: string): string {
  switch (character) {
    case "&":
      return "&amp;";
    case "<":
      return "&lt;";
    case ">":
      return "&gt;";
    case '"':
      return "&quot;";
    case "'":
      return "&apos;";
    default:
      // What XML 1.0 cannot say is said as S3 says it; who wants it legal asks for encoding-type=url.
      return `&#x${character.charCodeAt(0).toString(16)};`;
  }
}

// ── in ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** An element of a request's body. Names are without prefix. */
export class XmlNode {
  readonly name: string;
  readonly #element: XmlElement;

  constructor(source: XmlElement) {
    this.name = localName(source.name);
    this.#element = source;
  }

  attribute(name: string): string | undefined {
    const { attributes } = this.#element;
    const found = Object.keys(attributes).find((each) => localName(each) === name);
    return found === undefined ? undefined : attributes[found];
  }

  get children(): XmlNode[] {
    return this.#element.children.filter((child) => child instanceof XmlElement).map((child) => new XmlNode(child));
  }

  all(name: string): XmlNode[] {
    return this.children.filter((child) => child.name === name);
  }

  /** The child of that name; undefined where there is none. MalformedXML where there are several. */
  child(name: string): XmlNode | undefined {
    const found = this.all(name);
    if (found.length > 1) throw new S3Error("MalformedXML", `${this.name} has more than one ${name}`);
    return found[0];
  }

  require(name: string): XmlNode {
    const found = this.child(name);
    if (found === undefined) throw new S3Error("MalformedXML", `${this.name} has no ${name}`);
    return found;
  }

  /** MalformedXML where an element has a child that is not one of these: what is not understood is not ignored. */
  only(...names: readonly string[]): this {
    const wrong = this.children.find((child) => !names.includes(child.name));
    if (wrong !== undefined) throw new S3Error("MalformedXML", `${this.name} has no place for ${wrong.name}`);
    return this;
  }

  /** Its text, white space included. */
  get text(): string {
    return this.#element.children
      .map((child) => (child instanceof XmlText || child instanceof XmlCdata ? child.text : ""))
      .join("");
  }

  /** The text of a child, without white space around it. */
  value(name: string): string | undefined {
    return this.child(name)?.text.trim();
  }

  requireValue(name: string): string {
    return this.require(name).text.trim();
  }
}

/** The root element of a body, which must have this name. MalformedXML otherwise. */
export function parseXml(body: Uint8Array, ...roots: readonly string[]): XmlNode {
  // A megabyte of the shortest elements takes a second to parse, in which nobody else is served; no document needs as many.
  const tagsMax = roots.includes("CompleteMultipartUpload") ? completeUploadTagsMax : xmlTagsMax;
  if (tagCount(body) > tagsMax) throw new S3Error("MalformedXML", `There are more than ${tagsMax} tags in it.`);
  const text = decodeUtf8(body);
  try {
    const parsed = parseDocument(text, { preserveDocumentType: true });
    const { root } = parsed;
    // No document of S3's has a type of its own; what a DTD says would be passed over.
    const isTyped = parsed.children.some((child) => child instanceof XmlDocumentType);
    if (root !== null && !isTyped && roots.includes(localName(root.name))) return new XmlNode(root);
  } catch (error) {
    // A body nested too deeply ends in a RangeError.
    if (error instanceof XmlError || error instanceof RangeError) {
      throw new S3Error("MalformedXML", undefined, { cause: error });
    }
    throw error;
  }
  throw new S3Error("MalformedXML");
}

function tagCount(body: Uint8Array): number {
  let count = 0;
  for (let at = body.indexOf(0x3c); at >= 0; at = body.indexOf(0x3c, at + 1)) count++;
  return count;
}

function decodeUtf8(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (cause) {
    throw new S3Error("MalformedXML", undefined, { cause });
  }
}

function localName(name: string): string {
  return name.slice(name.indexOf(":") + 1);
}
