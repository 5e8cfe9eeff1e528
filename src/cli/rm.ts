/** `rm OBJECT...`: objects are gone at once; their space comes back in the background. */
import { messageOf, StoreError } from "../core/errors.ts";
import { formatId } from "../core/ids.ts";
import { removeAnswer } from "../router/object-answers.ts";
import { objectIds, withRouter } from "./client.ts";
import type { Command, CommandContext } from "./context.ts";
import { ExitCode } from "./exit.ts";

export const rm: Command = {
  name: "rm",
  operands: "OBJECT...",
  summary: "remove objects",
  description: `An object is gone when its id has been printed; the router frees its space in the background. One that is not there, or
that something else refers to, is told, and does not keep the others from being removed; the exit code is 1 then.`,
  examples: [["rm 1A 1B", "two of them"]],
  run: runRm,
};

function runRm(context: CommandContext): Promise<ExitCode> {
  const ids = objectIds(context.operands);
  const { settings, output, errors } = context;
  return withRouter(context, async (client) => {
    let exitCode: ExitCode = ExitCode.ok;
    for (const id of ids) {
      const object = formatId(id);
      let why: string | undefined;
      try {
        const { removed } = await client.askFor("remove", removeAnswer, { a: id });
        if (!removed) why = "there is no such object";
      } catch (error) {
        // What is said of one object is no reason to leave the others; a lost connection is.
        if (!(error instanceof StoreError) || !["CONFLICT", "INVALID", "NOT_FOUND"].includes(error.code)) throw error;
        why = messageOf(error);
      }
      if (why !== undefined) exitCode = ExitCode.failed;
      if (settings.has("json")) {
        await output.json({ object, removed: why === undefined, ...(why === undefined ? {} : { reason: why }) });
      } else if (why === undefined) await output.line(object);
      if (why !== undefined) errors.write(`data-putter rm: ${object}: ${why}\n`);
    }
    return exitCode;
  });
}
