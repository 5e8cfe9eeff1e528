/** `loopback`: tickets to a server, every answer checked. */
import { formatAddress } from "../core/address.ts";
import { StoreError } from "../core/errors.ts";
import { describeStatus, groupTicketCount, ticketCountOf, ticketDataSize, TicketStatus } from "../core/frame.ts";
import { formatId, idCount, lengthStart, type TicketId } from "../core/ids.ts";
import { fingerprintOf } from "../core/key.ts";
import { layoutOf, placementDepth, slotOf, volumeOf, volumeStart } from "../core/layout.ts";
import type { Random } from "../env/host.ts";
import { cliHost, connectPatiently } from "./client.ts";
import { type Command, type CommandContext, note, progressFor } from "./context.ts";
import { ExitCode, usageError } from "./exit.ts";
import { formatCount, formatDuration, formatLatency, formatSize, plural } from "./format.ts";
import { clientKey } from "./key-file.ts";
import { withStop } from "./signals.ts";
import { type LoadResult, makeLoadKernel, sendTickets } from "./ticket-load.ts";
import { fileSource, patternSource } from "./ticket-source.ts";

export const loopback: Command = {
  name: "loopback",
  summary: "send tickets to a server and check every answer: a test, and a load",
  description: `Sends WriteTickets with consecutive ids and counts the answers by status. A terminal shows tickets/s, MB/s, and the median and
99th percentile of the time from handing a batch (up to 2048 tickets, a quarter of --in-flight) to the system until its last
answer. "busy" is sent again, as the protocol says.

The exit code is 0 only if every ticket was answered 0 (saved). The tickets stay on the server: this is for one whose data is
of no further use.`,
  examples: [
    ["loopback", "100,000 tickets to 127.0.0.1:5000"],
    ["loopback --connections 16 --count 2000000", "a load"],
    ["loopback --file report.pdf --first AABBCC00", "a file, under ids of your choice"],
  ],
  run: runLoopback,
};

const countDefault = 100_000;

interface Summary extends LoadResult {
  readonly address: string;
  readonly first: TicketId;
  readonly count: number;
}

function runLoopback(context: CommandContext): Promise<ExitCode> {
  return withStop(async (stop) => {
    const { settings } = context;
    const { key, notes } = await clientKey(settings);
    for (const text of notes) note(context, `warning: ${text}`);
    const host = cliHost(context, key);
    const address = { host: settings.get("host"), port: settings.get("streamPort") };
    const connections = settings.get("connections");
    const file = settings.find("file");
    const kernel = makeLoadKernel(key, connections, file !== undefined);
    const fromFile = file === undefined ? undefined : await fileSource(kernel, file);
    const count = settings.find("count") ?? (fromFile === undefined ? countDefault : ticketCountOf(fromFile.size));
    const first = settings.find("first") ?? highId(host.random, count);
    if (first + count > idCount) throw usageError([`--first: ${count} tickets do not fit before the last TicketID`]);
    let shown = "";
    const progress = progressFor(context, {
      label: "loopback",
      total: count,
      unit: "tickets",
      extra: (rate) => `${formatSize(rate * ticketDataSize)}/s  ${shown}`,
    });
    const source = fromFile ?? patternSource(kernel);
    let result: LoadResult;
    try {
      result = await sendTickets({
        host,
        kernel,
        address,
        source,
        first,
        count,
        connections,
        inFlight: settings.get("inFlight"),
        stop,
        onAnswered: (answered, latencies) => {
          shown = `p50 ${formatLatency(latencies.percentile(0.5))}  p99 ${formatLatency(latencies.percentile(0.99))}`;
          progress.advance(answered);
        },
      });
    } finally {
      progress.clear();
      await source.close();
    }
    await showSummary(context, { ...result, address: formatAddress(address), first, count });
    if (result.statuses.has(TicketStatus.wrongChecksum)) {
      // The server knows which key it has, and says so: this throws WRONG_KEY with both fingerprints.
      (await connectPatiently(host, kernel, fingerprintOf(key), address)).close();
    }
    if (result.lostReason !== undefined) {
      const lost = plural(result.lost, "ticket");
      throw new StoreError(
        "UNAVAILABLE",
        `${formatAddress(address)} was lost with ${lost} unanswered: ${result.lostReason}`,
      );
    }
    return savedOf(result) === count ? ExitCode.ok : ExitCode.failed;
  });
}

/** The first slot of a group in one of the volumes that a router reaches last. */
function highId(random: Random, count: number): TicketId {
  const layout = layoutOf(placementDepth);
  const lowest = volumeOf(layout, lengthStart[8]! + (idCount - lengthStart[8]!) / 2);
  const highest = Math.max(lowest + 1, volumeOf(layout, idCount - 1) - 1 - Math.ceil(count / layout.volumeTicketCount));
  const number = new DataView(random.bytes(4).buffer).getUint32(0);
  const start = volumeStart(layout, lowest + (number % (highest - lowest)));
  const behind = slotOf(layout, start) % groupTicketCount;
  return (start + ((groupTicketCount - behind) % groupTicketCount)) as TicketId;
}

function savedOf({ statuses }: LoadResult): number {
  return statuses.get(TicketStatus.saved) ?? 0;
}

async function showSummary({ settings, output }: CommandContext, summary: Summary): Promise<void> {
  const { address, first, count, statuses, lost, durationMs, latencies } = summary;
  const saved = savedOf(summary);
  const rate = durationMs === 0 ? 0 : (saved / durationMs) * 1000;
  const [p50, p99] = [latencies.percentile(0.5), latencies.percentile(0.99)];
  if (settings.has("json")) {
    await output.json({
      address,
      first: formatId(first),
      count,
      saved,
      lost,
      durationMs,
      statuses: Object.fromEntries(statuses),
      ticketsPerSecond: rate,
      bytesPerSecond: rate * ticketDataSize,
      batchLatencyMs: { p50, p99 },
    });
    return;
  }
  const size = formatSize(saved * ticketDataSize);
  const rates = `${formatCount(rate)} tickets/s, ${formatSize(rate * ticketDataSize)}/s`;
  const lines = [
    `${formatCount(saved)} of ${plural(count, "ticket")} from ${formatId(first)} on saved by ${address}`,
    `${size} in ${formatDuration(durationMs)}: ${rates}; batches answered in ${formatLatency(p50)} (p50), ${formatLatency(p99)} (p99)`,
  ];
  for (const [status, number] of statuses) {
    if (status !== TicketStatus.saved)
      lines.push(`status ${status}: ${plural(number, "ticket")}: ${describeStatus(status)}`);
  }
  if (lost > 0) lines.push(`no answer: ${plural(lost, "ticket")}`);
  const unsent = count - lost - [...statuses.values()].reduce((sum, number) => sum + number, 0);
  if (unsent > 0) lines.push(`not sent: ${plural(unsent, "ticket")}`);
  await output.line(lines.join("\n"));
}
