/**
 * Where a ticket lies: depth 4, 3 or 2 (docs/formats/disk.md; permanent).
 *
 * The last `tail = 2·(4−depth)` characters of an id are its slot, the characters before them the directories. Counted
 * by ordinal this means that a volume is one contiguous range of ids: volume 0 (at the root) holds the ids of up to
 * `tail` characters, volume v > 0 the 36^tail ids whose leading characters are the id with ordinal v − 1.
 */
import { assert } from "./errors.ts";
import { formatId, idCount, lengthStart, type TicketId } from "./ids.ts";

export type Depth = 2 | 3 | 4;
export const depths: readonly Depth[] = [4, 3, 2];

/** The depth whose volumes are the unit of placement, leasing and reclaiming in a Datastore, whatever a disk uses. */
export const placementDepth: Depth = 2;

export interface Layout {
  readonly depth: Depth;
  /** Tickets in every volume but volume 0, and the slots that precede the first one in its files. */
  readonly volumeTicketCount: number;
  readonly firstSlot: number;
}

export function layoutOf(depth: Depth): Layout {
  const tail = 2 * (4 - depth);
  return { depth, volumeTicketCount: 36 ** tail, firstSlot: tail === 0 ? 0 : lengthStart[tail]! };
}

/** At depth 4 there is no volume 0: each id is a directory of its own, and volume numbers start at 1. */
export function volumeOf(layout: Layout, ticket: number): number {
  const rootCount = rootTicketCount(layout);
  return ticket < rootCount ? 0 : 1 + Math.floor((ticket - rootCount) / layout.volumeTicketCount);
}

/** First ticket of a volume. */
export function volumeStart(layout: Layout, volume: number): TicketId {
  return (volume === 0 ? 0 : rootTicketCount(layout) + (volume - 1) * layout.volumeTicketCount) as TicketId;
}

/** One past the last ticket of a volume. */
export function volumeEnd(layout: Layout, volume: number): TicketId {
  return Math.min(volumeStart(layout, volume + 1), idCount) as TicketId;
}

/** The slot of a ticket within its volume's files. */
export function slotOf(layout: Layout, ticket: number): number {
  const volume = volumeOf(layout, ticket);
  return ticket - volumeStart(layout, volume) + (volume === 0 ? 0 : layout.firstSlot);
}

/** The directory of a volume below the root, `/`-separated; "" is the root itself. */
export function volumeDirectory(layout: Layout, volume: number): string {
  if (volume === 0) {
    assert(layout.depth !== 4, "depth 4 has no volume at the root");
    return "";
  }
  const prefix = formatId((volume - 1) as TicketId);
  return prefix.match(/.{1,2}/g)!.join("/");
}

/** The path of the file that holds a ticket's bytes, relative to the root. */
export function ticketPath(layout: Layout, ticket: TicketId): string {
  const directory = volumeDirectory(layout, volumeOf(layout, ticket));
  return directory === "" ? "obj" : `${directory}/obj`;
}

/** Where a volume is, for messages: its path, or `(root)`. */
export function describeVolume(layout: Layout, volume: number): string {
  return volume === 0 ? "(root)" : volumeDirectory(layout, volume);
}

function rootTicketCount(layout: Layout): number {
  return layout.depth === 4 ? 0 : layout.firstSlot + layout.volumeTicketCount;
}
