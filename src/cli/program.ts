/** The command line: which command is meant, with which options; help; and from what happens to an exit code. */
import { readFileSync } from "node:fs";
import { Command as Commander, CommanderError, Option as CommanderOption } from "commander";
import { bench } from "./bench.ts";
import { readConfigText } from "./config-file.ts";
import { type Command, Output } from "./context.ts";
import { encryptionKeyAdd, encryptionKeyLs, encryptionKeyRotate } from "./encryption-key.ts";
import { exitCodeOf, exitCodesText, ExitCode, explain, usageError } from "./exit.ts";
import { get } from "./get.ts";
import { keyMake, keyShow } from "./key.ts";
import { loopback } from "./loopback.ts";
import { ls } from "./ls.ts";
import { describeDefault, type Option, type OptionName, optionsOf } from "./options.ts";
import { put } from "./put.ts";
import { restore } from "./restore.ts";
import { rm } from "./rm.ts";
import { router } from "./router.ts";
import { server } from "./server.ts";
import { resolveSettings, type Sources } from "./settings.ts";
import { stat } from "./stat.ts";
import { status } from "./status.ts";
import { userAdd } from "./user-add.ts";
import { userLs } from "./user-ls.ts";
import { userRm } from "./user-rm.ts";
import { verify } from "./verify.ts";

export const commands: readonly Command[] = [
  router,
  server,
  put,
  get,
  ls,
  stat,
  rm,
  verify,
  status,
  restore,
  loopback,
  keyMake,
  keyShow,
  userAdd,
  userLs,
  userRm,
  encryptionKeyAdd,
  encryptionKeyLs,
  encryptionKeyRotate,
  bench,
];

/** Commands of two words, by the first one. */
const groupSummaries: { readonly [group: string]: string } = {
  key: "make and show the shared key",
  user: "make, list and remove those who may use the store over S3",
  "encryption-key": "make, list and rotate the keys of server-side encryption",
};

/** Columns of help that stands on no terminal. */
const helpWidth = 100;

/** What the command line said. */
interface Chosen {
  readonly command: Command;
  readonly operands: readonly string[];
  readonly flags: Sources["flags"];
}

const about = `A durable object store: what is acknowledged is on disk, what is read was verified.

  data-putter router                        start a store in ./data: S3 on http://127.0.0.1:9000
  nc -N 127.0.0.1 5001 < FILE               store a file (or: data-putter put FILE)
  data-putter get OBJECT -o FILE            get it back`;

const sourcesText = `Options can also be given as variables (DATA_PUTTER_PORT for --port) and in the YAML file of
--config; a flag counts before a variable, a variable before the file. Each command has its own
--help; docs/configuration.md has all of it.`;

/** Runs a command line (without node and script); resolves to the exit code. */
export async function run(words: readonly string[]): Promise<ExitCode> {
  const output = new Output(process.stdout);
  let chosen: Chosen | undefined;
  try {
    await buildProgram((choice) => (chosen = choice)).parseAsync([...words], { from: "user" });
    // Help and version end by an error of their own: here, a command was chosen.
    return chosen === undefined ? ExitCode.usage : await runCommand(chosen, output);
  } catch (error) {
    if (output.closed) return ExitCode.ok;
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    for (const line of explain(error, chosen?.command.name ?? "")) process.stderr.write(`${line}\n`);
    return exitCodeOf(error);
  }
}

async function runCommand({ command, operands, flags }: Chosen, output: Output): Promise<ExitCode> {
  const environment = process.env;
  const resolved = resolveSettings(command.name, { flags, environment, readFile: readConfigText });
  if (resolved.kind === "problems") throw usageError(resolved.problems);
  const { settings } = resolved;
  return command.run({ settings, operands, output, errors: process.stderr, environment });
}

