/** A disk that does not keep up: who sends is told so, and sends again later. */
import { expect, it } from "vitest";
import { Simulation } from "../../sim/simulated-host.ts";
import { bootPutter, putterPort } from "../../sim/world/roles.ts";
import { framesOf, patternOf, testKey } from "../../tests/support/store.ts";
import { responseSize, ticketDataSize, TicketStatus } from "../core/frame.ts";
import { readId } from "../core/ids.ts";
import { responseTimeoutMs, ticketWaitMs } from "../core/limits.ts";

const arena = { tiny: 2, block: 3, group: 0 };
/** Runs of one ticket each: every one wants a buffer of its own. */
const ids = Array.from({ length: 40 }, (_, index) => 1_000 + index * 10);

it("tickets that found no room for ten seconds are answered busy, before a router gives up, and are taken when sent again", async () => {
  expect(ticketWaitMs).toBeLessThan(responseTimeoutMs);
  const simulation = new Simulation(5);
  const { clock } = simulation;
  const machine = simulation.machine("putter");
  const settings = { key: testKey, arena, depth: 2, respondTo: undefined, openVolumesMax: 4, idleTimeoutMs: 1e9 };
  const putter = await clock.run(bootPutter(machine.start(), settings as Parameters<typeof bootPutter>[1]));
  const { network } = simulation.machine("client").start();
  const connection = await clock.run(
    network.connect({ host: "putter", port: putterPort, receiveBuffer: new Uint8Array(65_536), timeoutMs: 1_000 }),
  );
  const answers: [id: number, status: number][] = [];
  let rest = Buffer.alloc(0);
  connection.start({
    bytes: (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (; rest.length >= responseSize; rest = rest.subarray(responseSize))
        answers.push([readId(rest, 0)!, rest[8]!]);
      return chunk.length;
    },
    end: () => undefined,
    closed: () => undefined,
  });
  const send = (id: number): Promise<void> => connection.write(framesOf(id, patternOf(ticketDataSize, id)));
  machine.disk.delayMaxMs = 120_000;
  await clock.run(Promise.all(ids.map(send)));
  await clock.runFor(ticketWaitMs - 1_000);
  expect(answers.filter(([, status]) => status === TicketStatus.busy)).toEqual([]);
  await clock.runFor(2_000);
  const busy = answers.filter(([, status]) => status === TicketStatus.busy).map(([id]) => id);
  expect(busy.length).toBeGreaterThan(ids.length / 2);
  // The disk recovers; what was on its way comes to its end.
  machine.disk.delayMaxMs = 1;
  await clock.runFor(3_000_000);
  expect(answers.map(([id]) => id).sort((one, other) => one - other)).toEqual(ids);
  answers.length = 0;
  await clock.run(Promise.all(busy.map(send)));
  await clock.runFor(1_000);
  expect(new Map(answers)).toEqual(new Map(busy.map((id) => [id, TicketStatus.saved])));
  await clock.run(putter.close());
  expect(putter.kernel.freeCount("block")).toBe(arena.block);
});
