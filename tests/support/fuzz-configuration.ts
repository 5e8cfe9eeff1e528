/**
 * Settings from flags, variables and a file, as nobody would write them. Whatever they are, the outcome is settings in
 * which every value keeps its rule, or lines that each name where it came from, the rule and the value.
 *
 * A case is plain JSON, so that one that was found is kept in tests/regressions/configuration.json.
 */
import fc from "fast-check";
import { type CommandName, commandNames, type OptionName, optionsOf } from "../../src/cli/options.ts";
import { knownVariables, resolveSettings, type Settings } from "../../src/cli/settings.ts";
import { knownFileKeys } from "../../src/cli/config-file.ts";
import { byteChange, changed } from "./fuzz-run.ts";

export interface ConfigurationCase {
  readonly command: CommandName;
  readonly flags: { readonly [option: string]: string | true };
  readonly environment: { readonly [name: string]: string };
  /** Characters are bytes. */
  readonly file: string | null;
}

/** A whole start has more to do than this. */
const millisecondsMax = 5_000;
/** More than a screen tells nobody anything. */
const lineSizeMax = 2_000;
const fileName = "store.yaml";

export function checkConfiguration({ command, flags, environment, file }: ConfigurationCase): void {
  const start = performance.now();
  const named = file === null ? {} : { config: fileName };
  const readFile = (path: string): string => {
    if (path !== fileName || file === null) throw new Error(`ENOENT: no such file, open '${path}'`);
    return Buffer.from(file, "latin1").toString("utf8");
  };
  const resolved = resolveSettings(command, { flags: { ...flags, ...named }, environment, readFile });
  const took = performance.now() - start;
  if (took > millisecondsMax) throw new Error(`it took ${Math.round(took)} ms`);
  if (resolved.kind === "settings") return checkValues(command, resolved.settings);
  if (resolved.problems.length === 0) throw new Error("it is refused, and nobody is told why");
  for (const problem of resolved.problems) checkProblem(problem, environment, flags);
}

function checkValues(command: CommandName, settings: Settings): void {
  for (const [name] of optionsOf(command)) {
    const value: unknown = settings.find(name);
    if (value === undefined) continue;
    for (const leaf of leavesOf(value)) {
      if (typeof leaf === "number" && !Number.isSafeInteger(leaf)) throw new Error(`${name} is ${leaf}`);
      if (typeof leaf === "string" && leaf.includes("\0"))
        throw new Error(`${name} has a NUL: ${JSON.stringify(leaf)}`);
    }
    if (/port/i.test(name) && !(Number(value) >= 0 && Number(value) <= 65_535)) {
      throw new Error(`${name} is ${JSON.stringify(value)}`);
    }
    if (name === "datastore") checkDatastore(value as { kind: string; url?: string });
  }
}

/** What connects takes it apart by the rules of URLs: it must find there what was checked here. */
function checkDatastore({ url }: { readonly url?: string }): void {
  if (url === undefined) return;
  const parsed = new URL(url);
  const again = `redis://${parsed.hostname}:${parsed.port}`;
  // Leading zeros of a port, and forms of an IPv6 address, may be told in a shorter way.
  const port = /:0*(\d+)$/.exec(url)?.[1];
  if (parsed.port !== port || parsed.hostname === "") throw new Error(`${url} is understood as ${again}`);
  if (parsed.username !== "" || parsed.pathname !== "" || parsed.search !== "") throw new Error(`${url} says more`);
}

function leavesOf(value: unknown): unknown[] {
  if (value instanceof Uint8Array || typeof value !== "object" || value === null) return [value];
  return Object.values(value).flatMap(leavesOf);
}

function checkProblem(
  problem: string,
  environment: ConfigurationCase["environment"],
  flags: ConfigurationCase["flags"],
): void {
  const wrong = (why: string): never => {
    throw new Error(`${why}: ${JSON.stringify(problem.slice(0, 3_000))}`);
  };
  // eslint-disable-next-line no-control-regex
  if (/[\0-\x1f\x7f-\x9f\u202e]/.test(problem)) wrong("a line for a terminal has control characters");
  if (problem.length > lineSizeMax) wrong(`a line of ${problem.length} characters`);
  if (/\.(ts|js):\d+:\d+|\bat \w+ \(|TypeError|RangeError|undefined|\[object|call stack/.test(problem))
    wrong("not a rule");
  const source = /^(-{1,2}[\w-]+|[A-Z][A-Z0-9_]+|[\w.]+:\d+( \(.*?\))?|store\.yaml)\b.*(:| |$)/.exec(problem);
  if (source === null) wrong("it does not say where it comes from");
  const secrets = [
    environment["DATA_PUTTER_KEY"],
    environment["DATA_PUTTER_SECRET_KEY"],
    flags["userSecretKey" satisfies string],
  ];
  for (const secret of secrets) {
    if (typeof secret !== "string" || secret.length < 12 || !problem.includes(secret)) continue;
    // Told of something else that was given the same value.
    const others = Object.values({ ...environment, ...flags }).filter((value) => String(value).includes(secret));
    if (others.length === 1) wrong("it shows a secret");
  }
}

// ── cases ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const good = [
  "5001",
  "0",
  "65535",
  "2",
  "4",
  "127.0.0.1",
  "::1",
  "localhost",
  "data",
  "embedded",
  "redis://127.0.0.1:6379",
  "127.0.0.1:6379",
  "a:1,b:2",
  "disk",
  "os",
  "info",
  "000102030405060708090a0b0c0d0e0f",
  "ABC",
  "1.2.3.4:5",
  "[::1]:5",
  "us-east-1",
  "bucket-a,bucket-b",
];
const odd = [
  "",
  " ",
  "-1",
  "+1",
  "1e3",
  "0x10",
  "1_000",
  "65536",
  "00000000000000005001",
  "99999999999999999999",
  "9007199254740993",
  "NaN",
  "Infinity",
  "null",
  "true",
  "~",
  "[]",
  "{}",
  "a:0",
  "a:65536",
  ":1",
  "a:",
  "[]:1",
  "[::1:5",
  "[a\u001bb]:5",
  "a:1,",
  "a:1,a:1",
  "redis://",
  "redis://:secret@a:1",
  "redis://a/b:6379",
  "redis://a?b:6379",
  "redis://a\\b:6379",
  "redis://<>:6379",
  "redis://[::g]:6379",
  "redis://[fe80::1%lo]:6379",
  "REDIS://a:1",
  "redis://a:1/",
  "redis://a:1//",
  "../..",
  "\u001b[31m",
  "\u202e",
  "a\nb",
  "a\tb",
  "\ud800",
  "5001\n",
  "\u0665\u0660\u0660\u0661",
  "__proto__",
  "constructor",
  "x".repeat(100_000),
  "a:1,".repeat(10_000),
];

const number = fc.oneof(fc.integer(), fc.bigInt(), fc.double(), fc.nat(70_000)).map(String);
const text = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...good) },
  { weight: 5, arbitrary: fc.constantFrom(...odd) },
  { weight: 2, arbitrary: number },
  { weight: 2, arbitrary: fc.string({ maxLength: 40, unit: "binary" }) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...good), fc.constantFrom(...odd)).map((both) => both.join("")) },
);
const variable = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(...knownVariables().filter((name) => name !== "DATA_PUTTER_CONFIG")) },
  { weight: 1, arbitrary: fc.constantFrom("DATA_PUTTER_UNKNOWN", "DATA_PUTTER_", "DATA_PUTTER_PORT_", "PATH") },
);

