/** Where the tickets of `loopback` get their data: a pattern that costs nothing, or a file. */
import fs from "node:fs/promises";
import { groupTicketCount, ticketDataSize } from "../core/frame.ts";
import type { TicketId } from "../core/ids.ts";
import type { Kernel } from "../core/kernel.ts";
import { layoutOf, placementDepth, slotOf, volumeEnd, volumeOf } from "../core/layout.ts";
import type { Run } from "../core/run.ts";

export interface TicketData {
  /** In the kernel's memory. */
  readonly data: Uint8Array;
  readonly release: () => void;
}

export interface TicketSource {
  /** Data of `run`, whose first ticket is the `index`-th of all. `run` stays within one group of slots. */
  take(run: Run, index: number): Promise<TicketData>;
  close(): Promise<void>;
}

const layout = layoutOf(placementDepth);

/** The part of `left` tickets from `first` on that stays within one group of slots, and below `countMax`. */
export function nextRun(first: TicketId, left: number, countMax: number): Run {
  const toGroupEnd = groupTicketCount - (slotOf(layout, first) % groupTicketCount);
  const toVolumeEnd = volumeEnd(layout, volumeOf(layout, first)) - first;
  return { first, count: Math.min(left, countMax, toGroupEnd, toVolumeEnd) };
}

/**
 * The data of a ticket depends on its place in its group and on nothing else: one buffer, never written again, serves
 * all connections, and whoever sends an id again sends the same bytes.
 */
export function patternSource(kernel: Kernel): TicketSource {
  const buffer = kernel.take("group")!;
  const { data } = buffer;
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length / 4);
  // xorshift32: bytes that do not compress, the same ones each time.
  let state = 0x9e3779b9;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  const nothing = (): void => undefined;
  return {
    take: async ({ first, count }) => {
      const at = (slotOf(layout, first) % groupTicketCount) * ticketDataSize;
      return { data: data.subarray(at, at + count * ticketDataSize), release: nothing };
    },
    close: async () => buffer.release(),
  };
}

/** The bytes of a file, the last ticket padded with zeros. */
export async function fileSource(kernel: Kernel, file: string): Promise<TicketSource & { readonly size: number }> {
  const handle = await fs.open(file, "r");
  const { size } = await handle.stat();
  return {
    size,
    take: async ({ count }, index) => {
      const buffer = await kernel.wait("group");
      const data = buffer.data.subarray(0, count * ticketDataSize);
      try {
        let filled = 0;
        while (filled < data.length) {
          const position = index * ticketDataSize + filled;
          const { bytesRead } = await handle.read(data, filled, data.length - filled, position);
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
        data.fill(0, filled);
      } catch (error) {
        buffer.release();
        throw error;
      }
      return { data, release: () => buffer.release() };
    },
    close: () => handle.close(),
  };
}
