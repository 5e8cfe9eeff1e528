/** `user rm NAME`: the user's access key is worth nothing from now on. */
import { StoreError } from "../core/errors.ts";
import { removedAnswer } from "../compose/user-requests.ts";
import { withRouter } from "./client.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";

export const userRm: Command = {
  name: "user rm",
  operands: "NAME",
  summary: "remove a user and its access key",
  description: `The access key is refused from then on (by other routers of the same store within a second). With the last user of an
account the account goes too; while it owns buckets, that user cannot be removed. Root cannot be removed either.`,
  examples: [["user rm alice", "what alice had a key for stays"]],
  run: runUserRm,
};

function runUserRm(context: CommandContext): Promise<ExitCode> {
  const { settings, operands, output } = context;
  const name = operands[0]!;
  return withRouter(context, async (client) => {
    const { removed } = await client.askFor("userrm", removedAnswer, {}, Buffer.from(JSON.stringify({ name })));
    if (!removed) throw new StoreError("NOT_FOUND", `there is no user ${name}`);
    if (settings.has("json")) await output.json({ user: name, removed: true });
    else await output.line(name);
    return ExitCode.ok;
  });
}
