/**
 * A stream that was cut leaves nothing. An object that nobody was told of is all of what somebody sent and ended, or a
 * beginning of it where the sender closed the connection as if that were the end; where it was reset, by the network or by
 * the sender itself, or where the datastore refused it, it must not be there at all.
 */
import { bytesOf, type Content, sizeOf } from "../world/contents.ts";
import type { Streams } from "../world/streams.ts";
import type { World } from "../world/world.ts";

export function checkUnacknowledged(world: World, streams: Streams, found: ReadonlyMap<number, Uint8Array>): void {
  // Each stream makes one object at most. The long ones first: few bytes begin many streams.
  const left = new Set(streams.unacknowledged);
  for (const [id, bytes] of [...found].sort(([, one], [, other]) => other.length - one.length)) {
    const candidates = [...left].filter(({ content }) => begins(content, bytes));
    const source = candidates.find(
      ({ content, kept }) => kept === "beginning" || (kept === "whole" && sizeOf(content) === bytes.length),
    );
    if (source !== undefined) {
      left.delete(source);
      world.coverage.note("check", "object of a stream without an answer explained");
      continue;
    }
    const what = candidates.length === 0 ? "is nothing that was sent" : "was cut before its end";
    world.history.violation(`aborts: object ${id} of a stream, of ${bytes.length} bytes, ${what}, and is there`);
  }
}

function begins(content: Content, bytes: Uint8Array): boolean {
  if (sizeOf(content) < bytes.length) return false;
  return Buffer.compare(bytesOf(content).subarray(0, bytes.length), bytes) === 0;
}
