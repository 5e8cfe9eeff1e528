/**
 * Lines to a file, or to standard output: gathered, written a few times a second, never more in memory than may wait. Who
 * writes is not held up by a slow disk: lines that find no room are dropped, and their number is told in the log.
 */
import { type FileHandle, open } from "node:fs/promises";
import { messageOf, StoreError } from "../core/errors.ts";
import * as limits from "../core/limits.ts";
import type { Clock, Log } from "./host.ts";

export interface LineFile {
  /** `line` without its end. */
  write(line: string): void;
  /** The file by its name again, after somebody has moved it. */
  reopen(): Promise<void>;
  /** All that was written is with the system when it resolves. */
  close(): Promise<void>;
}

export interface LineFileOptions {
  /** `-`: standard output. */
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Throws INVALID where it cannot be written. Lines go behind what is there; others may not read the file. */
export async function openLineFile(options: LineFileOptions): Promise<LineFile> {
  const file = options.path === "-" ? undefined : await openForAppending(options.path);
  return new NodeLineFile(options, file);
}

class NodeLineFile implements LineFile {
  readonly #options: LineFileOptions;
  #file: FileHandle | undefined;
  #waiting: string[] = [];
  #waitingSize = 0;
  #droppedCount = 0;
  #isSaid = false;
  #isTimed = false;
  /** What is being done with the file, one thing after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: LineFileOptions, file: FileHandle | undefined) {
    this.#options = options;
    this.#file = file;
  }

  write(line: string): void {
    if (this.#waitingSize + line.length > limits.accessLogWaitingSizeMax) {
      this.#droppedCount++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingSize += line.length;
    if (this.#isTimed) return;
    this.#isTimed = true;
    this.#options.clock.after(limits.accessLogFlushMs, () => {
      this.#isTimed = false;
      void this.#flush();
    });
  }

  reopen(): Promise<void> {
    void this.#flush();
    return this.#next(async () => {
      const before = this.#file;
      if (before === undefined) return;
      this.#file = await openForAppending(this.#options.path);
      await before.close();
    });
  }

  async close(): Promise<void> {
    await this.#flush();
    await this.#next(async () => this.#file?.close());
  }

  #flush(): Promise<void> {
    return this.#next(async () => {
      const lines = this.#waiting;
      if (lines.length === 0) return;
      this.#waiting = [];
      const size = this.#waitingSize;
      try {
        // What is being written still counts: a disk that stands still does not make room for more.
        await this.#append(`${lines.join("\n")}\n`);
      } finally {
        this.#waitingSize -= size;
      }
      if (this.#droppedCount > 0) this.#options.log.warn("lines were dropped", { count: this.#droppedCount });
      this.#droppedCount = 0;
      this.#isSaid = false;
    });
  }

  async #append(text: string): Promise<void> {
    if (this.#file !== undefined) await this.#file.appendFile(text);
    else await new Promise<void>((resolve) => process.stdout.write(text, () => resolve()));
  }

  /** A file that cannot be written is said once; those who write lines go on. */
  #next(work: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(work).catch((error: unknown) => {
      const fields = { file: this.#options.path, error: messageOf(error) };
      if (!this.#isSaid) this.#options.log.error("lines cannot be written", fields);
      this.#isSaid = true;
    });
    return this.#work;
  }
}

async function openForAppending(path: string): Promise<FileHandle> {
  try {
    return await open(path, "a", 0o640);
  } catch (error) {
    throw new StoreError("INVALID", `${path} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}
