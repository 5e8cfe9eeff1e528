/** `put FILE...`: each file becomes one object. */
import { createReadStream } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { messageOf, StoreError } from "../core/errors.ts";
import { type Command, type CommandContext, progressFor } from "./context.ts";
import { ExitCode, exitCodeOf, explain, usageError } from "./exit.ts";
import { streamObject } from "./object-stream.ts";
import { withStop } from "./signals.ts";

export const put: Command = {
  name: "put",
  operands: "FILE...",
  summary: "store files; prints the ObjectID of each",
  description: `Streams each FILE (- is standard input) to a router and prints its ObjectID and name when it is on disk. Several are sent
one after the other; one that fails does not keep the others from being stored.

No key is needed: it is the same as: nc -N 127.0.0.1 5001 < FILE`,
  examples: [
    ["put report.pdf", "store a file"],
    ["put *.jpg --json", "one line of JSON for each"],
    ["put -", "store what comes on standard input"],
  ],
  run: runPut,
};

const readSize = 1_048_576;

function runPut(context: CommandContext): Promise<ExitCode> {
  return withStop(async (stop) => {
    await requireFiles(context.operands);
    let exitCode: ExitCode = ExitCode.ok;
    for (const file of context.operands) {
      try {
        await putFile(context, file, stop);
      } catch (error) {
        exitCode = exitCodeOf(error);
        const about = file === "-" ? "standard input" : file;
        const [said] = explain(error instanceof StoreError ? error : asFailure(error), "put");
        context.errors.write(`${said} (${about})\n`);
        // Without the router none of the others would do better.
        if (stop.aborted || context.output.closed || exitCode === ExitCode.unreachable) break;
      }
    }
    return context.output.closed ? ExitCode.ok : exitCode;
  });
}

async function putFile(context: CommandContext, file: string, stop: AbortSignal): Promise<void> {
  const { settings, output } = context;
  const address = { host: settings.get("host"), port: settings.get("streamPort") };
  const label = file === "-" ? "standard input" : path.basename(file);
  const total = file === "-" ? undefined : (await fs.stat(file)).size;
  const progress = progressFor(context, { label, total, unit: "bytes" });
  let size = 0;
  const source = file === "-" ? (process.stdin as AsyncIterable<Uint8Array>) : wholeFile(file, total ?? 0);
  try {
    const object = await streamObject(address, source, (sent) => progress.advance((size = sent)), stop);
    progress.end();
    if (settings.has("json")) await output.json({ object, size, file });
    else await output.line(`${object}  ${file}`);
  } finally {
    progress.clear();
    // It would keep the process waiting for more input.
    if (file === "-") process.stdin.destroy();
  }
}

/** The bytes of a file; one that became shorter meanwhile is an error, not a shorter object. */
async function* wholeFile(file: string, size: number): AsyncGenerator<Uint8Array> {
  let read = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: readSize })) {
    const bytes = chunk as Uint8Array;
    read += bytes.length;
    yield bytes;
  }
  if (read < size) throw new StoreError("ABORTED", `it became shorter while it was read: ${read} of ${size} bytes`);
}

/** Before anything is sent: every name that is no readable file is told at once. */
async function requireFiles(files: readonly string[]): Promise<void> {
  const problems: string[] = [];
  for (const file of files) {
    if (file === "-") continue;
    try {
      await fs.access(file, fs.constants.R_OK);
      if ((await fs.stat(file)).isDirectory()) problems.push(`FILE: ${file} is a directory`);
    } catch (error) {
      problems.push(`FILE: ${file} cannot be read: ${messageOf(error)}`);
    }
  }
  if (files.filter((file) => file === "-").length > 1) problems.push("FILE: - (standard input) can be read only once");
  if (problems.length > 0) throw usageError(problems);
}

function asFailure(error: unknown): StoreError {
  return new StoreError("ABORTED", messageOf(error), { cause: error });
}
