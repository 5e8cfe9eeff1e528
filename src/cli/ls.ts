/** `ls`: the objects in order of id, page by page. */
import type { ObjectId } from "../core/ids.ts";
import * as limits from "../core/limits.ts";
import type { ObjectSummary } from "../router/object-requests.ts";
import { objectIds, withRouter } from "./client.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { formatCount, formatTime } from "./format.ts";

export const ls: Command = {
  name: "ls",
  summary: "list objects",
  description: `One object a line, in order of id: those that are stored, that are being written, and whose write failed lately.
WRITTEN is how many of the TICKETS are on disk; they differ while an object is being written.`,
  examples: [
    ["ls", "all of them"],
    ["ls --after 1A --limit 20", "the next 20"],
    ["ls --json | jq -r .object", "just the ids"],
  ],
  run: runLs,
};

const header = row("OBJECT", "STATUS", "SIZE", "TICKETS", "WRITTEN", "CREATED");

function runLs(context: CommandContext): Promise<ExitCode> {
  const { settings, output } = context;
  return withRouter(context, async (client) => {
    let after = settings.find("after") as ObjectId | undefined;
    let left = settings.find("limit") ?? Number.POSITIVE_INFINITY;
    if (!settings.has("json")) await output.line(header);
    for (let more = true; more && left > 0;) {
      const limit = Math.min(left, limits.pageSizeMax);
      const page = await client.askJson("list", after === undefined ? { b: limit } : { a: after, b: limit, c: 1 });
      const { objects, ...rest } = page as { objects: readonly ObjectSummary[]; more: boolean };
      const lines = objects.map((object) => (settings.has("json") ? JSON.stringify(object) : rowOf(object)));
      if (lines.length > 0) await output.line(lines.join("\n"));
      left -= objects.length;
      more = rest.more && objects.length > 0;
      if (more) [after] = objectIds([objects.at(-1)!.object]);
    }
    return ExitCode.ok;
  });
}

function rowOf({ object, status, size, ticketCount, writeCount, createdAt }: ObjectSummary): string {
  const sizeText = size === undefined ? "-" : formatCount(size);
  return row(object, status, sizeText, formatCount(ticketCount), formatCount(writeCount), formatTime(createdAt));
}

function row(object: string, status: string, size: string, tickets: string, written: string, created: string): string {
  return [
    object.padEnd(8),
    status.padEnd(7),
    size.padStart(18),
    tickets.padStart(13),
    written.padStart(13),
    created,
  ].join("  ");
}
