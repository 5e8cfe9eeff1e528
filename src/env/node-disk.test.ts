import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll } from "vitest";
import { Simulation } from "../../sim/simulated-host.ts";
import { diskContract } from "./disk.contract.ts";
import { nodeDisk } from "./node-disk.ts";

const base = mkdtempSync(path.join(os.tmpdir(), "node-disk-"));
afterAll(() => rmSync(base, { recursive: true }));

diskContract("of Node", async () => ({
  disk: nodeDisk,
  root: mkdtempSync(path.join(base, "d")),
  drive: (promise) => promise,
}));

diskContract("simulated", async () => {
  const simulation = new Simulation(1);
  const { disk } = simulation.machine("a").start();
  await simulation.clock.run(disk.makeDirectory("/data"));
  return { disk, root: "/data", drive: (promise) => simulation.clock.run(promise) };
});
