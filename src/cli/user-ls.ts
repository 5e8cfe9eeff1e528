/** `user ls`: who there is; never a secret. */
import { type ListedUser, userListAnswer } from "../compose/user-requests.ts";
import { readAnswer } from "../wire/answer-shape.ts";
import { gathered, withRouter } from "./client.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { formatTime, table } from "./format.ts";

export const userLs: Command = {
  name: "user ls",
  summary: "list the users, their access keys and accounts",
  description: `One user a line, in order of access key. Secret keys are shown when a user is made, and never again.`,
  examples: [
    ["user ls", "all of them"],
    ["user ls --json | jq -r .id", "canonical ids of their accounts"],
  ],
  run: runUserLs,
};

const header = ["USER", "ACCESS KEY", "ACCOUNT", "LIMITED TO", "EMAIL", "CREATED"];

function runUserLs(context: CommandContext): Promise<ExitCode> {
  const { settings, output } = context;
  return withRouter(context, async (client) => {
    const users = await gathered(client, "userlist", (value) => readAnswer("userlist", userListAnswer, value).users);
    if (settings.has("json")) {
      for (const user of users) await output.json(user);
      return ExitCode.ok;
    }
    const rows = [header, ...users.map(rowOf)];
    await output.line(table(rows));
    return ExitCode.ok;
  });
}

function rowOf({ user, accessKey, account, readOnly, buckets, email, createdAt }: ListedUser): string[] {
  const limits = [...(readOnly ? ["read only"] : []), ...(buckets ?? [])].join(",");
  return [user, accessKey, account, limits === "" ? "-" : limits, email ?? "-", formatTime(createdAt)];
}
