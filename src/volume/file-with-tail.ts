/**
 * A file whose end lies in another one: what a rewriting in pieces (reclaim.ts) leaves of it until it is done. What the
 * file itself is too short for is read from its tail, at the same offset. The tail was synced before the file was cut off,
 * so that at any length of the file all that is live is in one of them.
 */
import type { DiskFile } from "../env/host.ts";

export class FileWithTail implements DiskFile {
  readonly #file: DiskFile;
  readonly #tail: DiskFile;

  constructor(file: DiskFile, tail: DiskFile) {
    this.#file = file;
    this.#tail = tail;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    const size = await this.#file.read(into, position);
    if (size === into.length) return size;
    return size + (await this.#tail.read(into.subarray(size), position + size));
  }

  readNow(into: Uint8Array, position: number): number | undefined {
    const size = this.#file.readNow(into, position);
    if (size === undefined || size === into.length) return size;
    const more = this.#tail.readNow(into.subarray(size), position + size);
    return more === undefined ? undefined : size + more;
  }

  /** Nobody writes to such a file: it would grow over what its tail has. */
  write(): Promise<void> {
    return Promise.reject(new Error("a file that is being rewritten is not written to"));
  }

  truncate(): Promise<void> {
    return this.write();
  }

  async sync(): Promise<void> {
    await Promise.all([this.#file.sync(), this.#tail.sync()]);
  }

  async size(): Promise<number> {
    return Math.max(await this.#file.size(), await this.#tail.size());
  }

  async close(): Promise<void> {
    await Promise.all([this.#file.close(), this.#tail.close()]);
  }
}
