/** `key make`, `key show`: the shared key is made, or told apart from others, without being shown. */
import path from "node:path";
import { StoreError } from "../core/errors.ts";
import { fingerprintOf } from "../core/key.ts";
import { nodeRandom } from "../env/node-clock.ts";
import { type Command, type CommandContext, note } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { type FoundKey, makeKeyFile, readKeyFile } from "../env/node-key-file.ts";
import { clientKey } from "./key-file.ts";

export const keyMake: Command = {
  name: "key make",
  operands: "[FILE]",
  summary: "make a new key in FILE (default: key)",
  description: `Writes 16 random bytes as 32 hex digits into FILE, which must not be there yet, readable by its owner only (mode 0600).
Prints the fingerprint, never the key. Copy the file to every router and server of a store, and keep a copy elsewhere:
without it, nothing that is stored can be verified.`,
  examples: [["key make store.key", "for: router --key-file store.key"]],
  run: runMake,
};

export const keyShow: Command = {
  name: "key show",
  operands: "[FILE]",
  summary: "show the fingerprint of a key",
  description: `Prints the fingerprint of the key in FILE, or of the one that the other commands would use: --key-file,
DATA_PUTTER_KEY, ./data/key, ./key. Two keys are the same if their fingerprints are.`,
  examples: [
    ["key show", "of the key that get, ls and the like use here"],
    ["key show /srv/objects/key", "of that one"],
  ],
  run: runShow,
};

async function runMake({ settings, operands, output }: CommandContext): Promise<ExitCode> {
  const file = operands[0] ?? "key";
  const key = await makeKeyFile(file, nodeRandom);
  if (key === undefined) {
    throw new StoreError(
      "CONFLICT",
      `${file} is there already, and a key that is in use cannot be replaced: choose another FILE`,
    );
  }
  const fingerprint = fingerprintOf(key);
  if (settings.has("json")) await output.json({ file: path.resolve(file), fingerprint });
  else await output.line(`${fingerprint}  ${file}`);
  return ExitCode.ok;
}

async function runShow(context: CommandContext): Promise<ExitCode> {
  const { settings, operands, output } = context;
  const [file] = operands;
  const { key, source, notes } = file === undefined ? await clientKey(settings) : await requireKeyFile(file);
  for (const text of notes) note(context, `warning: ${text}`);
  const fingerprint = fingerprintOf(key);
  if (settings.has("json")) await output.json({ source, fingerprint });
  else await output.line(`${fingerprint}  ${source}`);
  return ExitCode.ok;
}

async function requireKeyFile(file: string): Promise<FoundKey> {
  const found = await readKeyFile(file);
  if (found === undefined) throw new StoreError("INVALID", `FILE: there is no ${file}`);
  return found;
}
