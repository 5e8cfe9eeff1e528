/** Where tickets lie, and what writing and reading them does: on this machine's disk and on the simulated one. */
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Simulation } from "../../sim/simulated-host.ts";
import { allSavedStatuses, dataOf, statusesOf, VolumeHarness } from "../../sim/volume-harness.ts";
import { checksumSize, groupTicketCount, ticketDataSize, TicketStatus } from "../core/frame.ts";
import { idCount, parseId, type TicketId } from "../core/ids.ts";
import { parseKey } from "../core/key.ts";
import { type Depth, depths, layoutOf, slotOf, ticketPath, volumeStart } from "../core/layout.ts";
import type { Host } from "../env/host.ts";
import { nodeHost } from "../env/node-host.ts";
import { silentLog } from "../env/node-log.ts";
import type { VolumeStore } from "./volume-store.ts";

interface Vectors {
  tickets: { key: string; id: string; data: string; checksum: string }[];
  paths: { id: string; depth: Depth; path: string; slot: number }[];
}
const vectors = JSON.parse(
  readFileSync(new URL("../../tests/vectors/vectors.json", import.meta.url), "utf8"),
) as Vectors;

const base = mkdtempSync(path.join(os.tmpdir(), "volume-store-"));
const newRoot = (): string => mkdtempSync(path.join(base, "d"));
afterAll(() => rmSync(base, { recursive: true }));

const harness = new VolumeHarness();

function vectorData(description: string): Uint8Array {
  const data = new Uint8Array(ticketDataSize);
  const pattern = /^byte i = \(7\*i\+(\d+)\) mod 251$/.exec(description);
  if (pattern !== null) data.forEach((_, index) => (data[index] = (7 * index + Number(pattern[1])) % 251));
  else if (description === "'hello' then zeros") data.set(Buffer.from("hello"));
  else if (description === "all 0xff") data.fill(0xff);
  else expect(description).toBe("zeros");
  return data;
}

/** As `dd bs=<size> skip=<slot> count=1` does. */
function readSlot(file: string, slot: number, size: number): Buffer {
  const fd = openSync(file, "r");
  const bytes = Buffer.alloc(size);
  readSync(fd, bytes, 0, size, slot * size);
  closeSync(fd);
  return bytes;
}

describe.each(depths)("at depth %i, on this machine's disk", (depth) => {
  let store: VolumeStore;
  let root: string;
  beforeEach(async () => {
    root = newRoot();
    store = await harness.open(nodeHost(silentLog), { root, depth });
  });
  afterEach(() => harness.close(store));

  it("the vectors' tickets lie where and as the format says, for ordinary tools to read", async () => {
    for (const { key, id, data, checksum } of vectors.tickets) {
      const harness = new VolumeHarness({ tiny: 4, block: 0, group: 0 }, parseKey(key, "vectors"));
      const root = newRoot();
      const store = await harness.open(nodeHost(silentLog), { root, depth });
      const ticket = parseId<TicketId>(id)!;
      const batch = harness.batch(ticket, 1, 0);
      batch.data.set(vectorData(data));
      harness.kernel.makeSums(ticket, 1, batch.data, batch.sums);
      expect((await store.write(batch).saved).status).toBe(TicketStatus.saved);
      batch.release();
      const where = vectors.paths.find((each) => each.id === id && each.depth === depth);
      const file = where?.path ?? ticketPath(store.layout, ticket);
      const slot = where?.slot ?? slotOf(store.layout, ticket);
      const obj = readSlot(path.join(root, file), slot, ticketDataSize);
      const sum = readSlot(path.join(root, file.replace(/obj$/, "sum")), slot, checksumSize);
      expect(obj.toString("hex")).toBe(Buffer.from(vectorData(data)).toString("hex"));
      expect(sum.toString("hex")).toBe(checksum);
      if (depth === 4) expect(readFileSync(path.join(root, file)).length).toBe(1458);
      await harness.close(store);
    }
  });

  it.each(vectors.paths.filter((each) => each.depth === depth))("$id is slot $slot of $path", async (vector) => {
    const ticket = parseId<TicketId>(vector.id)!;
    expect((await harness.write(store, ticket, 1, 3)).status).toBe(TicketStatus.saved);
    const { size } = statSync(path.join(root, vector.path));
    expect(size).toBe((vector.slot + 1) * ticketDataSize);
    const stored = readSlot(path.join(root, vector.path), vector.slot, ticketDataSize);
    expect(Buffer.compare(stored, dataOf(ticket, 3))).toBe(0);
    if (depth === 4) expect(size).toBe(1458);
  });
});

