/** WriteTickets for tests: those of the vectors, and many at once in random pieces. */
import { readFileSync } from "node:fs";
import { checksumSize, ticketDataSize, writeTicketSize } from "../../src/core/frame.ts";
import { parseId, type TicketId, writeId } from "../../src/core/ids.ts";
import type { TestSocket } from "./sockets.ts";
import { framesOf, patternOf } from "./store.ts";

interface TicketVector {
  readonly id: string;
  readonly data: string;
  readonly checksum: string;
  readonly frameSha256: string;
}

/** Built from the vectors alone, without the kernel. */
export function vectorFrames(): { id: string; frame: Uint8Array; sha256: string }[] {
  const text = readFileSync(new URL("../vectors/vectors.json", import.meta.url), "utf8");
  const { tickets } = JSON.parse(text) as { tickets: readonly TicketVector[] };
  return tickets.map(({ id, data, checksum, frameSha256 }) => {
    const frame = new Uint8Array(writeTicketSize);
    writeId(parseId<TicketId>(id)!, frame, 0);
    frame.set(Buffer.from(checksum, "hex"), 8);
    frame.set(dataOf(data), 8 + checksumSize);
    return { id, frame, sha256: frameSha256 };
  });
}

function dataOf(description: string): Uint8Array {
  const bytes = new Uint8Array(ticketDataSize);
  const formula = /^byte i = \((\d+)\*i\+(\d+)\) mod (\d+)$/.exec(description);
  if (formula !== null) {
    const [factor, term, modulus] = formula.slice(1).map(Number) as [number, number, number];
    return bytes.map((_, index) => (factor * index + term) % modulus);
  }
  if (description === "zeros") return bytes;
  if (description === "all 0xff") return bytes.fill(0xff);
  if (description === "'hello' then zeros") {
    bytes.set(Buffer.from("hello"));
    return bytes;
  }
  throw new Error(`vectors.json has data that this test does not know: ${description}`);
}

/** Runs of tickets, one after the other, in pieces that end anywhere. */
export async function sendFramesInPieces(
  socket: TestSocket,
  runs: readonly { readonly first: number; readonly data: Uint8Array }[],
  seed: number,
): Promise<void> {
  const frames = new Uint8Array(Buffer.concat(runs.map(({ first, data }) => framesOf(first, data))));
  const sizes = [...patternOf(16, seed)].map((byte) => 1 + byte * byte * 3);
  await socket.writePieces(frames, sizes);
}
