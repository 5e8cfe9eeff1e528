/** A whole router over a disk that is slow, fails, is full, or holds other bytes than it was given. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { RunningRouter } from "../src/compose/router-process.ts";
import { ticketDataSize } from "../src/core/frame.ts";
import { formatId, type ObjectId, parseId, type TicketId } from "../src/core/ids.ts";
import { slotOf, ticketPath } from "../src/core/layout.ts";
import type { VerifyProgress } from "../src/router/object-answers.ts";
import { placement } from "../src/router/ticket-allocator.ts";
import { objectOf, sendStream, TestSocket } from "./support/sockets.ts";
import {
  Belongings,
  eventually,
  getObject,
  patternOf,
  quietHost,
  runsOf,
  sameBytes,
  savedObject,
} from "./support/store.ts";
import { systemError, withDisk } from "./support/wrapped-disk.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

const standalone = { kind: "standalone" } as const;
const megabyte = 1024 * 1024;

/** Changes one byte of a stored ticket, in `obj` or `sum`. */
async function flipByte(root: string, ticket: TicketId, file: "obj" | "sum", offset = 0): Promise<void> {
  const slotSize = file === "obj" ? ticketDataSize : 8;
  const path = join(root, ticketPath(placement, ticket).replace(/obj$/, file));
  const handle = await open(path, "r+");
  const byte = new Uint8Array(1);
  const at = slotOf(placement, ticket) * slotSize + offset;
  await handle.read(byte, 0, 1, at);
  byte[0]! ^= 0x01;
  await handle.write(byte, 0, 1, at);
  await handle.close();
}