interface Machine {
  readonly name: string;
  readonly host: () => Host;
  readonly root: () => Promise<string>;
  readonly drive: <Value>(promise: Promise<Value>) => Promise<Value>;
}

function simulated(options: { direct: boolean }): Machine {
  const simulation = new Simulation(1);
  const machine = simulation.machine("a", options);
  const { disk } = machine.start();
  let count = 0;
  return {
    name: `simulated, direct ${options.direct}`,
    host: () => machine.start(),
    root: async () => {
      const root = `/d${count++}`;
      await simulation.clock.run(disk.makeDirectory(root));
      return root;
    },
    drive: (promise) => simulation.clock.run(promise),
  };
}

const machines: Machine[] = [
  { name: "Node", host: () => nodeHost(silentLog), root: async () => newRoot(), drive: (promise) => promise },
  simulated({ direct: true }),
  simulated({ direct: false }),
];

describe.each(machines)("a store on a disk: $name", ({ host, root, drive }) => {
  describe.each(depths)("at depth %i", (depth) => {
    const layout = layoutOf(depth);
    let store: VolumeStore;
    beforeAll(async () => {
      store = await drive(harness.open(host(), { root: await root(), depth }));
    });
    afterAll(() => drive(harness.close(store)));

    it("any tickets that were saved are read back, across volumes, and nothing beside them", async () => {
      const near = depth === 4 ? 40 : 1;
      const border = fc
        .tuple(fc.integer({ min: 1, max: near * 4 }), fc.integer({ min: -20, max: 2 }))
        .map(([volume, offset]) => Math.max(0, volumeStart(layout, volume) + offset));
      const first = fc.oneof(border, fc.integer({ min: 0, max: 3000 }), fc.constant(idCount - 30));
      const expected = new Map<number, number>();
      await fc.assert(
        fc.asyncProperty(first, fc.integer({ min: 1, max: 24 }), async (first, count) => {
          const outcome = await drive(harness.write(store, first, count, 1));
          expect(statusesOf(outcome, count)).toEqual(allSavedStatuses(count));
          for (let index = 0; index < count; index++) expected.set(first + index, 1);
          const low = Math.max(0, first - 2);
          const span = Math.min(idCount, first + count + 2) - low;
          const wanted = Array.from({ length: span }, (_, index) => expected.get(low + index) ?? "absent");
          expect(await drive(harness.versions(store, low, span))).toEqual(wanted);
        }),
        { numRuns: 25 },
      );
    });

    it("what was never written reads as zeros: no volume, no slot, beyond the file's end", async () => {
      const far = idCount - 5000;
      expect(await drive(harness.read(store, far, 2))).toEqual(["absent", "absent"]);
      await drive(harness.write(store, far, 1, 1));
      expect(await drive(harness.versions(store, far - 1, 40))).toEqual(
        Array.from({ length: 40 }, (_, index) => (index === 1 ? 1 : "absent")),
      );
    });

    it("a ticket sent again is saved again and stored once", async () => {
      const first = 100_000;
      const once = await drive(harness.write(store, first, 3, 1));
      const again = await drive(harness.write(store, first, 3, 1));
      expect([once.status, again.status]).toEqual([TicketStatus.saved, TicketStatus.saved]);
      const together = await drive(Promise.all(Array.from({ length: 8 }, () => harness.write(store, first + 1, 3, 1))));
      expect(together.map(({ status }) => status)).toEqual(allSavedStatuses(8));
      expect(await drive(harness.versions(store, first, 5))).toEqual([1, 1, 1, 1, "absent"]);
    });

    it("other bytes under the same id are refused, and the first stay", async () => {
      const first = 200_000;
      await drive(harness.write(store, first, 1, 1));
      const refused = await drive(harness.write(store, first, 1, 2));
      expect(refused.status).toBe(TicketStatus.otherTicketStored);
      expect(await drive(harness.versions(store, first, 1))).toEqual([1]);
    });

    it("inside a batch only the slots that are taken are refused", async () => {
      const first = 300_000;
      await drive(harness.write(store, first + 3, 2, 1));
      await drive(harness.write(store, first + 8, 1, 1));
      const outcome = await drive(harness.write(store, first, 10, 2));
      expect(outcome.status).toBe(TicketStatus.otherTicketStored);
      expect(statusesOf(outcome, 10)).toEqual([0, 0, 0, 5, 5, 0, 0, 0, 5, 0]);
      expect(await drive(harness.versions(store, first, 10))).toEqual([2, 2, 2, 1, 1, 2, 2, 2, 1, 2]);
    });

    it("of two that are in flight at once under one id, one is saved and the other refused", async () => {
      for (let round = 0; round < 10; round++) {
        const first = 400_000 + round * 10;
        const outcomes = await drive(Promise.all([1, 2, 3].map((version) => harness.write(store, first, 4, version))));
        const winner = 1 + outcomes.findIndex(({ status }) => status === TicketStatus.saved);
        expect(outcomes.filter(({ status }) => status === TicketStatus.otherTicketStored).length).toBe(2);
        expect(winner).toBeGreaterThan(0);
        expect(await drive(harness.versions(store, first, 4))).toEqual([winner, winner, winner, winner]);
      }
    });

    it("a whole group, aligned or not, is read back, and taken slots in it stay", async () => {
      const base = depth === 2 ? volumeStart(layout, 9) : 500_000;
      // At depth 4 each ticket is four system calls and a sync.
      const count = depth === 4 ? 80 : groupTicketCount;
      const aligned = base + ((groupTicketCount - (slotOf(layout, base) % groupTicketCount)) % groupTicketCount);
      for (const first of [aligned, aligned + 3 * groupTicketCount + 1]) {
        await drive(harness.write(store, first + 70, 1, 1));
        const mixed = await drive(harness.write(store, first, count, 2));
        const wanted = Array.from({ length: count }, (_, index) => (index === 70 ? 5 : 0));
        expect(statusesOf(mixed, count)).toEqual(wanted);
        const next = first + groupTicketCount;
        expect((await drive(harness.write(store, next, count, 2))).status).toBe(TicketStatus.saved);
        expect((await drive(harness.write(store, next, count, 2))).status).toBe(TicketStatus.saved);
        const found = [
          ...(await drive(harness.versions(store, first, count))),
          ...(await drive(harness.versions(store, next, count))),
        ];
        expect(found.filter((version) => version === 2).length).toBe(2 * count - 1);
        expect(found[70]).toBe(1);
      }
    });
  });
});

