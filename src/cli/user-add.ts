/** `user add NAME`: an account with its access key, or an access key within an account. The secret is shown this once. */
import { type AddedUser, addedUserAnswer, openSecret, sealSecret, type UserRequest } from "../compose/user-requests.ts";
import { StoreError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import { nodeRandom } from "../env/node-clock.ts";
import { Sealing } from "../gateways/s3/auth/sealing.ts";
import { withRouter } from "./client.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";

export const userAdd: Command = {
  name: "user add",
  operands: "NAME",
  summary: "make a user, and show its keys",
  description: `Makes an account NAME, which can own buckets, with one access key, and prints the keys: the secret key is shown
this once and can be read nowhere later.

With --account, the access key is one more of that account. With --read-only or --bucket it is limited, and of root's account
unless --account says otherwise. NAME comes first: --bucket takes all that stands behind it.`,
  examples: [
    ["user add alice --email alice@example.com", "an account of its own"],
    ["user add backup --bucket photos mail", "only these two buckets of root's"],
    ["user add viewer --account alice --read-only", "may look at what alice has"],
  ],
  run: runUserAdd,
};

function runUserAdd(context: CommandContext): Promise<ExitCode> {
  const { settings, operands, output } = context;
  const name = operands[0]!;
  return withRouter(context, async (client) => {
    const sealing = new Sealing(client.key, nodeRandom);
    const [givenSecret, readOnly] = [settings.find("newSecretKey"), settings.has("readOnly")];
    const wanted = {
      name,
      email: settings.find("email"),
      account: settings.find("account"),
      readOnly: readOnly ? true : undefined,
      buckets: settings.find("buckets"),
      accessKey: settings.find("newAccessKey"),
      ...(givenSecret === undefined ? {} : { secret: sealSecret(sealing, "request", name, givenSecret) }),
    } satisfies UserRequest;
    const body = Buffer.from(JSON.stringify(wanted));
    const { secret, ...user } = await client.askFor("useradd", addedUserAnswer, {}, body);
    const secretKey = openSecret(sealing, "answer", name, secret);
    if (printable(secretKey) !== secretKey)
      throw new StoreError("PROTOCOL", `${client.where} made a secret key of no text`);
    const shown = { ...user, secretKey };
    if (settings.has("json")) await output.json(shown);
    else await output.line(rowsOf(shown).join("\n"));
    return ExitCode.ok;
  });
}

function rowsOf(user: Omit<AddedUser, "secret"> & { readonly secretKey: string }): string[] {
  const limits = [
    ...(user.readOnly ? ["read only"] : []),
    ...(user.buckets === undefined ? [] : [`buckets ${user.buckets.join(", ")}`]),
  ];
  const rows = [
    ["user", user.user],
    ["access key", user.accessKey],
    ["secret key", user.secretKey],
    ["account", user.account],
    ["canonical id", user.id],
    ...(user.email === undefined ? [] : [["email", user.email]]),
    ...(limits.length === 0 ? [] : [["limited to", limits.join("; ")]]),
  ];
  return rows.map(([label, value]) => `${label!.padEnd(12)}  ${value}`);
}
