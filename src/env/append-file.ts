/**
 * A file that only grows, written at once and without waiting for the disk: what `append` has returned for survives the end
 * of this process, and not a power cut.
 */
export interface AppendFile {
  readonly size: number;
  /** Throws the system's error; the file is then as long as before, as far as the system lets it. */
  append(bytes: Uint8Array): void;
  /** All that was appended is on disk when it resolves. */
  sync(): Promise<void>;
  close(): void;
}

/** Makes it, or empties what is there. */
export type OpenAppendFile = (path: string) => AppendFile;
