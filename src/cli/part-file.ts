/**
 * A download on its way: FILE.part, and beside it FILE.part.json, which says what it is a part of and how much of it is
 * certainly on disk. FILE appears by a rename of the synced whole, so a truncated file never has the final name.
 *
 * Resuming does not trust the length of FILE.part: after a power cut a file can be long and hollow, and a part of
 * another object would make a mix. What is not covered by a fitting FILE.part.json is fetched again.
 */
import fs from "node:fs/promises";
import path from "node:path";
import { StoreError } from "../core/errors.ts";
import { syncDirectory } from "../env/node-key-file.ts";

/** What a part belongs to. Parts of anything that differs in one of these do not fit. */
export interface PartIdentity {
  readonly fingerprint: string;
  readonly object: string;
  readonly createdAt: number;
  readonly size: number;
  readonly offset: number;
  readonly length: number;
}

/** Bytes between two syncs: what a crash can cost. */
const checkpointEvery = 64 * 1024 * 1024;

export class PartFile {
  readonly #target: string;
  readonly #identity: PartIdentity;
  readonly #handle: fs.FileHandle;
  #size: number;
  #synced: number;
  #closed = false;

  private constructor(target: string, identity: PartIdentity, handle: fs.FileHandle, size: number) {
    this.#target = target;
    this.#identity = identity;
    this.#handle = handle;
    this.#size = size;
    this.#synced = size;
  }

  /** Begins anew, or where an earlier part ends if that is wished and it fits. */
  static async open(target: string, identity: PartIdentity, resume: boolean): Promise<PartFile> {
    const known = resume ? await knownSize(target, identity) : 0;
    if (known > 0) {
      const handle = await fs.open(partOf(target), "r+");
      await handle.truncate(known);
      return new PartFile(target, identity, handle, known);
    }
    // Removed and made, not emptied: another process that may be writing it keeps its own.
    await fs.rm(stateOf(target), { force: true });
    await fs.rm(partOf(target), { force: true });
    return new PartFile(target, identity, await fs.open(partOf(target), "wx"), 0);
  }

  /** So many bytes are there; the next ones are written behind them. */
  get size(): number {
    return this.#size;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#size);
      done += bytesWritten;
      this.#size += bytesWritten;
    }
    if (this.#size - this.#synced >= checkpointEvery) await this.#checkpoint();
  }

  /** All of it is there: it gets its name. */
  async finish(): Promise<void> {
    await this.#handle.sync();
    await this.#requireOwn();
    await this.close();
    await fs.rename(partOf(this.#target), this.#target);
    await fs.rm(stateOf(this.#target), { force: true });
    await syncDirectory(path.dirname(this.#target));
  }

  /** It ends early: what is there can be continued. Where there is nothing, nothing stays. */
  async leave(): Promise<void> {
    try {
      if (this.#size > 0) await this.#checkpoint();
      else await this.#discard();
    } finally {
      await this.close();
    }
  }

  async #discard(): Promise<void> {
    await this.#requireOwn();
    await this.close();
    await fs.rm(partOf(this.#target), { force: true });
    await fs.rm(stateOf(this.#target), { force: true });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }

  async #checkpoint(): Promise<void> {
    await this.#handle.sync();
    await this.#requireOwn();
    this.#synced = this.#size;
    const fresh = `${stateOf(this.#target)}.new`;
    await fs.writeFile(fresh, `${JSON.stringify({ ...this.#identity, synced: this.#synced })}\n`);
    await fs.rename(fresh, stateOf(this.#target));
  }

  /** Two gets into one file: the later one has taken the name. */
  async #requireOwn(): Promise<void> {
    const own = await this.#handle.stat({ bigint: true });
    const named = await fs.stat(partOf(this.#target), { bigint: true }).catch(() => undefined);
    if (named?.ino !== own.ino || named.dev !== own.dev) {
      throw new StoreError("CONFLICT", `${partOf(this.#target)} was taken by another process`);
    }
  }
}

export function partOf(target: string): string {
  return `${target}.part`;
}

function stateOf(target: string): string {
  return `${target}.part.json`;
}

/** How much of an earlier part is on disk and fits; 0 where there is none. */
async function knownSize(target: string, identity: PartIdentity): Promise<number> {
  try {
    const state = JSON.parse(await fs.readFile(stateOf(target), "utf8")) as PartIdentity & { synced?: unknown };
    const fits = (Object.keys(identity) as (keyof PartIdentity)[]).every((name) => state[name] === identity[name]);
    if (!fits || !Number.isSafeInteger(state.synced)) return 0;
    const { size } = await fs.stat(partOf(target));
    return Math.min(size, state.synced as number, identity.length);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return 0;
    throw error;
  }
}
