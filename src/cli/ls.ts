/** `ls`: the objects in order of id, page by page. */
import { StoreError } from "../core/errors.ts";
import { type ObjectId, parseId } from "../core/ids.ts";
import * as limits from "../core/limits.ts";
import { printableJson } from "../core/printable.ts";
import { listAnswer, type ObjectPage, type ObjectSummary } from "../router/object-answers.ts";
import { type StoreClient, withRouter } from "./client.ts";
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
      const { objects, more: hasMore } = await pageOf(client, after, limit);
      const lines = objects.map((object) => (settings.has("json") ? printableJson(object) : rowOf(object)));
      if (lines.length > 0) await output.line(lines.join("\n"));
      left -= objects.length;
      more = hasMore && objects.length > 0;
      if (more) after = parseId<ObjectId>(objects.at(-1)!.object);
    }
    return ExitCode.ok;
  });
}

/** A page that does not go on from where the last one ended would be asked for without end. */
async function pageOf(client: StoreClient, after: ObjectId | undefined, limit: number): Promise<ObjectPage> {
  const numbers = after === undefined ? { b: limit } : { a: after, b: limit, c: 1 };
  const page = await client.askFor("list", listAnswer, numbers);
  let last: number = after ?? -1;
  for (const { object } of page.objects) {
    const id = parseId<ObjectId>(object)!;
    if (id <= last) throw new StoreError("PROTOCOL", `${client.where} lists object ${object} out of order`);
    last = id;
  }
  if (page.objects.length <= limit) return page;
  throw new StoreError(
    "PROTOCOL",
    `${client.where} lists ${page.objects.length} objects, where ${limit} were asked for`,
  );
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
