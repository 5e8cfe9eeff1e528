/** What the simulated disks did to bytes at rest: reading an object that lies there may fail, and nothing else may. */
import { checksumSize, ticketDataSize } from "../../src/core/frame.ts";
import { layoutOf, type Layout, slotOf, ticketPath } from "../../src/core/layout.ts";
import type { TicketId } from "../../src/core/ids.ts";
import type { Run } from "../../src/core/run.ts";
import type { SavedObject } from "../../src/datastore/datastore.ts";
import type { SimulatedDisk } from "../simulated-disk.ts";
import type { SimulatedMachine } from "../simulated-host.ts";
import { FileInode } from "../simulated-inodes.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import { imagePageSize } from "../sparse-image.ts";
import { dataRoot } from "./roles.ts";

interface Region {
  readonly path: string;
  readonly from: number;
  readonly end: number;
}

const stored = /\/(obj|sum)(\.new|\.tail)?$/;

export class Damages {
  readonly #regions: Region[] = [];
  readonly #layouts = new Set<Layout>();
  readonly #onDamage: (machine: string, what: string) => void;
  readonly #runsOf: (object: number) => readonly Run[] | undefined;

  constructor(
    onDamage: (machine: string, what: string) => void,
    runsOf: (object: number) => readonly Run[] | undefined,
  ) {
    this.#onDamage = onDamage;
    this.#runsOf = runsOf;
  }

  get count(): number {
    return this.#regions.length;
  }

  /** Flips a bit somewhere in a volume's files; false where there are none. */
  flipBit(machine: SimulatedMachine, random: SimulatedRandom): boolean {
    const paths = machine.disk.files().filter((path) => stored.test(path));
    if (paths.length === 0) return false;
    const path = random.pick(paths);
    const inode = machine.disk.find(path);
    if (!(inode instanceof FileInode) || inode.cache.pageCount === 0) return false;
    const position = random.pick(inode.cache.pagePositions) + random.below(imagePageSize);
    if (position >= inode.cache.size) return false;
    machine.disk.flipBit(path, position, random.below(8));
    this.#add(machine.name, "bit flip", path, position, 1);
    machine.disk.onEffect("bit flip");
    return true;
  }

  /** The next write to a volume goes elsewhere in its file. */
  misdirectNext(machine: SimulatedMachine, random: SimulatedRandom): void {
    const disk: SimulatedDisk = machine.disk;
    disk.misdirect = (path, position, size) => {
      if (!stored.test(path)) return undefined;
      disk.misdirect = undefined;
      const at = Math.max(0, position + random.between(-8, 8) * imagePageSize);
      this.#add(machine.name, "misdirected from", path, position, size);
      this.#add(machine.name, "misdirected to", path, at, size);
      machine.disk.onEffect("misdirected write");
      return at;
    };
  }

  noteLayout(depth: 2 | 3 | 4): void {
    this.#layouts.add(layoutOf(depth));
  }

  /** Whether some of the object's tickets lie where something was damaged, on whatever machine. */
  concern({ content }: SavedObject): boolean {
    if (this.#regions.length === 0) return false;
    // Not asked of the datastore: parts of an object that was deleted while somebody read it are gone there.
    const runs =
      content.kind === "runs" ? content.runs : content.parts.flatMap((part) => this.#runsOf(part.object) ?? []);
    for (const { first, count } of runs) {
      for (let ticket: number = first; ticket < first + count; ticket++) if (this.#hits(ticket)) return true;
    }
    return false;
  }

  #hits(ticket: TicketId | number): boolean {
    for (const layout of this.#layouts) {
      const path = `${dataRoot}/${ticketPath(layout, ticket as TicketId)}`;
      const slot = slotOf(layout, ticket);
      for (const region of this.#regions) {
        const size = region.path.endsWith("/obj") ? ticketDataSize : checksumSize;
        const isThere = region.path === path || region.path === path.replace(/obj$/, "sum");
        if (isThere && region.from < (slot + 1) * size && region.end > slot * size) return true;
      }
    }
    return false;
  }

  #add(machine: string, what: string, path: string, position: number, size: number): void {
    // A volume that is written anew takes damage along, to the same place.
    this.#regions.push({ path: path.replace(/\.(new|tail)$/, ""), from: position, end: position + size });
    this.#onDamage(machine, `${what} ${path} ${position} ${size}`);
  }
}
