/** Reads the XML of listings back, control characters and all, which a strict parser would refuse. */

/** The text of every element of this name, unescaped; percent-decoded where the listing is encoded. */
export function texts(xml: string, name: string): string[] {
  const decode = xml.includes("<EncodingType>url</EncodingType>") ? decodeURIComponent : (text: string) => text;
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map((match) => decode(unescape(match[1]!)));
}

/** As `texts`, of the only one; undefined where there is none. */
export function text(xml: string, name: string): string | undefined {
  const all = texts(xml, name);
  if (all.length > 1) throw new Error(`${all.length} elements ${name}`);
  return all[0];
}

/** The elements of this name, whole. */
export function elements(xml: string, name: string): string[] {
  return xml.match(new RegExp(`<${name}>.*?</${name}>`, "gs")) ?? [];
}

/** The names of the elements in it, in their order, those in a row only once. */
export function outline(xml: string): string[] {
  const body = xml.replace(/^.*?<[A-Za-z]+ xmlns[^>]*>/s, "");
  const names: string[] = [];
  let depth = 0;
  for (const [, slash, name] of body.matchAll(/<(\/?)([A-Za-z0-9]+)>/g)) {
    if (slash === "/") depth--;
    else if (depth++ === 0 && names.at(-1) !== name) names.push(name!);
  }
  return names;
}

const entities: { readonly [name: string]: string } = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescape(escaped: string): string {
  return escaped.replace(/&(?:#x([0-9a-f]+)|(\w+));/gi, (_, code: string | undefined, name: string) =>
    code === undefined ? entities[name]! : String.fromCodePoint(Number.parseInt(code, 16)),
  );
}
