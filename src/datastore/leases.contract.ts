import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { groupTicketCount } from "../core/frame.ts";
import { idCount, type ObjectId, type TicketId } from "../core/ids.ts";
import { layoutOf, placementDepth, slotOf, volumeEnd, volumeOf, volumeStart } from "../core/layout.ts";
import type { Datastore, Lease } from "./datastore.ts";
import { now, refused, Writer, type Fixture, type OpenFixture } from "./fixture.contract.ts";

const layout = layoutOf(placementDepth);

export function leaseFacts(open: OpenFixture): void {
  let fixture: Fixture;
  let datastore: Datastore;
  beforeEach(async () => {
    fixture = await open();
    datastore = fixture.datastore;
  });
  afterEach(() => fixture.close());

  test("ObjectIDs are leased one range after the other, from 0", async () => {
    expect(await datastore.leaseObjects("a", 10)).toEqual({ first: 0, count: 10 });
    expect(await datastore.leaseObjects("b", 5)).toEqual({ first: 10, count: 5 });
    expect(await datastore.leaseObjects("a", 1)).toEqual({ first: 15, count: 1 });
  });

  test("leases asked for at the same moment do not overlap", async () => {
    const leases = await Promise.all(
      Array.from({ length: 40 }, (_, index) => datastore.leaseObjects(`r${index % 3}`, 7)),
    );
    const firsts = leases.map((lease) => lease.first).sort((left, right) => left - right);
    expect(firsts).toEqual(Array.from({ length: 40 }, (_, index) => index * 7));
  });

  test("after kill -9 no id of an open lease is leased again", async () => {
    const objects = await datastore.leaseObjects("a", 10);
    const tickets = await datastore.leaseTickets("a", "p", 2_048);
    datastore = await fixture.reopen();
    expect(await datastore.closeRouter("a")).toBe(0);
    expect((await datastore.leaseObjects("a", 10)).first).toBe(objects.first + objects.count);
    expect((await datastore.leaseTickets("a", "p", 2_048)).first).toBe(tickets.first + tickets.count);
  });

  test("releasing gives back what was not handed out", async () => {
    const objects = await datastore.leaseObjects("a", 100);
    await datastore.releaseObjects("a", objects, 40 as ObjectId);
    expect(await datastore.leaseObjects("b", 10)).toEqual({ first: 40, count: 10 });

    const tickets = await datastore.leaseTickets("a", "p", 2_048);
    await datastore.releaseTickets("a", tickets, (tickets.first + 7) as TicketId);
    expect((await datastore.getVolume(0))?.leasedCount).toBe(7);
    expect((await datastore.leaseTickets("b", "p", 1)).first).toBe(7);
  });

  test("releasing gives nothing back when something was leased after it", async () => {
    const objects = await datastore.leaseObjects("a", 100);
    await datastore.leaseObjects("b", 100);
    await datastore.releaseObjects("a", objects, 40 as ObjectId);
    expect((await datastore.leaseObjects("a", 1)).first).toBe(200);

    const tickets = await datastore.leaseTickets("a", "p", 2_048);
    const later = await datastore.leaseTickets("b", "p", 2_048);
    await datastore.releaseTickets("a", tickets, tickets.first);
    expect((await datastore.leaseTickets("a", "p", 1)).first).toBe(later.first + later.count);
  });

  test("releasing twice, or another router's lease, changes nothing", async () => {
    const lease = await datastore.leaseTickets("a", "p", 2_048);
    await datastore.releaseTickets("b", lease, lease.first);
    expect(await datastore.getVolume(0)).toMatchObject({ leases: 1, leasedCount: 2_048 });
    await datastore.releaseTickets("a", lease, lease.first);
    await datastore.releaseTickets("a", lease, lease.first);
    expect(await datastore.getVolume(0)).toMatchObject({ leases: 0, leasedCount: 0 });
  });

  test("releasing with an id outside the lease is refused", async () => {
    const lease = await datastore.leaseObjects("a", 10);
    await refused(datastore.releaseObjects("a", lease, 11 as ObjectId), "INVALID");
    await refused(datastore.leaseObjects("a", 0), "INVALID");
    await refused(datastore.leaseTickets("a", "p", -1), "INVALID");
    expect(await datastore.leaseObjects("a", 1)).toEqual({ first: 10, count: 1 });
  });

  test("a lease of tickets ends at a group's boundary, wherever it starts", async () => {
    const first = await datastore.leaseTickets("a", "p", 3);
    expect(first).toEqual({ first: 0, count: groupTicketCount });
    await datastore.releaseTickets("a", first, 5 as TicketId);
    const second = await datastore.leaseTickets("a", "p", groupTicketCount);
    expect(second).toEqual({ first: 5, count: 2 * groupTicketCount - 5 });
    const third = await datastore.leaseTickets("a", "p", groupTicketCount);
    expect(third).toEqual({ first: 2 * groupTicketCount, count: groupTicketCount });
  });

  test("each putter has volumes of its own, numbered in the order of their first lease", async () => {
    const one = await datastore.leaseTickets("a", "one", 1);
    const two = await datastore.leaseTickets("a", "two", 1);
    const oneAgain = await datastore.leaseTickets("b", "one", 1);
    expect([one, two, oneAgain].map((lease) => volumeOf(layout, lease.first))).toEqual([0, 1, 0]);
    expect(two.first).toBe(volumeStart(layout, 1));
    expect(slotOf(layout, two.first + two.count) % groupTicketCount).toBe(0);
    expect(await datastore.listVolumes(undefined, 10)).toEqual([
      { volume: 0, putter: "one", sealed: false, leases: 2, leasedCount: 4_096, liveCount: 0, reclaimedCount: 0 },
      { volume: 1, putter: "two", sealed: false, leases: 1, leasedCount: two.count, liveCount: 0, reclaimedCount: 0 },
    ]);
    expect((await datastore.listVolumes(0, 10)).map((volume) => volume.volume)).toEqual([1]);
    expect(await datastore.getVolume(2)).toBeUndefined();
  });

  test("a sealed volume gets no further lease; the next one is in a new volume", async () => {
    const lease = await datastore.leaseTickets("a", "p", 1);
    await datastore.sealVolume(0);
    expect((await datastore.getVolume(0))?.sealed).toBe(true);
    expect((await datastore.leaseTickets("a", "p", 1)).first).toBe(volumeStart(layout, 1));
    await datastore.releaseTickets("a", lease, 9 as TicketId);
    expect(await datastore.getVolume(0)).toMatchObject({ sealed: true, leases: 0, leasedCount: 9 });
    expect(volumeOf(layout, (await datastore.leaseTickets("a", "p", 1)).first)).toBe(1);
    await refused(datastore.sealVolume(77), "NOT_FOUND");
  });

  test("a lease ends with its volume, and the next one starts the next volume", async () => {
    const whole = await datastore.leaseTickets("a", "p", idCount);
    expect(whole).toEqual({ first: 0, count: volumeEnd(layout, 0) });
    const next = await datastore.leaseTickets("a", "p", idCount);
    expect(next).toEqual({ first: volumeStart(layout, 1), count: layout.volumeTicketCount });
  });

  test("any leases and releases: no id is in two leases, groups and volumes are kept", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("lease" as const), who: fc.nat(2), count: fc.integer({ min: 1, max: 900_000 }) }),
      fc.record({ kind: fc.constant("release" as const), which: fc.nat(20), used: fc.nat(5_000) }),
      fc.record({ kind: fc.constant("seal" as const), putter: fc.nat(2) }),
    );
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        run++;
        const handedOut: { first: number; end: number }[] = [];
        const openLeases: { router: string; lease: Lease<TicketId> }[] = [];
        for (const [index, step] of steps.entries()) {
          if (step.kind === "lease") {
            const router = `r${index % 2}`;
            const lease = await datastore.leaseTickets(router, `p${run}-${step.who}`, step.count);
            const last = lease.first + lease.count - 1;
            const volume = volumeOf(layout, lease.first);
            expect(volumeOf(layout, last)).toBe(volume);
            const endsWell =
              last + 1 === volumeEnd(layout, volume) || (slotOf(layout, last) + 1) % groupTicketCount === 0;
            expect(endsWell).toBe(true);
            openLeases.push({ router, lease });
          } else if (step.kind === "release" && openLeases.length > 0) {
            const [ended] = openLeases.splice(step.which % openLeases.length, 1);
            const { router, lease } = ended!;
            const next = lease.first + Math.min(step.used, lease.count);
            await datastore.releaseTickets(router, lease, next as TicketId);
            handedOut.push({ first: lease.first, end: next });
          } else if (step.kind === "seal") {
            const volumes = await datastore.listVolumes(undefined, 1_000);
            const mine = volumes.filter((volume) => volume.putter === `p${run}-${step.putter}` && !volume.sealed);
            for (const { volume } of mine) await datastore.sealVolume(volume);
          }
        }
        for (const { lease } of openLeases) handedOut.push({ first: lease.first, end: lease.first + lease.count });
        const used = handedOut
          .filter((range) => range.end > range.first)
          .sort((left, right) => left.first - right.first);
        for (const [index, range] of used.entries()) {
          if (index > 0) expect(range.first).toBeGreaterThanOrEqual(used[index - 1]!.end);
        }
      }),
      { numRuns: 15 },
    );
  });

  test("closing a router ends its leases and fails what it was writing, and only that", async () => {
    const lease = await datastore.leaseTickets("a", "p", 1);
    await datastore.leaseTickets("b", "p", 1);
    const note = { status: "writing", createdAt: now, ticketCount: 9, writeCount: 4 } as const;
    await datastore.noteProgress({ ...note, id: 1 as ObjectId, router: "a" });
    await datastore.noteProgress({ ...note, id: 2 as ObjectId, router: "a" });
    await datastore.noteProgress({ ...note, id: 3 as ObjectId, router: "b" });
    expect(await datastore.closeRouter("a")).toBe(2);
    expect((await datastore.getObject(1 as ObjectId))?.status).toBe("error");
    expect((await datastore.getObject(2 as ObjectId))?.status).toBe("error");
    expect((await datastore.getObject(3 as ObjectId))?.status).toBe("writing");
    expect((await datastore.getVolume(0))?.leases).toBe(1);
    expect((await datastore.leaseTickets("a", "p", 1)).first).toBe(2 * lease.count);
    expect(await datastore.closeRouter("a")).toBe(0);
    expect(await datastore.closeRouter("nobody")).toBe(0);
  });

  test("a router whose name begins another's is not closed with it", async () => {
    await datastore.leaseTickets("router-10", "p", 1);
    await datastore.closeRouter("router-1");
    expect((await datastore.getVolume(0))?.leases).toBe(1);
  });

  test("live tickets are counted by volume; a run that crosses a border is indexed in both", async () => {
    const writer = new Writer(datastore);
    const first = await datastore.leaseTickets("a", "p", idCount);
    const second = await datastore.leaseTickets("a", "p", 4_096);
    expect(second.first).toBe(first.first + first.count);
    const id = await writer.id();
    const runs = [{ first: (second.first - 3) as TicketId, count: 8 }];
    await datastore.saveObject({ id, size: 8 * 1_458, runs, attributes: {} }, { kind: "standalone" }, now);
    expect((await datastore.getVolume(0))?.liveCount).toBe(3);
    expect((await datastore.getVolume(1))?.liveCount).toBe(5);
    expect(await datastore.getObject(id)).toMatchObject({ content: { kind: "runs", runs } });
    expect(await datastore.listRuns(volumeStart(layout, 0), volumeEnd(layout, 0), 10)).toEqual([
      { first: second.first - 3, count: 3, object: id },
    ]);
    expect(await datastore.listRuns(volumeStart(layout, 1), volumeEnd(layout, 1), 10)).toEqual([
      { first: second.first, count: 5, object: id },
    ]);
    await datastore.removeObject(id);
    expect((await datastore.getVolume(0))?.liveCount).toBe(0);
    expect((await datastore.getVolume(1))?.liveCount).toBe(0);
    expect(await datastore.listRuns(0 as TicketId, idCount as TicketId, 10)).toEqual([]);
  });

  test("runs are listed in order of id, from a ticket, up to another, up to a limit", async () => {
    const writer = new Writer(datastore);
    const objects = [];
    for (const size of [1_000, 3_000, 5_000, 1]) objects.push(await writer.save({ kind: "standalone" }, size));
    const all = objects.map((object) => ({ ...object.runs[0]!, object: object.id }));
    expect(await datastore.listRuns(0 as TicketId, idCount as TicketId, 10)).toEqual(all);
    expect(await datastore.listRuns(0 as TicketId, idCount as TicketId, 2)).toEqual(all.slice(0, 2));
    expect(await datastore.listRuns(all[1]!.first, all[3]!.first, 10)).toEqual(all.slice(1, 3));
  });

  test("what was reclaimed is remembered", async () => {
    await datastore.leaseTickets("a", "p", 1);
    await datastore.noteReclaimed(0, 2_000);
    expect((await datastore.getVolume(0))?.reclaimedCount).toBe(2_000);
    await refused(datastore.noteReclaimed(0, 2_049), "INVALID");
    await refused(datastore.noteReclaimed(5, 0), "NOT_FOUND");
  });
}
