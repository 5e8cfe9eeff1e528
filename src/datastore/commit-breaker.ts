/**
 * After a commit that the disk refused, further ones are refused without trying: each failing write of LMDB's (lmdb-js 3.5)
 * writes its message beyond its memory, and now and then that ends the process. A small file beside the data is written now
 * and then instead; when that works, one commit is let through, and if it fails, the next one much later.
 *
 * And before each commit one byte is written: a file system that has become read-only, as they do when their disk fails, is
 * noticed by that.
 *
 * On a full disk that file would not fit for as long as nothing is deleted, and a commit that deletes may: there one commit is
 * tried every second.
 */
import { messageOf, StoreError } from "../core/errors.ts";
import { commitProbeMs, commitRetryMaxMs, commitRetryMinMs, commitProbeSize } from "../core/limits.ts";
import type { AppendFile, OpenAppendFile } from "../env/append-file.ts";
import type { Clock, Disk, Log, Timer } from "../env/host.ts";

export interface BreakerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Rejects where the disk does not take what is written. */
  readonly probe: () => Promise<void>;
  /** Throws where the disk takes nothing at all. */
  readonly touch: () => void;
}

export class CommitBreaker {
  readonly #options: BreakerOptions;
  /** Why no commit is let through. */
  #reason: StoreError | undefined;
  #failureCount = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** Throws where a commit must not be tried. */
  check(): void {
    if (this.#reason === undefined) return this.#touch();
    const { code, message } = this.#reason;
    throw new StoreError(code, `${message} (not tried again until the disk takes something)`, { cause: this.#reason });
  }

  /** A commit that was tried failed for a reason that lies in the disk. */
  failed(reason: StoreError): void {
    this.#reason = reason;
    if (reason.code === "NO_SPACE") return this.#plan(commitRetryMinMs);
    this.#failureCount++;
    this.#plan(Math.min(commitRetryMinMs * 2 ** (this.#failureCount - 1), commitRetryMaxMs));
  }

  worked(): void {
    if (this.#failureCount > 0) this.#options.log.info("the datastore takes commits again");
    this.#failureCount = 0;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #touch(): void {
    try {
      this.#options.touch();
    } catch (error) {
      const failure = new StoreError("UNAVAILABLE", `the datastore's disk takes nothing: ${messageOf(error)}`, {
        cause: error,
      });
      this.failed(failure);
      throw failure;
    }
  }

  #plan(delayMs: number): void {
    if (!this.#isClosed) this.#timer = this.#options.clock.after(delayMs, () => void this.#probe());
  }

  async #probe(): Promise<void> {
    try {
      if (this.#reason?.code !== "NO_SPACE") await this.#options.probe();
      this.#reason = undefined;
    } catch (error) {
      this.#options.log.debug("the datastore's disk takes nothing yet", { reason: messageOf(error) });
      this.#plan(commitProbeMs);
    }
  }
}

/** Writes a file of its own in `directory`, syncs it and removes it: what a commit needs of the disk, without LMDB. */
export async function probeDisk(disk: Disk, directory: string): Promise<void> {
  const path = `${directory}/probe`;
  try {
    const { file } = await disk.create(path);
    try {
      await file.write([new Uint8Array(commitProbeSize)], 0);
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    await disk.unlink(path);
  }
}

const touchSizeMax = 4_096;

/** A byte at the end of a file that is begun anew when it has a page. 2 µs. */
export class DiskTouch {
  readonly #openFile: OpenAppendFile;
  readonly #path: string;
  #file: AppendFile | undefined;

  constructor(openFile: OpenAppendFile, path: string) {
    this.#openFile = openFile;
    this.#path = path;
  }

  /**
   * Throws where the disk has failed. One without room has not: a commit may need none, or make some; nor has a process
   * without descriptors.
   */
  touch(): void {
    try {
      if (this.#file !== undefined && this.#file.size >= touchSizeMax) this.close();
      this.#file ??= this.#openFile(this.#path);
      this.#file.append(oneByte);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EROFS" || code === "EIO") throw error;
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

const oneByte = new Uint8Array(1);
