/** The YAML file of `--config`: one mapping from option names (without the dashes) to values or lists of values. */
import { createRequire } from "node:module";
import type * as yamlModule from "yaml";
import { type Option, options } from "./options.ts";

/** Loaded only where there is a file: it takes longer than the rest of a small command. */
type Yaml = typeof yamlModule;
const loadYaml = (): Yaml => createRequire(import.meta.url)("yaml") as Yaml;

export interface FileEntry {
  /** `store.yaml:3 (port)`. */
  readonly source: string;
  readonly text: string;
}

export interface ConfigFile {
  readonly entries: ReadonlyMap<string, FileEntry>;
  readonly problems: readonly string[];
}

export function readConfigFile(name: string, text: string): ConfigFile {
  const yaml = loadYaml();
  const { isMap, isScalar } = yaml;
  const lineCounter = new yaml.LineCounter();
  // Scalars stay the texts that they are: an id or a key of digits must not become a number.
  const document = yaml.parseDocument(text, { lineCounter, schema: "failsafe", prettyErrors: false });
  const entries = new Map<string, FileEntry>();
  const problems = document.errors.map((error) => {
    return `${name}:${lineCounter.linePos(error.pos[0]).line}: ${error.message}`;
  });
  const { contents } = document;
  if (problems.length > 0 || contents === null) return { entries, problems };
  if (!isMap(contents)) {
    if (isScalar(contents) && contents.value === "") return { entries, problems };
    return { entries, problems: [`${name}: one \`option: value\` a line`] };
  }
  const known = knownFileKeys();
  for (const item of contents.items as yamlModule.Pair[]) {
    const { key, value } = item;
    const keyText = isScalar(key) ? String(key.value) : "?";
    const at = isScalar(key) ? lineCounter.linePos(key.range?.[0] ?? 0).line : 0;
    const source = `${name}:${at} (${keyText})`;
    const valueText = textOf(yaml, value);
    if (!known.includes(keyText)) problems.push(`${source}: there is no such option; there are ${known.join(", ")}`);
    else if (valueText === undefined) problems.push(`${source}: a value, or a list of values`);
    else entries.set(keyText, { source, text: valueText });
  }
  return { entries, problems };
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
