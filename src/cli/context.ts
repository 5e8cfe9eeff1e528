/** What a command is given, and what it is. */
import { StoreError } from "../core/errors.ts";
import { printableJson } from "../core/printable.ts";
import type { ExitCode } from "./exit.ts";
import type { CommandName } from "./options.ts";
import { Progress, type ProgressOptions } from "./progress.ts";
import type { Settings } from "./settings.ts";

export interface CommandContext {
  readonly settings: Settings;
  /** What stands on the command line besides options. */
  readonly operands: readonly string[];
  readonly output: Output;
  readonly errors: NodeJS.WriteStream;
  readonly environment: NodeJS.ProcessEnv;
}

export interface Command {
  readonly name: CommandName;
  /** Operands as help shows them: `OBJECT...`, `[FILE]`. */
  readonly operands?: string;
  readonly summary: string;
  /** Paragraphs for `--help`. */
  readonly description: string;
  /** Command lines without `data-putter`, and what they do. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  readonly run: (context: CommandContext) => Promise<ExitCode>;
}

/** Standard output: with back-pressure, and quiet when its reader has gone (`| head`). */
export class Output {
  readonly #stream: NodeJS.WriteStream;
  #closed = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      this.#closed = true;
    });
  }

  /** Nobody reads any more: the command can end, and that is no failure. */
  get closed(): boolean {
    return this.#closed;
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY;
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  json(value: unknown): Promise<void> {
    return this.line(printableJson(value));
  }

  /** The memory may be used again when it resolves. ABORTED, and `closed`, where nobody reads any more. */
  write(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(bytes, (error) => {
        if (error === null || error === undefined) return resolve();
        this.#closed ||= (error as NodeJS.ErrnoException).code === "EPIPE";
        reject(new StoreError("ABORTED", `standard output cannot be written: ${error.message}`, { cause: error }));
      });
    });
  }
}

export function progressFor(
  context: CommandContext,
  options: Pick<ProgressOptions, "label" | "total" | "unit" | "start" | "extra">,
): Progress {
  return new Progress({ ...options, screen: context.errors, now: () => performance.now() });
}

/** Says something on standard error that is neither result nor failure. */
export function note(context: CommandContext, text: string): void {
  context.errors.write(`${text}\n`);
}
