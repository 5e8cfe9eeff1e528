/** What the simulator found, one story each. */
import { describe, expect, it } from "vitest";
import type { Datastore } from "../src/datastore/datastore.ts";
import { TransactionalDatastore } from "../src/datastore/transactional.ts";
import { delay } from "../src/env/host.ts";
import { EmbeddedBackend } from "./datastore/simulated-backend.ts";
import { SimulatedStore } from "./datastore/simulated-store.ts";
import { type SimulatedHost, Simulation } from "./simulated-host.ts";
import { bytesOf } from "./world/contents.ts";
import { bootRouter, type RunningRouterRole } from "./world/roles.ts";
import { simulationKey } from "./world/world.ts";

function boot(simulation: Simulation, host: SimulatedHost): Promise<RunningRouterRole> {
  const store = new SimulatedStore(simulation.clock, simulation.random.fork());
  return bootRouter(host, {
    key: simulationKey,
    arena: { tiny: 8, block: 8, group: 1 },
    depth: 2,
    putters: [],
    openDatastore: (): Promise<Datastore> =>
      TransactionalDatastore.open(new EmbeddedBackend(store, host.clock), host.clock, host.log),
    watch: (own) => own,
    reclaim: { intervalMs: 500, openDeadMin: 1, deadShareMin: 0.1, rate: 1e9 },
    openVolumesMax: 4,
    idleTimeoutMs: 20_000,
  });
}

describe("an object of parts", () => {
  it("that is deleted while somebody reads it is read to its end", async () => {
    const simulation = new Simulation(1);
    const host = simulation.machine("a").start();
    const { clock } = simulation;
    const { router, datastore } = await clock.run(boot(simulation, host));
    const parts = [1, 2, 3].map((seed) => bytesOf([{ seed, size: 300_000 }]));
    const work = async (): Promise<Uint8Array> => {
      await datastore.createBucket("b", {}, 1);
      await datastore.createUpload({ upload: "u", bucket: "b", key: "k", createdAt: 1, attributes: {} });
      for (const [index, bytes] of parts.entries()) {
        await router.put(bytes, { kind: "part", upload: "u", part: index + 1, attributes: {} }, {});
      }
      const id = await router.newObjectId();
      const target = { kind: "file", bucket: "b", key: "k", attributes: {} } as const;
      await datastore.completeUpload("u", [1, 2, 3], id, {}, target, 1);
      const object = await datastore.getObject(id);
      if (object?.status !== "saved") throw new Error("not saved");
      const read: Uint8Array[] = [];
      for await (const { buffer, skip, take } of router.read(object, 0, object.size)) {
        read.push(buffer.data.slice(skip, skip + take));
        buffer.release();
        if (read.length === 1) await datastore.deleteFile("b", "k", 2);
        await delay(host.clock, 2_000);
      }
      await expect(router.get(object)).rejects.toMatchObject({ code: "NOT_FOUND" });
      return new Uint8Array(Buffer.concat(read));
    };
    const read = await clock.run(work());
    expect(Buffer.compare(read, Buffer.concat(parts))).toBe(0);
  });
});
