/** `get OBJECT`: an object's bytes to standard output or a file, each ticket verified here, under this side's key. */
import fs from "node:fs/promises";
import { messageOf, StoreError } from "../core/errors.ts";
import { formatId, type ObjectId, type TicketId } from "../core/ids.ts";
import { readHead, type ReadHead } from "../router/object-answers.ts";
import { readAnswer } from "../wire/answer-shape.ts";
import { objectIds, type StoreClient, summaryOf, withRouter } from "./client.ts";
import { type Command, type CommandContext, note, progressFor } from "./context.ts";
import { ExitCode, usageError } from "./exit.ts";
import { formatSize } from "./format.ts";
import { PartFile, type PartIdentity, partOf } from "./part-file.ts";
import type { Progress } from "./progress.ts";
import { withStop } from "./signals.ts";

export const get: Command = {
  name: "get",
  operands: "OBJECT",
  summary: "fetch an object to standard output, or with -o to a file",
  description: `Every byte is verified against its keyed checksum before it is handed on; damage is an error, never other bytes.

With -o the bytes go to FILE.part, and FILE appears when all of them are on disk. A get that was cut short can be continued
with --resume. Without -o they go to standard output: there, only exit code 0 says that they were all of them.`,
  examples: [
    ["get 1A -o report.pdf", "into a file"],
    ["get 1A --resume -o report.pdf", "the rest of it, after an interruption"],
    ["get 1A | tar tz", "into a pipe"],
    ["get 1A --offset 1000000 --length 500", "500 bytes of it"],
  ],
  run: runGet,
};

function runGet(context: CommandContext): Promise<ExitCode> {
  const [id] = objectIds(context.operands);
  return withStop((stop) =>
    withRouter(
      context,
      async (client) => {
        const target = context.settings.find("output");
        if (target === undefined || target === "-" || (await isSpecial(target)))
          await getToStream(context, client, id!);
        else await getToFile(context, client, id!, target);
        return ExitCode.ok;
      },
      stop,
    ),
  );
}

/** A device or a pipe is written as it is: renaming a file over it would replace it. */
async function isSpecial(target: string): Promise<boolean> {
  const stats = await fs.stat(target).catch(() => undefined);
  if (stats?.isDirectory() === true) throw usageError([`-o: a file, not the directory ${target}`]);
  return stats !== undefined && !stats.isFile();
}

async function getToStream(context: CommandContext, client: StoreClient, id: ObjectId): Promise<void> {
  const { settings, output } = context;
  const range = { offset: settings.get("offset"), length: settings.find("length") };
  const target = settings.find("output");
  const special = target === undefined || target === "-" ? undefined : await fs.open(target, "w");
  const write = async (bytes: Uint8Array): Promise<void> => {
    if (special === undefined) await output.write(bytes);
    else await special.writeFile(bytes);
  };
  try {
    let progress: Progress | undefined;
    await fetchRange(client, id, range, {
      onStart: (length) => {
        // On one terminal both would be unreadable.
        if (special !== undefined || !output.isTerminal) progress = progressOf(context, id, length, 0);
      },
      onBytes: async (bytes, done) => {
        await write(bytes);
        progress?.advance(done);
      },
    }).finally(() => progress?.clear());
    progress?.end();
  } finally {
    await special?.close();
  }
}

async function getToFile(context: CommandContext, client: StoreClient, id: ObjectId, target: string): Promise<void> {
  const { settings, output } = context;
  const identity = await identify(client, id, settings.get("offset"), settings.find("length"));
  const part = await PartFile.open(target, identity, settings.has("resume"));
  const resumedAt = part.size;
  if (settings.has("resume")) {
    note(
      context,
      resumedAt > 0
        ? `resuming ${target} at ${formatSize(resumedAt)}`
        : `nothing fitting to resume: ${target} from its start`,
    );
  }
  const progress = progressOf(context, id, identity.length, resumedAt);
  try {
    const range = { offset: identity.offset + resumedAt, length: identity.length - resumedAt, size: identity.size };
    await fetchRange(client, id, range, {
      onStart: () => undefined,
      onBytes: async (bytes) => {
        await part.write(bytes);
        progress.advance(part.size);
      },
    });
    await part.finish();
  } catch (error) {
    progress.clear();
    await part.leave().then(
      () => noteLeft(context, target, part.size, error),
      (leaving: unknown) => note(context, `${partOf(target)} cannot be resumed: ${messageOf(leaving)}`),
    );
    throw error;
  } finally {
    await part.close();
  }
  progress.end();
  if (settings.has("json")) await output.json({ ...identity, file: target, resumedAt });
}

