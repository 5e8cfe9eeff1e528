/** `encryption-key add`, `ls`, `rotate`: the named keys of server-side encryption. The keys themselves are never shown. */
import { keyAnswer, keyListAnswer } from "../compose/encryption-key-requests.ts";
import type { KeyDescription } from "../gateways/s3/encryption/keyring.ts";
import { readAnswer } from "../wire/answer-shape.ts";
import { gathered, withRouter } from "./client.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { formatTime, table } from "./format.ts";

export const encryptionKeyAdd: Command = {
  name: "encryption-key add",
  operands: "NAME",
  summary: "make a named key for server-side encryption",
  description: `Makes a key that S3 clients can name as KMS key id: x-amz-server-side-encryption: aws:kms with
x-amz-server-side-encryption-aws-kms-key-id: NAME, alias/NAME or an ARN that ends in key/NAME or alias/NAME. It is kept in the datastore, sealed
under the shared key, and cannot be removed: nobody knows which objects need it.`,
  examples: [["encryption-key add payroll", "then: aws s3 cp FILE s3://BUCKET --sse aws:kms --sse-kms-key-id payroll"]],
  run: (context) => change(context, "sseadd"),
};

export const encryptionKeyRotate: Command = {
  name: "encryption-key rotate",
  operands: "NAME",
  summary: "give a key a new version",
  description: `What is written from now on is encrypted under the new version (by other routers of the same store within a second).
What was written before stays readable under the version it was written with.`,
  examples: [
    ["encryption-key rotate payroll", "a key of yours"],
    ["encryption-key rotate data-putter/sse-s3", "the store's own, of x-amz-server-side-encryption: AES256"],
  ],
  run: (context) => change(context, "sserot"),
};

export const encryptionKeyLs: Command = {
  name: "encryption-key ls",
  summary: "list the keys of server-side encryption",
  description: `One key a line, in order of name, with its newest version. data-putter/sse-s3 and aws/s3 are the store's own: they are made
when they are first used.`,
  examples: [["encryption-key ls", "all of them"]],
  run: list,
};

function change(context: CommandContext, operation: "sseadd" | "sserot"): Promise<ExitCode> {
  const { settings, operands, output } = context;
  const name = operands[0]!;
  return withRouter(context, async (client) => {
    const key = await client.askFor(operation, keyAnswer, {}, Buffer.from(JSON.stringify({ name })));
    if (settings.has("json")) await output.json(key);
    else await output.line(`${key.name}  version ${key.version}`);
    return ExitCode.ok;
  });
}

const header = ["NAME", "VERSION", "CREATED", "ROTATED"];

function list(context: CommandContext): Promise<ExitCode> {
  const { settings, output } = context;
  return withRouter(context, async (client) => {
    const keys = await gathered(client, "sselist", (value) => readAnswer("sselist", keyListAnswer, value).keys);
    if (settings.has("json")) {
      for (const key of keys) await output.json(key);
      return ExitCode.ok;
    }
    const rows = [header, ...keys.map(rowOf)];
    await output.line(table(rows));
    return ExitCode.ok;
  });
}

function rowOf({ name, version, createdAt, rotatedAt }: KeyDescription): string[] {
  return [name, String(version), formatTime(createdAt), version === 1 ? "-" : formatTime(rotatedAt)];
}
