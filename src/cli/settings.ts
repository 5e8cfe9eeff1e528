/**
 * From flags, environment and file to checked settings. Everything is looked at before anything starts, and all that is
 * wrong is told at once: where it came from, the rule, the value.
 */
import { assert, messageOf } from "../core/errors.ts";
import { idCount } from "../core/ids.ts";
import { type FileEntry, readConfigFile } from "./config-file.ts";
import { type CommandName, type Option, type OptionName, options, optionsOf, type ValueOf } from "./options.ts";

/** Where a value came from, the strongest first. */
export const origins = ["flag", "environment", "file", "default"] as const;
export type Origin = (typeof origins)[number];

export interface Sources {
  /** By option: text as given, `true` for a switch. */
  readonly flags: { readonly [Name in OptionName]?: string | true };
  readonly environment: { readonly [name: string]: string | undefined };
  readonly readFile: (path: string) => string;
}

export type Resolved =
  | { readonly kind: "settings"; readonly settings: Settings }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

/** Characters of a value that are shown. */
const quotedMax = 200;

interface Given {
  readonly origin: Origin;
  /** As people call it: `--port`, `DATA_PUTTER_PORT`, `store.yaml:3 (port)`. */
  readonly source: string;
  readonly value: unknown;
}

export class Settings {
  readonly #given: ReadonlyMap<OptionName, Given>;

  constructor(given: ReadonlyMap<OptionName, Given>) {
    this.#given = given;
  }

  /** For options that have a default. */
  get<Name extends OptionName>(name: Name): ValueOf<Name> {
    const value = this.find(name);
    assert(value !== undefined, `${name} has a value`);
    return value;
  }

  find<Name extends OptionName>(name: Name): ValueOf<Name> | undefined {
    return this.#given.get(name)?.value as ValueOf<Name> | undefined;
  }

  has(name: OptionName): boolean {
    return this.#given.has(name);
  }

  originOf(name: OptionName): Origin | undefined {
    return this.#given.get(name)?.origin;
  }

  sourceOf(name: OptionName): string {
    return this.#given.get(name)?.source ?? name;
  }
}

export function resolveSettings(command: CommandName, sources: Sources): Resolved {
  const problems = unknownVariables(sources.environment);
  const file = findFile(command, sources, problems);
  const given = new Map<OptionName, Given>();
  for (const [name, option] of optionsOf(command)) {
    const found = findValue(name, option, command, sources, file, problems);
    if (found !== undefined) given.set(name, found);
  }
  const settings = new Settings(given);
  if (problems.length === 0) problems.push(...checkTogether(settings));
  return problems.length === 0 ? { kind: "settings", settings } : { kind: "problems", problems };
}

/** Every variable of this program, those of other commands included. */
export function knownVariables(): string[] {
  const all = Object.values(options) as Option<unknown>[];
  return [...new Set(all.flatMap(({ variables = [] }) => variables.map(({ name }) => name)))].toSorted();
}

function unknownVariables(environment: Sources["environment"]): string[] {
  const known = knownVariables();
  return Object.keys(environment)
    .filter((name) => name.startsWith("DATA_PUTTER_") && !known.includes(name))
    .toSorted()
    .map((name) => `${name}: there is no such variable; there are ${known.join(", ")}`);
}

function findFile(command: CommandName, sources: Sources, problems: string[]): ReadonlyMap<string, FileEntry> {
  if (options.config.commands[command] === undefined) return new Map();
  const name = sources.flags.config ?? sources.environment["DATA_PUTTER_CONFIG"] ?? "";
  if (name === "" || name === true) return new Map();
  const source = sources.flags.config === undefined ? "DATA_PUTTER_CONFIG" : "--config";
  let text: string;
  try {
    text = sources.readFile(name);
  } catch (error) {
    problems.push(`${source}: ${name} cannot be read: ${messageOf(error)}`);
    return new Map();
  }
  const file = readConfigFile(name, text);
  problems.push(...file.problems);
  return file.entries;
}

