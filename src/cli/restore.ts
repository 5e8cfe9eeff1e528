/** `restore`: makes the embedded datastore again, from a snapshot and the journals. */
import path from "node:path";
import type { Lost } from "../datastore/restored-versions.ts";
import type { RestoreReport } from "../datastore/restore.ts";
import { nodeHost } from "../env/node-host.ts";
import { nodeLog } from "../env/node-log.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";
import { plural } from "./format.ts";

export const restore: Command = {
  name: "restore",
  summary: "make a damaged embedded datastore again, from its snapshots and journals",
  description: `With the router stopped. Takes the newest snapshot below --root that is good, carries out all commits that its journals have
since then, and puts the result in the place of the datastore; what was there is kept beside it, under another name.

Says which versions are newer than what could be restored, each by bucket, key, version and ObjectID, and which ones are listed
again although they were removed later. All versions that are newer than the snapshot are in newer-versions.jsonl, beside the
damaged file. The exit code is 1 if not everything that is known could be restored. Afterwards, start the router and run verify.`,
  examples: [
    ["restore --root /srv/objects --dry-run", "what would be restored"],
    ["restore --root /srv/objects", "restore it"],
    ["restore --from 20260102T030405Z-0000000000001234", "from this snapshot"],
    ["restore --from /mnt/backup/data.mdb", "from a copy"],
  ],
  run: runRestore,
};

async function runRestore({ settings, output }: CommandContext): Promise<ExitCode> {
  const { restoreRoot } = await import("../compose/restore.ts");
  const root = path.resolve(settings.get("root"));
  const isDryRun = settings.has("dryRun");
  const report = await restoreRoot(nodeHost(nodeLog("warn")), { root, from: settings.find("from"), isDryRun });
  if (settings.has("json")) await output.json({ isDryRun, ...report });
  else for (const line of linesOf(report, isDryRun)) await output.line(line);
  return report.isWhole ? ExitCode.ok : ExitCode.failed;
}

function linesOf(report: RestoreReport, isDryRun: boolean): string[] {
  const { snapshot, snapshotCommit, passedOver, replayedCommits, commit, committedAt, records } = report;
  const { newer, removedLater, keptAside } = report;
  const since = newer.filter(({ restored }) => restored);
  const missing = newer.filter(({ restored }) => !restored);
  const when = committedAt === undefined ? "" : `, of ${new Date(committedAt).toISOString()}`;
  return [
    ...passedOver.map((each) => `passed over   ${each.snapshot}: ${each.reason}`),
    `snapshot      ${snapshot ?? "none: from the first commit on"} (commit ${snapshotCommit})`,
    `journals      ${plural(replayedCommits, "commit")} carried out, up to commit ${commit}${when}`,
    `datastore     ${plural(records, "record")}, read to the end`,
    `newer         ${plural(newer.length, "version")} newer than the snapshot; ${since.length} of them restored`,
    ...lostLines(report),
    ...missing.map((each) => `not restored  ${describe(each)}`),
    ...removedLater.map((each) => `removed later, listed again; its bytes may be gone  ${describe(each)}`),
    isDryRun ? "nothing was changed" : `kept aside    ${keptAside}`,
    ...(isDryRun ? [] : ["Start the router, then run: data-putter verify"]),
  ];
}

function lostLines({ isWhole, unknownCommits, unusedCommits, isJournalBroken }: RestoreReport): string[] {
  if (isWhole) return ["lost          nothing that is known of"];
  const missing = unknownCommits + unusedCommits;
  return [
    ...(missing === 0
      ? []
      : [`lost          ${unknownCommits} commits of which nothing is known, ${unusedCommits} behind them`]),
    ...(isJournalBroken
      ? ["lost          what was committed after the journal was given up (where there was no room, say): see the log"]
      : []),
  ];
}

function describe({ bucket, key, version, object, size, createdAt }: Lost): string {
  const name = bucket === undefined ? "" : `${JSON.stringify(`${bucket}/${key}`)} version ${version} `;
  const what = object === undefined ? "delete marker" : `object ${object}, ${size} bytes`;
  return `${name}${what}, ${new Date(createdAt).toISOString()}`;
}