/** What is left of a file that was not fetched whole. Damage will not be gone the next time. */
function noteLeft(context: CommandContext, target: string, size: number, error: unknown): void {
  if (size === 0) return;
  const damaged = error instanceof StoreError && error.code === "DAMAGED";
  const next = damaged ? "it ends before the damage" : "the same command with --resume goes on from there";
  note(context, `${partOf(target)} has ${formatSize(size)}; ${next}`);
}

/** What exactly is to be fetched: which object, of which store, which bytes. */
async function identify(
  client: StoreClient,
  id: ObjectId,
  offset: number,
  length: number | undefined,
): Promise<PartIdentity> {
  const object = formatId(id);
  const summary = await summaryOf(client, id);
  if (summary === undefined) throw new StoreError("NOT_FOUND", `there is no object ${object}`);
  const { status, size, createdAt } = summary;
  if (status !== "saved" || size === undefined) {
    const why = status === "error" ? `its write failed: ${summary.reason}` : "it is still being written";
    throw new StoreError("NOT_FOUND", `object ${object} cannot be read: ${why}`);
  }
  if (offset > size) throw usageError([`--offset: at most the object's size, ${size}, not ${offset}`]);
  const wanted = Math.min(length ?? Number.POSITIVE_INFINITY, size - offset);
  return { fingerprint: client.fingerprint, object, createdAt, size, offset, length: wanted };
}

interface Sink {
  /** How many bytes will come. */
  onStart(length: number): void;
  /** Verified bytes, valid until it resolves, and how many have come with them. */
  onBytes(bytes: Uint8Array, done: number): Promise<void>;
}

interface Range {
  readonly offset: number;
  /** undefined: to the end. */
  readonly length: number | undefined;
  /** Of the object, where it is known. */
  readonly size?: number;
}

/** Fetches and verifies. Resolves only when all bytes that were asked for have been handed on. */
async function fetchRange(client: StoreClient, id: ObjectId, range: Range, sink: Sink): Promise<void> {
  const { offset, length } = range;
  let announced: number | undefined;
  let done = 0;
  for await (const part of client.ask("get", { a: id, b: offset, c: length === undefined ? 0 : length + 1 })) {
    if (part.kind === "json") {
      const head = readAnswer("get", readHead, part.value);
      if (announced !== undefined || !isAskedFor(head, id, range)) throw otherBytes(client);
      announced = head.length;
      sink.onStart(announced);
      continue;
    }
    const { buffer, first, count, skip, take } = part;
    try {
      // Nothing is handed on that was not announced; and answers without bytes would have no end.
      if (announced === undefined || take === 0 || done + take > announced) throw otherBytes(client);
      const good = client.kernel.checkSums(first, count, buffer.data, buffer.sums);
      if (good < count) {
        const ticket = formatId((first + good) as TicketId);
        const at = `object ${formatId(id)}, about byte ${offset + done}`;
        throw new StoreError(
          "DAMAGED",
          `${at}: ticket ${ticket} does not verify here; it was changed on its way, or the key differs`,
        );
      }
      await sink.onBytes(buffer.data.subarray(skip, skip + take), (done += take));
    } finally {
      buffer.release();
    }
  }
  if (done !== announced) {
    throw new StoreError("PROTOCOL", `${client.where} announced ${announced} bytes and sent ${done}`);
  }
}

function isAskedFor(head: ReadHead, id: ObjectId, { offset, length, size = head.size }: Range): boolean {
  const all = size - offset;
  return (
    head.object === formatId(id) &&
    head.size === size &&
    head.offset === offset &&
    head.length === Math.min(length ?? all, all)
  );
}

function otherBytes({ where }: StoreClient): StoreError {
  return new StoreError("PROTOCOL", `${where} answered with other bytes than those that were asked for`);
}

function progressOf(context: CommandContext, id: ObjectId, total: number, start: number): Progress {
  return progressFor(context, { label: formatId(id), total, unit: "bytes", start });
}
