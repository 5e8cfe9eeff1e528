/**
 * Every option there is: how it is spelled on the command line, in the environment and in a YAML file, what it takes,
 * and which commands have it with which default. Help, docs/configuration.md and the checks before start all come from
 * this table. Precedence: flag, environment, file, default.
 */
import { cluster } from "./options/cluster.ts";
import { everywhere } from "./options/everywhere.ts";
import type { CommandName, Option } from "./options/option.ts";
import { s3 } from "./options/s3.ts";
import { singleCommands } from "./options/single-commands.ts";

export { type CommandName, commandNames, describeDefault, type Option } from "./options/option.ts";

export const options = { ...everywhere, ...cluster, ...s3, ...singleCommands };

export type Options = typeof options;
export type OptionName = keyof Options;
export type ValueOf<Name extends OptionName> = Options[Name] extends Option<infer Value> ? Value : never;

/** The options of a command, in the order of the table. */
export function optionsOf(command: CommandName): [OptionName, Option<unknown>][] {
  const entries = Object.entries(options) as [OptionName, Option<unknown>][];
  return entries.filter(([, { commands }]) => commands[command] !== undefined);
}
