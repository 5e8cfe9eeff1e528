/**
 * The directories between the root and the volumes' files: making them, and making them durable. Many volumes share
 * them, so their syncs are shared too, and what is durable is not synced again.
 */
import { messageOf } from "../core/errors.ts";
import { type Layout, volumeDirectory } from "../core/layout.ts";
import * as limits from "../core/limits.ts";
import type { Clock, Disk } from "../env/host.ts";
import { GroupSync } from "./group-sync.ts";
import { isShortage } from "./volume.ts";

export class VolumeDirectories {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #root: string;
  readonly #layout: Layout;
  readonly #syncs = new Map<string, GroupSync>();
  /** Directories whose own entry this process has synced. */
  readonly #durable = new Set<string>();
  /** Directories that a sync failed for, and why. Nothing in them is durable any more in this process's life. */
  readonly #failed = new Map<string, string>();

  constructor(host: { readonly disk: Disk; readonly clock: Clock }, root: string, layout: Layout) {
    this.#disk = host.disk;
    this.#clock = host.clock;
    this.#root = root;
    this.#layout = layout;
  }

  get failedCount(): number {
    return this.#failed.size;
  }

  /** The directory of a volume's files. */
  of(number: number): string {
    return this.#levelsOf(number).at(-1) ?? this.#root;
  }

  /** A volume's directories are about to be removed, and will have to be synced if they are made again. */
  forget(number: number): void {
    for (const level of this.#levelsOf(number)) this.#durable.delete(level);
  }

  /** Makes what is missing between the root and a volume's directory. */
  async make(number: number): Promise<void> {
    const levels = this.#levelsOf(number);
    // From below: where the parent is there, which it mostly is, one call does.
    let made = levels.length;
    for (; made > 0; made--) {
      try {
        await this.#disk.makeDirectory(levels[made - 1]!);
        break;
      } catch (error) {
        if ((error as { code?: string }).code !== "ENOENT") throw error;
      }
    }
    for (const directory of levels.slice(made)) await this.#disk.makeDirectory(directory);
  }

  /**
   * Makes a volume's files durable as entries, and every directory above them that this process has not yet made so:
   * an earlier one may have made it and not lived to sync it.
   */
  async syncEntries(number: number): Promise<void> {
    const levels = this.#levelsOf(number);
    const unsure = levels.filter((level) => !this.#durable.has(level));
    const parents = unsure.map((level) => level.slice(0, level.lastIndexOf("/")));
    await Promise.all([...parents, this.of(number)].map((directory) => this.sync(directory)));
    if (this.#durable.size > limits.directorySyncsMax) this.#durable.clear();
    for (const level of unsure) this.#durable.add(level);
  }

  /** Makes a directory's entries durable; what was asked for meanwhile shares the next sync. */
  sync(directory: string): Promise<void> {
    let sync = this.#syncs.get(directory);
    if (sync === undefined) {
      if (this.#syncs.size >= limits.directorySyncsMax) this.#syncs.clear();
      sync = new GroupSync(this.#clock, () => this.#syncNow(directory));
      this.#syncs.set(directory, sync);
    }
    return sync.request();
  }

  /** After a sync that failed, no later one tells whether the entries from before it are on disk. */
  async #syncNow(directory: string): Promise<void> {
    const failed = this.#failed.get(directory);
    if (failed !== undefined) throw new Error(failed);
    try {
      await this.#disk.syncDirectory(directory);
    } catch (error) {
      if (!isShortage(error)) {
        this.#failed.set(directory, `a sync of ${directory} failed before: ${messageOf(error)}`);
      }
      throw error;
    }
  }

  /** The directories between the root and a volume's files, from above. */
  #levelsOf(number: number): string[] {
    const below = volumeDirectory(this.#layout, number);
    const levels: string[] = [];
    for (const part of below === "" ? [] : below.split("/")) levels.push(`${levels.at(-1) ?? this.#root}/${part}`);
    return levels;
  }
}
