/** A whole router that gives space back: what is removed is freed, what is written, read or kept meanwhile stays right. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { formatId, type ObjectId, parseId } from "../src/core/ids.ts";
import { volumeOf } from "../src/core/layout.ts";
import { placement } from "../src/router/ticket-allocator.ts";
import { objectOf, sendStream, TestSocket } from "./support/sockets.ts";
import { Belongings, eventually, getObject, patternOf, runsOf, sameBytes, savedObject } from "./support/store.ts";

const belongings = new Belongings();
afterEach(() => belongings.giveBack());

const standalone = { kind: "standalone" } as const;
const megabyte = 1024 * 1024;

describe("reclaiming", () => {
  const settings = { intervalMs: 3_600_000, rate: 1e9, deadShareMin: 0.1, openDeadMin: 1000 };
  const blocksOf = (root: string): number => statSync(join(root, "obj")).blocks * 512;

  it("gives the space of removed objects back to the file system; what is left stays right", async () => {
    const root = await belongings.directory();
    const running = await belongings.router({ root, reclaim: settings });
    const { router } = running;
    const bytes = [1, 2, 3, 4].map((seed) => patternOf(3 * megabyte, seed));
    const ids: string[] = [];
    for (const one of bytes) ids.push(objectOf(await sendStream(running.streamPort, one)));
    const before = blocksOf(root);
    const client = await belongings.requests(running.responsePort);
    for (const id of ids.slice(0, 3)) await client.askJson("remove", { a: parseId<ObjectId>(id)! });
    // The first look retires the open volume, the next one rewrites it.
    await router.reclaimer.runOnce();
    await router.reclaimer.runOnce();
    expect(router.reclaimer.status).toMatchObject({ volumesRewritten: 1, lastError: undefined });
    expect(before - blocksOf(root)).toBeGreaterThan(8 * megabyte);
    expect(sameBytes(await getObject(client, ids[3]!), bytes[3]!)).toBe(true);
    await expect(getObject(client, ids[0]!)).rejects.toThrow(/there is no object/);
    // New objects go to another volume; ids are not used again.
    const next = objectOf(await sendStream(running.streamPort, bytes[0]!));
    const [run] = await runsOf(router, next);
    expect(volumeOf(placement, run!.first)).toBe(1);
    await client.askJson("remove", { a: parseId<ObjectId>(ids[3]!)! });
    await router.reclaimer.runOnce();
    expect(() => statSync(join(root, "obj"))).toThrow(/ENOENT/);
    expect(sameBytes(await getObject(client, next), bytes[0]!)).toBe(true);
  });

  it("does not take what is being written for dead: the volume goes on", async () => {
    const { router } = await belongings.router({ root: await belongings.directory(), reclaim: settings });
    const bytes = patternOf(6 * megabyte, 1);
    let wake: () => void = () => undefined;
    const writer = await router.openWriter({ onRoom: () => wake() });
    for (let done = 0; done < bytes.length;) {
      const taken = writer.offer(bytes.subarray(done));
      done += taken;
      if (taken === 0) await new Promise<void>((resolve) => (wake = resolve));
    }
    await eventually(() => writer.writeCount > 2048);
    await router.reclaimer.runOnce();
    expect(await router.datastore.getVolume(0)).toMatchObject({ sealed: false });
    await writer.finish(standalone, {});
    expect(await router.datastore.getVolume(0)).toMatchObject({ sealed: false, liveCount: writer.ticketCount });
  });

  it("retires a volume that is mostly dead although somebody always writes to it", async () => {
    const running = await belongings.router({ root: await belongings.directory(), reclaim: settings });
    const { router } = running;
    const id = objectOf(await sendStream(running.streamPort, patternOf(6 * megabyte, 1)));
    const writer = await router.openWriter();
    const bytes = patternOf(megabyte, 2);
    for (let at = writer.offer(bytes); at < bytes.length; at += writer.offer(bytes.subarray(at))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await eventually(() => writer.writeCount > 0);
    const client = await belongings.requests(running.responsePort);
    await client.askJson("remove", { a: parseId<ObjectId>(id)! });
    await router.reclaimer.runOnce();
    expect(await router.datastore.getVolume(0)).toMatchObject({ sealed: true });
    await writer.finish(standalone, {});
  });

  it("frees what was removed after a restart, although nothing is written any more", async () => {
    const root = await belongings.directory();
    const first = await belongings.router({ root, reclaim: settings });
    const { id } = await first.router.put(patternOf(3 * megabyte, 1), standalone, {});
    await first.close();
    const { router } = await belongings.router({ root, reclaim: settings });
    expect(blocksOf(root)).toBeGreaterThan(2 * megabyte);
    await router.remove(id);
    await router.reclaimer.runOnce();
    await router.reclaimer.runOnce();
    expect(router.reclaimer.status).toMatchObject({ volumesUnlinked: 1, lastError: undefined });
    expect(() => statSync(join(root, "obj"))).toThrow(/ENOENT/);
  });

  it("lets who reads meanwhile have right bytes to the end", async () => {
    const root = await belongings.directory();
    const { router } = await belongings.router({ root, reclaim: settings });
    const bytes = [1, 2, 3].map((seed) => patternOf(4 * megabyte, seed));
    const ids: ObjectId[] = [];
    for (const one of bytes) ids.push((await router.put(one, standalone, {})).id);
    const objects = await Promise.all(ids.map((id) => savedObject(router, formatId(id))));
    const kept = router.read(objects[0]!, 0, objects[0]!.size);
    const doomed = router.read(objects[1]!, 0, objects[1]!.size);
    const got: Uint8Array[][] = [[], []];
    const takeOne = async (reader: typeof kept, into: Uint8Array[]): Promise<boolean> => {
      const next = await reader.next();
      if (next.done === true) return false;
      const { buffer, skip, take } = next.value;
      into.push(buffer.data.slice(skip, skip + take));
      buffer.release();
      return true;
    };
    await takeOne(kept, got[0]!);
    await takeOne(doomed, got[1]!);
    await router.remove(ids[1]!);
    await router.remove(ids[2]!);
    await router.reclaimer.runOnce();
    const reclaiming = router.reclaimer.runOnce();
    while (await takeOne(doomed, got[1]!));
    while (await takeOne(kept, got[0]!));
    await reclaiming;
    expect(router.reclaimer.status).toMatchObject({ volumesRewritten: 1, lastError: undefined });
    expect(sameBytes(Buffer.concat(got[0]!), bytes[0]!)).toBe(true);
    expect(sameBytes(Buffer.concat(got[1]!), bytes[1]!)).toBe(true);
    expect(sameBytes(await router.get(objects[0]!), bytes[0]!)).toBe(true);
  });

  it("frees what an unfinished write left, and a volume is not retired under a writer's feet", async () => {
    const root = await belongings.directory();
    const { router, streamPort } = await belongings.router({ root, reclaim: settings });
    const socket = await TestSocket.connect(streamPort);
    await socket.write(patternOf(6 * megabyte, 1));
    await eventually(async () => (await router.stat(0 as ObjectId))?.writeCount !== 0);
    const writer = await router.openWriter();
    const bytes = patternOf(2 * megabyte, 9);
    for (let at = writer.offer(bytes.subarray(0, megabyte)); at < megabyte;) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      at += writer.offer(bytes.subarray(at, megabyte));
    }
    socket.socket.resetAndDestroy();
    await eventually(async () => (await router.stat(0 as ObjectId))?.status === "error");
    await router.reclaimer.runOnce();
    await router.reclaimer.runOnce();
    // The other writer still has tickets of the retired volume.
    expect(router.reclaimer.status).toMatchObject({ volumesRewritten: 0, volumesUnlinked: 0, lastError: undefined });
    for (let at = megabyte; at < bytes.length;) {
      at += writer.offer(bytes.subarray(at));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const { id } = await writer.finish(standalone, {});
    await eventually(async () => {
      await router.reclaimer.runOnce();
      return router.reclaimer.status.volumesRewritten === 1;
    });
    expect(sameBytes(await router.get(await savedObject(router, formatId(id))), bytes)).toBe(true);
  });
});
