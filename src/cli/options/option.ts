/** What an option is, which commands there are, and which of them are of one kind. */
import type * as rules from "../option-rules.ts";

export const commandNames = [
  "router",
  "server",
  "put",
  "get",
  "ls",
  "stat",
  "rm",
  "verify",
  "status",
  "restore",
  "loopback",
  "key make",
  "key show",
  "user add",
  "user ls",
  "user rm",
  "encryption-key add",
  "encryption-key ls",
  "encryption-key rotate",
  "bench",
] as const;
export type CommandName = (typeof commandNames)[number];

/** A variable may be spelled by other rules than the flag (REDIS_HOSTPORT is the case). */
export interface Variable<Value> extends Partial<rules.Rule<Value>> {
  readonly name: string;
}

export interface Option<Value> extends rules.Rule<Value> {
  /** undefined: environment only, for what must not be seen in a list of processes. */
  readonly flag?: string;
  readonly short?: string;
  /** How help calls the value; undefined for a switch. `X...`: several values, which are joined by commas. */
  readonly argument?: string;
  readonly variables?: readonly Variable<Value>[];
  readonly fileKey?: string;
  readonly about: string;
  /** Default as text, by command; `null` where there is none. Other commands do not have the option. */
  readonly commands: { readonly [Name in CommandName]?: string | null };
  /** Said in place of a default that is no fixed text. */
  readonly defaultNote?: string | ((command: CommandName) => string);
  /** Its value is never shown. */
  readonly secret?: true;
}

const keyClients = ["encryption-key add", "encryption-key ls", "encryption-key rotate"] as const;
const userClients = ["user add", "user ls", "user rm"] as const;
export const clients = ["get", "ls", "stat", "rm", "verify", "status", ...userClients, ...keyClients] as const;
export const keyed = ["router", "server", ...clients, "loopback"] as const;
export const configured = [...keyed, "put", "key show"] as const;
export const printing = [...configured, "restore", "key make"] as const;
export const none = <Name extends CommandName>(names: readonly Name[]): { [Each in Name]: null } => all(names, null);

/** What holds where nothing is given, in words. */
export function describeDefault({ commands, defaultNote }: Option<unknown>, command: CommandName): string | undefined {
  return commands[command] ?? (typeof defaultNote === "function" ? defaultNote(command) : defaultNote);
}

export function option<Value>(entry: Option<Value>): Option<Value> {
  return entry;
}

export function all<Name extends CommandName, Text extends string | null>(
  names: readonly Name[],
  value: Text,
): { [Each in Name]: Text } {
  return Object.fromEntries(names.map((name) => [name, value])) as { [Each in Name]: Text };
}