function buildProgram(choose: (chosen: Chosen) => void): Commander {
  const program = prepared(new Commander("data-putter"))
    .description(about)
    .version(packageVersion(), "-V, --version", "print the version")
    .usage("COMMAND [options]")
    .helpCommand("help [command]", "show the help of a command")
    .addHelpText("after", `\n${sourcesText}\n\n${exitCodesText}`);
  const groups = new Map<string, Commander>();
  for (const command of commands) {
    const words = command.name.split(" ");
    const [group, name] = words.length === 2 ? words : [undefined, words[0]];
    let parent = program;
    if (group !== undefined) {
      parent = groups.get(group) ?? prepared(program.command(group)).description(groupSummaries[group]!);
      groups.set(group, parent);
    }
    addCommand(parent, name!, command, choose);
  }
  return program;
}

function addCommand(parent: Commander, name: string, command: Command, choose: (chosen: Chosen) => void): void {
  const program = prepared(parent.command(name)).summary(command.summary).description(descriptionOf(command));
  for (const operand of operandsOf(command)) program.argument(operand);
  const byAttribute = new Map<string, OptionName>();
  for (const [optionName, option] of optionsOf(command.name)) {
    if (option.flag === undefined) continue;
    const added = commanderOption(option, command);
    byAttribute.set(added.attributeName(), optionName);
    program.addOption(added);
  }
  // Its arguments are the other program's.
  if (command.name === "bench") program.allowUnknownOption().helpOption(false);
  program.addHelpText("after", helpAfter(command));
  program.action(() => {
    const given = Object.entries(program.opts<{ [attribute: string]: string | true | string[] }>());
    const flags = Object.fromEntries(given.map(([name, value]) => [byAttribute.get(name), joined(value)]));
    choose({ command, operands: program.args, flags });
  });
}

/** What was given several times is one text, as it is in a variable. */
function joined(value: string | true | readonly string[]): string | true {
  return Array.isArray(value) ? value.join(",") : (value as string | true);
}

/** Errors are thrown, not exited with; help is as wide as what it stands on. */
function prepared(program: Commander): Commander {
  return program
    .exitOverride()
    .configureOutput({
      getOutHelpWidth: () => process.stdout.columns ?? helpWidth,
      getErrHelpWidth: () => process.stderr.columns ?? helpWidth,
    })
    .showHelpAfterError("(--help tells more)");
}

function operandsOf({ operands }: Command): string[] {
  if (operands === undefined) return [];
  return [operands.startsWith("[") ? operands : `<${operands}>`];
}

function commanderOption(option: Option<unknown>, command: Command): CommanderOption {
  const { flag, short, argument } = option;
  const names = short === undefined ? flag! : `${short}, ${flag}`;
  const notes = [describeDefault(option, command.name), ...(option.variables ?? []).map(({ name }) => name)];
  const [first, ...variables] = notes;
  const inBrackets = [...(first === undefined ? [] : [`default: ${first}`]), ...variables].join("; ");
  const text = `${option.about}${inBrackets === "" ? "" : ` (${inBrackets})`}`;
  return new CommanderOption(argument === undefined ? names : `${names} <${argument}>`, text);
}

function descriptionOf({ summary, description }: Command): string {
  // Lines of a paragraph are joined: help breaks them where its own width wants it.
  return `${summary[0]!.toUpperCase()}${summary.slice(1)}.\n\n${description.replace(/(?<!\n)\n(?!\n)/g, " ")}`;
}

function helpAfter(command: Command): string {
  const width = Math.max(...command.examples.map(([line]) => line.length));
  const lines = command.examples.map(([line, what]) => `  data-putter ${line.padEnd(width)}   # ${what}`);
  const withoutFlag = optionsOf(command.name).filter(([, { flag }]) => flag === undefined);
  const variables = withoutFlag.flatMap(([, { variables = [], about, rule }]) => {
    return variables.map(({ name }) => `  ${name}   ${about}: ${rule}`);
  });
  const environment = variables.length === 0 ? [] : ["", "Environment:", ...variables];
  return ["", "Examples:", ...lines, ...environment, "", exitCodesText].join("\n");
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
