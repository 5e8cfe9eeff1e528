/** Exit codes, and what is said of an error on the way out: one line, no stack, unless it is a bug. */
import { messageOf, StoreError } from "../core/errors.ts";

export const ExitCode = { ok: 0, failed: 1, usage: 2, unreachable: 3, wrongKey: 4 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export const exitCodesText = `Exit codes:
  0  done
  1  it failed, or something is damaged
  2  wrong usage or configuration; nothing was done
  3  the other side cannot be reached, or was lost
  4  the other side has another key`;

/** Something about what was asked for is wrong, and nothing was done; each problem is a line. */
export function usageError(problems: readonly string[]): StoreError {
  return new StoreError("INVALID", problems.join("\n"));
}

/** Error codes of networks; others that an UNAVAILABLE is caused by are about this machine's files and ports. */
const networkCodes = ["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN", "EPIPE"];

export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof StoreError)) return ExitCode.failed;
  if (error.code === "INVALID") return ExitCode.usage;
  if (error.code === "WRONG_KEY") return ExitCode.wrongKey;
  if (error.code !== "UNAVAILABLE") return ExitCode.failed;
  const code = systemCodeOf(error.cause);
  return code === undefined || networkCodes.includes(code) || code === "ETIMEDOUT"
    ? ExitCode.unreachable
    : ExitCode.failed;
}

/** The lines for standard error. */
export function explain(error: unknown, command: string): string[] {
  const program = `data-putter${command === "" ? "" : ` ${command}`}`;
  const text = messageOf(error);
  if (error instanceof StoreError && error.code === "INVALID") {
    const problems = text.split("\n");
    const help = `See: ${program} --help`;
    if (problems.length === 1) return [`${program}: ${text}`, help];
    return [`${program}: ${problems.length} things are wrong`, ...problems.map((problem) => `  ${problem}`), help];
  }
  if (error instanceof StoreError || systemCodeOf(error) !== undefined) {
    return [`${program}: ${text.replace(/\s*\n\s*/g, " ")}`];
  }
  const stack = error instanceof Error ? (error.stack ?? text) : text;
  return [`${program}: this is a bug in data-putter; please report it with these lines`, stack];
}

/** "ENOENT" and the like; an AggregateError (a name with several addresses) has that of its parts. */
function systemCodeOf(error: unknown): string | undefined {
  if (error instanceof StoreError) return undefined;
  const { code, errors } = (error ?? {}) as { code?: unknown; errors?: readonly unknown[] };
  if (typeof code === "string") return code;
  return errors === undefined ? undefined : systemCodeOf(errors[0]);
}
