/** docs/configuration.md, made from the table of options; a test holds the file against it. */
import { exitCodesText } from "./exit.ts";
import { commandNames, describeDefault, type Option, options } from "./options.ts";

const introduction = `# Configuration

Made from the table in \`src/cli/options/\`; \`npx vitest run src/cli/reference.test.ts -u\` writes it anew.

An option is given as a flag, as a variable, or in the YAML file that \`--config FILE\` (or \`DATA_PUTTER_CONFIG\`) names. A flag
counts before a variable, a variable before the file, the file before the default. A variable that is set to nothing counts as not
set. Everything that is given is checked before anything starts: all mistakes are told at once, each with where it came from, the
rule and the value, and the exit code is 2. A variable that begins with \`DATA_PUTTER_\` and is not in this table is a mistake, and
so is an unknown name in the file. One file can serve all commands: each takes the options that it has. Relative paths start at
the directory that the command is started in.

\`\`\`yaml
root: /srv/objects
bind: 0.0.0.0
port: 5001
response-port: 5002
key-file: /etc/data-putter/key
putters: [10.0.0.1:5000, 10.0.0.2:5000]
datastore: redis://10.0.0.3:6379
\`\`\`
`;

const keyText = `## The key

16 bytes, written as 32 hex digits. All routers and servers of a store have the same one, and so have the commands that read. A
router or server that is given none makes one at its first start, in \`ROOT/key\`, readable by its owner only; on a directory that
holds data and has lost its key it does not start. Where to find it is said by \`--key-file\`, or by the key itself in
\`DATA_PUTTER_KEY\` (which no file can hold and no flag, because those are seen by others). No message and no log contains it; the
fingerprint (\`data-putter key show\`) tells two keys apart. Without its key nothing of a store can be verified: keep a copy.
`;

export function configurationReference(): string {
  const all = Object.values(options) as Option<unknown>[];
  const general = all.filter(({ variables = [] }) => variables.length > 0);
  const special = all.filter(({ variables = [] }) => variables.length === 0);
  const sections = [
    introduction,
    `## Options\n\n${general.map(describe).join("\n")}`,
    `## Options of single commands\n\nFlags only.\n\n${special.map(describe).join("\n")}`,
    keyText,
    `## Exit codes\n\n\`\`\`\n${exitCodesText}\n\`\`\`\n`,
  ];
  return sections.join("\n");
}

function describe(option: Option<unknown>): string {
  const { flag, short, argument, variables = [], fileKey, about, rule } = option;
  const spelled = [short, flag].filter((name) => name !== undefined).join(", ");
  const flagText = flag === undefined ? [] : [`\`${spelled}${argument === undefined ? "" : ` ${argument}`}\``];
  const variableText = variables.map(({ name }) => `\`${name}\``);
  const fileText = fileKey === undefined ? [] : [`\`${fileKey}:\``];
  const facts = argument === undefined && flag !== undefined && variables.length === 0 ? [] : [`- takes ${rule}`];
  return [
    `### ${[...flagText, ...variableText, ...fileText].join(" · ")}`,
    "",
    `${about[0]!.toUpperCase()}${about.slice(1)}.`,
    "",
    ...facts,
    `- of ${defaultsOf(option).join("; ")}`,
    "",
  ].join("\n");
}

/** Commands with the same default share a line: `router, server (default: disk)`. */
function defaultsOf(option: Option<unknown>): string[] {
  const byDefault = new Map<string, string[]>();
  for (const command of commandNames) {
    if (option.commands[command] === undefined) continue;
    const text = describeDefault(option, command) ?? "";
    byDefault.set(text, [...(byDefault.get(text) ?? []), `\`${command}\``]);
  }
  return [...byDefault].map(([text, names]) => `${names.join(", ")}${text === "" ? "" : ` (default: ${text})`}`);
}