describe("damage", () => {
  async function stored(): Promise<{
    running: RunningRouter;
    root: string;
    id: string;
    first: TicketId;
    bytes: Uint8Array;
  }> {
    const root = await belongings.directory();
    const running = await belongings.router({ root });
    const bytes = patternOf(1000 * ticketDataSize, 8);
    const id = objectOf(await sendStream(running.streamPort, bytes));
    const [run] = await runsOf(running.router, id);
    return { running, root, id, first: run!.first, bytes };
  }

  it.each(["obj", "sum"] as const)(
    "of one byte in %s is told by object, offset and volume; never wrong bytes",
    async (file) => {
      const { running, root, id, first, bytes } = await stored();
      await flipByte(root, (first + 700) as TicketId, file, 5);
      const object = await savedObject(running.router, id);
      const offset = 700 * ticketDataSize;
      const message = `object ${id} is damaged at byte ${offset}: ticket ${formatId((first + 700) as TicketId)} does not verify (volume (root) of ${root})`;
      await expect(running.router.get(object)).rejects.toMatchObject({ code: "DAMAGED", message });
      // What does not touch the damage is still readable.
      const client = await belongings.requests(running.responsePort);
      const before = await getObject(client, id, 0, 300 * ticketDataSize);
      expect(sameBytes(before, bytes.subarray(0, before.length))).toBe(true);
      const after = await getObject(client, id, 701 * ticketDataSize);
      expect(sameBytes(after, bytes.subarray(701 * ticketDataSize))).toBe(true);
    },
  );

  it("ends a read over the wire in an error, after the good part and nothing else", async () => {
    const { running, root, id, first, bytes } = await stored();
    await flipByte(root, (first + 700) as TicketId, "obj");
    const client = await belongings.requests(running.responsePort);
    const pieces: Uint8Array[] = [];
    const reading = (async () => {
      for await (const part of client.ask("get", { a: parseId<ObjectId>(id)! })) {
        if (part.kind !== "tickets") continue;
        pieces.push(part.buffer.data.slice(part.skip, part.skip + part.take));
        part.buffer.release();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "DAMAGED" });
    const good = Buffer.concat(pieces);
    expect(good.length).toBeGreaterThan(0);
    expect(good.length).toBeLessThanOrEqual(700 * ticketDataSize);
    expect(sameBytes(good, bytes.subarray(0, good.length))).toBe(true);
    expect(await client.askJson("stat", { a: 0 })).toMatchObject({ object: id });
  });

  it("is found by verify, all of it and nothing else", async () => {
    const { running, root, id, first } = await stored();
    objectOf(await sendStream(running.streamPort, patternOf(5000, 1)));
    for (const index of [0, 179, 180, 999]) await flipByte(root, (first + index) as TicketId, "obj", 1457);
    const handle = await open(join(root, "sum"), "r+");
    await handle.write(new Uint8Array(8), 0, 8, slotOf(placement, first + 500) * 8);
    await handle.close();
    const client = await belongings.requests(running.responsePort);
    const told: VerifyProgress[] = [];
    for await (const part of client.ask("verify")) if (part.kind === "json") told.push(part.value as VerifyProgress);
    const damages = told.flatMap((progress) => progress.damages);
    expect(damages.map(({ offset, kind }) => [offset / ticketDataSize, kind])).toEqual([
      [0, "corrupt"],
      [179, "corrupt"],
      [180, "corrupt"],
      [500, "absent"],
      [999, "corrupt"],
    ]);
    expect(damages.every(({ object, volume, place }) => object === id && volume === "(root)" && place === root)).toBe(
      true,
    );
    expect(told.at(-1)).toMatchObject({ objects: 2, tickets: 1004 });
  });
});

describe("a disk", () => {
  it("that is slow holds the client back: memory stays bounded, and other objects can be read", async () => {
    let slow = false;
    const gate: { open: () => void; closed: Promise<void> } = { open: () => undefined, closed: Promise.resolve() };
    const before = async (call: string, path: string): Promise<void> => {
      if (slow && call === "write" && path.endsWith("obj")) await gate.closed;
    };
    const running = await belongings.router({}, withDisk(quietHost, { before }));
    const client = await belongings.requests(running.responsePort);
    const old = patternOf(5000, 1);
    expect(objectOf(await sendStream(running.streamPort, old))).toBe("0");
    gate.closed = new Promise((resolve) => (gate.open = resolve));
    slow = true;
    const socket = await TestSocket.connect(running.streamPort);
    const bytes = patternOf(64 * megabyte, 2);
    let sent = 0;
    const sending = (async () => {
      for (let at = 0; at < bytes.length; at += megabyte) {
        await socket.write(bytes.subarray(at, at + megabyte));
        sent += megabyte;
      }
      socket.end();
    })();
    let last = -1;
    await eventually(async () => {
      if (sent === last) return true;
      last = sent;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return false;
    });
    // Four buffers of the writer, and what the system keeps for a socket.
    expect(sent).toBeLessThan(40 * megabyte);
    expect(sameBytes(await getObject(client, "0"), old)).toBe(true);
    slow = false;
    gate.open();
    await sending;
    const id = objectOf((await socket.rest()).toString());
    expect(sameBytes(await getObject(client, id), bytes)).toBe(true);
    socket.destroy();
  });

  it.each([
    ["EIO", "sync"],
    ["EIO", "write"],
    ["ENOSPC", "write"],
    ["EDQUOT", "write"],
    ["EROFS", "write"],
  ] as const)(
    "that fails with %s in a %s makes an ERROR, no object; old data stays readable and it goes on",
    async (code, call) => {
      let failing = false;
      const before = (now: string, path: string): void => {
        if (failing && now === call && /(obj|sum)$/.test(path)) throw systemError(code, `${now} ${path}`);
      };
      const running = await belongings.router({ durability: "disk" }, withDisk(quietHost, { before }));
      const client = await belongings.requests(running.responsePort);
      const old = patternOf(400_000, 1);
      expect(objectOf(await sendStream(running.streamPort, old))).toBe("0");
      failing = true;
      for (const size of [10, 4 * megabyte]) {
        const line = await sendStream(running.streamPort, patternOf(size, 2));
        expect(line).toMatch(new RegExp(`^ERROR .*${code}.*\n$`));
      }
      await expect(running.router.put(patternOf(10, 3), standalone, {})).rejects.toThrow(code);
      failing = false;
      const records = await running.router.list(undefined, 10);
      expect(records.filter(({ status }) => status === "saved").map(({ id }) => id)).toEqual([0]);
      expect(records.filter(({ status }) => status === "error").length).toBeGreaterThan(0);
      expect(sameBytes(await getObject(client, "0"), old)).toBe(true);
      const again = patternOf(2 * megabyte, 4);
      let id = "";
      await eventually(async () => {
        const line = await sendStream(running.streamPort, again);
        if (line.startsWith("ERROR")) return false;
        id = objectOf(line);
        return true;
      });
      expect(sameBytes(await getObject(client, id), again)).toBe(true);
    },
  );

  it("that is nearly full takes nothing, says how much is free, and takes again when there is room", async () => {
    let free = 100 * megabyte;
    const host = withDisk(quietHost, { before: () => undefined, freeSpace: () => free });
    const running = await belongings.router({ spaceReserveSize: 16 * megabyte }, host);
    const client = await belongings.requests(running.responsePort);
    const old = patternOf(5000, 1);
    expect(objectOf(await sendStream(running.streamPort, old))).toBe("0");
    free = 1000;
    let line = "";
    await eventually(async () => (line = await sendStream(running.streamPort, patternOf(10, 2))).startsWith("ERROR"));
    expect(line).toContain("1000 bytes are free");
    expect(sameBytes(await getObject(client, "0"), old)).toBe(true);
    expect(await client.askJson("remove", { a: 0 })).toEqual({ removed: true });
    free = 100 * megabyte;
    await eventually(async () => (await sendStream(running.streamPort, patternOf(10, 2))).startsWith("OBJECT"));
  });
});