describe("damage", () => {
  it.each(depths)(
    "a damaged slot is corrupt, and may be written again, also by another ticket (depth %i)",
    async (depth) => {
      const root = newRoot();
      const store = await harness.open(nodeHost(silentLog), { root, depth });
      await harness.write(store, 5000, 3, 1);
      const file = path.join(root, ticketPath(store.layout, 5001 as TicketId));
      const slot = slotOf(store.layout, 5001);
      const bytes = readFileSync(file);
      bytes[slot * ticketDataSize + 700]! ^= 1;
      writeFileSync(file, bytes);
      expect(await harness.versions(store, 5000, 3)).toEqual([1, "corrupt", 1]);
      expect((await harness.write(store, 5001, 1, 2)).status).toBe(TicketStatus.saved);
      expect(await harness.versions(store, 5000, 3)).toEqual([1, 2, 1]);
      await harness.close(store);
    },
  );

  it("any flipped bit of Data or Checksum is corrupt, never a wrong ticket", async () => {
    const simulation = new Simulation(3);
    const machine = simulation.machine("a");
    const store = await simulation.clock.run(harness.open(machine.start(), { root: "/data", depth: 3 }));
    await simulation.clock.run(harness.write(store, 1000, 1, 1));
    const slot = slotOf(store.layout, 1000);
    const random = simulation.random.fork();
    for (let round = 0; round < 100; round++) {
      const [file, size] = random.chance(0.5) ? ["obj", ticketDataSize] : ["sum", checksumSize];
      const position = slot * size + random.below(size);
      const bit = random.below(8);
      machine.disk.flipBit(`/data/${file}`, position, bit);
      expect(await simulation.clock.run(harness.versions(store, 1000, 1))).toEqual(["corrupt"]);
      machine.disk.flipBit(`/data/${file}`, position, bit);
    }
    expect(await simulation.clock.run(harness.versions(store, 1000, 1))).toEqual([1]);
  });
});

describe("a store that is opened again", () => {
  it.each(depths)("has what it had, and refuses other bytes under the same ids (depth %i)", async (depth) => {
    const root = newRoot();
    const before = await harness.open(nodeHost(silentLog), { root, depth });
    await harness.write(before, 1290, 12, 1);
    await harness.close(before);
    const after = await harness.open(nodeHost(silentLog), { root, depth });
    expect(await harness.versions(after, 1290, 12)).toEqual(Array.from({ length: 12 }, () => 1));
    expect((await harness.write(after, 1295, 1, 2)).status).toBe(TicketStatus.otherTicketStored);
    expect(existsSync(path.join(root, "lock"))).toBe(true);
    await harness.close(after);
    expect(existsSync(path.join(root, "lock"))).toBe(false);
  });
});
