/** `stat OBJECT`: all that is known of an object; with --watch, a write as it goes on. */
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../core/errors.ts";
import { formatId, type ObjectId } from "../core/ids.ts";
import type { ObjectSummary } from "../router/object-answers.ts";
import { objectIds, type StoreClient, summaryOf, withRouter } from "./client.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { formatCount, formatSize, formatTime, plural } from "./format.ts";
import { withStop } from "./signals.ts";

export const stat: Command = {
  name: "stat",
  operands: "OBJECT",
  summary: "show an object: size, runs, tickets, status, volumes",
  description: `Shows size, runs of TicketIDs, how many tickets were cut (ticketCount) and are on disk (writeCount), the status, and on
which volumes of which putters they are.

With --watch it follows a write until it has ended. The exit code is 1 where there is no such object or its write failed.`,
  examples: [
    ["stat 1A", "once"],
    ["stat 1A --watch", "until it is written"],
    ["stat 1A --json", "for a program"],
  ],
  run: runStat,
};

const watchMs = 250;
/** Where the output is a file or pipe, a line is printed so often at most. */
const plainLineMs = 1_000;

function runStat(context: CommandContext): Promise<ExitCode> {
  const [id] = objectIds(context.operands);
  return withStop((stop) =>
    withRouter(
      context,
      async (client) => {
        const summary = context.settings.has("watch")
          ? await watch(context, client, id!, stop)
          : await ask(client, id!);
        if (context.settings.has("json")) await context.output.json(summary);
        else await context.output.line(describe(summary).join("\n"));
        return summary.status === "error" ? ExitCode.failed : ExitCode.ok;
      },
      stop,
    ),
  );
}

async function ask(client: StoreClient, id: ObjectId): Promise<ObjectSummary> {
  const summary = await summaryOf(client, id);
  if (summary === undefined) throw new StoreError("NOT_FOUND", `there is no object ${formatId(id)}`);
  return summary;
}

/** Tells every change until the write has ended; resolves to how it ended. */
async function watch(
  { settings, output, errors }: CommandContext,
  client: StoreClient,
  id: ObjectId,
  stop: AbortSignal,
): Promise<ObjectSummary> {
  let told = "";
  let toldAt = 0;
  let onScreen = false;
  for (;;) {
    const summary = await ask(client, id);
    if (summary.status !== "writing") {
      if (onScreen) errors.write("\r\x1b[K");
      return summary;
    }
    const line = progressLine(summary);
    const now = performance.now();
    if (settings.has("json")) {
      if (line !== told) await output.json(summary);
    } else if (errors.isTTY) {
      errors.write(`\r${line}\x1b[K`);
      onScreen = true;
    } else if (line !== told && now - toldAt >= plainLineMs) {
      errors.write(`${line}\n`);
      toldAt = now;
    }
    told = line;
    await delay(watchMs, undefined, { signal: stop }).catch(() => undefined);
  }
}

function progressLine({ object, ticketCount, writeCount }: ObjectSummary): string {
  return `${object}: writing, ${formatCount(writeCount)} of ${plural(ticketCount, "ticket")} so far on disk`;
}

function describe(summary: ObjectSummary): string[] {
  const { object, status, createdAt, ticketCount, writeCount, size, runCount, runs, volumes, reason } = summary;
  const rows: [string, string][] = [
    ["object", object],
    ["status", reason === undefined ? status : `${status}: ${reason}`],
  ];
  if (size !== undefined)
    rows.push(["size", size < 10_000 ? formatSize(size) : `${formatCount(size)} B (${formatSize(size)})`]);
  rows.push(["created", formatTime(createdAt)]);
  rows.push(["ticketCount", formatCount(ticketCount)], ["writeCount", formatCount(writeCount)]);
  if (runCount !== undefined) rows.push(["runs", formatCount(runCount)]);
  for (const { first, count } of runs ?? []) rows.push(["  run", `from ${first}, ${plural(count, "ticket")}`]);
  if (runs !== undefined && runCount !== undefined && runs.length < runCount) {
    rows.push(["  run", `… and ${formatCount(runCount - runs.length)} more`]);
  }
  for (const { volume, putter, place } of volumes ?? []) rows.push(["volume", `${volume} of ${place ?? putter}`]);
  const width = rows.reduce((widest, [label]) => Math.max(widest, label.length), 0);
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`);
}
