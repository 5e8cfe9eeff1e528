/** AppendFile on this machine: synchronous writes, 2 µs each into the page cache. */
import fs from "node:fs";
import type { AppendFile, OpenAppendFile } from "./append-file.ts";

/** A pipe in its place is refused rather than waited for. */
const { O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK = 0 } = fs.constants as typeof fs.constants & { O_NONBLOCK?: number };
const flags = O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK;

export const openAppendFile: OpenAppendFile = (path) => new NodeAppendFile(fs.openSync(path, flags, 0o640));

class NodeAppendFile implements AppendFile {
  readonly #fd: number;
  #size = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  get size(): number {
    return this.#size;
  }

  append(bytes: Uint8Array): void {
    let done = 0;
    try {
      while (done < bytes.length) {
        done += fs.writeSync(this.#fd, bytes, done, bytes.length - done, this.#size + done);
      }
    } catch (error) {
      if (done > 0) fs.ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    this.#size += done;
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#fd, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}
