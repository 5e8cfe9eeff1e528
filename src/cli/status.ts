/** `status`: what the router says of itself. */
import { printable } from "../core/printable.ts";
import { statusAnswer } from "../router/object-answers.ts";
import { withRouter } from "./client.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";

export const status: Command = {
  name: "status",
  summary: "show how the router is: datastore, putters, counters, reclaiming",
  description:
    "Asks the router and prints its answer. An exit code of 0 means that it answered: good as a health check.",
  examples: [
    ["status", "for people"],
    ["status --json | jq .reclaim", "for programs"],
  ],
  run: runStatus,
};

function runStatus(context: CommandContext): Promise<ExitCode> {
  return withRouter(context, async (client) => {
    const answer = await client.askFor("status", statusAnswer);
    if (context.settings.has("json")) await context.output.json(answer);
    else {
      const rows = rowsOf(answer, "");
      const width = rows.reduce((widest, [label]) => Math.max(widest, label.length), 0);
      await context.output.line(rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join("\n"));
    }
    return ExitCode.ok;
  });
}

/** A tree as `path.to.value` and value. */
function rowsOf(value: unknown, label: string): [string, string][] {
  if (typeof value !== "object" || value === null) return [[printable(label), printable(String(value))]];
  return Object.entries(value).flatMap(([name, below]) => rowsOf(below, label === "" ? name : `${label}.${name}`));
}
