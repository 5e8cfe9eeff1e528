/** `verify [OBJECT...]`: the router reads everything, or what it is told, and says what does not verify. */
import { StoreError } from "../core/errors.ts";
import { formatId, type ObjectId } from "../core/ids.ts";
import { printableJson } from "../core/printable.ts";
import { verifyAnswer, type VerifyProgress } from "../router/object-answers.ts";
import { readAnswer } from "../wire/answer-shape.ts";
import { objectIds, type StoreClient, summaryOf, withRouter } from "./client.ts";
import { type Command, type CommandContext, note, progressFor } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { plural } from "./format.ts";
import type { Progress } from "./progress.ts";
import { withStop } from "./signals.ts";

export const verify: Command = {
  name: "verify",
  operands: "[OBJECT...]",
  summary: "read and check everything, or some objects; print what is damaged",
  description: `The router reads each record of an embedded datastore, and each ticket from disk, and checks them against their checksums. Each damaged one is a line: object, offset
in the object, TicketID, kind (absent, corrupt, unreadable), volume, where. After them comes what refers to the damaged
objects: bucket, key and version, or the part of an upload. The exit code is 1 if anything is damaged.`,
  examples: [
    ["verify", "the whole store"],
    ["verify 1A 1B", "two objects"],
    ["verify --json", "damages and a summary as JSON lines"],
  ],
  run: runVerify,
};

interface Totals {
  objects: number;
  tickets: number;
  damages: number;
  /** Of the datastore; not there where none is damaged. */
  recordDamages?: number;
}

function runVerify(context: CommandContext): Promise<ExitCode> {
  const ids = objectIds(context.operands);
  const { settings, output } = context;
  return withStop((stop) =>
    withRouter(
      context,
      async (client) => {
        const totals: Totals = { objects: 0, tickets: 0, damages: 0 };
        if (ids.length === 0) await check(context, client, undefined, totals);
        for (const id of ids) await check(context, client, id, totals);
        if (settings.has("json")) await output.json(totals);
        else {
          const records = totals.recordDamages ?? 0;
          const found =
            [
              ...(totals.damages > 0 ? [`${plural(totals.damages, "ticket")} damaged`] : []),
              ...(records > 0 ? [`${plural(records, "record")} of the datastore damaged`] : []),
            ].join(", ") || "nothing is damaged";
          note(context, `${plural(totals.objects, "object")}, ${plural(totals.tickets, "ticket")} read: ${found}`);
        }
        return totals.damages === 0 && totals.recordDamages === undefined ? ExitCode.ok : ExitCode.failed;
      },
      stop,
    ),
  );
}

async function check(
  context: CommandContext,
  client: StoreClient,
  id: ObjectId | undefined,
  totals: Totals,
): Promise<void> {
  const label = id === undefined ? "all objects" : formatId(id);
  const total = id === undefined ? undefined : (await summaryOf(client, id))?.ticketCount;
  const progress = progressFor(context, { label, total, unit: "tickets" });
  let last = { objects: 0, tickets: 0 };
  try {
    for await (const part of client.ask("verify", id === undefined ? {} : { a: id, b: 1 })) {
      if (part.kind === "tickets") part.buffer.release();
      if (part.kind === "tickets") throw new StoreError("PROTOCOL", "verify: answered by tickets");
      const told = readAnswer("verify", verifyAnswer, part.value);
      last = told;
      await showRecords(context, told.recordDamages ?? [], progress, totals);
      await showDamages(context, told.damages, progress);
      await showNames(context, told.names ?? [], progress);
      totals.damages += told.damages.length;
      progress.advance(last.tickets);
    }
  } finally {
    progress.clear();
  }
  progress.end();
  totals.objects += last.objects;
  totals.tickets += last.tickets;
}

async function showDamages(
  { settings, output }: CommandContext,
  damages: VerifyProgress["damages"],
  progress: Progress,
): Promise<void> {
  if (damages.length > 0) progress.clear();
  for (const damage of damages) {
    if (settings.has("json")) await output.json(damage);
    else {
      const { object, offset, ticket, kind, volume, place } = damage;
      await output.line(`object ${object}  offset ${offset}  ticket ${ticket}  ${kind}  volume ${volume} of ${place}`);
    }
  }
}

async function showRecords(
  { settings, output }: CommandContext,
  damages: readonly string[],
  progress: Progress,
  totals: Totals,
): Promise<void> {
  if (damages.length === 0) return;
  progress.clear();
  totals.recordDamages = (totals.recordDamages ?? 0) + damages.length;
  for (const damage of damages) {
    if (settings.has("json")) await output.json({ record: damage });
    else await output.line(damage);
  }
}

async function showNames(
  { settings, output }: CommandContext,
  names: NonNullable<VerifyProgress["names"]>,
  progress: Progress,
): Promise<void> {
  if (names.length > 0) progress.clear();
  for (const name of names) {
    if (settings.has("json")) await output.json(name);
    else {
      const { object, offset, bucket, key, version, upload, part } = name;
      const what = version === undefined ? `part ${part} of upload ${upload} of` : `version ${version} of`;
      // A key can have line breaks in it, and a terminal's control characters.
      const where = printableJson(`${bucket}/${key}`);
      await output.line(`object ${object}  is at byte ${offset} of ${what} ${where}`);
    }
  }
}
