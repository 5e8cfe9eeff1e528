/** `user ls`: who there is; never a secret. */
import type { ListedUser } from "../compose/user-requests.ts";
import { withRouter } from "./client.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { formatTime } from "./format.ts";

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
    const users: ListedUser[] = [];
    for await (const part of client.ask("userlist")) {
      if (part.kind === "json") users.push(...(part.value as { users: readonly ListedUser[] }).users);
    }
    if (settings.has("json")) {
      for (const user of users) await output.json(user);
      return ExitCode.ok;
    }
    const rows = [header, ...users.map(rowOf)];
    const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
    const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  "));
    await output.line(lines.map((line) => line.trimEnd()).join("\n"));
    return ExitCode.ok;
  });
}

function rowOf({ user, accessKey, account, readOnly, buckets, email, createdAt }: ListedUser): string[] {
  const limits = [...(readOnly ? ["read only"] : []), ...(buckets ?? [])].join(",");
  return [user, accessKey, account, limits === "" ? "-" : limits, email ?? "-", formatTime(createdAt)];
}
