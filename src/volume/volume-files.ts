/** Opening and creating the files of a volume (docs/formats/disk.md). */
import { messageOf } from "../core/errors.ts";
import type { Disk, DiskFile } from "../env/host.ts";
import { FileWithTail } from "./file-with-tail.ts";
import type { VolumeDirectories } from "./volume-directories.ts";

export interface OpenedFiles {
  readonly obj: DiskFile;
  readonly sum: DiskFile;
  readonly sumSize: number;
  /** `obj` without the page cache. */
  readonly direct: DiskFile | undefined;
  /** Why they can only be read. */
  readonly readOnly: string | undefined;
}

export interface VolumeFilesOptions {
  readonly disk: Disk;
  readonly directories: VolumeDirectories;
  /** Whether files are also opened unbuffered. */
  readonly direct: boolean;
  /** What a volume is called in messages. */
  readonly describe: (number: number) => string;
}

const createAttemptsMax = 5;

export class VolumeFilesOpener {
  readonly #options: VolumeFilesOptions;

  constructor(options: VolumeFilesOptions) {
    this.#options = options;
  }

  /** Undefined where the volume is not there. */
  async open(number: number): Promise<OpenedFiles | undefined> {
    const { disk, directories } = this.#options;
    const directory = directories.of(number);
    return closingOnFailure(async (opened) => {
      let readOnly: string | undefined;
      const files: (DiskFile | undefined)[] = [];
      for (const name of ["obj", "sum"]) {
        // Before the file itself: a tail takes its place when it is complete.
        const tail = await this.#openTail(`${directory}/${name}`, opened);
        let file: DiskFile | undefined;
        try {
          file = await disk.open(`${directory}/${name}`, "write");
        } catch (error) {
          if (!isReadOnly(error)) throw error;
          // A disk that turned read-only still gives what it has.
          readOnly = `volume ${this.#options.describe(number)} cannot be written: ${messageOf(error)}`;
          file = await disk.open(`${directory}/${name}`, "read");
        }
        if (file !== undefined) opened.push(file);
        if (tail !== undefined) readOnly = this.#rewritten(number);
        files.push(file === undefined || tail === undefined ? file : new FileWithTail(file, tail));
      }
      const [obj, sum] = files;
      if (obj === undefined || sum === undefined) {
        await Promise.all(opened.map((file) => file.close()));
        return undefined;
      }
      return this.#complete(directory, { obj, sum, readOnly }, opened);
    });
  }

  /** Opens the volume, with the files and directories made that are missing. */
  async create(number: number): Promise<OpenedFiles> {
    const directory = this.#options.directories.of(number);
    return closingOnFailure(async (opened) => {
      let readOnly: string | undefined;
      const files: DiskFile[] = [];
      for (const name of ["obj", "sum"]) {
        const path = `${directory}/${name}`;
        const tail = await this.#openTail(path, opened);
        const file = await this.#createFile(number, path);
        opened.push(file);
        if (tail !== undefined) readOnly = this.#rewritten(number);
        files.push(tail === undefined ? file : new FileWithTail(file, tail));
      }
      const [obj, sum] = files as [DiskFile, DiskFile];
      return this.#complete(directory, { obj, sum, readOnly }, opened);
    });
  }

  async #openTail(path: string, opened: DiskFile[]): Promise<DiskFile | undefined> {
    const tail = await this.#options.disk.open(`${path}.tail`, "read");
    if (tail !== undefined) opened.push(tail);
    return tail;
  }

  #rewritten(number: number): string {
    return `volume ${this.#options.describe(number)} is being rewritten`;
  }

  async #complete(
    directory: string,
    files: Pick<OpenedFiles, "obj" | "sum" | "readOnly">,
    opened: DiskFile[],
  ): Promise<OpenedFiles> {
    const { disk } = this.#options;
    const isDirect = this.#options.direct && files.readOnly === undefined;
    const direct = isDirect ? await disk.open(`${directory}/obj`, "direct") : undefined;
    if (direct !== undefined) opened.push(direct);
    return { ...files, direct, sumSize: await files.sum.size() };
  }

  /** Creates a file and the directories above it. */
  async #createFile(number: number, path: string): Promise<DiskFile> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#options.directories.make(number);
        return (await this.#options.disk.create(path)).file;
      } catch (error) {
        // Reclaiming a neighbour removes directories that are empty just then.
        if ((error as { code?: string }).code !== "ENOENT" || attempt === createAttemptsMax) throw error;
      }
    }
  }
}

/** `work` notes in `opened` what is to be closed where it fails. */
async function closingOnFailure<Value>(work: (opened: DiskFile[]) => Promise<Value>): Promise<Value> {
  const opened: DiskFile[] = [];
  try {
    return await work(opened);
  } catch (error) {
    await Promise.allSettled(opened.map((file) => file.close()));
    throw error;
  }
}

function isReadOnly(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "EROFS" || code === "EACCES" || code === "EPERM";
}