// No variable can hold a NUL.
const environment = fc.dictionary(
  variable,
  text.map((value) => value.replaceAll("\0", "")),
  { maxKeys: 3 },
);

function flagsOf(command: CommandName): fc.Arbitrary<ConfigurationCase["flags"]> {
  const names: OptionName[] = optionsOf(command).flatMap(([name, { flag }]) => {
    return flag === undefined || name === "config" ? [] : [name];
  });
  if (names.length === 0) return fc.constant({});
  const value: fc.Arbitrary<string | true> = fc.oneof({ weight: 8, arbitrary: text }, fc.constant(true as const));
  return fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 4 });
}

const fileKey = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(...knownFileKeys()) },
  fc.constantFrom("__proto__", "<<", "no-such", "? a", '"\\e[31m"', "&a port", "!!int 5", "*a", "[a]", "{a: b}", ""),
);
const yamlValue = fc.oneof(
  { weight: 6, arbitrary: text.map((value) => JSON.stringify(value)) },
  { weight: 3, arbitrary: fc.constantFrom(...good) },
  { weight: 2, arbitrary: text },
  fc.array(fc.constantFrom(...good, ...odd), { maxLength: 5 }).map((list) => JSON.stringify(list)),
  fc.constantFrom(
    "&a x",
    "*a",
    "&a [*a]",
    "!!binary aGVsbG8=",
    "!!int 12",
    "!!set {a, b}",
    "!!omap [a: b]",
    "!!js/function x",
    "|\n  a\n  b",
    ">-\n  5001",
    "{a: b}",
    "[[1, 2], [3]]",
    "- - - a",
    "\n  - 1\n  - 2",
    "\u0000",
    "'",
    '"\\x00"',
    '"\\ud800"',
    "2001-01-01",
    "0o17",
    "# nothing",
  ),
);
const line = fc.tuple(fileKey, yamlValue).map(([key, value]) => `${key}: ${value}`);
const plainFile = fc.array(line, { maxLength: 6 }).map((lines) => lines.join("\n"));
/** Files made to be long in reading. */
export const bombs: readonly string[] = [
  "[".repeat(60_000),
  "{a: ".repeat(15_000),
  `port: ${"[".repeat(5_000)}${"]".repeat(5_000)}`,
  "- ".repeat(20_000),
  "? ".repeat(20_000),
  "port: 1\n".repeat(8_000),
  Array.from({ length: 7_000 }, (_, index) => `k${index}: 1`).join("\n"),
  Array.from({ length: 5_000 }, (_, index) => `k${index}: &a${index} 1`).join("\n"),
  `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefgh".replace(/./g, (name) => `${name}: &${name} [${"*a,".repeat(9)}]\n`)}`,
  `root: ${"x".repeat(1_000_000)}`,
  "! ".repeat(20_000),
  "&a ".repeat(20_000),
  '"'.padEnd(60_000, "\n"),
  "%YAML 9.9\n---\nport: 1\n...\n---\nport: 2\n",
  "\ufeffport: 1",
  "port: 1\r\nroot: a\rhost: b",
];
const file = fc.oneof(
  { weight: 10, arbitrary: plainFile },
  {
    weight: 5,
    arbitrary: fc.tuple(plainFile, fc.array(byteChange, { minLength: 1, maxLength: 5 })).map(([whole, changes]) => {
      return changed(Buffer.from(whole, "utf8"), changes).toString("latin1");
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom(...bombs) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("latin1")) },
);

export const configurationCase: fc.Arbitrary<ConfigurationCase> = fc.constantFrom(...commandNames).chain((command) =>
  fc.record({
    command: fc.constant(command),
    flags: flagsOf(command),
    environment,
    file: fc.option(file, { nil: null, freq: 2 }),
  }),
);
