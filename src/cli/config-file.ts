/** The YAML file of `--config`: one mapping from option names (without the dashes) to values or lists of values. */
import fs from "node:fs";
import { createRequire } from "node:module";
import type * as yamlModule from "yaml";
import { configFileSizeMax } from "../core/limits.ts";
import { type Option, options } from "./options.ts";

/** Loaded only where there is a file: it takes longer than the rest of a small command. */
type Yaml = typeof yamlModule;
const loadYaml = (): Yaml => createRequire(import.meta.url)("yaml") as Yaml;

/** More of them tell nothing new. */
const problemsShownMax = 20;

export interface FileEntry {
  /** `store.yaml:3 (port)`. */
  readonly source: string;
  readonly text: string;
}

export interface ConfigFile {
  readonly entries: ReadonlyMap<string, FileEntry>;
  readonly problems: readonly string[];
}

/** The text of a file, or as much of it as shows that it is too large: a device may have no end. */
export function readConfigText(path: string): string {
  const file = fs.openSync(path, "r");
  try {
    const bytes = Buffer.alloc(configFileSizeMax + 1);
    let size = 0;
    for (let count = -1; count !== 0 && size < bytes.length; size += count) {
      count = fs.readSync(file, bytes, size, bytes.length - size, null);
    }
    return bytes.toString("utf8", 0, size);
  } finally {
    fs.closeSync(file);
  }
}

export function readConfigFile(name: string, text: string): ConfigFile {
  // The parser takes a time that grows faster than the text.
  if (Buffer.byteLength(text) > configFileSizeMax) {
    return { entries: new Map(), problems: [`${name}: at most ${configFileSizeMax} bytes`] };
  }
  const yaml = loadYaml();
  const { isMap, isScalar } = yaml;
  const lineCounter = new yaml.LineCounter();
  // Scalars stay the texts that they are: an id or a key of digits must not become a number.
  // What is there twice is found here: the parser would compare each with each.
  const settings = { lineCounter, schema: "failsafe", prettyErrors: false, uniqueKeys: false } as const;
  const document = yaml.parseDocument(text, settings);
  const entries = new Map<string, FileEntry>();
  const problems = document.errors.slice(0, problemsShownMax).map((error) => {
    return `${name}:${lineCounter.linePos(error.pos[0]).line}: ${ruleOf(error.message)}`;
  });
  const { contents } = document;
  if (problems.length > 0 || contents === null) return { entries, problems };
  if (!isMap(contents)) {
    if (isScalar(contents) && contents.value === "") return { entries, problems };
    return { entries, problems: [`${name}: one \`option: value\` a line`] };
  }
  const known = knownFileKeys();
  const seen = new Set<string>();
  for (const item of contents.items as yamlModule.Pair[]) {
    if (problems.length >= problemsShownMax) break;
    const { key, value } = item;
    const keyText = isScalar(key) ? String(key.value) : "?";
    const at = isScalar(key) ? lineCounter.linePos(key.range?.[0] ?? 0).line : 0;
    const source = `${name}:${at} (${shown(keyText)})`;
    const valueText = textOf(yaml, value);
    if (seen.has(keyText)) problems.push(`${source}: it is there twice, each must be unique`);
    seen.add(keyText);
    if (!known.includes(keyText)) problems.push(`${source}: there is no such option; there are ${known.join(", ")}`);
    else if (valueText === undefined) problems.push(`${source}: a value, or a list of values`);
    else entries.set(keyText, { source, text: valueText });
  }
  return { entries, problems };
}

/** The parser's own words, but where it ran out of room by itself. */
function ruleOf(message: string): string {
  return /call stack/i.test(message) ? "nested too deeply" : shown(message, 300);
}

/** For a line on a terminal. */
function shown(text: string, sizeMax = 60): string {
  return text.slice(0, sizeMax).replace(/[^ -~]/g, "?");
}

export function knownFileKeys(): string[] {
  const all = Object.values(options) as Option<unknown>[];
  return [...new Set(all.flatMap(({ fileKey }) => (fileKey === undefined ? [] : [fileKey])))].toSorted();
}

function textOf(yaml: Yaml, value: unknown): string | undefined {
  if (yaml.isSeq(value)) {
    const parts = value.items.map((item) => textOf(yaml, item));
    return parts.includes(undefined) ? undefined : parts.join(",");
  }
  return yaml.isScalar(value) ? String(value.value) : undefined;
}