/** The strongest value that is given. Weaker ones are checked too: they are somebody's mistake all the same. */
function findValue(
  name: OptionName,
  option: Option<unknown>,
  command: CommandName,
  sources: Sources,
  file: ReadonlyMap<string, FileEntry>,
  problems: string[],
): Given | undefined {
  const found: Given[] = [];
  const add = (origin: Origin, source: string, text: string, rule: Pick<Option<unknown>, "rule" | "parse">): void => {
    const value = rule.parse(text);
    if (value !== undefined) found.push({ origin, source, value });
    else if (option.secret === true)
      problems.push(`${source}: ${rule.rule}; what is set has ${text.length} characters`);
    // A password in a URL is not told again.
    else problems.push(`${source}: ${rule.rule}, not ${quoted(text.replace(/:\/\/[^]*@/, "://…@"))}`);
  };
  const flag = sources.flags[name];
  if (flag !== undefined) add("flag", option.flag ?? name, flag === true ? "true" : flag, option);
  const set = (option.variables ?? []).filter(({ name }) => (sources.environment[name] ?? "") !== "");
  if (set.length > 1) problems.push(`${set.map(({ name }) => name).join(" and ")} mean the same: set one of them`);
  for (const variable of set) {
    const rule = { rule: variable.rule ?? option.rule, parse: variable.parse ?? option.parse };
    add("environment", variable.name, sources.environment[variable.name] ?? "", rule);
  }
  const entry = option.fileKey === undefined ? undefined : file.get(option.fileKey);
  if (entry !== undefined) add("file", entry.source, entry.text, option);
  const byDefault = option.commands[command];
  if (typeof byDefault === "string") add("default", "default", byDefault, option);
  return found[0];
}

/** As it was given, but not a page of it, and with nothing that a terminal would obey. */
function quoted(text: string): string {
  const start = JSON.stringify(text.slice(0, quotedMax)).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (one) => {
      return `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`;
    },
  );
  return text.length <= quotedMax ? start : `${start}… (${text.length} characters)`;
}

/** Rules between options. */
function checkTogether(settings: Settings): string[] {
  const problems: string[] = [];
  const [port, responsePort] = [settings.find("listenPort"), settings.find("responsePort")];
  if (port !== undefined && port !== 0 && port === responsePort) {
    problems.push(`${settings.sourceOf("responsePort")}: another port than that of byte streams, not ${port} too`);
  }
  const keyOrigin = settings.originOf("key");
  if (keyOrigin !== undefined && keyOrigin === settings.originOf("keyFile")) {
    problems.push("DATA_PUTTER_KEY and DATA_PUTTER_KEY_FILE are both set: set one of them");
  }
  if (settings.has("rootAccessKey") !== settings.has("rootSecretKey")) {
    problems.push("DATA_PUTTER_ACCESS_KEY and DATA_PUTTER_SECRET_KEY: set both, or none of them");
  }
  if ((settings.find("workers") ?? 1) > 1 && settings.has("putters")) {
    problems.push(`${settings.sourceOf("workers")}: only where the router keeps the tickets itself, without --putters`);
  }
  for (const [given, missing, flag] of [
    ["tlsCert", "tlsKey", "--tls-key"],
    ["tlsKey", "tlsCert", "--tls-cert"],
  ] as const) {
    if (settings.has(given) && !settings.has(missing)) problems.push(`${settings.sourceOf(given)}: needs ${flag}, too`);
  }
  if (settings.has("resume") && !settings.has("output")) {
    problems.push("--resume: needs -o FILE, whose FILE.part is to be continued");
  }
  const first = settings.find("first");
  if (first !== undefined && first + (settings.find("count") ?? 1) > idCount) {
    problems.push("--first: so many tickets do not fit before ZZZZZZZZ, the last TicketID");
  }
  return problems;
}
